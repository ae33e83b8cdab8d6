//! Which block of a source each repeated block of the target comes from: a vote of its tensors.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::hash::HashMap;
use crate::name::index_of;
use crate::plan::matching::blocks::places;
use crate::plan::matching::depth::Counterpart;
use crate::plan::matching::map::Ruled;
use crate::plan::matching::pass::Pass;
use crate::plan::matching::requests::{Answerer, Route};
use crate::plan::names::{plain, plain_components};
use crate::tensor::Name;
use crate::threads::side_by_side;

/// How many tensors of a block of the target come from one block of a source.
struct Vote {
    source: usize,
    path: String,
    count: usize,
}

/// The path of the block that a source name stands in, for a target whose name below the layer is `tail`: the integer stands as
/// far from the end, or has the same value.
fn aligned<'n>(name: &'n str, index: u64, tail: &str) -> Option<&'n str> {
    // a source name has no wrappers, so a tail that it ends in has none either
    if let Some(head) = name.strip_suffix(tail).filter(|_| !tail.is_empty()).and_then(|head| head.strip_suffix('.')) {
        let (path, component) = head.rsplit_once('.').unwrap_or(("", head));
        if index_of(component).is_some() {
            return Some(path);
        }
    }
    let below = if tail.is_empty() { 0 } else { plain_components(tail) };
    let components = || name.split('.');
    let at_end = components().count().checked_sub(below + 1);
    let by_end = at_end.filter(|at| components().nth(*at).and_then(index_of).is_some());
    let by_value = || components().position(|part| index_of(part) == Some(index));
    let at = by_end.or_else(by_value)?;
    // before the component: the others and the dots between them
    let path: usize = components().take(at).map(|part| part.len() + 1).sum();
    name.get(..path.saturating_sub(1))
}

impl<'a> Pass<'a> {
    /// For each repeated block of the target the block of a source that most of its tensors come from.
    pub(crate) fn counterparts(&self) -> HashMap<String, Counterpart> {
        let (votes, layers) = side_by_side(|| self.votes(), || self.offered_layers());
        let all = votes.into_iter().filter_map(|(block, mut votes)| {
            // of equal votes the first path
            votes.sort_by(|a, b| (a.source, &a.path).cmp(&(b.source, &b.path)));
            let Vote { source, path, .. } = votes.into_iter().rev().max_by_key(|vote| vote.count)?;
            let mut layers = layers.get(&(source, path.as_str()))?.clone();
            layers.sort_unstable();
            layers.dedup();
            Some((block.to_string(), Counterpart { source, path, layers }))
        });
        all.collect()
    }

    /// For each repeated block of the target how many of its tensors come from which block of which source.
    fn votes(&self) -> HashMap<&'a str, SmallVec<[Vote; 1]>> {
        let mut votes: HashMap<&str, SmallVec<[Vote; 1]>> = HashMap::default();
        for (parameter, route) in self.target.parameters.iter().zip(&self.routes) {
            let Some((source, names)) = self.first_source(route) else { continue };
            for place in places(&parameter.name) {
                let path = names.iter().rev().find_map(|name| aligned(name, place.index, place.tail));
                let Some(path) = path else { continue };
                let known = votes.entry(place.path).or_default();
                match known.iter_mut().find(|vote| vote.source == source && vote.path == path) {
                    Some(vote) => vote.count += 1,
                    None => known.push(Vote { source, path: path.to_string(), count: 1 }),
                }
            }
        }
        votes
    }

    /// The layers of every repeated block that the sources offer, in the order of the candidates.
    fn offered_layers(&self) -> HashMap<(usize, &'a str), Vec<u64>> {
        let mut layers: HashMap<(usize, &str), Vec<u64>> = HashMap::default();
        for candidate in &self.search.catalog.candidates {
            for place in candidate.plain.iter().flat_map(|name| places(name)) {
                let known = layers.entry((candidate.source, place.path)).or_default();
                if known.last() != Some(&place.index) {
                    known.push(place.index);
                }
            }
        }
        layers
    }

    /// The source of the first tensor that a route leads to, and its names without wrappers.
    fn first_source(&self, route: &Route) -> Option<(usize, Cow<'_, [Name]>)> {
        match route {
            Route::New => None,
            Route::Between(a, b, _) => self.first_source(a).or_else(|| self.first_source(b)),
            Route::Leaf { answerer: Answerer::Rule(ruled), .. } => {
                let Ruled::Found { tensors, .. } = &**ruled else { return None };
                let (source, tensor) = tensors.first()?;
                let name = &self.sources.get(*source)?.listing.tensors.get(*tensor)?.name;
                Some((*source, Cow::Owned(vec![plain(name)])))
            }
            Route::Leaf { answerer: Answerer::Request(request), .. } => {
                let candidate = self.search.candidate(self.search.hits[*request].as_ref()?.candidate);
                // borrowed: counting references would keep two threads waiting for each other
                Some((candidate.source, Cow::Borrowed(&candidate.plain)))
            }
        }
    }
}
