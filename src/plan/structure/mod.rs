//! Structure that is lost: norms and biases of used layers that no target takes. Without them a layer computes something else,
//! however well its matrices are copied. What stands beside the layers (heads, adapters, scales, masks) is told apart.

mod destinations;
mod norms;
pub(super) mod parts;

use std::collections::BTreeSet;

use crate::arch::Architecture;
use crate::family::{self, Family};
use crate::hash::{HashMap, HashSet};
use crate::name::{index_of, join, last, parent, self_and_ancestors};
use crate::plan::assignment::Assignment;
use crate::plan::document::Unused;
use crate::plan::error::PlanError;
use crate::plan::inputs::SourceView;
use crate::plan::matching::blocks::{BlockName, layer_path, places};
use crate::plan::names::plain;
use crate::plan::patterns::{collapse, flags};
use crate::plan::selectors::selects;
use crate::plan::structure::destinations::Chosen;
use crate::plan::structure::norms::{is_bias, is_layer_scale, is_norm_name, is_of_norm, is_statistic};
use crate::plan::structure::parts::{Has, Part, is_beside_body, part_of};
use crate::plan::value::Action;
use crate::tensor::{Name, Role, TensorInfo};

/// The reason of a source tensor of which nothing more is known.
pub(crate) const NO_TARGET: &str = "no target of this name";

/// What is left of the sources, with the parts of it that explain themselves among the dropped.
pub(crate) struct Left {
    pub unused: Vec<Unused>,
    /// That without which the target computes the same.
    pub dropped: Vec<Unused>,
    /// Which of the dropped were learned.
    learned: BTreeSet<usize>,
}

impl Left {
    /// What was learned and is lost, which a strict run wants declared.
    pub(crate) fn learned(&self) -> impl Iterator<Item = &Unused> {
        let dropped = self.dropped.iter().enumerate().filter(|(at, _)| self.learned.contains(at));
        self.unused.iter().chain(dropped.map(|(_, entry)| entry))
    }
}

/// Sorts out `unused`, and judges whether a norm or a bias of a used layer is among it.
pub(crate) fn judge(
    sources: &[SourceView],
    families: &[Option<String>],
    target: &Architecture,
    (assignments, declared): (&[Assignment], &[bool]),
    (unused, dropped): (Vec<Unused>, Vec<Unused>),
) -> (Left, Option<PlanError>) {
    let mut left = Left { unused: Vec::new(), dropped, learned: BTreeSet::new() };
    if unused.iter().all(|entry| entry.reason != NO_TARGET) {
        left.unused = unused;
        return (left, None);
    }
    let idle: HashSet<(usize, &str)> =
        unused.iter().chain(&left.dropped).map(|entry| (entry.source, entry.tensor.name.as_str())).collect();
    let names: Vec<Vec<Name>> =
        sources.iter().map(|view| view.listing.tensors.iter().map(|info| plain(&info.name)).collect()).collect();
    let models: Vec<Model> = (0..sources.len()).map(|id| Model::of(id, &sources[id], &names[id], &idle)).collect();
    let chosen = Chosen::of(target, assignments);
    let has = Has::of(target.parameters.iter().map(|parameter| parameter.name.as_str()));
    let mut lost: Vec<&Unused> = Vec::new();
    let mut parts: Vec<Option<Part>> = Vec::with_capacity(unused.len());
    for entry in &unused {
        let model = &models[entry.source];
        let place = sources[entry.source].listing.position(&entry.tensor.name).filter(|_| entry.reason == NO_TARGET);
        let Some(at) = place else {
            parts.push(None);
            continue;
        };
        let family = families.get(entry.source).and_then(|name| family::by_name(name.as_deref()?));
        let outside = model.outside(at);
        let body = family.filter(|family| model.has_body(family.base_prefix()));
        let ignored = is_ignored(&entry.tensor.name, target, family).then_some(Part::Ignored);
        let part = ignored.or_else(|| part_of(&entry.tensor, outside, body, has));
        let part = part.or_else(|| chosen.elsewhere(entry.source, &model.names[at]).then_some(Part::OtherLayers));
        parts.push(part);
        let declared = || selects(&target.rules.unused, &entry.tensor.name);
        if part.is_none() && !declared() && model.is_in_use(at) && (model.is_norm(at) || model.is_lost_bias(at)) {
            lost.push(entry);
        }
    }
    let missing = missing(target, assignments, declared);
    let error = (!lost.is_empty()).then(|| lost_structure(sources, &left.dropped, &lost, &missing));
    for (mut entry, part) in unused.into_iter().zip(parts) {
        let Some(part) = part else {
            left.unused.push(entry);
            continue;
        };
        if part.is_learned() {
            left.learned.insert(left.dropped.len());
        }
        entry.reason = part.reason().into();
        left.dropped.push(entry);
    }
    (left, error)
}

