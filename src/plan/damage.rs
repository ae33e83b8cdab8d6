//! Damage is not a change of architecture. A source tensor that is empty, one that has the target's shape in some layers of a block
//! and another shape in the rest, and a weight that is missing beside its own bias are errors that name the tensor, as a hole is.

use std::collections::{BTreeMap, BTreeSet};

use crate::arch::Architecture;
use crate::graph::ParameterId;
use crate::hash::{HashMap, HashSet};
use crate::name::{join, last, parent};
use crate::plan::damage_error::DamageError;
use crate::plan::inputs::SourceView;
use crate::plan::matching::blocks::{Blocks, places, spell};
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::names::is_known_buffer;
use crate::plan::selectors::is_declared;
use crate::plan::value::{SourceTensor, Value};
use crate::tensor::{Shape, elements};

/// What damage is found in.
pub(crate) struct Damage<'a> {
    pub sources: &'a [SourceView<'a>],
    pub target: &'a Architecture,
    pub matches: &'a [Match],
}

/// One name below the layers of a block: layers whose source has the target's shape, and layers whose source has another.
#[derive(Default)]
struct Tail {
    shapes: BTreeSet<Shape>,
    intact: Vec<(u64, ParameterId)>,
    odd: Vec<(u64, ParameterId)>,
}

/// The layers of the sources, and which of their tensors some target reads.
struct Stored<'a> {
    blocks: Vec<Blocks<'a>>,
    read: HashSet<(usize, String)>,
}

impl<'a> Stored<'a> {
    fn of(damage: &Damage<'a>) -> Stored<'a> {
        let blocks = damage.sources.iter().map(|view| {
            let tensors = &view.listing.tensors;
            let names = tensors.iter().enumerate().map(|(id, tensor)| (id, tensor.name.as_str()));
            Blocks::of(names, |id| tensors.get(id).map(|tensor| tensor.shape.as_slice()))
        });
        let found = (0..damage.matches.len()).filter_map(|id| damage.found(id));
        let read = found.flat_map(|(value, _)| value.sources()).map(|leaf| (leaf.source, leaf.tensor.to_string()));
        Stored { blocks: blocks.collect(), read: read.collect() }
    }
}

impl Damage<'_> {
    /// Everything that is damaged; what is declared new is not.
    pub(crate) fn violations(&self) -> Vec<DamageError> {
        if self.sources.is_empty() {
            return Vec::new();
        }
        let mut violations: Vec<DamageError> = self.empty().or_else(|| self.empty_and_unread()).into_iter().collect();
        violations.extend(self.odd_layers());
        violations.extend(self.half_modules());
        violations
    }

    fn shape(&self, id: ParameterId) -> &[u64] {
        self.target.parameters.get(id).map_or(&[], |parameter| &parameter.shape)
    }

    fn name(&self, id: ParameterId) -> &str {
        self.target.parameters.get(id).map_or("", |parameter| &parameter.name)
    }

    /// The value that was matched for a target and the shape of its result, where there is one.
    fn found(&self, id: ParameterId) -> Option<(&Value, &Shape)> {
        match &self.matches.get(id)?.origin {
            Origin::Found { value, info } => Some((value, &info.shape)),
            Origin::New | Origin::Tied(_) => None,
        }
    }

    /// Source tensors without elements, where the target's have some.
    fn empty(&self) -> Option<DamageError> {
        let mut empty: Vec<(ParameterId, SourceTensor)> = Vec::new();
        for id in 0..self.matches.len() {
            let Some((value, _)) = self.found(id).filter(|_| elements(self.shape(id)) != Some(0)) else { continue };
            let first = value.sources().find(|leaf| elements(leaf.shape) == Some(0));
            empty.extend(first.filter(|_| !is_declared(self.target, id)).map(|leaf| (id, leaf)));
        }
        let (id, leaf) = empty.first()?;
        Some(DamageError::Empty {
            target: self.name(*id).to_string(),
            tensor: leaf.tensor.to_string(),
            expected: self.shape(*id).into(),
            found: leaf.shape.clone(),
            reference: self.sources.get(leaf.source).map(|view| view.reference.clone()).unwrap_or_default(),
            more: empty.len() - 1,
        })
    }

