//! Likely renames: targets without a source next to source tensors without a target, in the same layers or outside of all layers.
//! Rules are offered where names prove them for every layer alike; what is open is named, and nothing is suggested for it.

mod circumstances;
mod pairing;
mod role;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::ParameterId;
use crate::hash::HashSet;
use crate::name::{last, parent};
use crate::plan::error::PlanError;
use crate::plan::matching::blocks::places;
use crate::plan::matching::gaps::Gaps;
use crate::plan::matching::renames::circumstances::circumstances;
use crate::plan::matching::renames::pairing::{Pairing, Single, pair};
use crate::plan::matching::renames::rules::{Side, open_lines, rules};
use crate::plan::names::{is_known_buffer, plain};
use crate::plan::selectors::selects;
use crate::plan::structure::parts::{self, Has};
use crate::tensor::{Name, Role, Shape, TensorInfo};

/// So many blocks of the sources are tried for a block of the target that nothing is known of.
const MOST_BLOCKS: usize = 32;

/// A source tensor that is left.
struct Idle<'a> {
    info: &'a TensorInfo,
    plain: Name,
}

/// What one source has left.
struct Left<'a> {
    idle: Vec<Idle<'a>>,
    /// By block and layer, places in `idle`.
    blocks: BTreeMap<String, BTreeMap<u64, Vec<usize>>>,
    /// The first layer of every block of which something is used: what stands in it, and in which shapes.
    used_layers: BTreeMap<String, Contents>,
}

/// Names below a layer with their shapes.
type Contents = BTreeSet<(String, Vec<u64>)>;

/// Finds renames among gaps.
pub(crate) struct Renames<'a> {
    gaps: &'a Gaps<'a>,
    left: Vec<Left<'a>>,
    has: Has,
}

/// A block of a source that may be what is missing.
struct Candidate {
    source: usize,
    block: String,
}

