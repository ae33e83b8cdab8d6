use crate::arch::Flags;
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::matching::matches::Origin;
use crate::plan::testing::*;
use crate::plan::value::Value;

#[test]
fn a_rule_is_stronger_than_a_name() {
    let case = texts("a.weight 4x4\nb.weight 4x4", "a.weight 4x4").map(&["a.weight=b.weight"]);
    let matched = case.matched().clean();
    assert_eq!((matched.from("a.weight"), matched.step("a.weight")), ("b.weight".into(), Step::Map));
    assert_eq!(matched.unused(), ["a.weight"]);
}

#[test]
fn rules_that_would_chain_apply_once_to_the_original_names() {
    let shift = ["norm1.weight=norm0.weight", "norm2.weight=norm1.weight"];
    for rules in [shift, [shift[1], shift[0]]] {
        let case = texts("norm{0-1}.weight 4", "norm{1-2}.weight 4").map(&rules);
        let matched = case.matched().clean();
        assert_eq!(
            (matched.from("norm1.weight"), matched.from("norm2.weight")),
            ("norm0.weight".into(), "norm1.weight".into())
        );
        assert_eq!(matched.unused(), Vec::<String>::new());
    }
}

#[test]
fn what_a_rule_took_no_other_target_takes_by_its_name() {
    let case = texts("norm{0-1}.weight 4", "norm{0-2}.weight 4")
        .map(&["norm1.weight=norm0.weight", "norm2.weight=norm1.weight"]);
    let matched = case.matched().clean();
    assert_eq!(matched.from("norm0.weight"), "new");
    assert_eq!(matched.warnings, ["`norm0.weight`: a map rule gave the source tensor of this name to another target"]);
}

#[test]
fn the_last_rule_that_matches_wins() {
    let case = texts("{a,b}.{x,y}.weight 4x4", "t.{x,y}.weight 4x4").map(&["t.**=a.**", "t.x.**=b.x.**"]);
    let matched = case.matched().clean();
    assert_eq!((matched.from("t.x.weight"), matched.from("t.y.weight")), ("b.x.weight".into(), "a.y.weight".into()));
}

/// Of rules that match the last whose source exists wins, in whatever order the sources are there.
#[test]
fn the_last_rule_whose_source_exists_wins() {
    let rules = ["{p}.weight=p.{p}.scale", "{p}.weight=p.{p}.matrix", "{p}.weight=p.{p}.embedding"];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]] {
        let ordered = order.map(|at| rules[at]);
        let case =
            texts("p.bn.scale 4\np.fc.matrix 4x4\np.e.embedding 5x4", "bn.weight 4\nfc.weight 4x4\ne.weight 5x4");
        let case = case.map(&ordered);
        let matched = case.matched().clean();
        assert_eq!(matched.from("bn.weight"), "p.bn.scale");
        assert_eq!(matched.from("fc.weight"), "p.fc.matrix");
        assert_eq!(matched.from("e.weight"), "p.e.embedding");
    }
    let both = texts("p.x.scale 4\np.x.matrix 4", "x.weight 4").map(&rules[..2]);
    assert_eq!(both.matched().clean().from("x.weight"), "p.x.matrix");
    let null = texts("p.x.scale 4", "x.weight 4").map(&["x.weight=null", rules[1], "{p}.weight=p.{p}.other"]);
    assert!(matches!(null.error(), PlanError::MapNamesNothing { .. }));
    let null = texts("p.x.scale 4\np.y.matrix 4", "x.weight 4\ny.weight 4").map(&["x.weight=null", rules[1]]);
    assert!(null.matched().clean().of("x.weight").declared);
}

