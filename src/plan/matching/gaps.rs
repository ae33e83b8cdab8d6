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

/// What gaps are found in.
pub(crate) struct Gaps<'a> {
    pub sources: &'a [SourceView<'a>],
    pub target: &'a Architecture,
    pub blocks: &'a Blocks<'a>,
    pub counterparts: &'a HashMap<String, Counterpart>,
    pub depths: &'a Depths,
    /// By target, whether it has a source or an owner.
    pub found: &'a [bool],
    /// By target, whether it has none, and nobody said so.
    pub missing: &'a [bool],
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
    pub(crate) fn are_any(&self) -> bool {
        self.missing.contains(&true)
    }

    /// New layers and holes, blocks from the outside in, and the targets that they explain.
    pub(crate) fn layers(&self) -> (Vec<PlanError>, HashSet<ParameterId>) {
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
        self.found.get(id) == Some(&true)
    }

    pub(crate) fn is_missing(&self, id: ParameterId) -> bool {
        self.missing.get(id) == Some(&true)
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
