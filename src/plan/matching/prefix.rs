//! A leading path added or removed, found from the names: every path that would make names agree is ranked by the tensors
//! that then agree in name and shape, and wins its part of the target where it has strictly more than any rival there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use super::names::{below, common_path, cuts, parent, plain};
use super::search::{Contest, Search};
use crate::plan::Step;
use crate::plan::blocks::Blocks;

/// On which side the leading path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// The source has it: it is removed.
    Source,
    /// The target has it: it is added.
    Target,
}

/// A leading path of one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: usize,
    side: Side,
    path: String,
}

/// What agrees under one key.
struct Group {
    key: Key,
    /// Want, candidate, and whether the shapes agree too.
    pairs: Vec<(usize, usize, bool)>,
}

/// The groups, and where wants and candidates occur in them.
#[derive(Default)]
struct Ranking {
    groups: Vec<Group>,
    of_want: HashMap<usize, Vec<usize>>,
    of_candidate: HashMap<usize, Vec<usize>>,
    /// By size, the largest first, then in order of the keys.
    heap: BinaryHeap<(usize, Reverse<usize>)>,
}

impl Search<'_> {
    /// Step 4.
    pub(super) fn by_prefix(&mut self) {
        let mut ranking = Ranking::default();
        for (key, pairs) in self.agreements() {
            if self.is_credible(&pairs) {
                ranking.add(Group { key, pairs });
            }
        }
        let mut undecided: Vec<bool> = (0..self.wants.len()).map(|want| self.is_open(want)).collect();
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

    /// Every pair of an open want and a candidate of which one name ends in the whole other, by the path in front.
    fn agreements(&self) -> BTreeMap<Key, Vec<(usize, usize, bool)>> {
        let mut agreements: BTreeMap<Key, Vec<(usize, usize, bool)>> = BTreeMap::new();
        let mut open: HashMap<&str, Vec<usize>> = HashMap::new();
        for want in (0..self.wants.len()).filter(|want| self.is_open(*want)) {
            open.entry(self.wants[want].plain.as_str()).or_default().push(want);
        }
        if open.is_empty() {
            return agreements;
        }
        let names: Vec<(usize, String)> = (0..self.catalog.candidates.len())
            .flat_map(|id| self.candidate(id).names().map(move |name| (id, plain(name))).collect::<Vec<_>>())
            .collect();
        let blocks = Blocks::of(names.iter().map(|(id, name)| (*id, name.as_str())));
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut add = |search: &Self, side, path: &str, want: usize, id: usize| {
            if search.may_fill(id, &search.wants[want].name) {
                let candidate = search.candidate(id);
                let key = Key { source: candidate.source, side, path: path.to_string() };
                let agrees = candidate.info.shape == search.wants[want].shape;
                agreements.entry(key).or_default().push((want, id, agrees));
            }
        };
        for (id, name) in &names {
            by_name.entry(name).or_default().push(*id);
            for (path, rest) in cuts(name) {
                for want in open.get(rest).into_iter().flatten().filter(|_| !blocks.enters_stack(path)) {
                    add(self, Side::Source, path, *want, *id);
                }
            }
        }
        let targets = Blocks::of(self.wants.iter().enumerate().map(|(id, want)| (id, want.plain.as_str())));
        for (name, wants) in &open {
            for (path, rest) in cuts(name) {
                for id in by_name.get(rest).into_iter().flatten().filter(|_| !targets.enters_stack(path)) {
                    wants.iter().for_each(|want| add(self, Side::Target, path, *want, *id));
                }
            }
        }
        for pairs in agreements.values_mut() {
            pairs.sort_unstable();
            pairs.dedup();
        }
        agreements
    }

    /// One module that agrees is chance (a `dense` of one's own is no `pooler.dense`), unless it is the whole target.
    fn is_credible(&self, pairs: &[(usize, usize, bool)]) -> bool {
        let agreeing = pairs.iter().filter(|(_, _, agrees)| *agrees);
        let modules: BTreeSet<&str> = agreeing.map(|(want, _, _)| parent(&self.wants[*want].plain)).collect();
        let wants: BTreeSet<usize> = pairs.iter().map(|(want, _, _)| *want).collect();
        modules.len() > 1 || (modules.len() == 1 && wants.len() == self.wants.len())
    }

    /// All pairs of a group that won, those whose shapes differ too: they are made to fit later.
    fn accept(&mut self, group: &Group, undecided: &mut [bool]) {
        let mut by_want: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (want, id, _) in group.pairs.iter().filter(|(want, _, _)| undecided[*want]) {
            by_want.entry(*want).or_default().push(*id);
        }
        let reason = match group.key.side {
            Side::Source => format!("the source has `{}.` in front", group.key.path),
            Side::Target => format!("the target has `{}.` in front", group.key.path),
        };
        for (want, ids) in by_want {
            undecided[want] = false;
            match ids.as_slice() {
                [id] if self.is_free(*id) => self.take(want, *id, Step::Prefix, reason.clone()),
                [id] => {
                    let shown = self.candidate(*id).shown();
                    self.runners_up[want].push(format!("`{shown}` is taken"));
                }
                _ => {
                    let rivals = ids.iter().map(|id| vec![(want, *id)]).collect();
                    self.contest(Contest { wants: vec![want], rivals });
                }
            }
        }
    }

    fn contest_prefix(&mut self, ranking: &Ranking, id: usize, rivals: &[usize], undecided: &mut [bool]) {
        let mut wants = BTreeSet::new();
        let mut sides = Vec::new();
        for group in std::iter::once(&id).chain(rivals) {
            let pairs: Vec<(usize, usize)> = ranking.alive(*group, undecided).map(|(want, id)| (want, id)).collect();
            wants.extend(pairs.iter().map(|(want, _)| *want));
            sides.push(pairs);
        }
        if sides.iter().flatten().any(|(_, id)| self.is_free(*id)) {
            self.contest(Contest { wants: wants.iter().copied().collect(), rivals: sides });
        }
        wants.into_iter().for_each(|want| undecided[want] = false);
    }
}

