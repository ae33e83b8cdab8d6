//! A module moves as a whole, or not at all.

use proptest::prelude::*;

use crate::plan::testing::*;
use crate::plan::*;
use crate::report::Report;
use crate::tensor::Role;

/// The tensors of the classes of layers, each with its role.
const LAYERS: &[&[(&str, Role)]] = &[
    &[("weight", Role::Linear), ("bias", Role::Bias)],
    &[("weight", Role::Norm), ("bias", Role::Bias), ("running_mean", Role::Buffer), ("running_var", Role::Buffer)],
    &[("in_proj_weight", Role::Linear), ("in_proj_bias", Role::Bias)],
    &[("weight_g", Role::Unknown), ("weight_v", Role::Unknown), ("bias", Role::Bias)],
    &[
        ("parametrizations.weight.original0", Role::Unknown),
        ("parametrizations.weight.original1", Role::Unknown),
        ("bias", Role::Bias),
    ],
    &[
        ("weight_ih_l0", Role::Linear),
        ("weight_hh_l0", Role::Linear),
        ("bias_ih_l0", Role::Bias),
        ("bias_hh_l0", Role::Bias),
    ],
    &[("gate_up_proj", Role::Unknown), ("gate_up_proj_bias", Role::Unknown)],
];

proptest! {
    /// Every layer of a model is copied whole, or is new whole where one of its tensors has another shape.
    #[test]
    fn no_tensor_is_copied_beside_a_mismatched_one_of_its_module(layers in prop::collection::vec((0..LAYERS.len(), any::<u8>()), 1..6)) {
        let (mut parameters, mut tensors, mut odd) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (class, bits)) in layers.iter().enumerate() {
            let own = LAYERS[*class];
            let is_odd = |place: usize| bits & (1 << place) != 0 && bits % 3 == 0;
            odd.push((0..own.len()).any(is_odd));
            for (place, (last, role)) in own.iter().enumerate() {
                let name = format!("part{at}.layer.{last}");
                parameters.push(parameter(&name, &[4, 3], *role));
                tensors.push((name, if is_odd(place) { [5, 2] } else { [4, 3] }));
            }
            // a bare parameter beside the layer is not a part of it
            parameters.push(parameter(&format!("part{at}.token"), &[1, 3], Role::Token));
            tensors.push((format!("part{at}.token"), [1, 3]));
        }
        let tensors: Vec<(&str, &[u64])> = tensors.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
        let plan = planned(&stored(&tensors), &of_parameters(parameters));
        for assignment in &plan.assignments {
            let at: usize = assignment.target.name[4..5].parse().unwrap();
            let is_new = odd[at] && !assignment.target.name.ends_with("token");
            prop_assert_eq!(assignment.action, if is_new { Action::New } else { Action::Copied }, "{}", &assignment.target.name);
            prop_assert_eq!(assignment.mismatched.is_some(), is_new);
        }
        let unused = plan.unused.iter().filter(|unused| unused.reason.contains("mismatched")).count();
        prop_assert_eq!(unused, plan.assignments.iter().filter(|one| one.action == Action::New).count());
        let report = Report::of(&plan, None);
        prop_assert_eq!(report.mismatched.len(), odd.iter().filter(|odd| **odd).count());
        prop_assert_eq!(report.coverage.tensors.mismatched, report.coverage.tensors.new);
        prop_assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan);
    }
}

#[test]
fn a_bias_of_the_right_size_does_not_come_without_its_weight() {
    let to = of_parameters(vec![parameter("fc.weight", &[5, 8], Role::Linear), parameter("fc.bias", &[5], Role::Bias)]);
    let plan = planned(&stored(&[("fc.weight", &[5, 4]), ("fc.bias", &[5])]), &to);
    let bias = of(&plan, "fc.bias");
    assert_eq!(bias.action, Action::New);
    assert!(bias.reason.contains("whose weight is mismatched: expected [5, 8], found [5, 4]"), "{}", bias.reason);
    assert_eq!(bias.mismatched, Some(Mismatch { module: "fc".into(), found: [5].into() }));
}

#[test]
fn a_bias_that_is_missing_stays_new_and_its_weight_is_copied() {
    let to = of_parameters(vec![parameter("fc.weight", &[5, 8], Role::Linear), parameter("fc.bias", &[5], Role::Bias)]);
    let plan = planned(&stored(&[("fc.weight", &[5, 8])]), &to);
    assert_eq!(of(&plan, "fc.weight").action, Action::Copied);
    let bias = of(&plan, "fc.bias");
    assert_eq!((bias.action, bias.mismatched.is_some()), (Action::New, false));
}

