//! Rows by token, by class, by place; positions, heads and types.

use crate::tensor::Dtype;
use serde_json::json;

use crate::adapt::{Op, Run};
use crate::arch::{Heads, LabelRule, NewRows, Positions};
use crate::error::{Error, Exit};
use crate::graph::Parameter;
use crate::plan::fit::error::FitError;
use crate::plan::testing::*;
use crate::plan::*;
use crate::tensor::Role;

fn fit(error: Error) -> FitError {
    error.downcast().unwrap_or_else(|error| panic!("{error}"))
}

/// Where each row of an assignment comes from: `Some(row of the source)` or `None`.
fn rows(assignment: &Assignment) -> Vec<Option<u64>> {
    let total = assignment.target.shape[0];
    match peeled(&assignment.value) {
        Value::Source { .. } => (0..total).map(Some).collect(),
        Value::Apply { op: Op::Narrow { axis: 0, start, len }, .. } => (*start..start + len).map(Some).collect(),
        Value::Apply { op: Op::Gather { axis: 0, runs }, .. } => runs.iter().flat_map(rows_of_run).collect(),
        value => panic!("{value:?}"),
    }
}

fn rows_of_run(run: &Run) -> Vec<Option<u64>> {
    let row = |i: u64| (run.input == 0).then(|| run.start.checked_add_signed(run.step * i as i64).unwrap());
    (0..run.len).map(row).collect()
}

/// Without the cast at the root.
fn peeled(value: &Value) -> &Value {
    match value {
        Value::Apply { op: Op::Cast { .. }, inputs } => &inputs[0],
        value => value,
    }
}

/// What the rows without a source are filled from.
fn fill(assignment: &Assignment) -> &Value {
    match peeled(&assignment.value) {
        Value::Apply { op: Op::Gather { .. }, inputs } => &inputs[1],
        value => panic!("{value:?}"),
    }
}

const WORDS: &str = "embeddings.word_embeddings.weight";

fn words(vocab_size: u64) -> Plan {
    planned(&checkpoint_of(&bert(json!({})), Dtype::F32), &bert(json!({"vocab_size": vocab_size})))
}

#[test]
fn vocabulary_rows_are_appended_with_the_mean_or_cut_at_the_end() {
    let grown = words(12);
    let assignment = of(&grown, WORDS);
    assert_eq!(rows(assignment), (0..10).map(Some).chain([None, None]).collect::<Vec<_>>());
    assert!(matches!(fill(assignment), Value::Apply { op: Op::MeanRows, .. }));
    assert_eq!((assignment.new_rows, assignment.action, assignment.init.as_ref()), (2, Action::Adapted, None));
    let cut = words(4);
    assert_eq!(rows(of(&cut, WORDS)), (0..4).map(Some).collect::<Vec<_>>());
    assert_eq!(of(&cut, WORDS).new_rows, 0);
    assert_eq!(of(&words(10), WORDS).action, Action::Copied);
}

#[test]
fn new_vocabulary_rows_are_what_the_rule_says() {
    let with = |rows: NewRows| {
        let mut target = bert(json!({"vocab_size": 12}));
        target.rules.adapt.push(adapt("**.word_embeddings.*", |rule| rule.rows = Some(NewRows::Mean)));
        target.rules.adapt.push(adapt(WORDS, |rule| rule.rows = Some(rows)));
        target
    };
    let source = checkpoint_of(&bert(json!({})), Dtype::F32);
    let plan = planned(&source, &with(NewRows::New));
    let Value::Init { shape, parts, .. } = fill(of(&plan, WORDS)) else { panic!() };
    // the row of padding, which is not new here, and the others
    assert_eq!((shape.as_slice(), parts.len()), (&[12u64, 4] as &[u64], 2));
    assert_eq!(parts[1].scheme, crate::init::Scheme::Normal { mean: 0.0, std: 0.02 });
    assert_eq!(of(&plan, WORDS).init.as_ref().unwrap().by, "bert: initializer_range 0.02, row 0 of padding 0");
    let plan = planned(&source, &with(NewRows::Zeros));
    let Value::Init { parts, .. } = fill(of(&plan, WORDS)) else { panic!() };
    assert_eq!(parts[0].scheme, crate::init::Scheme::Constant { value: 0.0 });
    let plan = planned(&source, &with(NewRows::MeanCovariance));
    let Value::Apply { op: Op::MeanCovariance { scale }, inputs } = fill(of(&plan, WORDS)) else { panic!() };
    assert_eq!((*scale, of(&plan, WORDS).init.as_ref().unwrap().scheme.as_str()), (1e-9, "mean_covariance"));
    assert!(matches!(&inputs[1], Value::Init { shape, .. } if *shape == [12, 10]));
}

