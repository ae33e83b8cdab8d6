//! Which layers of the target the layers of the sources went to, and what other layers of the target have.

use std::collections::BTreeSet;

use crate::arch::Architecture;
use crate::hash::{HashMap, HashSet};
use crate::plan::assignment::Assignment;
use crate::plan::matching::blocks::{layer_path, places};
use crate::plan::names::plain;

/// Which blocks of the target the used layers of the sources went to.
#[derive(Default)]
pub(crate) struct Chosen {
    /// By source and path of the layer.
    blocks: HashMap<(usize, String), BTreeSet<String>>,
    /// The names below some layer of each of the target's blocks.
    tails: HashSet<(String, String)>,
}

impl Chosen {
    pub(crate) fn of(target: &Architecture, assignments: &[Assignment]) -> Chosen {
        let mut chosen = Chosen::default();
        for (parameter, assignment) in target.parameters.iter().zip(assignments) {
            let name = plain(&parameter.name);
            for place in places(&name) {
                chosen.tails.insert((place.path.to_string(), place.tail.to_string()));
            }
            assignment.value.sources().for_each(|leaf| chosen.add(leaf.source, &plain(leaf.tensor), &name));
        }
        chosen
    }

    fn add(&mut self, source: usize, from: &str, to: &str) {
        for of_source in places(from) {
            let alike = places(to).find(|of_target| of_target.tail == of_source.tail).or_else(|| places(to).next());
            let Some(of_target) = alike else { continue };
            let layer = (source, layer_path(from, &of_source).to_string());
            self.blocks.entry(layer).or_default().insert(of_target.path.to_string());
        }
    }

    /// Whether the target has a name in other layers than the one that this layer of the source went to.
    pub(crate) fn elsewhere(&self, source: usize, name: &str) -> bool {
        places(name).any(|place| {
            let blocks = self.blocks.get(&(source, layer_path(name, &place).to_string()));
            let has = |block: &String| self.tails.contains(&(block.clone(), place.tail.to_string()));
            !place.tail.is_empty() && blocks.into_iter().flatten().any(has)
        })
    }
}
