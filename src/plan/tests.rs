//! Laws over whole plans.

use std::collections::BTreeSet;

use serde_json::json;

use super::testing::*;
use super::*;
use crate::adapt::Op;
use crate::arch::Architecture;
use crate::error::{Error, Exit, FitError, PlanError};
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
                    used.insert(tensor.clone());
                }
            });
        }
        let listed: BTreeSet<String> = plan.unused.iter().chain(&plan.dropped).map(|u| u.tensor.name.clone()).collect();
        assert!(used.is_disjoint(&listed), "{case}");
        let all: BTreeSet<String> = stored.listing.tensors.iter().map(|tensor| tensor.name.clone()).collect();
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
        Value::Apply { .. } | Value::Source { .. } | Value::Init { .. } | Value::Tied { .. } => 0,
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
    other.assignments[3].reason.push('x');
    assert_ne!(other.hash(), plan.hash());
}

#[test]
fn a_hundred_thousand_tensors_are_planned_in_seconds() {
    let names: Vec<String> =
        (0..100_000).map(|i| format!("model.layers.{}.block.{}.weight", i / 100, i % 100)).collect();
    let parameters = names.iter().map(|name| parameter(name, &[4, 4], Role::Linear)).collect();
    let tensors: Vec<(&str, &[u64])> = names.iter().map(|name| (name.as_str(), &[4u64, 4] as &[u64])).collect();
    let started = std::time::Instant::now();
    let plan = planned(&stored(&tensors), &target(parameters));
    assert_eq!(plan.assignments.len(), 100_000);
    // unoptimised and on a busy machine; quadratic work would take minutes
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

fn edited(change: impl FnOnce(&mut Plan)) -> Error {
    let target = bert(json!({"architectures": ["BertForMaskedLM"], "vocab_size": 11}));
    let source = bert(json!({"architectures": ["BertForMaskedLM"]}));
    let mut plan = planned(&checkpoint_of(&source, Dtype::F32), &target);
    change(&mut plan);
    Plan::from_json(&plan.to_json()).unwrap_err()
}

fn fit(error: Error) -> FitError {
    assert_eq!(error.exit(), Exit::Input, "{error}");
    match error {
        Error::Plan(PlanError::Fit(error)) => error,
        error => panic!("{error}"),
    }
}

const WORDS: &str = "bert.embeddings.word_embeddings.weight";

fn at<'a>(plan: &'a mut Plan, name: &str) -> &'a mut Assignment {
    plan.assignments.iter_mut().find(|assignment| assignment.target.name == name).unwrap()
}

#[test]
fn an_edited_plan_is_refused_with_what_is_wrong_and_where() {
    use FitError as E;
    assert!(matches!(fit(edited(|plan| plan.xfer_plan = 2)), E::Version { found: 2, expected: 1 }));
    assert!(matches!(fit(edited(|plan| plan.generator = "mt19937".into())), E::Generator { .. }));
    assert!(matches!(fit(edited(|plan| plan.max_shard_size = 0)), E::Count { .. }));
    assert!(matches!(fit(edited(|plan| plan.target.tensors += 1)), E::Count { .. }));
    assert!(matches!(fit(edited(|plan| plan.target.parameters = u64::MAX)), E::Count { .. }));
    assert!(matches!(fit(edited(|plan| at(plan, WORDS).new_rows = 12)), E::Count { expected: 11, found: 12, .. }));
    let twice = fit(edited(|plan| {
        let copy = plan.assignments[0].clone();
        plan.assignments.push(copy);
        plan.target.tensors += 1;
    }));
    assert!(matches!(twice, E::Twice { what: "tensor", name } if name == WORDS));
    let grown = fit(edited(|plan| at(plan, WORDS).target.shape[0] = 12));
    assert!(
        matches!(grown, E::Yields { name, expected, found, .. } if name == WORDS && expected == [12, 4] && found == [11, 4])
    );
    let cast = fit(edited(|plan| at(plan, WORDS).target.dtype = Dtype::Bf16));
    assert!(matches!(cast, E::Yields { expected_dtype: Dtype::Bf16, found_dtype: Dtype::F32, .. }));
    let action = fit(edited(|plan| at(plan, WORDS).action = Action::Copied));
    assert!(matches!(action, E::Action { expected: "adapted", found: "copied", .. }));
}

