//! Which source layers fill the repeated blocks of the target, and what makes a copied layer the identity.

use std::collections::BTreeSet;

use crate::arch::{Architecture, DepthItem, DepthList, DepthRule};
use crate::error::Result;
use crate::graph::{Graph, Layer, Node, ParameterId};
use crate::hash::{HashMap, HashSet};
use crate::name::{below, join};
use crate::plan::error::PlanError;
use crate::plan::matching::blocks::{Blocks, places};
use crate::tensor::Name;

/// The block of a source that a block of the target corresponds to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counterpart {
    pub source: usize,
    pub path: String,
    /// Its layers as they are numbered, in order.
    pub layers: Vec<u64>,
}

/// What fills one layer of the target, in the source's own numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Filling {
    Source(u64),
    New,
    Between { lower: u64, upper: u64, t: f64 },
    Identity(u64),
}

/// The source layers that were chosen for one repeated block of the target.
#[derive(Clone, Debug)]
struct ChosenDepth {
    /// The target's block, as `bert.encoder.layer`.
    path: String,
    /// One item for each layer of the target.
    items: Vec<DepthItem>,
}

/// The depth of every block that has a rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Depths {
    ruled: HashMap<String, HashMap<u64, Filling>>,
    lists: HashMap<String, String>,
    /// By the path of a source's block and the number of the source.
    chosen: HashMap<String, HashMap<usize, ChosenDepth>>,
}

/// A target name by way of the source layers that fill it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Lookup {
    /// No source: a depth item says so.
    New,
    /// This name; `identity` where the layer is a copy that starts as the identity.
    Name { name: Name, identity: bool },
    /// `(1 − t) · a + t · b`.
    Between(Box<Lookup>, Box<Lookup>, f64),
}

impl Depths {
    /// Resolves the rules. A block of the target that corresponds to none of a source may only be new.
    pub(crate) fn of(
        target: &Architecture,
        blocks: &Blocks,
        counterparts: &HashMap<String, Counterpart>,
    ) -> Result<Depths> {
        let mut depths = Depths::default();
        for path in blocks.paths() {
            let rule = target.rules.depth.iter().rev().find(|rule| rule.path.pattern.matches(path).is_some());
            let layers: Vec<u64> = blocks.layers(path).into_iter().flat_map(|layers| layers.keys().copied()).collect();
            match (rule, counterparts.get(path)) {
                (Some(rule), counterpart) => depths.add_rule(path, rule, &layers, counterpart)?,
                (None, Some(counterpart)) if blocks.is_stack(path) => depths.add_implied(path, &layers, counterpart),
                (None, Some(_) | None) => {}
            }
        }
        Ok(depths)
    }

    fn add_rule(
        &mut self,
        path: &str,
        rule: &DepthRule,
        layers: &[u64],
        counterpart: Option<&Counterpart>,
    ) -> Result<()> {
        let known: &[u64] = counterpart.map_or(&[], |counterpart| &counterpart.layers);
        let mut items = resolve(&rule.list, layers.len() as u64, known.len() as u64);
        if counterpart.is_none() {
            let all_new = items.as_ref().is_ok_and(|items| items.iter().all(|item| *item == DepthItem::New));
            if !all_new {
                let place = rule.path.place.clone();
                return Err(
                    PlanError::DepthWithoutSource { place, list: rule.list.to_string(), block: path.into() }.into()
                );
            }
            items = Ok(vec![DepthItem::New; layers.len()]);
        }
        let items = items?;
        let fillings = items.iter().map(|item| filling(*item, known));
        self.ruled.insert(path.to_string(), layers.iter().copied().zip(fillings).collect());
        self.lists.insert(path.to_string(), rule.list.to_string());
        if let Some(counterpart) = counterpart {
            self.choose(path, counterpart, items);
        }
        Ok(())
    }

    fn add_implied(&mut self, path: &str, layers: &[u64], counterpart: &Counterpart) {
        let shared = layers.iter().all(|layer| counterpart.layers.contains(layer));
        if layers.len() < counterpart.layers.len() && shared {
            let position = |layer: &u64| counterpart.layers.binary_search(layer).unwrap_or_default() as u64;
            let items = layers.iter().map(|layer| DepthItem::Source(position(layer))).collect();
            self.lists.insert(path.to_string(), "first".into());
            self.choose(path, counterpart, items);
        }
    }

