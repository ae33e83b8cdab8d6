//! A leading path added or removed, found from the names: every path that would make names agree is ranked by the tensors
//! that then agree in name and shape, and wins its part of the target where it has strictly more than any rival there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::hash::HashMap;
use crate::name::{below, common_path, parent};
use crate::plan::assignment::Step;
use crate::plan::matching::agreements::{Agreement, Bond, Key};
use crate::plan::matching::search::{Contest, Search};

/// What agrees under one key.
pub(crate) struct Group {
    key: Key,
    /// Request, candidate, and whether the shapes agree too.
    pairs: Vec<Agreement>,
}

/// The groups, and where requests and candidates occur in them.
#[derive(Default)]
struct Ranking {
    groups: Vec<Group>,
    of_request: HashMap<usize, Vec<usize>>,
    of_candidate: HashMap<usize, Vec<usize>>,
    /// By size, the largest first, then in order of the keys.
    heap: BinaryHeap<(usize, Reverse<usize>)>,
}

impl Search<'_> {
    pub(crate) fn by_prefix(&mut self) {
        let mut ranking = Ranking::default();
        let agreements = self.agreements();
        for (key, pairs) in agreements.pairs {
            let group = Group { key, pairs };
            if self.is_credible(&group, &agreements.below) {
                ranking.add(group);
            }
        }
        let mut undecided: Vec<bool> = (0..self.requests.len()).map(|request| self.is_open(request)).collect();
        while let Some((size, Reverse(id))) = ranking.heap.pop() {
            let now = ranking.size(id, &undecided);
            if now < size {
                if now > 0 {
                    ranking.heap.push((now, Reverse(id)));
                }
                continue;
            }
            let rivals = ranking.rivals(id, now, &undecided);
            if rivals.is_empty() {
                self.accept(&ranking.groups[id], &mut undecided);
            } else if !ranking.split(id, &rivals, &undecided, self) {
                self.contest_prefix(&ranking, id, &rivals, &mut undecided);
            }
        }
    }

    /// One module that agrees is chance (a `dense` of one's own is not a `pooler.dense`), unless it is the whole target. Where a
    /// path is exchanged for another, by no family's word, it takes three, and half of what lies below.
    fn is_credible(&self, group: &Group, below: &HashMap<&str, usize>) -> bool {
        let agreeing = group.pairs.iter().filter(|(_, _, agrees)| *agrees);
        let requests: BTreeSet<usize> = agreeing.map(|(request, _, _)| *request).collect();
        let modules: BTreeSet<&str> = requests.iter().map(|request| parent(&self.requests[*request].plain)).collect();
        match group.key.bond {
            Bond::Named => modules.len() > 1 || (modules.len() == 1 && requests.len() == self.requests.len()),
            Bond::Exchanged => {
                let all = below.get(group.key.to.as_str()).copied().unwrap_or(0);
                modules.len() > 2 && requests.len() * 2 >= all
            }
        }
    }

    /// All pairs of a group that won, those whose shapes differ too: they are made to fit later.
    fn accept(&mut self, group: &Group, undecided: &mut [bool]) {
        let mut by_request: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (request, id, _) in group.pairs.iter().filter(|(request, _, _)| undecided[*request]) {
            by_request.entry(*request).or_default().push(*id);
        }
        let reason = group.key.reason();
        for (request, ids) in by_request {
            undecided[request] = false;
            match ids.as_slice() {
                [id] if self.is_free(*id) => self.take(request, *id, Step::Prefix, reason.clone().into()),
                [id] => {
                    let shown = self.candidate(*id).shown();
                    self.runners_up[request].push(format!("`{shown}` is taken"));
                }
                _ => {
                    let rivals = ids.iter().map(|id| vec![(request, *id)]).collect();
                    self.contest(Contest { requests: vec![request], rivals, order: None });
                }
            }
        }
    }

    fn contest_prefix(&mut self, ranking: &Ranking, id: usize, rivals: &[usize], undecided: &mut [bool]) {
        let mut requests = BTreeSet::new();
        let mut sides = Vec::new();
        for group in std::iter::once(&id).chain(rivals) {
            let pairs: Vec<(usize, usize)> = ranking.alive(*group, undecided).collect();
            requests.extend(pairs.iter().map(|(request, _)| *request));
            sides.push(pairs);
        }
        if sides.iter().flatten().any(|(_, id)| self.is_free(*id)) {
            self.contest(Contest { requests: requests.iter().copied().collect(), rivals: sides, order: None });
        }
        requests.into_iter().for_each(|request| undecided[request] = false);
    }
}

