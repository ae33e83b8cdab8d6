//! What a member of a sequence is, from the names and shapes of its tensors: the kind of its layer and the shape of its weight.

use std::collections::BTreeMap;

use crate::name::parent;
use crate::plan::matching::blocks::{Layers, is_single_layer};
use crate::tensor::Shape;

/// What a layer does, as far as its tensors show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A matrix, a table or a kernel, of this rank.
    Product(usize),
    BatchNorm,
    /// A normalisation that adds a bias.
    Norm,
    /// A scale alone: an RMS norm, a PReLU.
    Scale,
    /// Something else: attention, a cell, a bare parameter.
    Other,
}

/// A layer: its kind, and the shapes that must agree. A bias and a counter may be missing on one side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Layer {
    kind: Kind,
    shapes: Vec<(String, Shape)>,
}

/// A member of a sequence.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The tensors by their names below it, with their numbers.
    tensors: BTreeMap<String, usize>,
    /// The layers, and how many there are of each.
    layers: BTreeMap<Layer, u64>,
    is_single: bool,
}

/// Tensors that say nothing about the kind of a layer that has others.
const BESIDE: &[&str] = &["bias", "num_batches_tracked"];

impl Layer {
    fn of(tensors: &[(&str, Shape)]) -> Layer {
        let shape = |name: &str| tensors.iter().find(|(last, _)| *last == name).map(|(_, shape)| shape);
        let weight = shape("weight").or_else(|| shape("kernel"));
        let kind = match weight.map(|shape| shape.as_slice().len()) {
            Some(rank) if rank > 1 => Kind::Product(rank),
            Some(_) if shape("running_mean").is_some() => Kind::BatchNorm,
            Some(_) if shape("bias").is_some() => Kind::Norm,
            Some(_) => Kind::Scale,
            None => Kind::Other,
        };
        let shapes: Vec<(String, Shape)> = match (kind, weight) {
            (Kind::Other, _) | (_, None) => {
                let own = tensors.iter().filter(|(last, _)| !BESIDE.contains(last) || tensors.len() == 1);
                own.map(|(last, shape)| (last.to_string(), shape.clone())).collect()
            }
            (_, Some(weight)) => vec![("weight".into(), weight.clone())],
        };
        Layer { kind, shapes }
    }
}

impl Member {
    fn of(names: &[(&str, usize)], shape: impl Fn(usize) -> Shape) -> Member {
        let mut by_path: BTreeMap<&str, Vec<(&str, Shape)>> = BTreeMap::new();
        for (tail, id) in names {
            let path = parent(tail);
            let last = tail.strip_prefix(path).unwrap_or(tail).trim_start_matches('.');
            by_path.entry(path).or_default().push((last, shape(*id)));
        }
        let mut layers: BTreeMap<Layer, u64> = BTreeMap::new();
        for tensors in by_path.values_mut() {
            tensors.sort();
            *layers.entry(Layer::of(tensors)).or_default() += 1;
        }
        let tensors = names.iter().map(|(tail, id)| (tail.to_string(), *id)).collect();
        Member { tensors, layers, is_single: is_single_layer(names) }
    }

    /// How many layers agree in kind and shape.
    pub(crate) fn agreement(&self, other: &Member) -> u64 {
        let shared = |(layer, count): (&Layer, &u64)| (*count).min(other.layers.get(layer).copied().unwrap_or(0));
        if self.is_single == other.is_single { self.layers.iter().map(shared).sum() } else { 0 }
    }

    /// Whether both are of one kind, whatever their shapes: single layers of the same, or both made of several.
    pub(crate) fn is_like(&self, other: &Member) -> bool {
        let kind = |member: &Member| member.layers.keys().next().map(|layer| layer.kind);
        self.is_single == other.is_single && (!self.is_single || kind(self) == kind(other))
    }

    pub(crate) fn is_single(&self) -> bool {
        self.is_single
    }

    /// The number of the tensor of this name below it.
    pub(crate) fn tensor(&self, name: &str) -> Option<usize> {
        self.tensors.get(name).copied()
    }

    pub(crate) fn tensors(&self) -> impl Iterator<Item = usize> + '_ {
        self.tensors.values().copied()
    }

    /// Its tensors: the name below it and the number.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, usize)> + '_ {
        self.tensors.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// The number of its weight, or of its first tensor.
    pub(crate) fn first(&self) -> Option<usize> {
        self.tensor("weight").or_else(|| self.tensors().next())
    }
}

/// The members of a numbered path.
pub(crate) fn members(layers: &Layers, shape: impl Fn(usize) -> Shape) -> BTreeMap<u64, Member> {
    layers.iter().map(|(index, names)| (*index, Member::of(names, &shape))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(tensors: &[(&str, &[u64])]) -> Member {
        let names: Vec<(&str, usize)> = tensors.iter().enumerate().map(|(id, (name, _))| (*name, id)).collect();
        Member::of(&names, |id| tensors[id].1.into())
    }

    #[test]
    fn a_bias_or_a_counter_that_one_side_lacks_does_not_make_another_layer() {
        let convolution = member(&[("weight", &[8, 3, 3, 3]), ("bias", &[8])]);
        assert_eq!(convolution.agreement(&member(&[("weight", &[8, 3, 3, 3])])), 1);
        let old = member(&[("weight", &[8]), ("bias", &[8]), ("running_mean", &[8]), ("running_var", &[8])]);
        let new = [("weight", &[8u64] as &[u64]), ("bias", &[8]), ("running_mean", &[8]), ("running_var", &[8])];
        assert_eq!(old.agreement(&member(&[&new[..], &[("num_batches_tracked", &[])]].concat())), 1);
    }

    #[test]
    fn kinds_are_told_apart_by_ranks_and_names() {
        let kinds = [
            member(&[("weight", &[8, 8, 1, 1])]),
            member(&[("weight", &[8, 8])]),
            member(&[("weight", &[8]), ("bias", &[8])]),
            member(&[("weight", &[8])]),
            member(&[("weight", &[8]), ("running_mean", &[8])]),
            member(&[("in_proj_weight", &[8, 8]), ("in_proj_bias", &[8])]),
            member(&[("conv.weight", &[8, 8, 1, 1])]),
        ];
        for (a, one) in kinds.iter().enumerate() {
            for (b, two) in kinds.iter().enumerate() {
                assert_eq!((one.agreement(two) > 0, one.is_like(two)), (a == b, a == b), "{a} and {b}");
            }
        }
    }

    #[test]
    fn members_of_several_layers_agree_in_as_many_as_they_share() {
        let block = |channels: u64| {
            member(&[("0.weight", &[channels, 3]), ("1.weight", &[channels]), ("skip.weight", &[4, 4])])
        };
        assert_eq!(block(8).agreement(&block(8)), 3);
        assert_eq!(block(8).agreement(&block(16)), 1);
        assert!(block(8).is_like(&block(16)));
    }
}