    fn choose(&mut self, path: &str, counterpart: &Counterpart, items: Vec<DepthItem>) {
        let of_path = self.chosen.entry(counterpart.path.clone()).or_default();
        of_path.entry(counterpart.source).or_insert_with(|| ChosenDepth { path: path.to_string(), items });
    }

    /// Whether a name lies in a block that has a rule; its path.
    pub(crate) fn ruled<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.ruled.is_empty() {
            return None;
        }
        places(name).map(|place| place.path).find(|path| self.ruled.contains_key(*path))
    }

    /// The list that decides a name's layer, in words, where there is one.
    pub(crate) fn said(&self, name: &str) -> Option<&str> {
        if self.lists.is_empty() {
            return None;
        }
        places(name).find_map(|place| self.lists.get(place.path)).map(String::as_str)
    }

    /// Whether layers were chosen for any block.
    pub(crate) fn are_chosen(&self) -> bool {
        !self.chosen.is_empty()
    }

    /// Whether some block has a rule.
    pub(crate) fn has_rules(&self) -> bool {
        !self.ruled.is_empty()
    }

    /// Why a layer of a source's block is in no layer of the target, where depth is why.
    pub(crate) fn left_out(
        &self,
        source: usize,
        path: &str,
        layer: u64,
        counterparts: &HashMap<String, Counterpart>,
    ) -> Option<String> {
        let chosen = self.chosen.get(path)?.get(&source)?;
        let layers = &counterparts.get(&chosen.path)?.layers;
        let at = layers.binary_search(&layer).ok()? as u64;
        let takes = |item: &DepthItem| match *item {
            DepthItem::Source(taken) | DepthItem::Identity(taken) => taken == at,
            DepthItem::Between { lower, .. } => lower == at || lower + 1 == at,
            DepthItem::New => false,
        };
        let list = self.lists.get(&chosen.path)?;
        (!chosen.items.iter().any(takes)).then(|| format!("layer {layer} of {path} is left out by depth {list}"))
    }

    /// The source layer that a rule puts into a layer of a target's block, where it is one.
    pub(crate) fn source_layer(&self, path: &str, layer: u64) -> Option<u64> {
        match self.ruled.get(path)?.get(&layer)? {
            Filling::Source(layer) | Filling::Identity(layer) => Some(*layer),
            Filling::New | Filling::Between { .. } => None,
        }
    }

    /// The layers of the target that start as the identity, by block.
    pub(crate) fn identities(&self) -> Vec<(&str, Vec<u64>)> {
        let of = |layers: &HashMap<u64, Filling>| {
            let mut copies: Vec<u64> =
                layers.iter().filter(|(_, f)| matches!(f, Filling::Identity(_))).map(|(layer, _)| *layer).collect();
            copies.sort_unstable();
            copies
        };
        let mut all: Vec<(&str, Vec<u64>)> =
            self.ruled.iter().map(|(path, layers)| (path.as_str(), of(layers))).collect();
        all.retain(|(_, layers)| !layers.is_empty());
        all.sort_unstable();
        all
    }

    /// The names under which a target name is looked for.
    pub(crate) fn lookup(&self, name: &Name) -> Lookup {
        let mut steps = Vec::new();
        for place in places(name).filter(|_| self.has_rules()) {
            if let Some(filling) = self.ruled.get(place.path).and_then(|layers| layers.get(&place.index)) {
                let position = if place.path.is_empty() { 0 } else { place.path.split('.').count() };
                steps.push((position, *filling));
            }
        }
        if steps.is_empty() {
            return Lookup::Name { name: name.clone(), identity: false };
        }
        let components: Vec<String> = name.split('.').map(str::to_string).collect();
        spell(components, &steps, false)
    }
}

/// `first` beyond the source's layers leaves new ones; everything else is as the list says.
fn resolve(list: &DepthList, target: u64, source: u64) -> Result<Vec<DepthItem>> {
    if *list == DepthList::First && target > source {
        let mut items = if source == 0 { Vec::new() } else { list.resolve(source, source)? };
        items.resize(usize::try_from(target).unwrap_or(items.len()), DepthItem::New);
        return Ok(items);
    }
    list.resolve(target, source)
}