impl Group {
    /// The group within each child of a path of the target.
    fn subtrees(&self, path: &str, search: &Search) -> Vec<Group> {
        let mut subtrees: BTreeMap<&str, Vec<Agreement>> = BTreeMap::new();
        for pair in &self.pairs {
            let name = &search.requests[pair.0].plain;
            let rest = below(name, path).unwrap_or(name);
            subtrees.entry(rest.split('.').next().unwrap_or_default()).or_default().push(*pair);
        }
        subtrees.into_values().map(|pairs| Group { key: self.key.clone(), pairs }).collect()
    }
}

impl Ranking {
    fn add(&mut self, group: Group) {
        let id = self.groups.len();
        for (request, candidate, agrees) in &group.pairs {
            if *agrees {
                self.of_request.entry(*request).or_default().push(id);
                self.of_candidate.entry(*candidate).or_default().push(id);
            }
        }
        let size = group.pairs.iter().filter(|(_, _, agrees)| *agrees).count();
        self.groups.push(group);
        self.heap.push((size, Reverse(id)));
    }

    /// The pairs that agree in shape and whose request is undecided.
    fn alive<'a>(&'a self, id: usize, undecided: &'a [bool]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let pairs = self.groups[id].pairs.iter();
        pairs.filter(|(request, _, agrees)| *agrees && undecided[*request]).map(|(request, id, _)| (*request, *id))
    }

    fn size(&self, id: usize, undecided: &[bool]) -> usize {
        self.alive(id, undecided).count()
    }

    /// The other groups of the same size that share a request or a candidate with this one.
    fn rivals(&self, id: usize, size: usize, undecided: &[bool]) -> Vec<usize> {
        let mut near = BTreeSet::new();
        for (request, candidate) in self.alive(id, undecided) {
            near.extend(self.of_request.get(&request).into_iter().flatten());
            near.extend(self.of_candidate.get(&candidate).into_iter().flatten());
        }
        near.remove(&id);
        near.into_iter().filter(|other| self.size(*other, undecided) == size).collect()
    }

    /// Rivals that differ somewhere are ranked again within each subtree of the target; `false` where none of them differ.
    fn split(&mut self, id: usize, rivals: &[usize], undecided: &[bool], search: &Search) -> bool {
        let all: Vec<usize> = std::iter::once(id).chain(rivals.iter().copied()).collect();
        let requests = |group: usize| self.alive(group, undecided).map(|(request, _)| request).collect::<BTreeSet<_>>();
        let sets: Vec<BTreeSet<usize>> = all.iter().map(|group| requests(*group)).collect();
        let Some(first) = sets.first() else { return false };
        let disjoint = sets.iter().skip(1).all(|set| set.is_disjoint(first));
        if disjoint || sets.iter().all(|set| set == first) {
            return false;
        }
        let names = sets.iter().flatten().map(|request| search.requests[*request].plain.as_str());
        let common = common_path(names);
        let split: Vec<Vec<Group>> = all.iter().map(|group| self.groups[*group].subtrees(common, search)).collect();
        if split.iter().all(|groups| groups.len() < 2) {
            return false;
        }
        all.iter().for_each(|group| self.groups[*group].pairs.clear());
        split.into_iter().flatten().for_each(|group| self.add(group));
        true
    }
}
