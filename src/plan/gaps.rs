//! What breaks the coverage contract, as far as matching knows it: holes, likely renames, wholly new layers, buffers that
//! nothing can stand for. Ambiguities and ties are found on the way; how much was covered in all is judged elsewhere.

use std::collections::BTreeMap;

use super::blocks::{Blocks, index_of, places};
use super::depth::{Counterpart, Depths};
use super::matching::Origin;
use super::matching::hints::map_flags;
use super::matching::names::{is_computed_buffer, is_known_buffer, last, plain};
use super::matching::resolve::Resolution;
use super::{SourceView, Step};
use crate::arch::Architecture;
use crate::error::PlanError;
use crate::graph::{Parameter, ParameterId};
use crate::hash::{HashMap, HashSet};
use crate::order;
use crate::tensor::{Role, Shape};

/// What gaps are found in.
pub(super) struct Gaps<'a> {
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

/// Unused tensors by source and block (without wrappers), and by layer.
type UnusedBlocks = BTreeMap<(usize, String), BTreeMap<u64, Vec<usize>>>;

/// A target without a source and stored tensors that may be it.
struct Unpaired<'a> {
    name: &'a str,
    shape: &'a Shape,
}

impl Gaps<'_> {
    /// Every violation, blocks from the outside in.
    pub fn violations(&self) -> Vec<PlanError> {
        let mut violations = Vec::new();
        if !(0..self.target.parameters.len()).any(|id| self.is_missing(id)) {
            return violations;
        }
        let mut whole: HashSet<ParameterId> = HashSet::default();
        let mut holed: HashSet<ParameterId> = HashSet::default();
        let stacks: Vec<&str> = self.blocks.paths().into_iter().filter(|path| self.is_numbered_stack(path)).collect();
        for path in &stacks {
            violations.extend(self.new_layers(path, &mut whole));
        }
        for path in &stacks {
            violations.extend(self.holes(path, &whole, &mut holed));
        }
        let except: HashSet<ParameterId> = whole.union(&holed).copied().collect();
        violations.extend(self.renames(&except));
        violations.extend(self.buffers());
        violations
    }

    /// Layers without a gap between them: a sequence with activations in it is no stack.
    fn is_numbered_stack(&self, path: &str) -> bool {
        let Some(layers) = self.blocks.layers(path) else { return false };
        let (Some((first, _)), Some((last, _))) = (layers.first_key_value(), layers.last_key_value()) else {
            return false;
        };
        self.blocks.is_stack(path) && last.checked_sub(*first) == Some(layers.len() as u64 - 1)
    }

    fn is_found(&self, id: ParameterId) -> bool {
        self.found.get(id).is_some_and(|one| !matches!(one.origin, Origin::New))
    }

    /// Without a source, and nobody said so.
    fn is_missing(&self, id: ParameterId) -> bool {
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

    /// Targets in repeated blocks that are missing in every layer, beside unused tensors of the source's same layers.
    fn renames(&self, except: &HashSet<ParameterId>) -> Vec<PlanError> {
        let mut by_block: BTreeMap<&str, Vec<ParameterId>> = BTreeMap::new();
        for (id, parameter) in self.target.parameters.iter().enumerate() {
            let is_lost = self.is_missing(id) && !except.contains(&id) && parameter.role != Role::Buffer;
            let stack = places(&parameter.name).filter(|_| is_lost).find(|place| self.blocks.is_stack(place.path));
            if let Some(place) = stack {
                by_block.entry(place.path).or_default().push(id);
            }
        }
        if by_block.is_empty() {
            return Vec::new();
        }
        let unused = self.unused_by_block();
        by_block.into_iter().filter_map(|(path, missing)| self.rename(path, &missing, &unused)).collect()
    }

    fn unused_by_block(&self) -> UnusedBlocks {
        let mut unused = UnusedBlocks::new();
        for (source, view) in self.sources.iter().enumerate() {
            for (tensor, info) in view.listing.tensors.iter().enumerate() {
                let is_used = self.used.get(source).and_then(|used| used.get(tensor)).copied().unwrap_or(false);
                if is_used || is_known_buffer(&info.name) {
                    continue;
                }
                for place in places(&plain(&info.name)) {
                    let block = unused.entry((source, place.path.to_string())).or_default();
                    block.entry(place.index).or_default().push(tensor);
                }
            }
        }
        unused
    }

    fn rename(&self, path: &str, missing: &[ParameterId], unused: &UnusedBlocks) -> Option<PlanError> {
        let counterpart = self.counterparts.get(path);
        let wanted = self.first_layers(path, missing);
        let weighed: usize = wanted.values().map(Vec::len).sum();
        let candidates = unused.iter().filter(|((source, block), _)| match counterpart {
            Some(counterpart) => *source == counterpart.source && *block == counterpart.path,
            None => places(block).next().is_none(),
        });
        let (source, block, pairs) = candidates
            .take(MOST_BLOCKS)
            .map(|((source, block), layers)| (*source, block, self.pair(&wanted, *source, layers)))
            .max_by(|a, b| a.2.len().cmp(&b.2.len()).then_with(|| (b.0, b.1).cmp(&(a.0, a.1))))?;
        // between blocks that have nothing else in common a few equal shapes are chance
        if pairs.is_empty() || (counterpart.is_none() && pairs.len() * 2 < weighed) {
            return None;
        }
        let left: Vec<usize> = unused.get(&(source, block.clone()))?.values().flatten().copied().collect();
        let name = |tensor: &usize| self.sources.get(source)?.listing.tensors.get(*tensor).map(|one| one.name.clone());
        Some(PlanError::Rename {
            block: path.to_string(),
            count: missing.len(),
            first: self.target.parameters.get(*missing.first()?)?.name.to_string(),
            unused: left.len(),
            first_unused: name(left.first()?)?.to_string(),
            rules: self.rules(path, source, pairs),
        })
    }

    /// What is missing in the first few layers, by the source's layer: the others are spelt alike.
    fn first_layers(&self, path: &str, missing: &[ParameterId]) -> BTreeMap<u64, Vec<Unpaired<'_>>> {
        let mut by_layer: BTreeMap<u64, Vec<Unpaired>> = BTreeMap::new();
        for parameter in missing.iter().filter_map(|id| self.target.parameters.get(*id)) {
            let Some(place) = places(&parameter.name).find(|place| place.path == path) else { continue };
            let layer = self.depths.source_layer(path, place.index).unwrap_or(place.index);
            if by_layer.len() < FIRST_LAYERS || by_layer.contains_key(&layer) {
                by_layer.entry(layer).or_default().push(Unpaired { name: &parameter.name, shape: &parameter.shape });
            }
        }
        by_layer
    }

    /// Targets and unused tensors of the same layer, paired by shape and then by likeness of the names.
    fn pair(
        &self,
        wanted: &BTreeMap<u64, Vec<Unpaired>>,
        source: usize,
        layers: &BTreeMap<u64, Vec<usize>>,
    ) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (layer, wanted) in wanted {
            let offered = layers.get(layer).into_iter().flatten().filter_map(|tensor| {
                let info = self.sources.get(source)?.listing.tensors.get(*tensor)?;
                Some(Unpaired { name: &info.name, shape: &info.shape })
            });
            pairs.extend(pair_layer(wanted, &offered.collect::<Vec<_>>()));
        }
        pairs
    }

    /// The pairs as rules, `source:` in front where there is more than one.
    fn rules(&self, path: &str, source: usize, pairs: Vec<(String, String)>) -> Vec<String> {
        let prefix = match self.sources {
            [_] => String::new(),
            _ => self.sources.get(source).map(|view| format!("{}:", view.name)).unwrap_or_default(),
        };
        let named: Vec<(String, String)> =
            pairs.into_iter().map(|(to, from)| (to, format!("{prefix}{from}"))).collect();
        // through a depth rule the letter stands for the source's layer
        let lettered = |(to, from): &(String, String)| {
            let place = places(to).find(|place| place.path == path);
            let layer = place.and_then(|place| self.depths.source_layer(path, place.index));
            match (place, layer) {
                (Some(place), Some(layer)) => (super::blocks::spell(path, layer, place.tail), from.clone()),
                _ => (to.clone(), from.clone()),
            }
        };
        map_flags(&named.iter().map(lettered).collect::<Vec<_>>())
    }

    /// Buffers without a source that are neither counted nor a constant.
    fn buffers(&self) -> Vec<PlanError> {
        let is_counted = |parameter: &Parameter| {
            last(&parameter.name) == "position_ids" && parameter.dtype.is_some_and(|dtype| !dtype.is_float())
        };
        let parameters = self.target.parameters.iter().enumerate();
        let lost = parameters.filter(|(id, parameter)| {
            is_computed_buffer(&parameter.name)
                && !is_counted(parameter)
                && self.is_missing(*id)
                && self.found[*id].step == Step::None
        });
        lost.map(|(_, parameter)| PlanError::BufferWithoutSource { target: parameter.name.to_string() }).collect()
    }
}