    /// Source tensors of layers without elements that no target reads, where targets have no source: with the shapes that a prefix is
    /// found by, all names are lost.
    fn empty_and_unread(&self) -> Option<DamageError> {
        let is_lost = |id: &ParameterId| {
            let is_new = self.matches.get(*id).is_some_and(|one| matches!(one.origin, Origin::New) && !one.declared);
            is_new && self.shape(*id).len() > 1 && !is_declared(self.target, *id)
        };
        (0..self.matches.len()).find(is_lost)?;
        let tensors = self.sources.iter().flat_map(|view| &view.listing.tensors);
        let mut empty = tensors.filter(|tensor| elements(&tensor.shape) == Some(0) && is_weight(&tensor.name));
        let first = empty.next()?;
        let (tensor, found) = (first.name.to_string(), first.shape.clone());
        Some(DamageError::EmptyStored { tensor, found, more: empty.count() })
    }

    fn odd_layers(&self) -> Vec<DamageError> {
        let is_odd = |id: &ParameterId| {
            // what is empty is named as such
            let is_empty = |value: &Value| value.sources().any(|leaf| elements(leaf.shape) == Some(0));
            let is_odd = |(value, found): (&Value, &Shape)| found.as_slice() != self.shape(*id) && !is_empty(value);
            let found = self.found(*id).is_some_and(is_odd);
            found && !is_known_buffer(self.name(*id)) && places(self.name(*id)).next().is_some()
        };
        let odd: Vec<ParameterId> = (0..self.matches.len()).filter(is_odd).collect();
        if odd.is_empty() {
            return Vec::new();
        }
        let blocks = Blocks::of_target(self.target);
        let stored = Stored::of(self);
        // of a block of one layer the source shows whether there are others
        let is_alone = |path: &str| blocks.layers(path).is_some_and(|layers| layers.len() == 1);
        let is_judged = |path: &str| blocks.is_numbered_stack(path) || is_alone(path);
        let mut paths: Vec<&str> = Vec::new();
        for place in odd.iter().flat_map(|id| places(self.name(*id))) {
            if is_judged(place.path) && !paths.contains(&place.path) {
                paths.push(place.path);
            }
        }
        let mut named: BTreeSet<ParameterId> = BTreeSet::new();
        let mut errors = Vec::new();
        for path in paths {
            for (tail, found) in self.tails(path, &blocks) {
                let odd: Vec<(u64, ParameterId)> =
                    found.odd.iter().filter(|(_, id)| named.insert(*id)).copied().collect();
                errors.extend(self.odd((path, tail), &Tail { odd, ..found }, &stored));
            }
        }
        errors
    }