impl Group {
    /// The group within each child of a path of the target.
    fn subtrees(&self, path: &str, search: &Search) -> Vec<Group> {
        let mut subtrees: BTreeMap<&str, Vec<(usize, usize, bool)>> = BTreeMap::new();
        for pair in &self.pairs {
            let name = &search.wants[pair.0].plain;
            let rest = below(name, path).unwrap_or(name);
            subtrees.entry(rest.split('.').next().unwrap_or_default()).or_default().push(*pair);
        }
        subtrees.into_values().map(|pairs| Group { key: self.key.clone(), pairs }).collect()
    }
}

impl Ranking {
    fn add(&mut self, group: Group) {
        let id = self.groups.len();
        for (want, candidate, agrees) in &group.pairs {
            if *agrees {
                self.of_want.entry(*want).or_default().push(id);
                self.of_candidate.entry(*candidate).or_default().push(id);
            }
        }
        let size = group.pairs.iter().filter(|(_, _, agrees)| *agrees).count();
        self.groups.push(group);
        self.heap.push((size, Reverse(id)));
    }

    /// The pairs that agree in shape and whose want is undecided.
    fn alive<'a>(&'a self, id: usize, undecided: &'a [bool]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let pairs = self.groups[id].pairs.iter();
        pairs.filter(|(want, _, agrees)| *agrees && undecided[*want]).map(|(want, id, _)| (*want, *id))
    }

    fn size(&self, id: usize, undecided: &[bool]) -> usize {
        self.alive(id, undecided).count()
    }

    /// The other groups of the same size that share a want or a candidate with this one.
    fn rivals(&self, id: usize, size: usize, undecided: &[bool]) -> Vec<usize> {
        let mut near = BTreeSet::new();
        for (want, candidate) in self.alive(id, undecided) {
            near.extend(self.of_want.get(&want).into_iter().flatten());
            near.extend(self.of_candidate.get(&candidate).into_iter().flatten());
        }
        near.remove(&id);
        near.into_iter().filter(|other| self.size(*other, undecided) == size).collect()
    }

    /// Rivals that differ somewhere are ranked again within each subtree of the target; `false` where none of them differ.
    fn split(&mut self, id: usize, rivals: &[usize], undecided: &[bool], search: &Search) -> bool {
        let all: Vec<usize> = std::iter::once(id).chain(rivals.iter().copied()).collect();
        let wants = |group: usize| self.alive(group, undecided).map(|(want, _)| want).collect::<BTreeSet<_>>();
        let sets: Vec<BTreeSet<usize>> = all.iter().map(|group| wants(*group)).collect();
        let Some(first) = sets.first() else { return false };
        let disjoint = sets.iter().skip(1).all(|set| set.is_disjoint(first));
        if disjoint || sets.iter().all(|set| set == first) {
            return false;
        }
        let names = sets.iter().flatten().map(|want| search.wants[*want].plain.as_str());
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