#[test]
fn a_wildcard_of_the_source_alone_stands_for_the_one_tensor_that_there_is() {
    let source = "blocks.0.{0-1}.attn.qkv.weight 6x2\nblocks.1.{2-3}.attn.qkv.weight 6x2";
    for rule in [
        "layer.{i}.attn.qkv.weight=blocks.{c}.{i}.attn.qkv.weight", "layer.{i}.**=blocks.*.{i}.**",
        "layer.{i}.{p}=blocks.{c}.{i}.{p}",
    ] {
        let case = texts(source, "layer.{0-3}.attn.qkv.weight 6x2").map(&[rule]);
        let matched = case.matched().clean();
        assert_eq!(matched.from("layer.1.attn.qkv.weight"), "blocks.0.1.attn.qkv.weight", "{rule}");
        assert_eq!(matched.from("layer.2.attn.qkv.weight"), "blocks.1.2.attn.qkv.weight", "{rule}");
    }
    let twice = texts("blocks.0.0.w 4\nblocks.1.0.w 4", "layer.0.w 4").map(&["layer.{i}.w=blocks.{c}.{i}.w"]);
    let error = twice.error();
    assert!(
        matches!(&error, PlanError::MapNotUnique { first, second, target, .. }
        if first == "blocks.0.0.w" && second == "blocks.1.0.w" && target == "layer.0.w"),
        "{error}"
    );
    use crate::error::Fault;
    assert_eq!(error.exit(), crate::error::Exit::Input);
    let none = texts("blocks.0.0.v 4", "layer.0.w 4").map(&["layer.{i}.w=blocks.{c}.{i}.w"]);
    assert!(matches!(none.error(), PlanError::MapNamesNothing { .. }));
    let named = texts("a.0.w 4", "layer.0.w 4").and("other", listed("b.0.w 4\na.7.w 4"));
    let named = named.map(&["layer.{i}.w=other:{c}.{i}.w"]);
    assert_eq!(named.matched().clean().from("layer.0.w"), "b.0.w");
}

#[test]
fn one_source_goes_to_several_targets_by_rule() {
    let case = texts("mlp.{0-1}.up.weight 4x4", "mlp.{0-1}.experts.{0-2}.up.weight 4x4")
        .map(&["mlp.{i}.experts.{e}.up.weight=mlp.{i}.up.weight"]);
    let matched = case.matched().clean();
    assert_eq!(matched.from("mlp.1.experts.2.up.weight"), "mlp.1.up.weight");
}

#[test]
fn indices_take_arithmetic() {
    let case = texts("layers.{0-2}.down.weight 4x4", "layers.{1-3}.down.weight 4x4")
        .map(&["layers.{i}.down.weight=layers.{i-1}.down.weight"]);
    let matched = case.matched().clean();
    assert_eq!(
        (matched.from("layers.1.down.weight"), matched.from("layers.3.down.weight")),
        ("layers.0.down.weight".into(), "layers.2.down.weight".into())
    );
}

#[test]
fn several_sources_are_concatenated_and_several_targets_split() {
    let case = texts("{q,k,v}.weight 2x4", "qkv.weight 6x4").map(&["qkv.weight=q.weight,k.weight,v.weight"]);
    let matched = case.matched().clean();
    assert_eq!(matched.from("qkv.weight"), "concat(q.weight, k.weight, v.weight)");
    assert_eq!(matched.shape("qkv.weight"), [6, 4]);
    let case = texts("qkv.weight 8x4", "q.weight 4x4\nk.weight 2x4\nv.weight 2x4")
        .map(&["q.weight,k.weight,v.weight=qkv.weight"]);
    let matched = case.matched().clean();
    assert_eq!(matched.shape("q.weight"), [4, 4]);
    assert_eq!(matched.shape("v.weight"), [2, 4]);
    assert_eq!(matched.used, [vec![true]]);
}

#[test]
fn operations_apply_in_order_and_a_split_gives_each_target_its_piece() {
    let case = texts("h.{0-1}.c_attn.weight 4x12", "h.{0-1}.{q,k,v}.weight 4x4")
        .map(&["{p}.q.weight,{p}.k.weight,{p}.v.weight={p}.c_attn.weight|transpose|split(0, 3)"]);
    let matched = case.matched().clean();
    assert_eq!(matched.from("h.1.k.weight"), "narrow(transpose(h.1.c_attn.weight))");
    let Origin::Found { value: Value::Apply { op, .. }, info } = &matched.of("h.1.k.weight").origin else { panic!() };
    assert_eq!(*op, crate::adapt::Op::Narrow { axis: 0, start: 4, len: 4 });
    assert_eq!(info.shape, [4, 4]);
}

#[test]
fn operations_that_do_not_fit_are_an_error_that_names_the_rule() {
    let case = texts("a.bias 4", "b.bias 4").map(&["b.bias=a.bias|transpose"]);
    assert!(matches!(case.error(), PlanError::MapDoesNotFit { target, .. } if target == "b.bias"));
    let case = texts("a.weight 7x4", "x.weight 4x4\ny.weight 4x4").map(&["x.weight,y.weight=a.weight"]);
    assert!(matches!(case.error(), PlanError::MapSplit { axis: 0, size: 7, .. }));
    let case = texts("a.weight 6x4", "x.weight 2x4").map(&["x.weight=a.weight|split(0, 3)"]);
    assert!(matches!(case.error(), PlanError::MapPieces { pieces: 3, targets: 1, .. }));
}