/// An item in the source's own numbers.
fn filling(item: DepthItem, layers: &[u64]) -> Filling {
    let own = |at: u64| usize::try_from(at).ok().and_then(|at| layers.get(at)).copied().unwrap_or(at);
    match item {
        DepthItem::Source(at) => Filling::Source(own(at)),
        DepthItem::New => Filling::New,
        DepthItem::Between { lower, t } => Filling::Between { lower: own(lower), upper: own(lower + 1), t },
        DepthItem::Identity(at) => Filling::Identity(own(at)),
    }
}

/// The name with its layers replaced, from the outermost block in.
fn spell(mut components: Vec<String>, steps: &[(usize, Filling)], identity: bool) -> Lookup {
    let Some(((position, filling), inner)) = steps.split_first() else {
        return Lookup::Name { name: components.join(".").into(), identity };
    };
    let mut with = |layer: u64| {
        if let Some(component) = components.get_mut(*position) {
            *component = layer.to_string();
        }
        components.clone()
    };
    match *filling {
        Filling::New => Lookup::New,
        Filling::Source(layer) => spell(with(layer), inner, identity),
        Filling::Identity(layer) => spell(with(layer), inner, true),
        Filling::Between { lower, t: 0.0, .. } => spell(with(lower), inner, identity),
        Filling::Between { lower, upper, t } => {
            let (a, b) = (with(lower), with(upper));
            Lookup::Between(Box::new(spell(a, inner, identity)), Box::new(spell(b, inner, identity)), t)
        }
    }
}

/// What must be zero for a layer to start as the identity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expansion {
    /// These parameters: the last of each residual branch.
    Zero(HashSet<ParameterId>),
    /// It cannot: this norm comes after the sum.
    AfterSum(String),
    /// It cannot: it has no residual branch.
    NoBranch,
}

/// What makes one layer (`encoder.layer.3`) the identity.
pub(crate) fn expansion(target: &Architecture, graph: &Graph, layer: &str) -> Expansion {
    let ends: Vec<(usize, &Node)> = branch_ends(graph).filter(|(_, end)| below(&end.name, layer).is_some()).collect();
    let branches: BTreeSet<usize> = ends.iter().map(|(branch, _)| *branch).collect();
    if branches.is_empty() {
        return Expansion::NoBranch;
    }
    let on_stream = |node: &&Node| {
        is_norm(&node.layer)
            && below(&node.name, layer).is_some()
            && !node.branch.is_some_and(|b| branches.contains(&b))
    };
    if let Some(norm) = graph.nodes.iter().find(on_stream) {
        return Expansion::AfterSum(norm.name.clone());
    }
    Expansion::Zero(ends.iter().flat_map(|(_, end)| last_parameters(target, end)).collect())
}

fn is_norm(layer: &Layer) -> bool {
    matches!(layer, Layer::LayerNorm { .. } | Layer::RmsNorm { .. } | Layer::BatchNorm { .. } | Layer::GroupNorm { .. })
}

/// For each residual branch that goes into a sum, its last node with parameters.
fn branch_ends(graph: &Graph) -> impl Iterator<Item = (usize, &Node)> {
    let sums = graph.nodes.iter().filter(|node| matches!(node.layer, Layer::Add));
    sums.flat_map(move |sum| {
        sum.inputs.iter().filter_map(move |input| {
            let mut node = graph.nodes.get(*input)?;
            let branch = node.branch.filter(|branch| sum.branch != Some(*branch))?;
            // an RMS norm gives zero where it gets zero
            while node.parameters.is_empty() || matches!(node.layer, Layer::RmsNorm { .. }) {
                node = graph.nodes.get(*node.inputs.first()?).filter(|before| before.branch == Some(branch))?;
            }
            Some((branch, node))
        })
    })
}

/// The parameters of a branch's last product.
fn last_parameters(target: &Architecture, node: &Node) -> Vec<ParameterId> {
    let out = match &node.layer {
        Layer::Attention(attention) => join(&node.name, attention.projections.out()),
        Layer::Experts(_) => return downs(node),
        _ => return node.parameters.clone(),
    };
    let is_out = |id: &&ParameterId| target.parameters.get(**id).is_some_and(|p| below(&p.name, &out).is_some());
    node.parameters.iter().filter(is_out).copied().collect()
}

/// The last product of each expert of a mixture, which are its parameters from the router on in threes.
fn downs(node: &Node) -> Vec<ParameterId> {
    node.parameters.iter().skip(3).step_by(3).copied().collect()
}
