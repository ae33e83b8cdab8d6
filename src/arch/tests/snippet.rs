use super::{open, parameter};
use crate::arch::snippet;
use crate::error::Exit;
use crate::graph::Layout;
use crate::tensor::{Dtype, Role};

/// What the snippet wrote from `fixtures/listing/sample.py` in PyTorch.
const SAMPLE: &str = include_str!("../../../fixtures/listing/sample.json");
/// The names and shapes of PyTorch's own `state_dict()`.
const STATE: &str = include_str!("../../../fixtures/listing/state_dict.json");

#[test]
fn what_the_snippet_writes_names_the_whole_state_dict() {
    let architecture = open(SAMPLE).unwrap();
    let state: serde_json::Map<String, serde_json::Value> = serde_json::from_str(STATE).unwrap();
    let ours: Vec<_> = architecture.parameters.iter().map(|p| (p.name.to_string(), p.shape.clone())).collect();
    let theirs: Vec<_> = state
        .into_iter()
        .map(|(name, shape)| (name, serde_json::from_value::<crate::tensor::Shape>(shape).unwrap()))
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn ties_buffers_classes_and_fans_arrive() {
    let architecture = open(SAMPLE).unwrap();
    let of = |name: &str| parameter(&architecture, name);
    let owner = of("decoder.weight").tied_to.unwrap();
    assert_eq!(architecture.parameters[owner].name, "embedding.weight");
    assert_eq!((of("position_ids").role, of("position_ids").dtype), (Role::Buffer, Some(Dtype::I64)));
    assert_eq!((of("conv.1.running_var").role, of("conv.1.running_var").floor), (Role::Buffer, Some(Dtype::F32)));
    assert_eq!(of("conv.1.num_batches_tracked").role, Role::Buffer);
    assert_eq!((of("square.weight").layout, of("square.weight").module.as_deref()), (Layout::InOut, Some("Conv1D")));
    let depthwise = of("conv.0.weight");
    assert_eq!((depthwise.role, depthwise.parts[0].fans.fan_out), (Role::Conv { groups: 4 }, 18));
    assert_eq!(depthwise.module.as_deref(), Some("Conv2d"));
    assert_eq!(of("conv.3.weight").parts[0].fans.fan_in, 8);
    assert_eq!(of("attention.in_proj_weight").parts.len(), 3);
    assert_eq!(of("attention.out_proj.weight").role, Role::Linear);
    assert_eq!(of("cell.weight_hh_l0").parts.len(), 4);
    assert_eq!((of("cls_token").role, of("position_embeddings.weight").role), (Role::Token, Role::Position));
    assert!(architecture.parameters.iter().all(|p| p.role != Role::Unknown));
    let again = open(architecture.arch_json.as_ref().unwrap()).unwrap();
    assert_eq!(again.parameters, architecture.parameters);
}

#[test]
fn an_unknown_framework_is_a_usage_error_that_lists_them() {
    assert!(snippet("torch").unwrap().contains("state_dict"));
    let error = snippet("jax").unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert_eq!(error.hints(), ["one of torch"]);
}