/// From ten rows of the tokens `a b c z` and six of padding.
fn by_token(target: &crate::arch::Architecture) -> Result<Plan> {
    let source = bert(json!({"architectures": ["BertForMaskedLM"]}));
    let stored = checkpoint_of(&source, Dtype::F32).tokens(&["a", "b", "c", "z"]);
    Ok(planned_with(&stored, target, &options())?.plan)
}

use crate::error::Result;

fn masked(vocab_size: u64, tokens: &[&str]) -> crate::arch::Architecture {
    let mut target = bert(json!({"architectures": ["BertForMaskedLM"], "vocab_size": vocab_size}));
    vocab_rule(&mut target, vocabulary(tokens), None);
    target
}

#[test]
fn rows_go_by_exact_token_and_the_head_follows_with_its_bias() {
    let plan = by_token(&masked(12, &["z", "B", "a", "new"])).unwrap();
    let expected: Vec<Option<u64>> =
        [Some(3), None, Some(0), None].into_iter().chain((4..10).map(Some)).chain([None, None]).collect();
    let words = of(&plan, "bert.embeddings.word_embeddings.weight");
    assert_eq!(rows(words), expected, "padding rows on both sides keep their place");
    assert_eq!(words.new_rows, 4);
    let bias = of(&plan, "cls.predictions.bias");
    assert_eq!(rows(bias), expected);
    assert_eq!(of(&plan, "cls.predictions.decoder.weight").value, Value::Tied { to: words.target.name.to_string() });
    assert_eq!(of(&plan, "cls.predictions.transform.dense.weight").action, Action::Copied);
    assert_eq!(of(&plan, "bert.embeddings.token_type_embeddings.weight").action, Action::Copied);
}

#[test]
fn special_tokens_go_by_role_first() {
    let mut target = masked(4, &["<s>", "a", "</s>", "z"]);
    let mut theirs = vocabulary(&["<s>", "a", "</s>", "z"]);
    theirs.special = vec![("cls_token".into(), "<s>".into()), ("sep_token".into(), "</s>".into())];
    target.vocabulary.as_mut().unwrap().vocabulary = std::sync::Arc::new(theirs);
    let mut stored = checkpoint_of(&bert(json!({"architectures": ["BertForMaskedLM"]})), Dtype::F32);
    let mut ours = vocabulary(&["</s>", "a", "[CLS]", "[SEP]", "z"]);
    ours.special = vec![("cls_token".into(), "[CLS]".into()), ("sep_token".into(), "[SEP]".into())];
    stored.vocabulary = Some(ours);
    let plan = planned(&stored, &target);
    let words = of(&plan, "bert.embeddings.word_embeddings.weight");
    assert_eq!(rows(words), [Some(2), Some(1), Some(3), Some(4)], "the source's own </s> is another role's");
}

#[test]
fn ids_beyond_the_rows_of_the_source_are_none() {
    let target = masked(3, &["t11", "t2", "t10"]);
    let tokens: Vec<String> = (0..12).map(|i| format!("t{i}")).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let stored = checkpoint_of(&bert(json!({"architectures": ["BertForMaskedLM"]})), Dtype::F32).tokens(&tokens);
    assert_eq!(rows(of(&planned(&stored, &target), "bert.embeddings.word_embeddings.weight")), [None, Some(2), None]);
}

