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
fn a_wildcard_may_stand_on_one_side_alone() {
    assert!(map("enc.{i}.w=layer.{i}.{p}.w").is_ok());
    assert!(map("experts.{e}.layer.{i}.w=layer.{i}.w").is_ok());
}

#[test]
fn class_names_in_the_list_of_a_programming_language_are_refused_with_the_form_that_is_meant() {
    let labels = |text: &str| rules(|flags| flags.labels = Some(text.into()));
    for (typed, hint) in [
        ("['a','b']", "--labels 'a,b'"),
        (r#"["cat", "dog", "old mouse"]"#, "--labels 'cat,dog,old mouse'"),
        ("'yes','no'", "--labels 'yes,no'"),
        ("[a, b]", "--labels 'a,b'"),
        ("('x', 'y',)", "--labels 'x,y'"),
        (r#"{"0": "neg", "1": "pos"}"#, "--labels 'neg,pos'"),
        ("“a”,“b”", "--labels 'a,b'"),
        ("['a','']", "--labels a,b,c"),
        ("['a','a']", "--labels a,b,c"),
        ("[]", "--labels a,b,c"),
        ("[['a','b']]", "--labels a,b,c"),
    ] {
        let error = labels(typed).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{typed}");
        assert!(error.hints().iter().any(|line| line.contains(hint)), "{typed}: {:?}", error.hints());
        if let Some(names) = hint.strip_prefix("--labels '").and_then(|rest| rest.strip_suffix('\'')) {
            assert!(labels(names).is_ok(), "{typed}: the hint is refused too");
        }
    }
    for typed in ["O'Reilly,rock 'n' roll", "B-PER,I-PER,O", "a (b),c", "5\",6\""] {
        assert!(labels(typed).is_ok(), "{typed}");
    }
    for typed in ["a,,b", "a,", "a,b,a"] {
        assert_eq!(labels(typed).unwrap_err().exit(), Exit::Usage, "{typed}");
    }
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
    assert!(error.contains("label `a` appears twice, at 0 and 2"), "{error}");
}