/// What has no source and is not a head, by shape.
fn missing<'a>(target: &'a Architecture, assignments: &[Assignment], declared: &[bool]) -> HashMap<&'a [u64], &'a str> {
    let all = target.parameters.iter().zip(assignments).zip(declared);
    let missing = all.filter(|((parameter, assignment), declared)| {
        let of_body = !parameter.head && parameter.role != Role::Buffer && !is_beside_body(&parameter.name);
        assignment.action == Action::New && of_body && !**declared
    });
    let by_shape = missing.map(|((parameter, _), _)| (parameter.shape.as_slice(), parameter.name.as_str()));
    by_shape.collect::<Vec<_>>().into_iter().rev().collect()
}

/// A lost tensor that may be what another name lacks is not offered as unused: it would hide a rename.
fn lost_structure(
    sources: &[SourceView],
    dropped: &[Unused],
    lost: &[&Unused],
    missing: &HashMap<&[u64], &str>,
) -> PlanError {
    let all = sources.iter().flat_map(|view| &view.listing.tensors).map(|tensor| tensor.name.as_str());
    // a batch norm's counter goes with it
    let dropped: HashSet<&str> = dropped.iter().map(|entry| entry.tensor.name.as_str()).collect();
    let all: Vec<&str> = all.filter(|name| !dropped.contains(name)).collect();
    let some: BTreeSet<&str> = lost.iter().map(|entry| entry.tensor.name.as_str()).collect();
    let names = collapse(&all, &some);
    let wanted = |entry: &&&Unused| missing.contains_key(entry.tensor.shape.as_slice());
    let free = lost.iter().filter(|entry| !wanted(entry)).map(|entry| entry.tensor.name.as_str()).collect();
    let open = lost.iter().find(wanted);
    PlanError::LostStructure {
        count: lost.len(),
        first: lost.first().map(|entry| entry.tensor.name.to_string()).unwrap_or_default(),
        lines: flags("--unused", &collapse(&all, &free)),
        open: open.and_then(|entry| {
            Some((entry.tensor.name.to_string(), missing.get(entry.tensor.shape.as_slice())?.to_string()))
        }),
        names,
    }
}

/// Whether the target's class, or every class of the source's own family, ignores a tensor.
fn is_ignored(name: &str, target: &Architecture, source: Option<&'static dyn Family>) -> bool {
    let mut of_target = target.blocks.iter().map(|block| (block.family, block.config.class()));
    of_target.any(|(family, class)| family::is_ignored(family, class, name))
        || source.is_some_and(|family| family::is_ignored(family, None, name))
}

/// A source as its names say how it is built, and what of it is used.
struct Model<'a> {
    infos: &'a [TensorInfo],
    names: &'a [Name],
    used: Vec<bool>,
    modules: HashMap<&'a str, Vec<usize>>,
    /// Numbered layers of several modules, by their paths (`encoder.layer.3`).
    layers: HashMap<&'a str, LayerUse>,
    /// Blocks some layer of which is used, by their paths.
    blocks: HashSet<&'a str>,
    below: HashMap<&'a str, Below>,
}

/// How much of a layer is used.
#[derive(Clone, Copy, Default)]
struct LayerUse {
    matrices: usize,
    used_matrices: usize,
    some: bool,
}

impl LayerUse {
    /// Whether the layer went over as a layer: a single matrix that a rule took out of it makes no layer of the target.
    fn is_used(self) -> bool {
        match self.matrices {
            0 => self.some,
            matrices => self.used_matrices * 2 >= matrices || self.used_matrices >= MANY,
        }
    }
}

/// So many matrices are a layer's, however many experts it has besides.
const MANY: usize = 4;