#[test]
fn more_tokens_than_rows_is_an_input_error_with_both_numbers() {
    let error = by_token(&masked(3, &["a", "b", "c", "d"])).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    assert!(matches!(fit(error), FitError::TooManyTokens { tokens: 4, rows: 3, .. }));
    let mut unmatched = bert(json!({"vocab_size": 3}));
    vocab_rule(&mut unmatched, vocabulary(&["a", "b", "c", "d"]), None);
    assert!(matches!(fit(refused(&stored(&[]), &unmatched)), FitError::TooManyTokens { .. }), "new rows count as well");
}

#[test]
fn rows_cannot_go_by_token_without_a_tokenizer_at_the_source() {
    let stored = checkpoint_of(&bert(json!({"architectures": ["BertForMaskedLM"]})), Dtype::F32);
    let error = fit(refused(&stored, &masked(4, &["a"])));
    assert!(matches!(error, FitError::NoSourceVocabulary { reference, .. } if reference == "org/model"));
}

#[test]
fn no_token_in_common_leaves_the_embedding_new() {
    let plan = by_token(&masked(4, &["k", "l", "m", "n"])).unwrap();
    let words = of(&plan, "bert.embeddings.word_embeddings.weight");
    assert_eq!(words.action, Action::New);
    assert_eq!(words.reason, "none of its 4 rows is in the source");
}

#[test]
fn two_embeddings_of_a_listing_need_a_pattern() {
    let tables = || vec![parameter("words", &[4, 2], Role::Embedding), parameter("chars", &[4, 2], Role::Embedding)];
    let mut to = of_parameters(tables());
    vocab_rule(&mut to, vocabulary(&["b", "a"]), None);
    let source = stored(&[("words", &[4, 2]), ("chars", &[4, 2])]).tokens(&["a", "b"]);
    let error = fit(refused(&source, &to));
    assert!(matches!(error, FitError::WhichVocabulary { names } if names == ["words", "chars"]));
    vocab_rule(&mut to, vocabulary(&["b", "a"]), Some("words"));
    let plan = planned(&source, &to);
    assert_eq!(rows(of(&plan, "words")), [Some(1), Some(0), Some(2), Some(3)]);
    assert_eq!(of(&plan, "chars").action, Action::Copied);
}

#[test]
fn a_square_matrix_of_the_vocabularys_size_is_not_a_head_over_it() {
    let mut to = of_parameters(vec![
        parameter("words", &[4, 4], Role::Embedding),
        parameter("fc.weight", &[4, 4], Role::Linear),
        parameter("lm_head.weight", &[4, 4], Role::Linear),
    ]);
    vocab_rule(&mut to, vocabulary(&["d", "c", "b", "a"]), None);
    let source = stored(&[("words", &[4, 4]), ("fc.weight", &[4, 4]), ("lm_head.weight", &[4, 4])])
        .tokens(&["a", "b", "c", "d"]);
    let plan = planned(&source, &to);
    let reversed = [Some(3), Some(2), Some(1), Some(0)];
    assert_eq!(rows(of(&plan, "words")), reversed);
    assert_eq!(rows(of(&plan, "lm_head.weight")), reversed);
    assert_eq!(of(&plan, "fc.weight").action, Action::Copied);
    assert!(plan.warnings.iter().any(|w| w.starts_with("fc.weight: has as many rows")), "{:?}", plan.warnings);
}

#[test]
fn type_rows_are_cut_or_drawn() {
    let types = "embeddings.token_type_embeddings.weight";
    let source = checkpoint_of(&bert(json!({})), Dtype::F32);
    let plan = planned(&source, &bert(json!({"type_vocab_size": 1})));
    assert_eq!(rows(of(&plan, types)), [Some(0)]);
    let plan = planned(&source, &bert(json!({"type_vocab_size": 3})));
    assert_eq!(rows(of(&plan, types)), [Some(0), Some(1), None]);
    assert!(matches!(fill(of(&plan, types)), Value::Init { .. }));
}

