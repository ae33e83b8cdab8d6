use crate::plan::assignment::Step;
use crate::plan::testing::*;

#[test]
fn the_same_names_are_the_same_tensors() {
    let case = texts("a.weight 4x4\nb.weight 4x4", "b.weight 4x4\na.weight 4x4");
    let matched = case.matched().clean();
    assert_eq!((matched.from("a.weight"), matched.from("b.weight")), ("a.weight".into(), "b.weight".into()));
    assert_eq!(matched.step("a.weight"), Step::Name);
}

#[test]
fn a_name_is_enough_where_shapes_differ() {
    let case = texts("classifier.weight 2x4", "classifier.weight 5x4");
    let matched = case.matched();
    assert_eq!(matched.from("classifier.weight"), "classifier.weight");
    assert_eq!(matched.shape("classifier.weight"), [2, 4]);
}

#[test]
fn wrappers_are_stripped_at_the_front_and_in_the_middle_on_both_sides() {
    for (source, target) in [
        ("module.enc.fc.weight", "enc.fc.weight"),
        ("_orig_mod.enc.fc.weight", "enc.fc.weight"),
        ("module._orig_mod.enc.fc.weight", "enc.fc.weight"),
        ("enc._orig_mod.fc.weight", "enc.fc.weight"),
        ("state_dict.model.enc._fsdp_wrapped_module.fc.weight", "enc.fc.weight"),
        ("enc.fc.weight", "module.enc.fc.weight"),
        ("enc.fc.weight", "enc._orig_mod.fc.weight"),
        ("module.enc.fc.weight", "_orig_mod.enc.fc.weight"),
    ] {
        let case = texts(source, target);
        let matched = case.matched().clean();
        assert_eq!(matched.from(target), source);
        assert_eq!(matched.step(target), Step::Wrapper);
    }
}

#[test]
fn a_component_that_only_contains_a_wrapper_s_name_stays() {
    let case = texts("submodule.fc.weight 4x4", "fc.weight 4x5");
    assert_eq!(case.matched().from("fc.weight"), "new");
}

#[test]
fn two_names_that_become_equal_by_stripping_are_an_ambiguity() {
    let case = texts("module.fc.weight 4x4\nmodel.fc.weight 4x4", "fc.weight 4x4");
    let matched = case.matched();
    assert_eq!(matched.from("fc.weight"), "new");
    assert_eq!(matched.violations(), ["fc.weight is ambiguous: `model.fc.weight` and `module.fc.weight` fit alike"]);
    assert_eq!(matched.hints(), ["--map 'fc.weight=model.fc.weight'", "--map 'fc.weight=module.fc.weight'"]);
}

#[test]
fn stripping_decides_nothing_that_the_plain_name_decided() {
    let case = texts("fc.weight 4x4\nmodel.fc.weight 4x4", "fc.weight 4x4");
    let matched = case.matched().clean();
    assert_eq!(matched.from("fc.weight"), "fc.weight");
    assert_eq!(matched.unused(), ["model.fc.weight"]);
}

#[test]
fn two_targets_that_become_equal_by_stripping_are_an_ambiguity_too() {
    let case = texts("fc.weight 4x4", "a.fc.weight 4x4\nmodule.fc.weight 4x4\nmodel.fc.weight 4x4");
    let matched = case.matched();
    assert_eq!((matched.from("module.fc.weight"), matched.from("model.fc.weight")), ("new".into(), "new".into()));
    assert_eq!(matched.violations.len(), 1);
}

#[test]
fn a_name_in_two_sources_is_one_ambiguity_for_all_its_tensors() {
    let case = texts("a.x.weight 4x4\na.y.weight 4x4", "a.x.weight 4x4\na.y.weight 4x4")
        .and("other", listed("a.x.weight 4x4\na.y.weight 4x4"));
    let matched = case.matched();
    assert_eq!(matched.violations.len(), 1);
    assert_eq!(matched.hints(), ["--map 'a.**=source:a.**'", "--map 'a.**=other:a.**'"]);
    let ruled = texts("a.x.weight 4x4\na.y.weight 4x4", "a.x.weight 4x4\na.y.weight 4x4")
        .and("other", listed("a.x.weight 4x4\na.y.weight 4x4"))
        .map(&["a.**=other:a.**"]);
    let matched = ruled.matched().clean();
    assert_eq!(matched.used, [vec![false, false], vec![true, true]]);
}

#[test]
fn layer_10_is_matched_with_layer_10_though_it_sorts_before_9() {
    let mut target = architecture("enc.{0-11}.fc.weight 4x4");
    target.parameters.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(target.parameters[2].name, "enc.10.fc.weight");
    let case = case(listed("net.enc.{0-11}.fc.weight 4x4"), target);
    let matched = case.matched().clean();
    for layer in 0..12 {
        assert_eq!(matched.from(&format!("enc.{layer}.fc.weight")), format!("net.enc.{layer}.fc.weight"));
    }
}

#[test]
fn nothing_at_all_matches_nothing_at_all() {
    let none = Case { sources: Vec::new(), target: architecture("a.weight 2x2"), evidence: Vec::new() };
    let matched = none.matched().clean();
    assert_eq!(matched.from("a.weight"), "new");
    let empty = case(listed(""), architecture(""));
    assert!(empty.matched().clean().matches.is_empty());
    let of_scalars = texts("x.weight 1", "y.bias 1");
    assert_eq!(of_scalars.matched().from("y.bias"), "new");
}
