//! Which names agree once a leading path is taken off one of them, or off both.

use std::collections::BTreeMap;

use crate::hash::HashMap;
use crate::name::{below, cuts, index_of, last};
use crate::plan::matching::blocks::Blocks;
use crate::plan::matching::search::Search;

/// Why a pair of paths is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bond {
    /// One of the names is the end of the other, or the target's path is that of a family's block.
    Named,
    /// Both names have a path of their own in front.
    Exchanged,
}

/// The leading path of the target and that of a source under which names agree; one of them may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub source: usize,
    pub to: String,
    pub from: String,
    pub bond: Bond,
}

impl Key {
    /// What it comes to, in words.
    pub(crate) fn reason(&self) -> String {
        match (self.to.as_str(), self.from.as_str()) {
            ("", from) => format!("the source has `{from}.` in front"),
            (to, "") => format!("the target has `{to}.` in front"),
            (to, from) => format!("`{to}.` is `{from}.` in the source"),
        }
    }
}

/// A request, a candidate, and whether their shapes agree too.
pub(crate) type Agreement = (usize, usize, bool);

/// All agreements.
#[derive(Default)]
pub(crate) struct Agreements<'a> {
    pub pairs: BTreeMap<Key, Vec<Agreement>>,
    /// How many open requests lie below a leading path of the target.
    pub below: HashMap<&'a str, usize>,
}

/// More requests than this with one ending say nothing about where it belongs.
const MOST_ALIKE: usize = 8;

impl Search<'_> {
    /// Every pair of an open request and a candidate that are spelt alike below some path on either side. A path never leads into
    /// one layer of a stack.
    pub(crate) fn agreements(&self) -> Agreements<'_> {
        let mut agreements = Agreements::default();
        let open: Vec<usize> = (0..self.requests.len()).filter(|request| self.is_open(*request)).collect();
        if open.is_empty() {
            return agreements;
        }
        let names: Vec<(usize, &str)> = (0..self.catalog.candidates.len())
            .flat_map(|id| self.candidate(id).plain.iter().map(move |name| (id, name.as_str())))
            .collect();
        let sources = Blocks::of(names.iter().copied(), |id| Some(self.candidate(id).info.shape.as_slice()));
        let wanted = self.requests.iter().enumerate().map(|(id, request)| (id, request.plain.as_str()));
        let targets = Blocks::of(wanted, |id| self.requests.get(id).map(|request| request.shape.as_slice()));
        let mut whole: HashMap<&str, Vec<usize>> = HashMap::default();
        let mut ends: HashMap<&str, Vec<(usize, &str, Bond)>> = HashMap::default();
        for request in &open {
            whole.entry(&self.requests[*request].plain).or_default().push(*request);
            for (path, rest, bond) in self.exchangeable(*request, &targets) {
                ends.entry(rest).or_default().push((*request, path, bond));
                *agreements.below.entry(path).or_default() += 1;
            }
        }
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::default();
        for (id, name) in &names {
            by_name.entry(name).or_default().push(*id);
            for (from, rest) in cuts(name).filter(|(from, _)| !sources.enters_list(from)) {
                for request in whole.get(rest).into_iter().flatten() {
                    self.agree(&mut agreements.pairs, ("", from, Bond::Named), *request, *id);
                }
                let ends = ends.get(rest).filter(|ends| ends.len() <= MOST_ALIKE);
                for (request, to, bond) in ends.into_iter().flatten().filter(|(_, to, _)| last(to) != last(from)) {
                    self.agree(&mut agreements.pairs, (to, from, *bond), *request, *id);
                }
            }
        }
        for request in &open {
            for (to, rest) in cuts(&self.requests[*request].plain).filter(|(to, _)| !targets.enters_list(to)) {
                for id in by_name.get(rest).into_iter().flatten() {
                    self.agree(&mut agreements.pairs, (to, "", Bond::Named), *request, *id);
                }
            }
        }
        for pairs in agreements.pairs.values_mut() {
            pairs.sort_unstable();
            pairs.dedup();
        }
        agreements
    }

    /// The leading paths of a target that a source may have another for: that of its family's block, else its first one or two
    /// components, with at least two after them and no layer directly below.
    fn exchangeable<'s>(&'s self, request: usize, targets: &Blocks) -> Vec<(&'s str, &'s str, Bond)> {
        let request = &self.requests[request];
        if let Some(block) = request.block.as_deref() {
            return below(&request.plain, block)
                .filter(|_| !block.is_empty())
                .map(|rest| (block, rest, Bond::Named))
                .into_iter()
                .collect();
        }
        let first = cuts(&request.plain).take(2).filter(|(path, rest)| {
            let layered = rest.split('.').next().is_some_and(|component| index_of(component).is_some());
            rest.contains('.') && !layered && !targets.enters_list(path)
        });
        first.map(|(path, rest)| (path, rest, Bond::Exchanged)).collect()
    }

    fn agree(
        &self,
        pairs: &mut BTreeMap<Key, Vec<Agreement>>,
        (to, from, bond): (&str, &str, Bond),
        request: usize,
        id: usize,
    ) {
        if self.may_fill(id, &self.requests[request].name) {
            let candidate = self.candidate(id);
            let key = Key { source: candidate.source, to: to.into(), from: from.into(), bond };
            let agrees = candidate.opaque || candidate.info.shape == self.requests[request].shape;
            pairs.entry(key).or_default().push((request, id, agrees));
        }
    }
}