/// A classifier from the labels of a config to those of another.
fn classifier(theirs: serde_json::Value, ours: serde_json::Value) -> Plan {
    let with = |labels| {
        let mut config = json!({"architectures": ["BertForSequenceClassification"]});
        config.as_object_mut().unwrap().append(&mut serde_json::from_value(labels).unwrap());
        bert(config)
    };
    planned(&checkpoint_of(&with(theirs), Dtype::F32), &with(ours))
}

fn named(names: &[&str]) -> serde_json::Value {
    let map: serde_json::Map<_, _> = names.iter().enumerate().map(|(i, name)| (i.to_string(), json!(name))).collect();
    json!({ "id2label": map })
}

#[test]
fn class_rows_go_by_name_for_weight_and_bias_alike() {
    type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a [Option<u64>]);
    let some: &[Case] = &[
        (&["a", "b", "c"], &["c", "x", "a"], &[Some(2), None, Some(0)]),
        (&["Not Spam", "spam"], &["SPAM", "not  spam", "other"], &[Some(1), Some(0), None]),
        (&["A", "a"], &["a", "A"], &[Some(1), Some(0)]),
        (&["a", "b", "c"], &["a", "b"], &[Some(0), Some(1)]),
        (&["a", "b"], &["b"], &[Some(1)]),
        (&["a", "LABEL_1"], &["LABEL_1", "a"], &[Some(1), Some(0)]),
    ];
    for (theirs, ours, expected) in some {
        let plan = classifier(named(theirs), named(ours));
        for name in ["classifier.weight", "classifier.bias"] {
            let assignment = of(&plan, name);
            assert_eq!(rows(assignment), *expected, "{name}: {theirs:?} to {ours:?}");
            assert_eq!(assignment.new_rows, expected.iter().filter(|row| row.is_none()).count() as u64);
        }
    }
}

#[test]
fn equal_classes_in_order_are_a_copy_without_a_word() {
    let plan = classifier(named(&["a", "b"]), named(&["A", "b "]));
    assert_eq!(of(&plan, "classifier.weight").action, Action::Copied);
    assert_eq!(plan.warnings, Vec::<String>::new());
}

#[test]
fn numbered_labels_are_no_identity() {
    let numbers = |n: usize| json!({ "num_labels": n });
    for (theirs, ours) in [(numbers(3), numbers(3)), (numbers(2), named(&["a", "b"])), (json!({}), json!({}))] {
        let plan = classifier(theirs, ours);
        assert_eq!(of(&plan, "classifier.weight").action, Action::Copied);
        let [warning] = plan.warnings.as_slice() else { panic!("{:?}", plan.warnings) };
        assert!(warning.contains("by position") && warning.contains("`--reinit 'classifier.*'`"), "{warning}");
    }
    for (theirs, ours) in [(numbers(2), numbers(3)), (named(&["a", "b"]), numbers(3)), (numbers(3), named(&["a", "b"]))]
    {
        let plan = classifier(theirs, ours);
        for name in ["classifier.weight", "classifier.bias"] {
            assert_eq!(of(&plan, name).action, Action::New, "{:?}", of(&plan, name).reason);
        }
        assert!(plan.unused.iter().any(|unused| unused.tensor.name == "classifier.weight"));
    }
}

#[test]
fn no_class_in_common_leaves_the_head_new() {
    let plan = classifier(named(&["a", "b"]), named(&["c", "d"]));
    assert_eq!(of(&plan, "classifier.weight").action, Action::New);
    assert_eq!(of(&plan, "classifier.weight").reason, "none of its 2 classes is among those of the source");
}