impl<'a> Renames<'a> {
    /// The tensors that are left of each source; declared ones, buffers, masks and scales aside.
    pub(crate) fn of(gaps: &'a Gaps<'a>) -> Renames<'a> {
        let has = Has::of(gaps.target.parameters.iter().map(|parameter| parameter.name.as_str()));
        let left = (0..gaps.sources.len()).map(|source| Left::of(gaps, source)).collect();
        Renames { gaps, left, has }
    }

    /// Every likely rename, `except` what is explained otherwise.
    pub(crate) fn violations(&self, except: &HashSet<ParameterId>) -> Vec<PlanError> {
        let mut by_block: BTreeMap<&str, Vec<ParameterId>> = BTreeMap::new();
        let mut outside = Vec::new();
        for (id, parameter) in self.gaps.target.parameters.iter().enumerate() {
            if !self.gaps.is_missing(id) || except.contains(&id) || parameter.role == Role::Buffer {
                continue;
            }
            match places(&parameter.name).find(|place| self.gaps.blocks.is_stack(place.path)) {
                Some(place) => by_block.entry(place.path).or_default().push(id),
                None => outside.push(id),
            }
        }
        let in_blocks = by_block.into_iter().filter_map(|(path, missing)| self.in_block(path, &missing));
        in_blocks.chain(self.outside(&outside)).collect()
    }

    fn in_block(&self, path: &str, missing: &[ParameterId]) -> Option<PlanError> {
        let layers = self.wanted_layers(path, missing);
        let candidate = match self.gaps.counterparts.get(path) {
            Some(counterpart) => Candidate { source: counterpart.source, block: counterpart.path.clone() },
            None => self.candidate(&layers)?,
        };
        let left = &self.left[candidate.source];
        let offered = left.blocks.get(&candidate.block)?;
        let circumstances = circumstances(self.gaps.target, self.gaps.sources[candidate.source].listing);
        let pairings = layers.iter().map(|(layer, wanted)| {
            let singles = offered.get(layer).into_iter().flatten().map(|at| left.single(*at, &candidate.block));
            pair(wanted, &singles.collect::<Vec<_>>(), circumstances)
        });
        let pairings: Vec<Pairing> = pairings.collect();
        if !pairings.iter().any(|pairing| pairing.is_likely) {
            return None;
        }
        let idle: Vec<usize> = offered.values().flatten().copied().collect();
        let side = Side { source: candidate.source, target_block: Some(path), source_block: Some(&candidate.block) };
        Some(self.error(path, missing, idle.len(), *idle.first()?, &side, &pairings))
    }

    fn error(
        &self,
        block: &str,
        missing: &[ParameterId],
        unused: usize,
        first_unused: usize,
        side: &Side,
        pairings: &[Pairing],
    ) -> PlanError {
        let first = missing.first().and_then(|id| self.gaps.target.parameters.get(*id));
        let idle = self.left[side.source].idle.get(first_unused);
        PlanError::Rename {
            block: block.to_string(),
            count: missing.len(),
            first: first.map(|parameter| parameter.name.to_string()).unwrap_or_default(),
            unused,
            first_unused: idle.map(|idle| idle.info.name.to_string()).unwrap_or_default(),
            rules: rules(self.gaps, side, pairings),
            open: open_lines(pairings),
        }
    }

    /// What is missing, by the layer of the source that belongs there.
    fn wanted_layers(&self, path: &str, missing: &[ParameterId]) -> BTreeMap<u64, Vec<Single<'a>>> {
        let mut layers: BTreeMap<u64, Vec<Single>> = BTreeMap::new();
        for parameter in missing.iter().filter_map(|id| self.gaps.target.parameters.get(*id)) {
            let Some(place) = places(&parameter.name).find(|place| place.path == path) else { continue };
            let layer = self.gaps.depths.source_layer(path, place.index).unwrap_or(place.index);
            let single = Single { name: &parameter.name, tail: place.tail, shape: &parameter.shape };
            layers.entry(layer).or_default().push(single);
        }
        layers
    }

    /// The block of a source that a block may be of which nothing was found. Copies of used towers (a momentum encoder, a teacher)
    /// are none; where other layers of the source are used, every shape must agree.
    fn candidate(&self, wanted: &BTreeMap<u64, Vec<Single>>) -> Option<Candidate> {
        let weighed: usize = wanted.values().map(Vec::len).sum();
        let mut best: Option<(usize, Candidate)> = None;
        for (source, left) in self.left.iter().enumerate() {
            let outer = left.blocks.iter().filter(|(block, _)| places(&format!("{block}.")).next().is_none());
            for (block, layers) in outer.take(MOST_BLOCKS) {
                if left.is_copy_of_used(block) {
                    continue;
                }
                let agreeing: usize = wanted
                    .iter()
                    .map(|(layer, wanted)| alike(wanted, layers.get(layer).map_or(&[][..], Vec::as_slice), left))
                    .sum();
                let offered: usize = layers.values().map(Vec::len).sum();
                let enough = match left.used_layers.is_empty() {
                    true => agreeing > 0 && agreeing * 2 >= weighed,
                    false => agreeing == weighed && agreeing == offered,
                };
                if enough && best.as_ref().is_none_or(|(most, _)| agreeing > *most) {
                    best = Some((agreeing, Candidate { source, block: block.clone() }));
                }
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    /// Embeddings, stems and norms outside of layers; heads and poolers of either side are new or lost by themselves.
    fn outside(&self, missing: &[ParameterId]) -> Option<PlanError> {
        let parameters = missing.iter().filter_map(|id| self.gaps.target.parameters.get(*id).map(|one| (*id, one)));
        let body = parameters.filter(|(_, one)| !one.head && !parts::is_beside_body(&one.name));
        let (missing, wanted): (Vec<ParameterId>, Vec<Single>) =
            body.map(|(id, one)| (id, Single { name: &one.name, tail: &one.name, shape: &one.shape })).unzip();
        self.left.iter().enumerate().find_map(|(source, left)| {
            let idle: Vec<usize> = (0..left.idle.len()).filter(|at| left.is_outside(*at, self.has)).collect();
            let offered: Vec<Single> = idle.iter().map(|at| left.whole(*at)).collect();
            let is_likely = |one: &Single| {
                let mut alike = offered.iter().filter(|other| other.shape == one.shape);
                alike.any(|other| one.shape.len() > 1 || are_of_one_norm(one, other))
            };
            if !wanted.iter().any(is_likely) {
                return None;
            }
            let circumstances = circumstances(self.gaps.target, self.gaps.sources[source].listing);
            let pairing = pair(&wanted, &offered, circumstances);
            let side = Side { source, target_block: None, source_block: None };
            Some(self.error("", &missing, idle.len(), *idle.first()?, &side, &[pairing]))
        })
    }
}

/// Whether two names are the scale of the same norm: `norm.scale` and `norm.weight`.
fn are_of_one_norm(a: &Single, b: &Single) -> bool {
    let is_scale = |single: &Single| matches!(last(single.tail), "weight" | "gamma" | "scale");
    a.shape.len() == 1 && is_scale(a) && is_scale(b) && parent(&plain(&a.tail.into())) == parent(b.tail)
}

/// How many shapes of a layer are among those that are offered, each once.
fn alike(wanted: &[Single], offered: &[usize], left: &Left) -> usize {
    let mut shapes: Vec<&Shape> = offered.iter().map(|at| &left.idle[*at].info.shape).collect();
    let mut taken = 0;
    for single in wanted {
        if let Some(at) = shapes.iter().position(|shape| *shape == single.shape) {
            shapes.swap_remove(at);
            taken += 1;
        }
    }
    taken
}

impl<'a> Left<'a> {
    fn of(gaps: &Gaps<'a>, source: usize) -> Left<'a> {
        let mut left = Left { idle: Vec::new(), blocks: BTreeMap::new(), used_layers: BTreeMap::new() };
        let Some(view) = gaps.sources.get(source) else { return left };
        let mut first_layers: BTreeMap<String, u64> = BTreeMap::new();
        for (tensor, info) in view.listing.tensors.iter().enumerate() {
            let name = plain(&info.name);
            if gaps.used.get(source).and_then(|used| used.get(tensor)).copied().unwrap_or(false) {
                for place in places(&name) {
                    let first = *first_layers.entry(place.path.to_string()).or_insert(place.index);
                    let layer = left.used_layers.entry(place.path.to_string()).or_default();
                    if place.index == first {
                        layer.insert((place.tail.to_string(), info.shape.to_vec()));
                    }
                }
                continue;
            }
            let declared = selects(&gaps.target.rules.unused, &info.name);
            if declared || is_known_buffer(&info.name) || parts::is_scale(&info.name) || parts::is_mask(info) {
                continue;
            }
            for place in places(&name) {
                let block = left.blocks.entry(place.path.to_string()).or_default();
                block.entry(place.index).or_default().push(left.idle.len());
            }
            left.idle.push(Idle { info, plain: name });
        }
        left
    }

    fn whole(&self, at: usize) -> Single<'_> {
        let idle = &self.idle[at];
        Single { name: &idle.info.name, tail: &idle.plain, shape: &idle.info.shape }
    }

    fn single(&self, at: usize, block: &str) -> Single<'_> {
        let whole = self.whole(at);
        let tail = places(whole.tail).find(|place| place.path == block).map_or(whole.tail, |place| place.tail);
        Single { tail, ..whole }
    }

    /// Whether a block has the names and shapes of one that is used.
    fn is_copy_of_used(&self, block: &str) -> bool {
        let Some(layer) = self.blocks.get(block).and_then(|layers| layers.values().next()) else { return false };
        let single = |at: &usize| {
            let single = self.single(*at, block);
            (single.tail.to_string(), single.shape.to_vec())
        };
        let own: Contents = layer.iter().map(single).collect();
        self.used_layers.values().any(|used| !used.is_empty() && used.is_subset(&own))
    }

    /// Whether an idle tensor stands outside of layers, of heads, and of towers of which nothing is used.
    fn is_outside(&self, at: usize, has: Has) -> bool {
        let idle = &self.idle[at];
        let name = idle.plain.as_str();
        let module = if parent(name).is_empty() { name } else { parent(name) };
        let in_layer = places(name).any(|place| place.tail.contains('.'));
        let tower = name.split_once('.').map_or("", |(tower, _)| tower);
        let start = format!("{tower}.");
        let lies_below = |block: &String| !tower.is_empty() && block.starts_with(&start);
        let is_idle_tower = self.blocks.keys().any(lies_below) && !self.used_layers.keys().any(lies_below);
        !in_layer
            && (!is_idle_tower || self.used_layers.is_empty())
            && parts::part_of(idle.info, module, None, has).is_none()
    }
}
