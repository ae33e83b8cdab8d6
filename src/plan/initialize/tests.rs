//! Who decides how a tensor is drawn, and what then stands in the plan.

use crate::tensor::Dtype;
use serde_json::json;

use crate::adapt::Op;
use crate::error::Exit;
use crate::graph::{Layout, Nonlinearity, Parameter, Part};
use crate::init::{Fans, Scheme, SchemeSpec};
use crate::plan::fit::error::FitError;
use crate::plan::testing::*;
use crate::plan::*;
use crate::tensor::Role;

/// The initialisation and the pieces of the first tensor of an architecture that has no source.
fn drawn(to: &crate::arch::Architecture) -> (Initialisation, Vec<InitPart>) {
    let plan = plan(&[], to, &options(), |_| Ok(Vec::new())).unwrap().plan;
    let assignment = plan.assignments[0].clone();
    let mut parts = Vec::new();
    assignment.value.leaves(&mut |leaf| {
        if let Value::Init { parts: found, .. } = leaf {
            parts.extend(found.clone());
        }
    });
    (assignment.init.unwrap(), parts)
}

fn one(parameter: Parameter) -> (Initialisation, Scheme) {
    let (init, mut parts) = drawn(&of_parameters(vec![parameter]));
    assert_eq!(parts.len(), 1);
    (init, parts.remove(0).scheme)
}

fn error(to: &crate::arch::Architecture) -> FitError {
    let error = plan(&[], to, &options(), |_| Ok(Vec::new())).unwrap_err();
    error.downcast().unwrap_or_else(|error| panic!("{error}"))
}

fn linear() -> Parameter {
    parameter("fc.weight", &[8, 4], Role::Linear)
}

fn before(follower: Nonlinearity) -> Parameter {
    Parameter { followed_by: Some(follower), ..linear() }
}

fn close(std: Option<f64>, expected: f64) -> bool {
    std.is_some_and(|std| (std - expected).abs() < 1e-4 * expected)
}

#[test]
fn auto_looks_at_the_layer_and_at_what_follows_it() {
    let xavier = (2.0f64 / 12.0).sqrt();
    let table: &[(Parameter, f64, &str)] = &[
        (linear(), xavier, "auto: linear"),
        (before(Nonlinearity::Tanh), xavier, "auto: linear before tanh"),
        (before(Nonlinearity::Sigmoid), xavier, "auto: linear before sigmoid"),
        (before(Nonlinearity::Relu), (2.0f64 / 4.0).sqrt(), "auto: linear before relu"),
        (before(Nonlinearity::LeakyRelu), 1.41414 / 2.0, "auto: linear before leaky_relu"),
        (before(Nonlinearity::Gelu), 1.53353 / 2.0, "auto: linear before gelu"),
        (before(Nonlinearity::Silu), 1.67653 / 2.0, "auto: linear before silu"),
        (
            parameter("conv.weight", &[8, 2, 3, 3], Role::Conv { groups: 1 }),
            (2.0f64 / 90.0).sqrt(),
            "auto: convolution",
        ),
        (parameter("words", &[9, 4], Role::Embedding), 0.02, "auto: embedding"),
        (parameter("places", &[9, 4], Role::Position), 0.02, "auto: positions"),
        (parameter("cls", &[1, 1, 4], Role::Token), 0.02, "auto: bare tensor"),
    ];
    for (parameter, std, by) in table {
        let (init, _) = one(parameter.clone());
        assert!(close(init.std, *std), "{}: {:?} is not {std}", parameter.name, init.std);
        assert_eq!((init.by.as_str(), init.exact), (*by, Exact::Anywhere));
    }
    assert_eq!(one(parameter("norm.weight", &[4], Role::Norm)).1, Scheme::Constant { value: 1.0 });
    assert_eq!(one(parameter("fc.bias", &[4], Role::Bias)).1, Scheme::Constant { value: 0.0 });
}

