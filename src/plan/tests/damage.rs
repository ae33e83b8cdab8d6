//! Damage is an error that names the tensor; a change of the architecture is not.

use crate::checkpoint::CheckpointFormat;
use proptest::prelude::*;
use serde_json::json;

use crate::plan::damage_error::DamageError;
use crate::plan::error::PlanError;
use crate::plan::testing::*;
use crate::tensor::{Dtype, Name, Role, Shape};

/// The damage that is found where some source tensors have other shapes.
fn damage(source: &Stored, to: &crate::arch::Architecture) -> Vec<DamageError> {
    let violations = planned_with(source, to, &options()).unwrap().violations;
    let damage = violations.into_iter().filter_map(|violation| match violation {
        PlanError::Damage(damage) => Some(damage),
        _ => None,
    });
    damage.collect()
}

fn reshaped(mut source: Stored, change: impl Fn(&Name, &Shape) -> Option<Shape>) -> Stored {
    for tensor in &mut source.listing.tensors {
        if let Some(shape) = change(&tensor.name, &tensor.shape) {
            tensor.shape = shape;
        }
    }
    let listing = &source.listing;
    source.listing = crate::checkpoint::Listing::new(
        CheckpointFormat::Safetensors,
        listing.tensors.clone(),
        Vec::new(),
        listing.config.clone(),
    );
    source
}

/// Every learned tensor in the layers of a BERT, by its name below the layer.
fn tails(layers: u64) -> Vec<String> {
    let to = bert(json!({"num_hidden_layers": layers}));
    let first = to.parameters.iter().filter_map(|one| one.name.split_once("encoder.layer.0."));
    first.map(|(_, tail)| tail.to_string()).collect()
}

proptest! {
    /// Whatever tensor is odd in some layers and not in the others: it is named with both shapes.
    #[test]
    fn a_tensor_of_two_shapes_in_the_layers_of_the_source_is_named(
        tail in prop::sample::select(tails(4)), odd in prop::collection::btree_set(0..4u64, 1..4),
    ) {
        let to = bert(json!({"num_hidden_layers": 4}));
        let is_odd = |name: &Name| odd.iter().any(|layer| name.ends_with(&format!("encoder.layer.{layer}.{tail}")));
        let longer = |shape: &Shape| shape.iter().map(|size| size + 1).collect::<Shape>();
        let source = reshaped(checkpoint_of(&to, Dtype::F32), |name, shape| is_odd(name).then(|| longer(shape)));
        let found = damage(&source, &to);
        let [DamageError::OddLayer { layers, expected, found, target, .. }] = &found[..] else { panic!("{tail}: {found:?}") };
        prop_assert_eq!(layers, &odd.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(found, &longer(expected));
        prop_assert!(target.ends_with(&tail));
    }

    /// A difference in every layer is another architecture.
    #[test]
    fn a_tensor_of_another_shape_in_every_layer_is_initialised(tail in prop::sample::select(tails(3)), layers in 1..4u64) {
        let to = bert(json!({"num_hidden_layers": layers}));
        let source = reshaped(checkpoint_of(&bert(json!({"num_hidden_layers": 3})), Dtype::F32), |name, shape| {
            name.ends_with(&tail).then(|| shape.iter().map(|size| size + 1).collect())
        });
        prop_assert!(damage(&source, &to).is_empty());
    }

    /// An empty tensor is named, wherever it is.
    #[test]
    fn an_empty_source_tensor_is_named(at in any::<prop::sample::Index>(), keeps_rank in any::<bool>()) {
        let to = bert(json!({}));
        let whole = checkpoint_of(&to, Dtype::F32);
        let name = at.get(&whole.listing.tensors).name.clone();
        let empty = |shape: &Shape| match keeps_rank {
            true => [0].into_iter().chain(shape.iter().copied().skip(1)).collect(),
            false => [0].into(),
        };
        let source = reshaped(whole, |other, shape| (*other == name).then(|| empty(shape)));
        let found = damage(&source, &to);
        let named = found.iter().any(|one| matches!(one, DamageError::Empty { target, .. } if *target == *name));
        prop_assert!(named, "{}: {:?}", name, found);
    }
}

#[test]
fn layers_that_differ_in_the_target_are_judged_one_by_one() {
    let shapes = |sizes: &[u64]| -> Vec<(String, [u64; 2])> {
        sizes.iter().enumerate().map(|(layer, size)| (format!("stage.{layer}.conv.weight"), [*size, 4])).collect()
    };
    let to =
        of_parameters(shapes(&[4, 8, 16]).iter().map(|(name, shape)| parameter(name, shape, Role::Linear)).collect());
    let tensors = shapes(&[4, 6, 16]);
    let tensors: Vec<(&str, &[u64])> = tensors.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
    assert!(damage(&stored(&tensors), &to).is_empty());
}

#[test]
fn a_damaged_layer_that_a_depth_rule_chose_alone_is_found_by_the_others_of_the_source() {
    let mut to = bert(json!({"num_hidden_layers": 1}));
    to.rules.depth.push(crate::arch::DepthRule { path: selector("encoder.layer"), list: "2".parse().unwrap() });
    let whole = || checkpoint_of(&bert(json!({"num_hidden_layers": 4})), Dtype::F32);
    assert!(damage(&whole(), &to).is_empty());
    let source = reshaped(whole(), |name, _| name.ends_with("layer.2.output.dense.weight").then(|| [4, 6].into()));
    let found = damage(&source, &to);
    let [DamageError::OddLayer { intact, tensor, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((intact.as_slice(), tensor.as_str()), (&[0, 1, 3][..], "encoder.layer.2.output.dense.weight"));
}

#[test]
fn what_is_declared_new_is_not_damaged() {
    let mut to = bert(json!({"num_hidden_layers": 3}));
    let name = "encoder.layer.1.output.dense.weight";
    let source = |to: &_| reshaped(checkpoint_of(to, Dtype::F32), |other, _| other.ends_with(name).then(|| [0].into()));
    let broken = source(&to);
    assert_eq!(damage(&broken, &to).len(), 1, "empty, and not also odd among its layers");
    to.rules.new.push(selector(&format!("**.{name}").replace("**.encoder", "encoder")));
    assert!(damage(&broken, &to).is_empty());
}

#[test]
fn a_weight_that_is_missing_beside_its_bias_is_named() {
    let to = of_parameters(vec![parameter("fc.weight", &[5, 8], Role::Linear), parameter("fc.bias", &[5], Role::Bias)]);
    let found = damage(&stored(&[("fc.bias", &[5])]), &to);
    assert!(
        matches!(&found[..], [DamageError::WeightMissing { target, bias, more: 0 }] if target == "fc.weight" && bias == "fc.bias")
    );
    let norm =
        of_parameters(vec![parameter("bn.weight", &[5], Role::Norm), parameter("bn.running_mean", &[5], Role::Buffer)]);
    assert!(damage(&stored(&[("bn.running_mean", &[5])]), &norm).is_empty());
}

#[test]
fn empty_tensors_under_names_that_nothing_matches_are_named_too() {
    let to = bert(json!({}));
    let mut source = reshaped(checkpoint_of(&to, Dtype::F32), |_, _| Some([0].into()));
    for tensor in &mut source.listing.tensors {
        tensor.name = format!("somewhere.else.{}", tensor.name).into();
    }
    source.listing.config = None;
    let source = reshaped(source, |_, _| None);
    let found = damage(&source, &to);
    assert!(matches!(&found[..], [DamageError::EmptyStored { more, .. }] if *more > 10), "{found:?}");
}
