//! Repeated blocks, found from names with an integer component, at any depth.

use std::collections::BTreeMap;

use crate::arch::Architecture;
use crate::hash::{HashMap, HashSet};
use crate::name::{MOST_COMPONENTS, index_of};

/// One place of a name in a repeated block: `encoder.layer` `3` `output.dense.weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockName<'a> {
    /// The block's path; may be empty.
    pub path: &'a str,
    pub index: u64,
    /// The name below the layer; may be empty.
    pub tail: &'a str,
}

/// The places of a name in repeated blocks, the outermost first.
pub(crate) fn places(name: &str) -> impl Iterator<Item = BlockName<'_>> {
    let mut start = 0;
    name.split('.').take(MOST_COMPONENTS).filter_map(move |component| {
        let (from, to) = (start, start + component.len());
        start = to + 1;
        let index = index_of(component)?;
        let path = name.get(..from)?.trim_end_matches('.');
        Some(BlockName { path, index, tail: name.get(to..)?.trim_start_matches('.') })
    })
}

/// A name with its layer replaced: `{path}.{index}.{tail}`.
pub(crate) fn spell(path: &str, index: u64, tail: &str) -> String {
    let mut name = String::with_capacity(path.len() + tail.len() + 8);
    for part in [path, &index.to_string(), tail] {
        if !part.is_empty() {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(part);
        }
    }
    name
}

/// The repeated blocks of a list of names: for each path its layers, each with the names below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks<'a> {
    by_path: HashMap<&'a str, Layers<'a>>,
    lists: HashSet<&'a str>,
    stacks: HashSet<&'a str>,
}

/// The layers of a block: for each the names below it, each with its number.
pub(crate) type Layers<'a> = BTreeMap<u64, Vec<(&'a str, usize)>>;

impl<'a> Blocks<'a> {
    /// The blocks of these names; each name is known by its number, and so is its shape.
    pub(crate) fn of<'s>(
        names: impl IntoIterator<Item = (usize, &'a str)>,
        shape: impl Fn(usize) -> Option<&'s [u64]>,
    ) -> Blocks<'a> {
        let mut by_path: HashMap<&str, Layers> = HashMap::default();
        for (id, name) in names {
            for place in places(name) {
                by_path.entry(place.path).or_default().entry(place.index).or_default().push((place.tail, id));
            }
        }
        let lists: HashSet<&str> =
            by_path.iter().filter(|(_, layers)| share_a_name(layers)).map(|(path, _)| *path).collect();
        let is_stack = |path: &&&str| by_path.get(**path).is_some_and(|layers| are_alike(layers, &shape));
        let stacks = lists.iter().filter(is_stack).copied().collect();
        Blocks { by_path, lists, stacks }
    }

    pub(crate) fn of_target(target: &'a Architecture) -> Blocks<'a> {
        let names = target.parameters.iter().enumerate().map(|(id, parameter)| (id, parameter.name.as_str()));
        Blocks::of(names, |id| target.parameters.get(id).map(|parameter| parameter.shape.as_slice()))
    }

    /// The layers of a block, or `None`.
    pub(crate) fn layers(&self, path: &str) -> Option<&Layers<'a>> {
        self.by_path.get(path)
    }

    /// Every block's path: outer blocks before those inside them, and by name.
    pub(crate) fn paths(&self) -> Vec<&'a str> {
        let depth = |path: &str| path.split('.').filter(|part| index_of(part).is_some()).count();
        let mut paths: Vec<&str> = self.by_path.keys().copied().collect();
        paths.sort_by_key(|path| (depth(path), *path));
        paths
    }

    /// Whether at least two members have a name in common.
    pub(crate) fn is_list(&self, path: &str) -> bool {
        self.lists.contains(path)
    }

    /// Whether the path is a stack of like layers: a list, and no sequence of single layers that differ.
    pub(crate) fn is_stack(&self, path: &str) -> bool {
        self.stacks.contains(path)
    }

    /// Whether the path is a stack without a gap in its numbers: a sequence with activations in it is none.
    pub(crate) fn is_numbered_stack(&self, path: &str) -> bool {
        let Some(layers) = self.layers(path).filter(|_| self.is_stack(path)) else { return false };
        let ends = layers.first_key_value().zip(layers.last_key_value());
        ends.is_some_and(|((first, _), (last, _))| last.checked_sub(*first) == Some(layers.len() as u64 - 1))
    }

    /// Whether a path leads into one member of a list.
    pub(crate) fn enters_list(&self, path: &str) -> bool {
        places(path).any(|place| self.is_list(place.path))
    }
}

fn share_a_name(layers: &Layers) -> bool {
    let mut seen = HashSet::default();
    layers.values().any(|names| {
        let known = names.iter().any(|(tail, _)| seen.contains(tail));
        seen.extend(names.iter().map(|(tail, _)| *tail));
        known
    })
}

/// The members of an `nn.Sequential` may be single layers of several kinds (`features.2.conv.3` of a MobileNetV2 is not a third layer of
/// anything): then they are alike only where all have the same tensors of the same shapes.
fn are_alike<'s>(layers: &Layers, shape: &impl Fn(usize) -> Option<&'s [u64]>) -> bool {
    if !layers.values().any(|names| is_single_layer(names)) {
        return true;
    }
    let tensors = |names: &[(&str, usize)]| -> BTreeMap<String, Vec<u64>> {
        names.iter().map(|(tail, id)| (tail.to_string(), shape(*id).unwrap_or(&[]).to_vec())).collect()
    };
    let mut members = layers.values().map(|names| tensors(names));
    let first = members.next();
    members.all(|member| Some(member) == first)
}

/// Whether all these names below a number are parameters of one layer: none has a path of its own.
pub(crate) fn is_single_layer(names: &[(&str, usize)]) -> bool {
    names.iter().all(|(tail, _)| !tail.contains('.') || tail.starts_with("parametrizations."))
}

pub(crate) fn layer_path<'a>(name: &'a str, place: &BlockName) -> &'a str {
    let tail = if place.tail.is_empty() { 0 } else { place.tail.len() + 1 };
    name.get(..name.len() - tail).unwrap_or(name)
}
