//! Laws over whole plans.

use crate::tensor::Dtype;
use crate::tensor::TensorInfo;
use std::collections::BTreeSet;

use serde_json::json;

use crate::adapt::Op;
use crate::arch::Architecture;
use crate::plan::testing::*;
use crate::plan::*;
use crate::tensor::Role;

/// Pairs that between them use every way of fitting.
fn cases() -> Vec<(&'static str, Stored, Architecture)> {
    let small = bert(json!({}));
    let classifier =
        json!({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}});
    let labelled = |labels| bert(json!({"architectures": ["BertForSequenceClassification"], "id2label": labels}));
    let mut by_token = bert(json!({"vocab_size": 12, "architectures": ["BertForMaskedLM"]}));
    vocab_rule(&mut by_token, vocabulary(&["z", "b", "a", "new"]), None);
    let masked = bert(json!({"architectures": ["BertForMaskedLM"]}));
    let mut zeros = bert(json!({"vocab_size": 13}));
    zeros.rules.adapt.push(adapt("**.word_embeddings.weight", |rule| rule.rows = Some(crate::arch::NewRows::Zeros)));
    let mut matched = bert(json!({"num_hidden_layers": 3, "max_position_embeddings": 9}));
    matched.rules.init.push(init(Some("**"), "match"));
    vec![
        ("the same", checkpoint_of(&small, Dtype::F32), small.clone()),
        ("bf16", checkpoint_of(&small, Dtype::Bf16), bert(json!({"dtype": "float16", "vocab_size": 11}))),
        ("longer", checkpoint_of(&small, Dtype::F16), bert(json!({"max_position_embeddings": 9, "vocab_size": 14}))),
        ("shorter", checkpoint_of(&small, Dtype::F32), bert(json!({"max_position_embeddings": 3, "vocab_size": 5}))),
        ("zero rows", checkpoint_of(&small, Dtype::F32), zeros),
        ("tokens", checkpoint_of(&masked, Dtype::F32).tokens(&["a", "b", "c", "z"]), by_token),
        (
            "labels",
            checkpoint_of(&bert(classifier), Dtype::F32),
            labelled(json!({"0": "C", "1": "new", "2": "a", "3": "x"})),
        ),
        ("new head", checkpoint_of(&small, Dtype::F32), labelled(json!({"0": "a", "1": "b"}))),
        ("matched", checkpoint_of(&small, Dtype::F32), matched),
        ("another width", checkpoint_of(&small, Dtype::F32), bert(json!({"hidden_size": 6}))),
        ("nothing", stored(&[]), bert(json!({"architectures": ["BertForPreTraining"]}))),
    ]
}

