//! Repeated blocks, found from names with an integer component, at any depth.

use std::collections::BTreeMap;

use crate::hash::{HashMap, HashSet};
use crate::order;

/// One place of a name in a repeated block: `encoder.layer` `3` `output.dense.weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The block's path; may be empty.
    pub path: &'a str,
    /// The layer.
    pub index: u64,
    /// The name below the layer; may be empty.
    pub tail: &'a str,
}

/// The integer that a component is, or `None`: digits alone, without a leading zero.
pub fn index_of(component: &str) -> Option<u64> {
    let digits = !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (component.len() > 1 && component.starts_with('0')) {
        return None;
    }
    component.parse().ok()
}

/// Names of real models have a tenth of this; what stands behind is looked at no closer, so that no name is slow.
pub const MOST_COMPONENTS: usize = 64;

/// The places of a name in repeated blocks, the outermost first.
pub fn places(name: &str) -> impl Iterator<Item = Place<'_>> {
    let mut start = 0;
    name.split('.').take(MOST_COMPONENTS).filter_map(move |component| {
        let (from, to) = (start, start + component.len());
        start = to + 1;
        let index = index_of(component)?;
        let path = name.get(..from)?.trim_end_matches('.');
        Some(Place { path, index, tail: name.get(to..)?.trim_start_matches('.') })
    })
}

/// A name with its layer replaced: `{path}.{index}.{tail}`.
pub fn spell(path: &str, index: u64, tail: &str) -> String {
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
pub struct Blocks<'a> {
    by_path: HashMap<&'a str, Layers<'a>>,
    stacks: HashSet<&'a str>,
}

/// The layers of a block: for each the names below it, each with its number.
pub type Layers<'a> = BTreeMap<u64, Vec<(&'a str, usize)>>;

impl<'a> Blocks<'a> {
    /// The blocks of these names; each name is known by its number.
    pub fn of(names: impl IntoIterator<Item = (usize, &'a str)>) -> Blocks<'a> {
        let mut by_path: HashMap<&str, Layers> = HashMap::default();
        for (id, name) in names {
            for place in places(name) {
                by_path.entry(place.path).or_default().entry(place.index).or_default().push((place.tail, id));
            }
        }
        let stacks = by_path.iter().filter(|(_, layers)| are_alike(layers)).map(|(path, _)| *path).collect();
        Blocks { by_path, stacks }
    }

    /// The layers of a block, or `None`.
    pub fn layers(&self, path: &str) -> Option<&Layers<'a>> {
        self.by_path.get(path)
    }

    /// Every block's path: outer blocks before those inside them, and by name.
    pub fn paths(&self) -> Vec<&'a str> {
        let depth = |path: &str| path.split('.').filter(|part| index_of(part).is_some()).count();
        let mut paths: Vec<&str> = self.by_path.keys().copied().collect();
        order::sort_by_key(&mut paths, |path| (depth(path), *path));
        paths
    }

    /// Whether the path is a stack of like layers: at least two, and a name below one that stands below another too.
    pub fn is_stack(&self, path: &str) -> bool {
        self.stacks.contains(path)
    }

    /// Whether a path leads into one layer of a stack.
    pub fn enters_stack(&self, path: &str) -> bool {
        places(path).any(|place| self.is_stack(place.path))
    }
}

fn are_alike(layers: &Layers) -> bool {
    let mut seen = HashSet::default();
    layers.values().any(|names| {
        let known = names.iter().any(|(tail, _)| seen.contains(tail));
        seen.extend(names.iter().map(|(tail, _)| *tail));
        known
    })
}