#[test]
fn labels_of_a_rule_name_the_rows_of_a_listing_and_hidden_layers_of_the_head_are_left_alone() {
    let mut to = of_parameters(vec![
        parameter("classifier.dense.weight", &[4, 4], Role::Linear),
        parameter("classifier.out_proj.weight", &[3, 4], Role::Linear),
        parameter("classifier.out_proj.bias", &[3], Role::Bias),
    ]);
    let labels = ["b", "new", "a"].map(String::from).to_vec();
    to.rules.labels.push(LabelRule { head: Some(selector("classifier")), labels });
    let source = stored(&[
        ("classifier.dense.weight", &[4, 4]),
        ("classifier.out_proj.weight", &[2, 4]),
        ("classifier.out_proj.bias", &[2]),
    ]);
    let plan = planned(&source.config(r#"{"id2label": {"0": "a", "1": "b"}}"#), &to);
    assert_eq!(rows(of(&plan, "classifier.out_proj.weight")), [Some(1), None, Some(0)]);
    assert_eq!(rows(of(&plan, "classifier.out_proj.bias")), [Some(1), None, Some(0)]);
    assert_eq!(of(&plan, "classifier.dense.weight").action, Action::Copied);
    to.rules.labels[0].labels.pop();
    let error = fit(refused(&stored(&[]), &to));
    assert!(matches!(error, FitError::LabelCount { labels: 2, .. }), "{error}");
}

#[test]
fn more_than_ten_labels_are_in_the_order_of_their_numbers() {
    let names: Vec<String> = (0..12).map(|i| format!("class {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let plan = classifier(named(&names), named(&names));
    assert_eq!(of(&plan, "classifier.weight").action, Action::Copied);
}

const POSITIONS: &str = "embeddings.position_embeddings.weight";

fn positions(rows: u64, rule: Option<Positions>) -> Result<Plan> {
    let mut target = bert(json!({"max_position_embeddings": rows}));
    if let Some(rule) = rule {
        target.rules.adapt.push(adapt("**.position_embeddings.weight", |adapt| adapt.positions = Some(rule)));
    }
    Ok(planned_with(&checkpoint_of(&bert(json!({})), Dtype::F32), &target, &options())?.plan)
}

#[test]
fn position_rows_are_cut_or_new_unless_a_rule_says_more() {
    let six: Vec<Option<u64>> = (0..6).map(Some).collect();
    let with = |rows: &[u64]| rows.iter().map(|row| Some(*row)).collect::<Vec<_>>();
    let after = |more: Vec<Option<u64>>| six.iter().copied().chain(more).collect::<Vec<_>>();
    let table: Vec<(u64, Option<Positions>, Vec<Option<u64>>)> = vec![
        (4, None, with(&[0, 1, 2, 3])),
        (4, Some(Positions::Cut), with(&[0, 1, 2, 3])),
        (4, Some(Positions::Repeat), with(&[0, 1, 2, 3])),
        (4, Some(Positions::Tile), with(&[0, 1, 2, 3])),
        (4, Some(Positions::New), with(&[0, 1, 2, 3])),
        (8, None, after(vec![None, None])),
        (8, Some(Positions::New), after(vec![None, None])),
        (8, Some(Positions::Repeat), after(with(&[5, 5]))),
        (14, Some(Positions::Tile), after(with(&[0, 1, 2, 3, 4, 5, 0, 1]))),
    ];
    for (size, rule, expected) in table {
        let plan = positions(size, rule).unwrap();
        let assignment = of(&plan, POSITIONS);
        assert_eq!(rows(assignment), expected, "{size} by {rule:?}");
        assert_eq!(assignment.init.is_some(), assignment.new_rows > 0);
    }
}

#[test]
fn positions_are_interpolated_both_ways_and_never_cut_to_more() {
    for size in [3, 9] {
        let plan = positions(size, Some(Positions::Interpolate)).unwrap();
        let Value::Apply { op: Op::ResizeRows { rows, prefix: 0 }, .. } = of(&plan, POSITIONS).value else { panic!() };
        assert_eq!(rows, size);
    }
    assert_eq!(of(&positions(6, Some(Positions::Interpolate)).unwrap(), POSITIONS).action, Action::Copied);
    assert!(matches!(
        fit(positions(9, Some(Positions::Cut)).unwrap_err()),
        FitError::Adapt { expected: 9, found: 6, .. }
    ));
}

fn heads(found: u64, rows: u64, rule: Heads) -> Result<Plan> {
    let mut to =
        of_parameters(vec![parameter("k.weight", &[rows, 4], Role::Linear), parameter("k.bias", &[rows], Role::Bias)]);
    to.rules.adapt.push(adapt("k.*", |adapt| adapt.heads = Some(rule)));
    let source = stored(&[("k.weight", &[found, 4]), ("k.bias", &[found])]).config(r#"{"head_dim": 2}"#);
    Ok(planned_with(&source, &to, &options())?.plan)
}

#[test]
fn key_heads_are_pooled_or_repeated_by_rule() {
    let plan = heads(8, 4, Heads::Mean).unwrap();
    for name in ["k.weight", "k.bias"] {
        assert!(matches!(of(&plan, name).value, Value::Apply { op: Op::MeanHeads { heads: 4, groups: 2 }, .. }));
    }
    let plan = heads(4, 8, Heads::Repeat).unwrap();
    assert_eq!(rows(of(&plan, "k.bias")), [0, 1, 0, 1, 2, 3, 2, 3].map(Some));
    for (found, rows, rule) in [(8, 6, Heads::Mean), (4, 8, Heads::Mean), (8, 4, Heads::Repeat), (8, 3, Heads::Mean)] {
        assert!(matches!(fit(heads(found, rows, rule).unwrap_err()), FitError::Adapt { .. }), "{found} to {rows}");
    }
}

#[test]
fn what_does_not_fit_is_initialised_and_the_user_is_told_both_shapes() {
    let to =
        of_parameters(vec![parameter("fc.weight", &[5, 4], Role::Linear), parameter("fc.bias", &[5, 1], Role::Bias)]);
    let plan = planned(&stored(&[("fc.weight", &[2, 4]), ("fc.bias", &[5])]), &to);
    let weight = of(&plan, "fc.weight");
    assert_eq!(weight.action, Action::New);
    assert_eq!(weight.step, Step::None);
    assert_eq!(weight.reason, "mismatched: expected [5, 4], found [2, 4] in org/model");
    assert_eq!(
        plan.warnings[0],
        "mismatched: fc.weight (expected [5, 4], found [2, 4]); newly initialised with the rest of its module"
    );
    let reasons: Vec<&str> = plan.unused.iter().map(|unused| unused.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "mismatched: expected [5, 1], found [5] in org/model",
            "mismatched: expected [5, 4], found [2, 4] in org/model"
        ]
    );
}

#[test]
fn a_rule_whose_operation_is_missing_is_an_error_and_not_passed_over() {
    let mut to = of_parameters(vec![parameter(POSITIONS, &[20, 4], Role::Position)]);
    to.rules.adapt.push(adapt(POSITIONS, |rule| rule.prefix = Some([1, 2])));
    let error = refused(&stored(&[(POSITIONS, &[10, 4])]), &to);
    assert!(matches!(fit(error), FitError::NoOperation { rule: "prefix", .. }));
    assert_eq!(planned(&stored(&[(POSITIONS, &[20, 4])]), &to).assignments[0].action, Action::Copied);
}

/// The type that a linear weight and a new one are written in.
fn dtypes(
    choice: DtypeChoice,
    rule: Option<Dtype>,
    own: Option<Dtype>,
    config: Option<&str>,
    found: Dtype,
) -> (Dtype, Dtype) {
    let mut parameters = vec![parameter("a", &[2, 2], Role::Linear), parameter("b", &[2, 2], Role::Linear)];
    parameters.iter_mut().for_each(|parameter| parameter.dtype = own);
    let mut to = of_parameters(parameters);
    to.rules.dtype = rule;
    if let Some(config) = config {
        let serde_json::Value::Object(map) = json!({ "torch_dtype": config }) else { unreachable!() };
        to.config = Some(crate::family::Config(map));
    }
    let options = Options { dtype: choice, ..options() };
    let plan = planned_with(&stored_as(&[("a", found, &[2, 2])]), &to, &options).unwrap().plan;
    (of(&plan, "a").target.dtype, of(&plan, "b").target.dtype)
}

#[test]
fn the_strongest_word_on_the_type_wins() {
    use Dtype::{Bf16, F16, F32, F64};
    use DtypeChoice::{Default, Keep, To};
    assert_eq!(dtypes(Default, None, None, None, Bf16), (Bf16, Bf16), "keep, and new ones as the source");
    assert_eq!(dtypes(Default, None, None, Some("float16"), F32), (F16, F16));
    assert_eq!(dtypes(Default, None, None, Some("auto"), F64), (F64, F64));
    assert_eq!(dtypes(Default, None, Some(F32), Some("float16"), Bf16), (F32, F32));
    assert_eq!(dtypes(Default, Some(Bf16), Some(F32), Some("float16"), F32), (Bf16, Bf16));
    assert_eq!(dtypes(To(F16), Some(Bf16), Some(F32), Some("float32"), F32), (F16, F16));
    assert_eq!(dtypes(Keep, Some(Bf16), Some(F32), Some("float16"), F64), (F64, F64));
}

#[test]
fn integers_are_never_cast_and_statistics_never_narrow() {
    let to = || {
        let mut ids = parameter("ids", &[1, 4], Role::Buffer);
        ids.dtype = Some(Dtype::I64);
        let mut mean = parameter("bn.running_mean", &[4], Role::Buffer);
        mean.floor = Some(Dtype::F32);
        let mut q = parameter("q", &[2, 2], Role::Linear);
        q.dtype = Some(Dtype::I8);
        of_parameters(vec![ids, mean, parameter("old.running_var", &[4], Role::Buffer), q])
    };
    let source = stored_as(&[
        ("ids", Dtype::I64, &[1, 4]),
        ("bn.running_mean", Dtype::F16, &[4]),
        ("old.running_var", Dtype::F64, &[4]),
        ("q", Dtype::I8, &[2, 2]),
    ]);
    let options = Options { dtype: DtypeChoice::To(Dtype::F16), ..options() };
    let plan = planned_with(&source, &to(), &options).unwrap().plan;
    let dtypes: Vec<Dtype> = plan.assignments.iter().map(|assignment| assignment.target.dtype).collect();
    assert_eq!(dtypes, [Dtype::I64, Dtype::F32, Dtype::F32, Dtype::I8]);
    assert_eq!(of(&plan, "ids").action, Action::Copied);
    assert_eq!(of(&plan, "q").action, Action::Copied);
}

#[test]
fn narrowing_that_nobody_asked_for_is_a_warning_with_its_count() {
    let narrowed = |config: serde_json::Value, choice: DtypeChoice, from: Dtype| {
        let target = bert(config);
        let options = Options { dtype: choice, ..options() };
        planned_with(&checkpoint_of(&target, from), &target, &options).unwrap().plan.warnings
    };
    let [warning] = &narrowed(json!({"dtype": "float16"}), DtypeChoice::Default, Dtype::F32)[..] else { panic!() };
    assert!(warning.contains("tensors are narrowed from f32 to f16"), "{warning}");
    assert_eq!(
        narrowed(json!({"dtype": "float16"}), DtypeChoice::Default, Dtype::Bf16).len(),
        1,
        "neither contains the other"
    );
    assert!(narrowed(json!({"dtype": "float32"}), DtypeChoice::Default, Dtype::F16).is_empty());
    assert!(narrowed(json!({}), DtypeChoice::To(Dtype::F16), Dtype::F32).is_empty());
    assert!(narrowed(json!({"dtype": "float16"}), DtypeChoice::Keep, Dtype::F32).is_empty());
}

#[test]
fn a_cast_says_who_asked_for_it() {
    let reason = |config: serde_json::Value, choice: DtypeChoice| {
        let target = bert(config);
        let options = Options { dtype: choice, ..options() };
        let plan = planned_with(&checkpoint_of(&target, Dtype::F32), &target, &options).unwrap().plan;
        plan.assignments[0].reason.clone()
    };
    let by_config = reason(json!({"dtype": "float16"}), DtypeChoice::Default);
    assert_eq!(by_config, "the same name; f32 to f16 by the config's dtype");
    assert_eq!(reason(json!({}), DtypeChoice::To(Dtype::Bf16)), "the same name; f32 to bf16 by --dtype");
}

#[test]
fn a_cast_stands_at_the_root_and_fresh_rows_are_rounded_once() {
    let source = checkpoint_of(&bert(json!({})), Dtype::F32);
    let mut target = bert(json!({"vocab_size": 12, "max_position_embeddings": 8}));
    target.rules.dtype = Some(Dtype::Bf16);
    let plan = planned(&source, &target);
    let Value::Apply { op: Op::Cast { dtype: Dtype::Bf16 }, inputs } = &of(&plan, WORDS).value else { panic!() };
    assert!(matches!(inputs[0], Value::Apply { op: Op::Gather { .. }, .. }));
    let Value::Apply { op: Op::Gather { .. }, inputs } = &of(&plan, POSITIONS).value else { panic!() };
    for input in inputs {
        let Value::Apply { op: Op::Cast { dtype: Dtype::Bf16 }, inputs } = input else { panic!("{input:?}") };
        assert!(!matches!(inputs[0], Value::Apply { .. }), "one cast and no more");
    }
}

#[test]
fn a_tie_has_its_owners_type_and_is_not_written() {
    let mut words = parameter("words", &[4, 2], Role::Embedding);
    words.dtype = Some(Dtype::F16);
    let tied = Parameter { tied_to: Some(1), ..parameter("head", &[4, 2], Role::Linear) };
    let plan = planned(&stored(&[("words", &[4, 2])]), &of_parameters(vec![tied, words]));
    let head = of(&plan, "head");
    assert_eq!((head.target.dtype, head.action, head.step), (Dtype::F16, Action::Tied, Step::Tie));
    assert_eq!(head.value, Value::Tied { to: "words".into() });
}

#[test]
fn tokens_of_another_kind_of_tokenizer_are_matched_by_what_they_mean() {
    let source = bert(json!({"architectures": ["BertForMaskedLM"]}));
    let stored = checkpoint_of(&source, Dtype::F32).tokens(&["play", "##ing", "the", "ing"]);
    let plan = planned(&stored, &masked(5, &["Ġthe", "ing", "Ġplay", "Ġing", "the"]));
    let words = of(&plan, "bert.embeddings.word_embeddings.weight");
    // what is spelt alike comes first: `ing` is a whole word there, and is no worse than nothing
    assert_eq!(rows(words), [Some(2), Some(3), Some(0), Some(3), Some(2)]);
    assert!(
        words.reason.contains("5 of 5 rows by token, 3 of them in the notation of the other kind"),
        "{}",
        words.reason
    );
}

#[test]
fn new_tokens_become_the_mean_of_the_pieces_that_spell_them() {
    let source = bert(json!({"architectures": ["BertForMaskedLM"]}));
    let stored = checkpoint_of(&source, Dtype::F32).tokens(&["play", "##ing", "##er", "the", "!"]);
    let mut target = masked(6, &["playing", "the", "the!", "??", "player", "players"]);
    target.rules.vocab.as_mut().unwrap().new_tokens = NewRows::Subwords;
    let plan = planned(&stored, &target);
    for name in ["bert.embeddings.word_embeddings.weight", "cls.predictions.bias"] {
        let words = of(&plan, name);
        let Value::Apply { op: Op::Gather { runs, .. }, inputs } = &words.value else { panic!("{name}") };
        let runs: Vec<_> = runs.iter().map(|run| (run.input, run.start, run.len)).collect();
        // `??` and `players` cannot be spelt: the mean of all
        assert_eq!(runs, [(2, 0, 1), (0, 3, 1), (2, 1, 1), (1, 0, 1), (2, 2, 1), (1, 0, 1)], "{name}");
        let Value::Apply { op: Op::MeanHeads { heads: 6, groups: 3 }, inputs: pieces } = &inputs[2] else {
            panic!("{name}")
        };
        let Value::Apply { op: Op::Gather { runs, .. }, .. } = &pieces[0] else { panic!("{name}") };
        let taken: Vec<u64> = runs.iter().flat_map(|run| run.start..run.start + run.len).collect();
        assert_eq!(taken, [0, 1, 3, 4, 0, 2], "{name}");
        assert_eq!(words.new_rows, 5);
        assert!(words.reason.contains("(3 of 5 can be tokenised)"), "{}", words.reason);
    }
}