#[test]
fn null_declares_new_and_holds_the_namesake() {
    let case = texts("pooler.dense.{weight,bias} 4\nx.weight 2", "pooler.dense.{weight,bias} 4\nx.weight 2")
        .map(&["pooler.**=null"]);
    let matched = case.matched().clean();
    assert_eq!(matched.from("pooler.dense.weight"), "new");
    assert!(matched.of("pooler.dense.weight").declared);
    assert_eq!(matched.unused().len(), 2);
    assert_eq!(matched.unused_reasons[0].len(), 2);
}

#[test]
fn reinit_declares_new_though_a_source_exists() {
    let flags = Flags { reinit: vec!["a.*".into()], ..Flags::default() };
    let case = texts("a.weight 4x4\nb.weight 4x4", "a.weight 4x4\nb.weight 4x4").flags(flags);
    let matched = case.matched().clean();
    assert!(matched.of("a.weight").declared && matched.of("a.weight").reason.contains("a.*"));
    assert_eq!(matched.unused(), ["a.weight"]);
}

#[test]
fn a_source_that_two_have_is_named_with_its_source() {
    let case = || texts("a.weight 4x4", "x.weight 4x4").and("other", listed("a.weight 4x4"));
    let undecided = case().map(&["x.weight=a.weight"]);
    assert_eq!(undecided.matched().hints(), ["--map 'x.weight=source:a.weight'", "--map 'x.weight=other:a.weight'"]);
    let decided = case().map(&["x.weight=other:a.weight"]);
    assert_eq!(decided.matched().clean().used, [vec![false], vec![true]]);
    let unknown = case().map(&["x.weight=third:a.weight"]);
    assert!(matches!(unknown.error(), PlanError::UnknownSource { name, .. } if name == "third"));
}

#[test]
fn a_rule_that_matches_nothing_is_an_error_with_the_nearest_name_unless_it_is_optional() {
    let case = |rule| texts("encoder.weight 4x4", "decoder.weight 4x4\nencoder.weight 4x4").map(&[rule]);
    assert!(matches!(case("decodr.weight=encoder.weight").error(),
        PlanError::MatchesNothing { nearest: Some(near), .. } if near == "decoder.weight"));
    assert!(matches!(case("decoder.weight=encodr.weight").error(),
        PlanError::MapNamesNothing { name, nearest: Some(near), .. } if near == "encoder.weight" && name == "encodr.weight"));
    case("?decodr.weight=encoder.weight").matched().clean();
    case("?decoder.weight=encodr.weight").matched().clean();
}

#[test]
fn every_kind_of_pattern_must_match_something() {
    let flags: Vec<Flags> = vec![
        Flags { new: vec!["clasifier.*".into()], ..Flags::default() },
        Flags { reinit: vec!["clasifier.*".into()], ..Flags::default() },
        Flags { unused: vec!["clasifier.*".into()], ..Flags::default() },
        Flags { init: vec!["clasifier.*=zeros".into()], ..Flags::default() },
        Flags { depth: vec!["encodr=first".into()], ..Flags::default() },
    ];
    for flags in flags {
        let case = texts("encoder.0.a.weight 4\nclassifier.weight 4", "encoder.0.a.weight 4\nclassifier.weight 4")
            .flags(flags);
        let error = case.error();
        assert!(
            matches!(&error, PlanError::MatchesNothing { nearest: Some(near), .. } if near.contains("classifier") || near == "encoder"),
            "{error}"
        );
        use crate::error::Fault;
        assert_eq!(error.exit(), crate::error::Exit::Input);
    }
}

#[test]
fn a_rule_that_names_nothing_for_some_targets_leaves_them_to_the_other_steps() {
    let case = texts("a.x.weight 4x4\nt.y.weight 4x4", "t.{x,y}.weight 4x4").map(&["t.**=a.**"]);
    let matched = case.matched().clean();
    assert_eq!((matched.from("t.x.weight"), matched.from("t.y.weight")), ("a.x.weight".into(), "t.y.weight".into()));
}

#[test]
fn rules_say_nothing_of_sources_where_there_are_none() {
    let mut case = texts("", "t.weight 4x4").map(&["t.weight=a.weight"]);
    case.sources.clear();
    assert_eq!(case.matched().clean().from("t.weight"), "new");
}