/// So many layers are paired, and so many blocks of the sources are tried.
const FIRST_LAYERS: usize = 4;
const MOST_BLOCKS: usize = 32;

/// More pairs than this in one layer are not weighed by likeness.
const MOST_PAIRS: usize = 1 << 16;

fn pair_layer(wanted: &[Unpaired], offered: &[Unpaired]) -> Vec<(String, String)> {
    if wanted.len().saturating_mul(offered.len()) > MOST_PAIRS {
        return Vec::new();
    }
    let mut scored = Vec::new();
    for (at, want) in wanted.iter().enumerate() {
        for (of, offer) in offered.iter().enumerate().filter(|(_, offer)| offer.shape == want.shape) {
            scored.push((likeness(want.name, offer.name), at, of));
        }
    }
    order::sort_by(&mut scored, |a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    let (mut taken, mut given) = (HashSet::default(), HashSet::default());
    let mut pairs = Vec::new();
    for (_, at, of) in scored {
        if !taken.contains(&at) && !given.contains(&of) {
            taken.insert(at);
            given.insert(of);
            pairs.push((at, (wanted[at].name.to_string(), offered[of].name.to_string())));
        }
    }
    order::sort_by_key(&mut pairs, |(at, _)| *at);
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

/// The last component counts for more than the rest: a weight is no bias.
fn likeness(a: &str, b: &str) -> f64 {
    let same_end = if last(a) == last(b) { 1.0 } else { 0.0 };
    let below_layer = |name: &str| {
        let tail: Vec<&str> = name.split('.').rev().take_while(|part| index_of(part).is_none()).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join(".")
    };
    same_end + strsim::jaro_winkler(&below_layer(a), &below_layer(b))
}