#[test]
fn every_target_has_one_assignment_in_order_that_yields_its_shape_and_type() {
    for (case, stored, target) in cases() {
        let plan = planned(&stored, &target);
        let names: Vec<&str> = plan.assignments.iter().map(|a| a.target.name.as_str()).collect();
        let expected: Vec<&str> = target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, expected, "{case}");
        for (assignment, parameter) in plan.assignments.iter().zip(&target.parameters) {
            assert_eq!(assignment.target.shape, parameter.shape, "{case}: {}", parameter.name);
            if assignment.action != Action::Tied {
                let info = assignment.value.info().unwrap();
                assert_eq!(
                    (info.dtype, info.shape),
                    (assignment.target.dtype, assignment.target.shape.clone()),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn a_plan_reads_back_equal_and_keeps_its_hash() {
    for (case, stored, target) in cases() {
        let plan = planned(&stored, &target);
        let text = plan.to_json();
        let read = Plan::from_json(&text).unwrap();
        assert_eq!(read, plan, "{case}");
        assert_eq!(read.hash(), plan.hash(), "{case}");
        assert_eq!(read.to_json(), text, "{case}");
    }
}

#[test]
fn an_output_planned_onto_its_own_architecture_is_all_copies() {
    for (case, stored, target) in cases().into_iter().filter(|(case, _, _)| *case != "tokens") {
        let first = planned(&stored, &target);
        let mut own = target.clone();
        own.rules = Default::default();
        let again = planned(&written(&first), &own);
        for assignment in again.assignments.iter().filter(|a| a.action != Action::Tied) {
            assert_eq!(assignment.action, Action::Copied, "{case}: {assignment:?}");
        }
        assert!(again.unused.is_empty() && again.dropped.is_empty(), "{case}");
    }
}

#[test]
fn every_source_tensor_is_used_or_listed_and_never_both() {
    for (case, stored, target) in cases() {
        let plan = planned(&stored, &target);
        let mut used = BTreeSet::new();
        for assignment in &plan.assignments {
            assignment.value.leaves(&mut |leaf| {
                if let Value::Source { tensor, .. } = leaf {
                    used.insert(tensor.to_string());
                }
            });
        }
        let listed: BTreeSet<String> =
            plan.unused.iter().chain(&plan.dropped).map(|u| u.tensor.name.to_string()).collect();
        assert!(used.is_disjoint(&listed), "{case}");
        let all: BTreeSet<String> = stored.listing.tensors.iter().map(|tensor| tensor.name.to_string()).collect();
        assert_eq!(used.union(&listed).cloned().collect::<BTreeSet<_>>(), all, "{case}");
    }
}

#[test]
fn a_fresh_row_is_that_row_of_the_whole_fresh_tensor() {
    for (case, stored, target) in cases() {
        for assignment in planned(&stored, &target).assignments {
            check_fresh_rows(case, &assignment.target, &assignment.value);
        }
    }
}

/// Row `r` of a gather over a fresh tensor comes from its row `r`, and the fresh tensor is whole: so neither other rows nor
/// their number decide its bits.
fn check_fresh_rows(case: &str, target: &TensorInfo, value: &Value) {
    let Value::Apply { op, inputs } = value else { return };
    inputs.iter().for_each(|input| check_fresh_rows(case, target, input));
    let Op::Gather { axis: 0, runs } = op else { return };
    let mut row = 0;
    for run in runs.iter() {
        let mut is_fresh = false;
        inputs[run.input].leaves(&mut |leaf| {
            if let Value::Init { shape, first, .. } = leaf {
                assert_eq!((shape, *first), (&target.shape, 0), "{case}: {}", target.name);
                is_fresh = true;
            }
        });
        assert!(!is_fresh || (run.start, run.step) == (row, 1), "{case}: {}", target.name);
        row += run.len;
    }
}

#[test]
fn new_rows_are_counted_as_they_stand_in_the_expression() {
    for (case, stored, target) in cases() {
        for assignment in planned(&stored, &target).assignments {
            assert_eq!(counted(&assignment.value), assignment.new_rows, "{case}: {}", assignment.target.name);
        }
    }
}

/// Rows of the outermost gather that do not come from its first input.
fn counted(value: &Value) -> u64 {
    match value {
        Value::Apply { op: Op::Gather { runs, .. }, .. } => {
            runs.iter().filter(|run| run.input > 0).map(|run| run.len).sum()
        }
        Value::Apply { inputs, .. } if inputs.len() == 1 => counted(&inputs[0]),
        Value::Apply { .. }
        | Value::Source { .. }
        | Value::Init { .. }
        | Value::Count { .. }
        | Value::Computed { .. }
        | Value::Tied { .. } => 0,
    }
}

#[test]
fn planning_twice_gives_the_same_bytes() {
    for (_, stored, target) in cases() {
        assert_eq!(planned(&stored, &target).to_json(), planned(&stored, &target).to_json());
    }
}

#[test]
fn the_hash_sees_everything_but_locations() {
    let target = bert(json!({}));
    let plan = planned(&checkpoint_of(&target, Dtype::F32), &target);
    let elsewhere = |location: &str| {
        let mut moved = plan.clone();
        moved.sources[0].location = location.into();
        moved.companions.push(Companion {
            name: "x".into(),
            content: Content::File { location: location.into(), digest: "blake3:0".into() },
        });
        moved.hash()
    };
    assert_eq!(elsewhere("/here"), elsewhere("/there"));
    let mut other = plan.clone();
    other.seed += 1;
    assert_ne!(other.hash(), plan.hash());
    let mut other = plan.clone();
    other.warnings.push("x".into());
    assert_ne!(other.hash(), plan.hash());
    let mut other = plan.clone();
    other.assignments[3].reason.to_mut().push('x');
    assert_ne!(other.hash(), plan.hash());
}

#[test]
fn twenty_thousand_tensors_are_planned_in_a_time_that_quadratic_work_would_exceed() {
    let names: Vec<String> =
        (0..20_000).map(|i| format!("model.layers.{}.block.{}.weight", i / 100, i % 100)).collect();
    let parameters = names.iter().map(|name| parameter(name, &[4, 4], Role::Linear)).collect();
    let tensors: Vec<(&str, &[u64])> = names.iter().map(|name| (name.as_str(), &[4u64, 4] as &[u64])).collect();
    let (source, to) = (stored(&tensors), of_parameters(parameters));
    let started = std::time::Instant::now();
    let plan = planned(&source, &to);
    assert_eq!(plan.assignments.len(), 20_000);
    // unoptimised and on a busy machine; 4·10⁸ comparisons of names would take minutes
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