#[test]
fn an_unknown_module_is_judged_by_name_and_rank_and_says_so() {
    let table: &[(&str, &[u64], &str)] = &[
        ("x.bias", &[4], "a bias"),
        ("x.weight", &[4], "a norm"),
        ("x.alpha", &[4], "a vector"),
        ("logit_scale", &[], "a vector"),
        ("x.weight", &[4, 4], "a matrix"),
        ("x.embedding.weight", &[4, 4], "an embedding"),
        ("x.weight", &[4, 4, 3], "a kernel"),
    ];
    for (name, shape, kind) in table {
        let (init, _) = one(parameter(name, shape, Role::Unknown));
        assert_eq!(init.by, format!("auto: unknown module, {kind} by its name and rank"), "{name} {shape:?}");
    }
}

#[test]
fn the_family_speaks_before_the_kind_of_layer() {
    let (init, _) = drawn(&bert(json!({"initializer_range": 0.5})));
    assert_eq!((init.by.as_str(), init.std), ("bert: initializer_range 0.5, row 0 of padding 0", Some(0.5)));
    assert_eq!(init.scheme, "normal(std=0.5)");
}

/// An architecture in which every answer but the ones left out is given.
fn answered(flag: bool, file: bool, layer: bool, general: bool, family: bool) -> (String, Scheme) {
    let mut weight = before(Nonlinearity::Relu);
    weight.layer_init = layer.then(|| Box::new("constant(3)".parse::<SchemeSpec>().unwrap()));
    weight.init = family
        .then(|| crate::graph::FamilyInit { scheme: Scheme::Constant { value: 5.0 }, by: "family".into() })
        .map(Box::new);
    let mut to = of_parameters(vec![weight]);
    if file {
        to.rules.init.push(init(Some("fc.*"), "constant(9)"));
        to.rules.init.push(init(Some("**"), "constant(2)"));
    }
    to.rules.init_from_file = to.rules.init.len();
    if general {
        to.rules.init.push(init(None, "constant(4)"));
    }
    if flag {
        to.rules.init.push(init(Some("fc.weight"), "constant(1)"));
    }
    let (init, parts) = drawn(&to);
    (init.by, parts[0].scheme.clone())
}

#[test]
fn the_strongest_answer_wins() {
    let value = |value: f64| Scheme::Constant { value };
    assert_eq!(answered(true, true, true, true, true), ("--test fc.weight".into(), value(1.0)));
    assert_eq!(answered(false, true, true, true, true), ("--test **".into(), value(2.0)));
    assert_eq!(answered(false, false, true, true, true), ("init of the layer".into(), value(3.0)));
    assert_eq!(answered(false, false, false, true, true), ("--init".into(), value(4.0)));
    assert_eq!(answered(false, false, false, false, true), ("family".into(), value(5.0)));
    assert_eq!(answered(false, false, false, false, false).0, "auto: linear before relu");
}

#[test]
fn a_scheme_without_a_pattern_reaches_weights_outside_heads_and_embeddings_alone() {
    let reached = |parameter: Parameter| {
        let mut to = of_parameters(vec![parameter]);
        to.rules.init.push(init(None, "constant(4)"));
        drawn(&to).0.by == "--init"
    };
    assert!(reached(linear()));
    assert!(reached(parameter("conv.weight", &[4, 2, 3], Role::Conv { groups: 1 })));
    assert!(!reached(head("fc.weight", &[8, 4], Role::Linear)));
    assert!(!reached(parameter("words", &[8, 4], Role::Embedding)));
    assert!(!reached(parameter("fc.bias", &[8], Role::Bias)));
    assert!(!reached(parameter("norm.weight", &[8], Role::Norm)));
}

#[test]
fn a_broad_pattern_passes_over_what_its_scheme_makes_no_sense_for() {
    let mut to = of_parameters(vec![parameter("classifier.bias", &[4], Role::Bias)]);
    to.rules.init.push(init(Some("classifier.**"), "xavier_uniform"));
    assert_eq!(drawn(&to).0.by, "auto: bias (xavier_uniform does not apply to it)");
    to.rules.init.push(init(Some("classifier.**"), "normal(std=0.5)"));
    assert_eq!(drawn(&to).0.std, Some(0.5), "a scheme that needs no fan applies");
    to.rules.init = vec![init(Some("classifier.bias"), "xavier_uniform")];
    assert!(matches!(error(&to), FitError::Unresolved { name, .. } if name == "classifier.bias"));
    to = of_parameters(vec![linear()]);
    to.rules.init.push(init(Some("**"), "dirac"));
    assert!(matches!(error(&to), FitError::Unresolved { .. }), "a weight is never passed over");
}

