//! The longest common suffix, for whole repeated modules: every tensor of every layer of the target must stand in the
//! source's layer of that index under the same name. Never between two members of one family, never for a single tensor.

use std::collections::BTreeSet;

use crate::hash::HashMap;
use crate::name::{common_suffix, parent};
use crate::plan::assignment::Step;
use crate::plan::matching::blocks::Blocks;
use crate::plan::matching::search::{Contest, Search};
use crate::tensor::{Name, Shape};

/// A block of a source that holds all that a block of the target needs.
struct Offer {
    path: String,
    /// Trailing components that the two paths share, and tensors that agree in shape.
    rank: (usize, usize),
    pairs: Vec<(usize, usize)>,
}

/// The repeated blocks of one source.
struct SourceBlocks<'a> {
    family: Option<&'static str>,
    blocks: Blocks<'a>,
    /// The blocks that have this name below this layer.
    having: HashMap<(u64, &'a str), BTreeSet<&'a str>>,
}

impl Search<'_> {
    pub(crate) fn by_suffix(&mut self) {
        if !(0..self.requests.len()).any(|request| self.is_open(request)) {
            return;
        }
        // taking changes the search, which the names are part of
        let wanted: Vec<Name> = self.requests.iter().map(|request| request.plain.clone()).collect();
        let shapes: Vec<Shape> = self.requests.iter().map(|request| request.shape.clone()).collect();
        let names = wanted.iter().enumerate().map(|(id, name)| (id, name.as_str()));
        let targets = Blocks::of(names, |id| shapes.get(id).map(Shape::as_slice));
        let candidates = self.catalog.candidates.iter().enumerate();
        let names: Vec<(usize, usize, &str)> = candidates
            .map(|(id, candidate)| (candidate.source, id, candidate.plain.last().map_or("", Name::as_str)))
            .collect();
        let sources: Vec<SourceBlocks> =
            (0..self.catalog.families.len()).map(|source| self.blocks_of(source, &names)).collect();
        for path in targets.paths() {
            let offers: Vec<Offer> = sources.iter().flat_map(|source| self.offers(path, &targets, source)).collect();
            self.take_best(offers);
        }
    }

    fn blocks_of<'n>(&self, source: usize, names: &[(usize, usize, &'n str)]) -> SourceBlocks<'n> {
        let own = names.iter().filter(|(of, _, _)| *of == source).map(|(_, id, name)| (*id, *name));
        let blocks = Blocks::of(own, |id| Some(self.candidate(id).info.shape.as_slice()));
        let mut having: HashMap<(u64, &str), BTreeSet<&str>> = HashMap::default();
        for path in blocks.paths() {
            for (index, names) in blocks.layers(path).into_iter().flatten() {
                for (tail, _) in names {
                    having.entry((*index, tail)).or_default().insert(path);
                }
            }
        }
        let family = self.catalog.families[source].as_ref().map(|(family, _)| family.name());
        SourceBlocks { family, blocks, having }
    }

    /// The blocks of a source that hold every tensor of the target's block, which must all be open.
    fn offers(&self, path: &str, targets: &Blocks, source: &SourceBlocks) -> Vec<Offer> {
        let Some(layers) = targets.layers(path) else { return Vec::new() };
        let requests = || layers.values().flatten().map(|(_, request)| *request);
        let of_one_family = |request: usize| source.family.is_some() && self.requests[request].family == source.family;
        if !requests().all(|request| self.is_open(request) && !of_one_family(request)) {
            return Vec::new();
        }
        let Some((index, tail)) = layers.iter().find_map(|(index, names)| Some((*index, names.first()?.0))) else {
            return Vec::new();
        };
        let near = source.having.get(&(index, tail)).into_iter().flatten();
        near.filter(|other| targets.is_list(path) || source.blocks.is_list(other))
            .filter_map(|other| self.offer(path, other, targets, source))
            .collect()
    }

    fn offer(&self, path: &str, other: &str, targets: &Blocks, source: &SourceBlocks) -> Option<Offer> {
        let offered = source.blocks.layers(other)?;
        let mut pairs = Vec::new();
        for (index, wanted) in targets.layers(path)? {
            let Some(layer) = offered.get(index) else { continue };
            let layer: HashMap<&str, usize> = layer.iter().copied().collect();
            for (tail, request) in wanted {
                pairs.push((*request, *layer.get(tail)?));
            }
        }
        let agrees = |(request, id): &&(usize, usize)| self.candidate(*id).info.shape == self.requests[*request].shape;
        let agreeing = pairs.iter().filter(agrees).count();
        let wanted = targets.layers(path)?.values().flatten();
        let modules: BTreeSet<&str> = wanted.map(|(tail, _)| parent(tail)).collect();
        // one module alone is a weak likeness: then every shape must agree
        let enough = if modules.len() > 1 { pairs.len().div_ceil(2) } else { pairs.len() };
        let offer = Offer { path: other.to_string(), rank: (common_suffix(path, other), agreeing), pairs };
        (agreeing > 0 && agreeing >= enough).then_some(offer)
    }

    fn take_best(&mut self, mut offers: Vec<Offer>) {
        let Some(best) = offers.iter().map(|offer| offer.rank).max() else { return };
        offers.retain(|offer| offer.rank == best);
        if !offers.iter().flat_map(|offer| &offer.pairs).any(|(_, id)| self.is_free(*id)) {
            return;
        }
        if let [offer] = offers.as_slice() {
            for (request, id) in &offer.pairs {
                if self.is_free(*id) {
                    let reason = format!("the repeated module `{}` has the same names", offer.path);
                    self.take(*request, *id, Step::Suffix, reason.into());
                }
            }
            return;
        }
        let requests: BTreeSet<usize> =
            offers.iter().flat_map(|offer| &offer.pairs).map(|(request, _)| *request).collect();
        let rivals = offers.into_iter().map(|offer| offer.pairs).collect();
        self.contest(Contest { requests: requests.into_iter().collect(), rivals, order: None });
    }

    /// For open requests a free candidate of the same shape and the longest common ending of two components or more: not taken,
    /// for a likeness of single tensors is not a proof, but worth a word.
    pub(crate) fn suggestions(&self) -> HashMap<usize, usize> {
        if !(0..self.requests.len()).any(|request| self.is_open(request)) {
            return HashMap::default();
        }
        let end = |name| cut_to(name, 2);
        let mut by_end: HashMap<&str, Vec<usize>> = HashMap::default();
        for id in (0..self.catalog.candidates.len()).filter(|id| self.is_free(*id)) {
            if let Some(end) = self.candidate(id).names().last().and_then(|name| end(name)) {
                by_end.entry(end).or_default().push(id);
            }
        }
        let mut wanted_ends: HashMap<(&str, &[u64]), usize> = HashMap::default();
        for request in (0..self.requests.len()).filter(|request| self.is_open(*request)) {
            if let Some(end) = end(&self.requests[request].name) {
                *wanted_ends.entry((end, self.requests[request].shape.as_slice())).or_default() += 1;
            }
        }
        let is_wanted_once = |request: usize| {
            let looked_for = &self.requests[request];
            end(&looked_for.name).is_some_and(|end| wanted_ends.get(&(end, looked_for.shape.as_slice())) == Some(&1))
        };
        let best = |request: usize| {
            let looked_for = &self.requests[request];
            let near = by_end.get(end(&looked_for.name)?)?;
            let fits = near.iter().take(MOST_SUGGESTED).filter(|id| {
                let candidate = self.candidate(**id);
                let family = self.catalog.families[candidate.source].as_ref().map(|(family, _)| family.name());
                candidate.info.shape == looked_for.shape && (family.is_none() || family != looked_for.family)
            });
            let alike = |id: &usize| {
                common_suffix(&looked_for.name, self.candidate(*id).names().last().map_or("", Name::as_str))
            };
            // an ending that several share says nothing
            let fits: Vec<usize> = fits.copied().collect();
            let best = fits.iter().copied().max_by_key(alike)?;
            let is_best = |id: &&usize| alike(id) == alike(&best);
            (fits.iter().filter(is_best).count() == 1 && is_wanted_once(request)).then_some((request, best))
        };
        (0..self.requests.len()).filter(|request| self.is_open(*request)).filter_map(best).collect()
    }
}

/// Of so many candidates the best is suggested.
const MOST_SUGGESTED: usize = 16;

/// The last components of a name, or `None` where it has fewer.
fn cut_to(name: &str, components: usize) -> Option<&str> {
    let at = name.rmatch_indices('.').map(|(at, _)| at + 1).chain([0]).nth(components - 1)?;
    name.get(at..)
}
