//! What counts as found, and the lines that would make `--strict` pass.

use crate::tensor::Dtype;
use std::collections::BTreeSet;

use crate::arch::{MapRule, Pattern};
use crate::plan::error::PlanError;
use crate::plan::fit::error::FitError;
use crate::plan::patterns::collapse;
use crate::plan::testing::*;
use crate::plan::*;
use crate::tensor::Role;

fn linear(name: &str) -> crate::graph::Parameter {
    parameter(name, &[4, 4], Role::Linear)
}

fn strict(options: Options) -> Options {
    Options { strict: true, ..options }
}

#[test]
fn a_share_below_the_minimum_is_a_violation_with_both_numbers() {
    let target = of_parameters(vec![linear("a"), linear("b"), linear("c"), head("h", &[100, 4], Role::Linear)]);
    let source = stored(&[("a", &[4, 4])]);
    let low = |minimum: f64| {
        let planned = planned_with(&source, &target, &Options { min_coverage: minimum, ..options() }).unwrap();
        planned.violations.into_iter().find_map(|violation| match violation {
            PlanError::Fit(FitError::LowCoverage { found, total, .. }) => Some((found, total)),
            _ => None,
        })
    };
    assert_eq!(low(0.5), Some((16, 48)), "heads do not count");
    assert_eq!(low(1.0 / 3.0), None, "exactly the minimum is enough");
    assert_eq!(low(0.0), None);
}

#[test]
fn new_rows_buffers_and_ties_do_not_count_as_found() {
    let mut words = parameter("words", &[8, 4], Role::Embedding);
    words.parts.clear();
    let mut tied = linear("tied");
    tied.shape = [8, 4].into();
    tied.tied_to = Some(0);
    let target = of_parameters(vec![words, tied, parameter("running_mean", &[1000], Role::Buffer)]);
    let planned = planned_with(
        &stored(&[("words", &[2, 4]), ("running_mean", &[1000])]),
        &target,
        &Options { min_coverage: 0.9, ..options() },
    );
    let violations = planned.unwrap().violations;
    assert!(matches!(violations.as_slice(), [PlanError::Fit(FitError::LowCoverage { found: 8, total: 32, .. })]));
}

#[test]
fn from_none_nothing_has_to_be_found() {
    let target = of_parameters(vec![linear("a")]);
    let planned = plan(&[], &target, &strict(Options { min_coverage: 1.0, ..options() }), |_| Ok(Vec::new())).unwrap();
    assert!(planned.violations.is_empty() && planned.strict_lines.is_empty());
    assert_eq!(planned.plan.assignments[0].action, Action::New);
}

#[test]
fn a_strict_run_wants_new_and_unused_tensors_declared_and_the_lines_it_prints_do_that() {
    let source = stored(&[("a", &[4, 4]), ("old.w", &[2]), ("old.b", &[2]), ("x.position_ids", &[1, 4])]);
    let mut to = of_parameters(vec![linear("a"), linear("new.0.w"), linear("new.1.w"), linear("cls.w")]);
    let first = planned_with(&source, &to, &strict(options())).unwrap();
    assert_eq!(first.strict_lines, ["--new 'cls.*'", "--new 'new.**'", "--unused 'old.*'"]);
    let found: Vec<_> = first.violations.iter().filter(|v| matches!(v, PlanError::Fit(_))).collect();
    assert!(matches!(
        found.as_slice(),
        [
            PlanError::Fit(FitError::UndeclaredNew { count: 3, .. }),
            PlanError::Fit(FitError::UndeclaredUnused { count: 2, .. })
        ]
    ));
    for line in &first.strict_lines {
        let pattern = selector(line.split('\'').nth(1).unwrap());
        match line.starts_with("--new") {
            true => to.rules.new.push(pattern),
            false => to.rules.unused.push(pattern),
        }
    }
    let second = planned_with(&source, &to, &strict(options())).unwrap();
    assert!(second.strict_lines.is_empty(), "{:?}", second.strict_lines);
    assert!(!second.violations.iter().any(|violation| matches!(violation, PlanError::Fit(_))));
    assert_eq!(second.plan.dropped.len(), 1);
}

#[test]
fn a_tensor_that_a_rule_makes_new_is_declared_by_it() {
    let source = stored(&[("a", &[4, 4]), ("b", &[4, 4])]);
    let mut to = of_parameters(vec![linear("a"), linear("b")]);
    to.rules.reinit.push(selector("a"));
    to.rules.map.push(MapRule {
        to: vec![Pattern::parse("b").unwrap()],
        from: None,
        ops: Vec::new(),
        optional: false,
        text: "b=".into(),
        place: "map[0]".into(),
    });
    let planned = planned_with(&source, &to, &strict(options())).unwrap();
    let new = |violation: &PlanError| matches!(violation, PlanError::Fit(FitError::UndeclaredNew { .. }));
    assert!(!planned.violations.iter().any(new), "{:?}", planned.violations);
}