#[test]
fn lsuv_without_a_graph_is_refused_and_never_replaced() {
    let mut to = of_parameters(vec![linear()]);
    to.rules.init.push(init(Some("fc.*"), "lsuv"));
    let error = plan(&[], &to, &options(), |_| Ok(Vec::new())).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(matches!(error.downcast_ref(), Some(FitError::LsuvWithoutGraph { .. })));
}

#[test]
fn lsuv_draws_weights_orthonormal_marks_them_and_passes_over_the_rest() {
    let mut to = bert(json!({"architectures": ["BertForSequenceClassification"]}));
    to.rules.init.push(init(Some("**"), "lsuv(tol=0.2)"));
    let plan = plan(&[], &to, &options(), |_| Ok(Vec::new())).unwrap().plan;
    for assignment in &plan.assignments {
        let name = &assignment.target.name;
        let is_weight = name.ends_with(".weight")
            && ["attention", "dense"].iter().any(|part| name.contains(part))
            && !name.contains("LayerNorm");
        assert_eq!(assignment.lsuv.is_some(), is_weight, "{name}");
        if let (Some(lsuv), Value::Init { parts, .. }) = (assignment.lsuv, &assignment.value) {
            assert_eq!(lsuv, Lsuv { target: None, tolerance: 0.2 });
            assert!(parts.iter().all(|part| part.scheme == Scheme::Orthogonal { gain: 1.0 }), "{name}");
            let init = assignment.init.as_ref().unwrap();
            assert_eq!((init.scheme.as_str(), init.exact), ("lsuv(tol=0.2)", Exact::Processor));
        }
    }
    assert_eq!(plan.assignments.iter().filter(|a| a.lsuv.is_some()).count(), 2 * 6 + 1);
    assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan);
}

#[test]
fn the_batch_is_part_of_the_plan_and_its_place_is_not_part_of_the_hash() {
    let mut plan = plan(&[], &bert(json!({})), &options(), |_| Ok(Vec::new())).unwrap().plan;
    let bare = plan.hash();
    let file =
        |location: &str, digest: &str| Some(PlannedBatch::File { location: location.into(), digest: digest.into() });
    plan.batch = file("a", "blake3:0");
    let first = plan.hash();
    assert_ne!(first, bare);
    assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan);
    plan.batch = file("b", "blake3:0");
    assert_eq!(plan.hash(), first);
    plan.batch = file("a", "blake3:1");
    assert_ne!(plan.hash(), first);
}

#[test]
fn a_mark_on_what_is_not_new_or_cannot_be_reached_is_refused() {
    let mut to = bert(json!({}));
    to.rules.init.push(init(None, "lsuv"));
    let plan = plan(&[], &to, &options(), |_| Ok(Vec::new())).unwrap().plan;
    let marked = plan.assignments.iter().position(|assignment| assignment.lsuv.is_some()).unwrap();
    let refused = |lsuv: Lsuv| {
        let mut plan = plan.clone();
        plan.assignments[marked].lsuv = Some(lsuv);
        Plan::from_json(&plan.to_json()).is_err()
    };
    assert!(!refused(Lsuv { target: Some(0.5), tolerance: 0.1 }));
    assert!(refused(Lsuv { target: Some(0.0), tolerance: 0.1 }));
    assert!(refused(Lsuv { target: None, tolerance: -0.1 }));
}

/// q, k and v of one matrix, of 4, 2 and 2 rows.
fn fused(layout: Layout) -> Parameter {
    let shape: &[u64] = if layout == Layout::InOut { &[4, 8] } else { &[8, 4] };
    let part = |rows| Part { rows, fans: Fans { fan_in: 4, fan_out: rows } };
    Parameter { layout, parts: vec![part(4), part(2), part(2)], ..parameter("c_attn.weight", shape, Role::Linear) }
}