#[test]
fn rows_of_words_and_positions_are_adapted_and_their_biases_are_kept() {
    let mut words = parameter("words.weight", &[9, 4], Role::Embedding);
    words.parts.clear();
    let to = of_parameters(vec![
        words,
        parameter("words.bias", &[4], Role::Bias),
        parameter("p.weight", &[3, 4], Role::Position),
    ]);
    let plan = planned(&stored(&[("words.weight", &[6, 4]), ("words.bias", &[4]), ("p.weight", &[8, 4])]), &to);
    let actions: Vec<Action> = plan.assignments.iter().map(|one| one.action).collect();
    assert_eq!(actions, [Action::Adapted, Action::Copied, Action::Adapted]);
}

#[test]
fn a_tie_to_a_mismatched_owner_stays_a_tie_and_nothing_is_copied_beside_it() {
    let mut head = parameter("head.weight", &[9, 6], Role::Linear);
    head.tied_to = Some(0);
    let words = parameter("words.weight", &[9, 6], Role::Embedding);
    let to = of_parameters(vec![words, head, parameter("head.bias", &[9], Role::Bias)]);
    let plan = planned(&stored(&[("words.weight", &[9, 4]), ("head.bias", &[9])]), &to);
    let actions: Vec<Action> = plan.assignments.iter().map(|one| one.action).collect();
    assert_eq!(actions, [Action::New, Action::Tied, Action::New]);
}

#[test]
fn a_head_of_another_number_of_classes_without_names_is_mismatched_in_every_form() {
    use serde_json::json;
    let labelled = |labels| bert(json!({"architectures": ["BertForSequenceClassification"], "id2label": labels}));
    let (two, three) = (json!({"0": "LABEL_0", "1": "LABEL_1"}), json!({"0": "a", "1": "b", "2": "c"}));
    let source = checkpoint_of(&labelled(two), Dtype::F32);
    let plan = planned(&source, &labelled(three));
    let bias = of(&plan, "classifier.bias");
    assert_eq!(bias.mismatched, Some(Mismatch { module: "classifier".into(), found: [2].into() }));
    assert!(
        bias.reason.contains("expected [3], found [2]") && bias.reason.contains("2 classes become 3"),
        "{}",
        bias.reason
    );
}

#[test]
fn what_is_declared_new_is_silent() {
    let mut to =
        of_parameters(vec![parameter("fc.weight", &[5, 8], Role::Linear), parameter("fc.bias", &[5], Role::Bias)]);
    to.rules.new.push(selector("fc.*"));
    let plan = planned(&stored(&[("fc.weight", &[5, 4]), ("fc.bias", &[5])]), &to);
    assert!(plan.assignments.iter().all(|one| one.action == Action::New && one.mismatched.is_none()));
    assert!(!plan.warnings.iter().any(|warning| warning.contains("mismatched")), "{:?}", plan.warnings);
    assert!(Report::of(&plan, None).mismatched.is_empty());
}

#[test]
fn counters_and_indices_are_computed_and_leave_their_module_alone() {
    let counter = Parameter { dtype: Some(Dtype::I64), ..parameter("bn.num_batches_tracked", &[], Role::Buffer) };
    let to = of_parameters(vec![parameter("bn.weight", &[4], Role::Norm), counter]);
    let plan =
        planned(&stored_as(&[("bn.weight", Dtype::F32, &[4]), ("bn.num_batches_tracked", Dtype::I64, &[1])]), &to);
    assert_eq!(of(&plan, "bn.weight").action, Action::Copied);
    assert!(plan.assignments.iter().all(|one| one.mismatched.is_none()));
}

#[test]
fn low_coverage_names_what_is_mismatched() {
    let to = bert(serde_json::json!({"hidden_size": 8}));
    let source = checkpoint_of(&bert(serde_json::json!({})), Dtype::F32);
    let planned = planned_with(&source, &to, &Options { min_coverage: 0.5, ..options() }).unwrap();
    let low = planned.violations.iter().map(ToString::to_string).find(|text| text.contains("coverage")).unwrap();
    assert!(
        low.contains("mismatched: ") && low.contains("word_embeddings.weight (expected [10, 8], found [10, 4])"),
        "{low}"
    );
}

use crate::graph::Parameter;
use crate::tensor::Dtype;