    /// The names below the layers of a block that have one shape in all of them, as have the others of their layer class.
    fn tails<'b>(&self, path: &str, blocks: &Blocks<'b>) -> BTreeMap<&'b str, Tail> {
        let mut tails: BTreeMap<&str, Tail> = BTreeMap::new();
        for (layer, names) in blocks.layers(path).into_iter().flatten() {
            for (tail, id) in names {
                let known = tails.entry(tail).or_default();
                known.shapes.insert(self.shape(*id).into());
                match self.found(*id).filter(|_| !is_declared(self.target, *id)) {
                    Some((_, found)) if found.as_slice() == self.shape(*id) => known.intact.push((*layer, *id)),
                    Some(_) => known.odd.push((*layer, *id)),
                    None => {}
                }
            }
        }
        let uneven: BTreeSet<&str> =
            tails.iter().filter(|(_, tail)| tail.shapes.len() > 1).map(|(name, _)| parent(name)).collect();
        tails.retain(|name, tail| !tail.odd.is_empty() && !uneven.contains(parent(name)));
        tails
    }

    fn odd(&self, (path, tail): (&str, &str), found: &Tail, stored: &Stored) -> Option<DamageError> {
        let (_, first) = found.odd.first()?;
        let (value, _) = self.found(*first)?;
        let (intact, layers) = match found.intact.first() {
            Some((_, intact)) => (self.found(*intact)?.0.clone(), self.layers_read(value, &found.intact)),
            None => self.intact_elsewhere(value, self.shape(*first), stored)?,
        };
        let mut pairs = value.sources().zip(intact.sources());
        let (leaf, expected) = pairs.find(|(odd, intact)| odd.shape != intact.shape)?;
        Some(DamageError::OddLayer {
            target: self.name(*first).to_string(),
            tensor: leaf.tensor.to_string(),
            expected: expected.shape.clone(),
            found: leaf.shape.clone(),
            intact: layers,
            layers: found.odd.iter().map(|(layer, _)| *layer).collect(),
            names: found.odd.iter().map(|(layer, _)| spell(path, *layer, tail)).collect(),
        })
    }

    /// The layers of the source that these targets read, as this expression reads another; the target's own where names do not show it.
    fn layers_read(&self, odd: &Value, intact: &[(u64, ParameterId)]) -> Vec<u64> {
        let layer = |(layer, id): &(u64, ParameterId)| {
            let read = self.found(*id).and_then(|(value, _)| {
                let (odd, intact) = (odd.sources().next()?, value.sources().next()?);
                let mut both = places(odd.tensor).zip(places(intact.tensor));
                both.find(|(a, b)| a.path == b.path && a.tail == b.tail && a.index != b.index).map(|(_, b)| b.index)
            });
            read.unwrap_or(*layer)
        };
        let layers: BTreeSet<u64> = intact.iter().map(layer).collect();
        layers.into_iter().collect()
    }

    /// This expression over another layer of the source, where all layers that no target of this name reads would fit: a depth rule
    /// has chosen the damaged ones. Also which layers these are.
    fn intact_elsewhere(&self, value: &Value, expected: &[u64], stored: &Stored) -> Option<(Value, Vec<u64>)> {
        let leaf = value.sources().next()?;
        let blocks = stored.blocks.get(leaf.source)?;
        places(leaf.tensor).find_map(|place| {
            let layers = blocks.layers(place.path).filter(|_| blocks.is_numbered_stack(place.path))?.keys();
            let is_read = |layer: u64| stored.read.contains(&(leaf.source, spell(place.path, layer, place.tail)));
            let free = layers.copied().filter(|layer| !is_read(*layer));
            let values: Vec<(u64, Value)> =
                free.filter_map(|layer| Some((layer, self.over(value, place.path, layer)?))).collect();
            let fits = |value: &Value| value.info().is_ok_and(|info| info.shape.as_slice() == expected);
            let (_, first) = values.first()?;
            let all_fit = values.iter().all(|(_, value)| fits(value));
            all_fit.then(|| (first.clone(), values.iter().map(|(layer, _)| *layer).collect()))
        })
    }

    /// An expression with every source tensor of a block replaced by that of another layer; `None` where that is missing.
    fn over(&self, value: &Value, path: &str, layer: u64) -> Option<Value> {
        Some(match value {
            Value::Source { source, tensor, .. } => {
                let place = places(tensor).find(|place| place.path == path)?;
                let name = spell(path, layer, place.tail);
                let listing = self.sources.get(*source)?.listing;
                let info = listing.tensors.get(listing.position(&name)?)?;
                Value::stored(*source, info)
            }
            Value::Apply { op, inputs } => {
                let inputs = inputs.iter().map(|input| self.over(input, path, layer)).collect::<Option<Vec<_>>>()?;
                Value::Apply { op: op.clone(), inputs }
            }
            Value::Init { .. } | Value::Count { .. } | Value::Computed { .. } | Value::Tied { .. } => value.clone(),
        })
    }

    /// Weights without a source whose own bias has one: no change of an architecture takes the weight alone.
    fn half_modules(&self) -> Vec<DamageError> {
        let mut by_name: HashMap<&str, ParameterId> = HashMap::default();
        let is_lost = |id: ParameterId| {
            let found = self.matches.get(id);
            let new = found.is_some_and(|found| matches!(found.origin, Origin::New) && !found.declared);
            new && !is_declared(self.target, id)
        };
        if !(0..self.matches.len()).any(|id| is_lost(id) && is_weight(self.name(id))) {
            return Vec::new();
        }
        for (id, parameter) in self.target.parameters.iter().enumerate() {
            by_name.insert(&parameter.name, id);
        }
        let mut lost = Vec::new();
        for id in (0..self.matches.len()).filter(|id| is_lost(*id) && self.shape(*id).len() > 1) {
            let name = self.name(id);
            let bias = bias_of(name).and_then(|bias| by_name.get(bias.as_str()).copied());
            let Some(bias) = bias.filter(|bias| self.found(*bias).is_some()) else { continue };
            lost.push((name.to_string(), self.name(bias).to_string()));
        }
        let count = lost.len();
        let first = lost.into_iter().next();
        first.map(|(target, bias)| DamageError::WeightMissing { target, bias, more: count - 1 }).into_iter().collect()
    }
}

/// Whether a name is that of the weight of a layer.
fn is_weight(name: &str) -> bool {
    bias_of(name).is_some()
}

/// The name of the bias that a layer has beside this weight.
fn bias_of(name: &str) -> Option<String> {
    let bias = match last(name) {
        "weight" | "weight_v" | "weight_g" | "kernel" => "bias".to_string(),
        "in_proj_weight" => "in_proj_bias".to_string(),
        cell => format!("bias_{}", cell.strip_prefix("weight_").filter(|rest| is_gate(rest))?),
    };
    Some(join(parent(name), &bias))
}

fn is_gate(rest: &str) -> bool {
    rest.starts_with("ih") || rest.starts_with("hh")
}