#[test]
fn pieces_of_a_fused_matrix_are_drawn_by_their_own_fans() {
    let (init, parts) = drawn(&of_parameters(vec![fused(Layout::OutIn)]));
    let bounds: Vec<(u64, f64)> = parts
        .iter()
        .map(|part| match part.scheme {
            Scheme::Uniform { high, .. } => (part.rows, high),
            _ => panic!("{part:?}"),
        })
        .collect();
    let xavier = |fan_out: f64| (6.0 / (4.0 + fan_out)).sqrt();
    for ((rows, bound), (expected_rows, fan_out)) in bounds.iter().zip([(4, 4.0), (2, 2.0), (2, 2.0)]) {
        assert_eq!(*rows, expected_rows);
        assert!((bound - xavier(fan_out)).abs() < 1e-12);
    }
    assert_eq!(init.std, None, "there is no one deviation");
}

#[test]
fn an_in_out_matrix_is_drawn_as_it_lies_unless_its_axes_matter() {
    let value = |parameter: Parameter, scheme: Option<&str>| {
        let mut to = of_parameters(vec![parameter]);
        to.rules.init.extend(scheme.map(|scheme| init(Some("**"), scheme)));
        let plan = plan(&[], &to, &options(), |_| Ok(Vec::new())).unwrap().plan;
        plan.assignments[0].value.clone()
    };
    let in_out = Parameter { layout: Layout::InOut, ..linear() };
    assert!(matches!(value(in_out.clone(), None), Value::Init { shape, .. } if shape == [8, 4]));
    for scheme in ["orthogonal", "sparse(sparsity=0.5)", "identity"] {
        let Value::Apply { op: Op::Transpose, inputs } = value(in_out.clone(), Some(scheme)) else {
            panic!("{scheme}")
        };
        assert!(matches!(&inputs[0], Value::Init { shape, .. } if *shape == [4, 8]), "{scheme}");
        assert!(matches!(value(linear(), Some(scheme)), Value::Init { .. }), "{scheme}");
    }
    let Value::Apply { op: Op::Transpose, inputs } = value(fused(Layout::InOut), None) else { panic!() };
    assert!(matches!(&inputs[0], Value::Init { shape, parts, .. } if *shape == [8, 4] && parts.len() == 3));
    let Value::Init { shape, parts, .. } = value(fused(Layout::InOut), Some("normal(std=1)")) else { panic!() };
    assert_eq!((shape, parts.len()), ([4, 8].into(), 1), "pieces that are alike are one");
    let Value::Init { parts, .. } = value(fused(Layout::OutIn), Some("orthogonal")) else { panic!() };
    assert_eq!(parts.len(), 3, "each piece is orthogonal by itself");
}

#[test]
fn the_grade_follows_the_scheme() {
    let grade = |scheme: &str| {
        let mut to = of_parameters(vec![linear()]);
        to.rules.init.push(init(Some("**"), scheme));
        drawn(&to).0.exact
    };
    assert_eq!(grade("orthogonal"), Exact::Processor);
    assert_eq!(grade("he_normal"), Exact::Anywhere);
}

/// Layers 0 and 1 of three are in the source.
fn layers(rule: &str) -> (Stored, crate::arch::Architecture) {
    let name = |i: u64| format!("layer.{i}.weight");
    let mut to = of_parameters((0..3).map(|i| parameter(&name(i), &[4, 4], Role::Linear)).collect());
    to.rules.init.push(init(Some(rule), "match"));
    (stored(&[("layer.0.weight", &[4, 4]), ("layer.1.weight", &[4, 4]), ("other", &[1])]), to)
}

