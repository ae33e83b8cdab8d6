//! A plan that was edited, or that never was one.

use crate::tensor::Dtype;
use serde_json::json;

use crate::adapt::Op;
use crate::error::{Error, Exit};
use crate::init::Scheme;
use crate::plan::fit::error::FitError;
use crate::plan::testing::*;
use crate::plan::*;

fn edited(change: impl FnOnce(&mut Plan)) -> Error {
    let target = bert(json!({"architectures": ["BertForMaskedLM"], "vocab_size": 11}));
    let source = bert(json!({"architectures": ["BertForMaskedLM"]}));
    let mut plan = planned(&checkpoint_of(&source, Dtype::F32), &target);
    change(&mut plan);
    Plan::from_json(&plan.to_json()).unwrap_err()
}

fn fit(error: Error) -> FitError {
    assert_eq!(error.exit(), Exit::Input, "{error}");
    error.downcast().unwrap_or_else(|error| panic!("{error}"))
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
            assignment.value = Value::Init { shape: [4].into(), first: 0, parts };
            assignment.action = Action::New;
        }))
    };
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
            plan.companions = vec![Companion { name: name.into(), content: Content::Text("".into()) }];
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
fn text_that_is_no_plan_is_refused_with_the_line_of_the_entry() {
    let place = |text: &str| match fit(Plan::from_json(text).unwrap_err()) {
        FitError::Syntax { place, .. } => place,
        error => panic!("{error}"),
    };
    let plan = planned(&checkpoint_of(&bert(json!({})), Dtype::F32), &bert(json!({}))).to_json();
    place("");
    place("[]");
    let first_line_with = |text: &str, wrong: &str| {
        let line = text.lines().position(|line| line.contains(wrong)).unwrap() + 1;
        let found = place(text);
        assert!(found.starts_with(&format!("line {line} column ")), "{wrong}: {found}");
    };
    first_line_with(&plan.replacen("\"seed\": 7", "\"seed\": -7", 1), "-7");
    first_line_with(&plan.replacen("\"tensors\":", "\"tensor\":", 1), "\"tensor\":");
    first_line_with(&plan.replacen("\"step\":\"name\"", "\"step\":\"luck\"", 1), "luck");
    first_line_with(&plan.replacen("\"step\":\"name\"", "\"step\":\"name\",\"extra\":1", 1), "extra");
    first_line_with(&format!("{plan} trailing"), "trailing");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    place(&plan.replacen("\"warnings\": [", &format!("\"warnings\": [{deep}, "), 1));
}
