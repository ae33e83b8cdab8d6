//! What breaks the coverage contract, as far as matching knows it: holes, likely renames, wholly new layers, buffers that
//! nothing can stand for. Ambiguities and ties are found on the way; how much was covered in all is judged elsewhere.

use std::collections::BTreeMap;

use crate::arch::Architecture;
use crate::graph::ParameterId;
use crate::hash::{HashMap, HashSet};
use crate::plan::error::PlanError;
use crate::plan::inputs::SourceView;
use crate::plan::matching::blocks::Blocks;
use crate::plan::matching::depth::{Counterpart, Depths};
use crate::plan::matching::matches::{Origin, Resolution};

/// What gaps are found in.
pub(crate) struct Gaps<'a> {
    /// The sources.
    pub sources: &'a [SourceView<'a>],
    /// The target.
    pub target: &'a Architecture,
    /// Its repeated blocks.
    pub blocks: &'a Blocks<'a>,
    /// What they correspond to.
    pub counterparts: &'a HashMap<String, Counterpart>,
    /// What the depth rules chose.
    pub depths: &'a Depths,
    /// What became of every target.
    pub found: &'a [Resolution],
    /// Which stored tensors are used.
    pub used: &'a [Vec<bool>],
}

/// The layers with and without one name below them.
#[derive(Default)]
struct Tail {
    missing: Vec<(u64, ParameterId)>,
    found: Vec<u64>,
}

impl Gaps<'_> {
    /// Whether any target has no source without a rule that says so.
    pub fn are_any(&self) -> bool {
        (0..self.target.parameters.len()).any(|id| self.is_missing(id))
    }

    /// New layers and holes, blocks from the outside in, and the targets that they explain.
    pub fn layers(&self) -> (Vec<PlanError>, HashSet<ParameterId>) {
        let mut violations = Vec::new();
        let mut whole: HashSet<ParameterId> = HashSet::default();
        let mut holed: HashSet<ParameterId> = HashSet::default();
        let stacks: Vec<&str> =
            self.blocks.paths().into_iter().filter(|path| self.blocks.is_numbered_stack(path)).collect();
        for path in &stacks {
            violations.extend(self.new_layers(path, &mut whole));
        }
        for path in &stacks {
            violations.extend(self.holes(path, &whole, &mut holed));
        }
        (violations, whole.union(&holed).copied().collect())
    }

    fn is_found(&self, id: ParameterId) -> bool {
        self.found.get(id).is_some_and(|one| !matches!(one.origin, Origin::New))
    }

    /// Without a source, and nobody said so.
    pub fn is_missing(&self, id: ParameterId) -> bool {
        let tied = self.target.parameters.get(id).is_none_or(|parameter| parameter.tied_to.is_some());
        let undeclared = |one: &Resolution| matches!(one.origin, Origin::New) && !one.declared && !one.contested;
        !tied && self.found.get(id).is_some_and(undeclared)
    }

    fn new_layers(&self, path: &str, whole: &mut HashSet<ParameterId>) -> Option<PlanError> {
        let layers = self.blocks.layers(path)?;
        let is_new = |names: &[(&str, ParameterId)]| {
            names.iter().any(|(_, id)| self.is_missing(*id)) && !names.iter().any(|(_, id)| self.is_found(*id))
        };
        let new: Vec<u64> = layers.iter().filter(|(_, names)| is_new(names)).map(|(layer, _)| *layer).collect();
        let some_found = layers.values().flatten().any(|(_, id)| self.is_found(*id));
        if new.is_empty() || !some_found {
            return None;
        }
        let ids = new.iter().filter_map(|layer| layers.get(layer)).flatten().map(|(_, id)| *id);
        let ids: Vec<ParameterId> = ids.filter(|id| self.is_missing(*id)).collect();
        let known = ids.iter().all(|id| whole.contains(id));
        whole.extend(ids);
        (!known).then(|| PlanError::NewLayers {
            block: path.to_string(),
            layers: new,
            target_layers: layers.len() as u64,
            source_layers: self.counterparts.get(path).map_or(0, |counterpart| counterpart.layers.len() as u64),
        })
    }

    fn holes(&self, path: &str, whole: &HashSet<ParameterId>, holed: &mut HashSet<ParameterId>) -> Vec<PlanError> {
        let mut tails: BTreeMap<&str, Tail> = BTreeMap::new();
        for (layer, names) in self.blocks.layers(path).into_iter().flatten() {
            for (tail, id) in names {
                if self.is_missing(*id) && !whole.contains(id) {
                    tails.entry(tail).or_default().missing.push((*layer, *id));
                } else if self.is_found(*id) {
                    tails.entry(tail).or_default().found.push(*layer);
                }
            }
        }
        let mut holes = Vec::new();
        for (tail, Tail { missing, found }) in tails {
            if missing.is_empty() || found.is_empty() {
                continue;
            }
            let fresh = missing.iter().any(|(_, id)| !holed.contains(id));
            holed.extend(missing.iter().map(|(_, id)| *id));
            if fresh {
                let missing = missing.into_iter().map(|(layer, _)| layer).collect();
                holes.push(PlanError::Hole { block: path.to_string(), tail: tail.to_string(), missing, found });
            }
        }
        holes
    }
}