#[test]
fn match_asks_for_the_siblings_that_were_transferred_and_pools_them() {
    let (source, to) = layers("layer.*.weight");
    let sources = [source.view()];
    let asked = asked(&sources, &to).unwrap();
    let moments = |tensor: &str| Question::Moments { source: 0, tensor: tensor.into() };
    assert_eq!(asked, [moments("layer.0.weight"), moments("layer.1.weight")]);
    let answers = [Answer::Moments { mean: 1.0, std: 1.0 }, Answer::Moments { mean: 3.0, std: 2.0 }];
    let evidence: Vec<_> = asked.into_iter().zip(answers).collect();
    let planned = plan(&sources, &to, &options(), |_| Ok(evidence.clone())).unwrap().plan;
    let Value::Init { parts, .. } = &of(&planned, "layer.2.weight").value else { panic!() };
    let Scheme::Normal { mean, std } = parts[0].scheme else { panic!() };
    // (1² + 2²) / 2 within, and 1 between the means
    assert!((mean - 2.0).abs() < 1e-12 && (std - 3.5f64.sqrt()).abs() < 1e-12);
    let init = of(&planned, "layer.2.weight").init.as_ref().unwrap();
    assert_eq!((init.scheme.as_str(), init.by.as_str()), ("match", "--test layer.*.weight: 2 siblings"));
    assert_eq!(planned.evidence, evidence);
}

#[test]
fn match_without_siblings_or_answers_is_an_error_and_unasked_where_nothing_is_new() {
    let (source, mut to) = layers("layer.2.weight");
    let sources = [source.view()];
    let unanswered = plan(&sources, &to, &options(), |_| Ok(Vec::new())).unwrap_err();
    assert!(matches!(unanswered.downcast_ref(), Some(FitError::NoEvidence { .. })));
    to.parameters[2].name = "alone.weight".into();
    to.rules.init = vec![init(Some("alone.weight"), "match")];
    for error in [asked(&sources, &to).unwrap_err(), plan(&sources, &to, &options(), |_| Ok(Vec::new())).unwrap_err()] {
        assert!(matches!(error.downcast_ref(), Some(FitError::NoSiblings { .. })));
    }
    to.parameters.truncate(2);
    to.rules.init = vec![init(Some("**"), "match")];
    assert_eq!(asked(&sources, &to).unwrap(), [], "all is transferred");
}

#[test]
fn match_of_equal_elements_is_that_element() {
    let (source, to) = layers("**");
    let sources = [source.view()];
    let answer = |question| (question, Answer::Moments { mean: 1.0, std: 0.0 });
    let evidence: Vec<_> = asked(&sources, &to).unwrap().into_iter().map(answer).collect();
    let planned = plan(&sources, &to, &options(), |_| Ok(evidence)).unwrap().plan;
    let Value::Init { parts, .. } = &of(&planned, "layer.2.weight").value else { panic!() };
    assert_eq!(parts[0].scheme, Scheme::Constant { value: 1.0 });
}

#[test]
fn new_rows_match_the_rows_that_are_there() {
    let mut to = bert(json!({"max_position_embeddings": 9}));
    to.rules.init.push(init(Some("**.position_embeddings.weight"), "match"));
    let plan = planned(&checkpoint_of(&bert(json!({})), Dtype::F32), &to);
    let init = of(&plan, "embeddings.position_embeddings.weight").init.as_ref().unwrap();
    assert_eq!((init.std, init.scheme.as_str()), (Some(0.25), "match"));
}

#[test]
fn rows_that_are_new_in_a_tensor_of_equal_shape_are_asked_for_too() {
    let config =
        |names: serde_json::Value| json!({"architectures": ["BertForSequenceClassification"], "id2label": names});
    let mut to = bert(config(json!({"0": "b", "1": "new"})));
    to.rules.init.push(init(Some("classifier.*"), "match"));
    let source = checkpoint_of(&bert(config(json!({"0": "a", "1": "b"}))), Dtype::F32);
    let plan = planned(&source, &to);
    assert_eq!(of(&plan, "classifier.weight").new_rows, 1);
    assert_eq!(of(&plan, "classifier.weight").init.as_ref().unwrap().scheme, "match");
    assert_eq!(plan.evidence.len(), 2);
}