/// What lies below a path.
#[derive(Clone, Copy, Default)]
struct Below {
    layers: bool,
    used_layers: bool,
    matrices: bool,
    used_matrices: bool,
}

/// How many axes are longer than 1: the norm of a convolution may be stored as `[C, 1, 1]`.
fn axes(info: &TensorInfo) -> usize {
    info.shape.iter().filter(|size| **size > 1).count()
}

impl<'a> Model<'a> {
    fn of(source: usize, view: &'a SourceView, names: &'a [Name], idle: &HashSet<(usize, &str)>) -> Model<'a> {
        let infos = &view.listing.tensors;
        let used: Vec<bool> = infos.iter().map(|info| !idle.contains(&(source, info.name.as_str()))).collect();
        let mut model = Model {
            infos,
            names,
            used,
            modules: HashMap::default(),
            layers: HashMap::default(),
            blocks: HashSet::default(),
            below: HashMap::default(),
        };
        model.find_layers();
        model.find_towers();
        model
    }

    /// A number that stands for one module alone (`features.3.weight`) is its place in a sequence, and no layer.
    fn find_layers(&mut self) {
        let mut first: HashMap<&str, &str> = HashMap::default();
        let mut several: HashSet<&str> = HashSet::default();
        for (at, name) in self.names.iter().enumerate() {
            let module = parent(name);
            self.modules.entry(module).or_default().push(at);
            for place in places(name) {
                let layer = layer_path(name, &place);
                if *first.entry(layer).or_insert(module) != module {
                    several.insert(layer);
                }
            }
        }
        for (at, name) in self.names.iter().enumerate() {
            let (is_matrix, used) = (axes(&self.infos[at]) > 1, self.used[at]);
            for place in places(name) {
                let layer = layer_path(name, &place);
                if several.contains(layer) {
                    let of_layer = self.layers.entry(layer).or_default();
                    of_layer.matrices += usize::from(is_matrix);
                    of_layer.used_matrices += usize::from(is_matrix && used);
                    of_layer.some |= used;
                }
            }
        }
        for name in self.names {
            for place in places(name) {
                if self.is_used_layer(layer_path(name, &place)) {
                    self.blocks.insert(place.path);
                }
            }
        }
    }

    fn is_used_layer(&self, layer: &str) -> bool {
        self.layers.get(layer).is_some_and(|layer| layer.is_used())
    }

    fn find_towers(&mut self) {
        for (at, name) in self.names.iter().enumerate() {
            let deepest = places(name).filter(|place| self.layers.contains_key(layer_path(name, place))).last();
            let (is_matrix, used) = (axes(&self.infos[at]) > 1, self.used[at]);
            let in_used_layer = deepest.is_some_and(|place| self.is_used_layer(layer_path(name, &place)));
            for path in self_and_ancestors(name).skip(1).chain([""]) {
                let below = self.below.entry(path).or_default();
                if deepest.is_some_and(|place| path.len() <= place.path.len()) {
                    below.layers = true;
                    below.used_layers |= in_used_layer;
                }
                below.matrices |= is_matrix;
                below.used_matrices |= is_matrix && used;
            }
        }
    }

    /// What of a name stands before its first layer.
    fn outside(&self, at: usize) -> &'a str {
        let name = self.names[at].as_str();
        let first = places(name).find(|place| self.layers.contains_key(layer_path(name, place)));
        match (first, parent(name)) {
            (Some(place), _) => place.path,
            (None, "") => name,
            (None, module) => module,
        }
    }

    /// Whether a source has a body of this name.
    fn has_body(&self, prefix: &str) -> bool {
        let is_body = |info: &TensorInfo| info.name.split('.').rev().skip(1).any(|component| component == prefix);
        !prefix.is_empty() && self.infos.iter().any(is_body)
    }

    /// The bias of a module whose weight is used.
    fn is_lost_bias(&self, at: usize) -> bool {
        let (info, name) = (&self.infos[at], self.names[at].as_str());
        let (module, end) = (parent(name), last(name));
        if !info.dtype.is_float() || axes(info) > 1 {
            return false;
        }
        let beside = || self.modules.get(module).into_iter().flatten().copied().filter(|other| self.used[*other]);
        if matches!(end, "bias" | "beta" | "bias:0" | "b") {
            return beside().any(|other| !is_bias(last(&self.names[other])));
        }
        let Some(stem) = end.strip_suffix("_bias") else { return false };
        let weight = format!("{stem}_weight");
        let in_layer = places(name).any(|place| self.is_used_layer(layer_path(name, &place)));
        beside().any(|other| last(&self.names[other]) == weight)
            || in_layer && self.below.get(module).is_some_and(|below| below.used_matrices)
    }

    /// A parameter or statistic of a norm, or a scale of a whole layer.
    fn is_norm(&self, at: usize) -> bool {
        let (info, name) = (&self.infos[at], self.names[at].as_str());
        let (module, end) = (parent(name), last(name));
        if !info.dtype.is_float() {
            return false;
        }
        if is_statistic(end) || (is_of_norm(end) && is_norm_name(last(module))) {
            return true;
        }
        if axes(info) != 1 {
            return false;
        }
        let scales = is_norm_name(end) || is_layer_scale(end) || (is_of_norm(end) && is_layer_scale(last(module)));
        scales || (is_of_norm(end) && !module.is_empty() && self.is_vector_module(module))
    }

    /// Whether a module's weight is a vector, and nothing else in it is more.
    fn is_vector_module(&self, module: &str) -> bool {
        let inside = self.modules.get(module).map_or(&[][..], Vec::as_slice);
        let is_weight = |at: &usize| matches!(last(&self.names[*at]), "weight" | "gamma" | "scale" | "g" | "gamma:0");
        let has_weight = inside.iter().any(|at| is_weight(at) && axes(&self.infos[*at]) == 1);
        has_weight && inside.iter().all(|at| axes(&self.infos[*at]) <= 1)
    }

    /// Whether the layer or, outside of layers, the tower that holds a tensor is used.
    fn is_in_use(&self, at: usize) -> bool {
        let name = self.names[at].as_str();
        let numbered: Vec<BlockName> =
            places(name).filter(|place| self.layers.contains_key(layer_path(name, place))).collect();
        for place in numbered.iter().rev() {
            if self.is_used_layer(layer_path(name, place)) {
                return true;
            }
            if self.blocks.contains(place.path) {
                // others of its kind are used: this one is left out as a whole
                return false;
            }
        }
        numbered.is_empty() && self.neighbour_is_used(parent(name)).unwrap_or_else(|| self.tower_is_used(name))
    }

    /// In a sequence a norm belongs to the module before it, or after it where there is none.
    fn neighbour_is_used(&self, module: &str) -> Option<bool> {
        let index = index_of(last(module))?;
        let sequence = parent(module);
        let at = |index: u64| self.below.get(join(sequence, &index.to_string()).as_str());
        let before = (0..index).rev().take(MOST_NEIGHBOURS);
        let after = (index + 1..).take(MOST_NEIGHBOURS);
        before.chain(after).filter_map(at).find(|below| below.matrices).map(|below| below.used_matrices)
    }

    /// The nearest path above a tensor that holds layers, or matrices, is the tower that it belongs to.
    fn tower_is_used(&self, name: &str) -> bool {
        let mut below_tower = name;
        for path in self_and_ancestors(name).skip(1).chain([""]) {
            let Some(below) = self.below.get(path) else { continue };
            if below.layers || below.matrices {
                let used = if below.layers { below.used_layers } else { below.used_matrices };
                return used && !self.is_of_unused_siblings(path, below_tower);
            }
            below_tower = path;
        }
        false
    }

    /// Of `decoder_norm` beside `decoder_blocks` and `blocks`: whether all whose names begin alike are unused.
    fn is_of_unused_siblings(&self, tower: &str, path: &str) -> bool {
        let child = path.get(tower.len()..).unwrap_or(path).trim_start_matches('.');
        let Some((stem, _)) = child.split('.').next().and_then(|child| child.split_once('_')) else { return false };
        let start = join(tower, &format!("{stem}_"));
        let mut alike = self.below.iter().filter(|(other, below)| {
            let direct = parent(other) == tower && other.starts_with(&start) && **other != path;
            direct && below.matrices
        });
        alike.clone().next().is_some() && alike.all(|(_, below)| !below.used_matrices)
    }
}

/// How far a sequence is searched for the module that a norm belongs to.
const MOST_NEIGHBOURS: usize = 64;