#[test]
fn a_layer_that_starts_as_the_identity_is_declared_by_its_depth_rule() {
    use crate::arch::{DepthList, DepthRule};
    let mut to = gpt();
    to.rules.depth.push(DepthRule { path: selector("block"), list: DepthList::Expand });
    let source = stored(&[("block.0.fc.weight", &[4, 4]), ("block.0.fc.bias", &[4])]);
    let planned = planned_with(&source, &to, &strict(options())).unwrap();
    let end = of(&planned.plan, "block.1.fc.weight");
    assert_eq!(end.action, Action::New);
    assert_eq!(end.init.as_ref().unwrap().scheme, "zeros");
    assert!(planned.violations.is_empty(), "{:?}", planned.violations);
}

/// Two residual layers of one product each.
fn gpt() -> crate::arch::Architecture {
    use crate::graph::{Builder, Dim, Layer};
    let mut at = Builder::new();
    let mut x = at.input("x", vec![Dim::Batch, Dim::Known(4)], Dtype::F32, None).unwrap();
    for layer in 0..2 {
        let y = at
            .under(&format!("block.{layer}"), |at| {
                at.branch(|at| at.layer("fc", Layer::Linear { out: 4, bias: true }, &[x]))
            })
            .unwrap();
        x = at.layer("", Layer::Add, &[x, y]).unwrap();
    }
    let (parameters, graph) = at.finish(vec![("y".into(), x)]).unwrap();
    crate::arch::Architecture {
        graph: Some(graph),
        ..crate::arch::Architecture::new(crate::arch::Form::Layers, parameters)
    }
}

/// The patterns for some names, checked to match exactly these.
fn patterns(all: &[&str], some: &[&str]) -> Vec<String> {
    let some: BTreeSet<&str> = some.iter().copied().collect();
    let patterns = collapse(all, &some);
    let parsed: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
    for name in all {
        let is_matched = parsed.iter().any(|pattern| pattern.matches(name).is_some());
        assert_eq!(is_matched, some.contains(name), "{name} and {patterns:?}");
    }
    patterns
}

#[test]
fn patterns_collapse_layers_and_subtrees_and_never_reach_further() {
    let all = [
        "top.w", "enc.0.attn.w", "enc.0.mlp.w", "enc.0.mlp.b", "enc.1.attn.w", "enc.1.mlp.w", "enc.1.mlp.b",
        "enc.10.attn.w", "enc.10.mlp.w", "enc.10.mlp.b", "moe.0.experts.0.w", "moe.0.experts.1.w", "moe.1.experts.0.w",
        "moe.1.experts.1.w", "moe.1.gate", "cls",
    ];
    let starting = |start: &str| all.iter().copied().filter(|name| name.starts_with(start)).collect::<Vec<_>>();
    assert_eq!(patterns(&all, &[]), Vec::<String>::new());
    assert_eq!(patterns(&all, &["cls"]), ["cls"]);
    assert_eq!(patterns(&all, &["top.w"]), ["top.*"]);
    assert_eq!(patterns(&all, &starting("enc")), ["enc.**"]);
    assert_eq!(patterns(&all, &starting("enc.10")), ["enc.10.**"]);
    assert_eq!(patterns(&all, &["enc.0.mlp.w", "enc.1.mlp.w", "enc.10.mlp.w"]), ["enc.{i}.mlp.w"]);
    let mlp: Vec<&str> = all.iter().copied().filter(|name| name.contains("mlp")).collect();
    assert_eq!(patterns(&all, &mlp), ["enc.{i}.mlp.*"]);
    let experts: Vec<&str> = all.iter().copied().filter(|name| name.contains("experts")).collect();
    assert_eq!(patterns(&all, &experts), ["moe.{i}.experts.**"]);
    assert_eq!(patterns(&all, &["enc.0.mlp.w", "enc.10.attn.w"]), ["enc.0.mlp.w", "enc.10.attn.*"]);
    patterns(&all, &all);
    patterns(&["a", "a.b", "a.b.c"], &["a", "a.b", "a.b.c"]);
    patterns(&["a", "a.b", "a.b.c"], &["a.b.c"]);
    patterns(&["a", "a.b"], &["a"]);
}

#[test]
fn an_equal_copy_of_a_tied_tensor_is_listed_and_needs_no_declaration() {
    let mut words = parameter("words", &[8, 4], Role::Embedding);
    words.parts.clear();
    let mut head = linear("head");
    head.shape = [8, 4].into();
    head.tied_to = Some(0);
    let target = of_parameters(vec![words, head]);
    let source = stored(&[("words", &[8, 4]), ("head", &[8, 4])]);
    let planned = planned_with(&source, &target, &strict(options())).unwrap();
    assert!(planned.violations.is_empty(), "{:?}", planned.violations);
    assert_eq!(planned.strict_lines, Vec::<String>::new());
    assert!(planned.plan.unused[0].reason.contains("equal to the copy"), "{:?}", planned.plan.unused);
}

#[test]
fn what_a_head_of_other_classes_does_not_take_is_declared_on_both_sides() {
    let to = of_parameters(vec![linear("a"), head("classifier", &[5, 4], Role::Linear)]);
    let planned = planned_with(&stored(&[("a", &[4, 4]), ("classifier", &[2, 4])]), &to, &strict(options())).unwrap();
    assert_eq!(planned.strict_lines, ["--new 'classifier'", "--unused 'classifier'"]);
}
