use crate::arch::{DepthList, Flags, Rules};
use crate::error::{Exit, Result};

fn rules(change: impl FnOnce(&mut Flags)) -> Result<Rules> {
    let mut flags = Flags::default();
    change(&mut flags);
    Rules::from_flags(&flags)
}

fn map(text: &str) -> Result<Rules> {
    rules(|flags| flags.map = vec![text.into()])
}

#[test]
fn a_map_flag_has_targets_sources_and_null() {
    let rule = map("enc.{i}.**=bert.layer.{i}.**").unwrap().map.remove(0);
    assert_eq!(rule.to[0].text, "enc.{i}.**");
    let from = rule.from.unwrap();
    assert_eq!((from[0].0.as_deref(), from[0].1.text.as_str()), (None, "bert.layer.{i}.**"));

    let rule = map("?head.weight=clip:old.weight, b").unwrap().map.remove(0);
    assert!(rule.optional);
    let from = rule.from.unwrap();
    assert_eq!((from[0].0.as_deref(), from[0].1.text.as_str()), (Some("clip"), "old.weight"));
    assert_eq!(from[1].1.text, "b");

    assert_eq!(map("pooler.**=null").unwrap().map[0].from, None);
}

#[test]
fn a_colon_of_a_tensorflow_name_is_no_source() {
    let from = map("a=dense/kernel:0").unwrap().map.remove(0).from.unwrap();
    assert_eq!((from[0].0.as_deref(), from[0].1.text.as_str()), (None, "dense/kernel:0"));
}

#[test]
fn a_wildcard_of_a_source_that_the_target_lacks_is_an_error() {
    let error = map("enc.{i}.w=layer.{i}.{p}.w").unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.to_string().contains("{p} of `layer.{i}.{p}.w` does not occur in `enc.{i}.w`"), "{error}");
    let broadcast = map("experts.{e}.layer.{i}.w=layer.{i}.w");
    assert!(broadcast.is_ok());
}

#[test]
fn targets_of_one_rule_have_the_same_wildcards() {
    assert!(map("{p}.q,{p}.k={p}.qk").is_ok());
    let error = map("{p}.q,k={p}.qk").unwrap_err().to_string();
    assert!(error.contains("`{p}.q` and `k` have different wildcards"), "{error}");
}

#[test]
fn a_flag_without_its_form_shows_what_was_typed_and_the_form() {
    let error = map("enc").unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.to_string().starts_with("--map `enc`: expected 'TO=FROM"), "{error}");
    let error = rules(|flags| flags.depth = vec!["enc=evry:2".into()]).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.hints().iter().any(|hint| hint.contains("PATH=LIST")));
}

#[test]
fn depth_new_unused_reinit_and_labels_are_read() {
    let rules = rules(|flags| {
        flags.depth = vec!["encoder.layer=every:2".into()];
        flags.new = vec!["?classifier.**".into()];
        flags.unused = vec!["cls.**".into()];
        flags.reinit = vec!["pooler.*".into()];
        flags.labels = Some("billing, refund,other".into());
    })
    .unwrap();
    assert_eq!(rules.depth[0].path.text, "encoder.layer");
    assert_eq!(rules.depth[0].list, DepthList::Every { step: 2, offset: 0 });
    assert!(rules.new[0].optional);
    assert_eq!((rules.new[0].place.as_str(), rules.new[0].pattern.text.as_str()), ("--new", "classifier.**"));
    assert_eq!(rules.unused[0].place, "--unused");
    assert_eq!(rules.reinit[0].place, "--reinit");
    assert_eq!(rules.labels[0].labels, ["billing", "refund", "other"]);
}

#[test]
fn labels_that_are_empty_or_stand_twice_are_errors() {
    let labels = |text: &str| rules(|flags| flags.labels = Some(text.into()));
    assert!(labels("a,,b").is_err());
    let error = labels("a,b,a").unwrap_err().to_string();
    assert!(error.contains("label `a` stands twice, at 0 and 2"), "{error}");
}