#[test]
fn an_edited_expression_is_refused_with_the_name_of_its_tensor() {
    use FitError as E;
    let pooler = "bert.encoder.layer.0.output.dense.weight";
    let value = |change: fn(&mut Value)| fit(edited(move |plan| change(&mut at(plan, pooler).value)));
    let source = value(|value| {
        if let Value::Source { source, .. } = value {
            *source = 3;
        }
    });
    assert!(matches!(source, E::NoSource { index: 3, sources: 1, .. }));
    let disagrees = fit(edited(|plan| {
        let other = at(plan, "bert.encoder.layer.1.output.dense.weight");
        if let Value::Source { tensor, .. } = &mut other.value {
            *tensor = "bert.encoder.layer.0.output.dense.bias".into();
        }
    }));
    assert!(
        matches!(disagrees, E::SourceDisagrees { tensor, .. } if tensor == "bert.encoder.layer.0.output.dense.bias")
    );
    let op = value(|value| {
        let input = value.clone();
        *value = Value::Apply { op: Op::Narrow { axis: 0, start: 3, len: 9 }, inputs: vec![input] };
    });
    assert!(matches!(op, E::Expression { name, .. } if name == pooler));
    let tie = value(|value| {
        let input = Value::Tied { to: WORDS.into() };
        *value = Value::Apply { op: Op::Transpose, inputs: vec![input] };
    });
    assert!(matches!(tie, E::TieInside { to } if to == WORDS));
}

#[test]
fn an_edited_initialisation_is_refused_with_its_numbers() {
    use FitError as E;
    let init = |parts: Vec<(u64, Scheme)>| {
        fit(edited(move |plan| {
            let assignment = at(plan, "bert.encoder.layer.0.output.dense.bias");
            let parts = parts.into_iter().map(|(rows, scheme)| InitPart { rows, scheme }).collect();
            assignment.value = Value::Init { shape: vec![4], first: 0, parts };
            assignment.action = Action::New;
        }))
    };
    use crate::init::Scheme;
    let short = init(vec![(3, Scheme::Constant { value: 0.0 })]);
    assert!(matches!(short, E::Expression { .. }), "{short}");
    assert!(short.to_string().contains("expected 4 rows, found parts of 3 rows"), "{short}");
    let long = init(vec![(4, Scheme::Constant { value: 0.0 }), (u64::MAX, Scheme::Constant { value: 0.0 })]);
    assert!(matches!(long, E::Expression { .. }), "{long}");
    assert!(matches!(init(vec![(4, Scheme::Normal { mean: 0.0, std: -1.0 })]), E::Scheme { .. }));
    assert!(matches!(init(vec![(4, Scheme::Orthogonal { gain: 1.0 })]), E::Scheme { .. }));
}

#[test]
fn an_edited_tie_is_refused_where_it_leads_nowhere() {
    use FitError as E;
    let decoder = "cls.predictions.decoder.weight";
    let to = |to: &'static str| fit(edited(move |plan| at(plan, decoder).value = Value::Tied { to: to.into() }));
    assert!(matches!(to("nobody"), E::TieMissing { to, .. } if to == "nobody"));
    assert!(matches!(to(decoder), E::TieToTied { .. }));
    assert!(matches!(to("cls.predictions.decoder.bias"), E::TieToTied { .. }));
    assert!(matches!(to("cls.predictions.bias"), E::Yields { .. }));
}

#[test]
fn an_edited_companion_cannot_leave_the_directory_or_replace_weights() {
    for name in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./x", "c:/x", "a\\b", "xfer.json", "model.safetensors"] {
        let error = fit(edited(|plan| {
            plan.companions = vec![Companion { name: name.into(), content: Content::Text(String::new()) }];
        }));
        assert!(matches!(error, FitError::Companion { .. }), "{name}");
    }
    let error = fit(edited(|plan| {
        let content = Content::Source { source: 9, name: "x".into(), digest: "blake3:0".into() };
        plan.companions = vec![Companion { name: "x".into(), content }];
    }));
    assert!(matches!(error, FitError::NoSource { index: 9, .. }));
}

#[test]
fn text_that_is_no_plan_is_refused_with_the_place() {
    let place = |text: &str| match fit(Plan::from_json(text).unwrap_err()) {
        FitError::Syntax { place, .. } => place,
        error => panic!("{error}"),
    };
    let plan = planned(&checkpoint_of(&bert(json!({})), Dtype::F32), &bert(json!({}))).to_json();
    place("");
    place("[]");
    assert_eq!(place(&plan.replacen("\"seed\": 7", "\"seed\": -7", 1)), "seed");
    assert_eq!(place(&plan.replacen("\"tensors\":", "\"tensor\":", 1)), "target.tensor");
    assert!(place(&plan.replacen("\"step\":\"name\"", "\"step\":\"luck\"", 1)).starts_with("assignments[0]"));
    assert!(
        place(&plan.replacen("\"step\":\"name\"", "\"step\":\"name\",\"extra\":1", 1)).starts_with("assignments[0]")
    );
    assert_eq!(place(&format!("{plan} x")), "after the plan");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    place(&plan.replacen("\"warnings\": [", &format!("\"warnings\": [{deep}, "), 1));
}