#[test]
fn a_rule_for_an_embedding_draws_its_new_rows_instead_of_the_mean() {
    let mut to = bert(json!({"vocab_size": 12}));
    to.rules.init.push(init(Some("**.word_embeddings.weight"), "normal(std=0.5)"));
    let plan = planned(&checkpoint_of(&bert(json!({})), Dtype::F32), &to);
    assert_eq!(of(&plan, "embeddings.word_embeddings.weight").init.as_ref().unwrap().std, Some(0.5));
    vocab_rule(&mut to, vocabulary(&["a"]), None);
    let source = checkpoint_of(&bert(json!({})), Dtype::F32).tokens(&["a"]);
    let plan = planned(&source, &to);
    assert_eq!(of(&plan, "embeddings.word_embeddings.weight").init, None, "the vocab rule says what its rows are");
}

#[test]
fn a_scheme_that_reaches_nothing_is_a_warning_with_the_pattern_to_type() {
    let (source, mut to) = layers("layer.2.*");
    to.rules.init = vec![init(None, "he_normal")];
    assert_eq!(planned(&source, &to).warnings.len(), 1, "layer 2 is new: only the missing config is worth a word");
    to.parameters.truncate(2);
    to.parameters.push(head("cls.weight", &[4, 4], Role::Linear));
    let warnings = planned(&source, &to).warnings;
    assert!(warnings[0].contains("`--init 'cls.weight=he_normal'`"), "{warnings:?}");
}

#[test]
fn a_rule_that_meets_only_what_is_transferred_is_a_warning() {
    let (source, mut to) = layers("layer.0.*");
    to.rules.init = vec![init(Some("layer.0.*"), "zeros"), init(Some("layer.*.weight"), "ones")];
    let warnings = planned(&source, &to).warnings;
    assert!(
        matches!(warnings.as_slice(), [warning, _] if warning.starts_with("--test layer.0.*: every tensor")),
        "{warnings:?}"
    );
}

#[test]
fn buffers_are_computed_whatever_the_rules_say() {
    let buffer =
        |name: &str, shape: &[u64], dtype: Option<Dtype>| Parameter { dtype, ..parameter(name, shape, Role::Buffer) };
    let mut to = of_parameters(vec![
        buffer("bn.running_mean", &[3], None),
        buffer("bn.running_var", &[3], None),
        buffer("bn.num_batches_tracked", &[], Some(Dtype::I64)),
        buffer("embeddings.position_ids", &[1, 5], Some(Dtype::I64)),
        buffer("embeddings.token_type_ids", &[1, 5], Some(Dtype::I64)),
        buffer("layers.0.relative_position_index", &[4, 4], Some(Dtype::I64)),
        buffer("layers.1.relative_position_index", &[4, 4], Some(Dtype::I64)),
    ]);
    to.rules.init.push(init(Some("**"), "normal"));
    let plan = plan(&[], &to, &options(), |_| Ok(Vec::new())).unwrap().plan;
    assert!(plan.assignments.iter().all(|assignment| assignment.action == Action::New));
    let constant = |name: &str| match &of(&plan, name).value {
        Value::Init { parts, .. } => parts[0].scheme.clone(),
        value => panic!("{value:?}"),
    };
    assert_eq!(constant("bn.running_mean"), Scheme::Constant { value: 0.0 });
    assert_eq!(constant("bn.running_var"), Scheme::Constant { value: 1.0 });
    let count = |name: &str| match &of(&plan, name).value {
        Value::Count { dtype: Dtype::I64, axis, .. } => *axis,
        value => panic!("{value:?}"),
    };
    assert_eq!(count("embeddings.position_ids"), Some(1));
    assert_eq!(count("embeddings.token_type_ids"), None);
    assert_eq!(count("bn.num_batches_tracked"), None);
    assert!(
        plan.warnings.iter().any(|warning| warning.starts_with("buffer layers.**: no source")),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn an_empty_tensor_is_drawn_without_dividing_by_its_fans() {
    for shape in [&[0u64, 4] as &[u64], &[4, 0]] {
        let (_, parts) = drawn(&of_parameters(vec![parameter("fc.weight", shape, Role::Linear)]));
        assert_eq!(parts[0].rows, shape[0]);
    }
}
