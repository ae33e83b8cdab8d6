//! Sequences: in an `nn.Sequential` an index is a position, not an identity. With a normalisation inserted `features.8` is another
//! layer than it was. Where the indices of both sides do not name the same layers, the ordered lists of (kind, shape) are aligned; an
//! alignment that is not the only best one is refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::HashMap;
use crate::name::{below, common_suffix, join, last, template};
use crate::plan::assignment::Step;
use crate::plan::matching::alignment::{Alignment, align};
use crate::plan::matching::blocks::{Blocks, is_single_layer, places, spell};
use crate::plan::matching::catalog::Catalog;
use crate::plan::matching::hints::heads;
use crate::plan::matching::layers::{Member, members};
use crate::plan::matching::search::{Contest, Disorder, Search, Shifted};
use crate::plan::selectors::selects;
use crate::tensor::Name;

/// The members of a sequence by their indices.
type Members = BTreeMap<u64, Member>;

type SourcePath = (usize, String);

/// A sequence of the target and the one of a source that it comes from.
struct Sequence<'a> {
    path: &'a str,
    source: SourcePath,
    /// The target's, without those that are declared new; the numbers of their tensors are requests.
    ours: Members,
    /// The requests of those that are declared new.
    declared: Vec<usize>,
    /// The source's, without those that rules took or that are declared unused; the numbers of their tensors are candidates.
    theirs: Members,
    are_both_stacks: bool,
}

/// What the two lists come to.
enum Verdict {
    /// The indices name the same layers.
    ByIndex,
    ByOrder {
        pairs: Vec<(u64, u64)>,
        aligned: usize,
    },
    /// Several alignments are as good: indices of both sides that they do not agree on.
    Undecided {
        ours: BTreeSet<u64>,
        theirs: BTreeSet<u64>,
    },
}

impl Search<'_> {
    /// Corrects what was matched by an index of a sequence, outer sequences first.
    pub(crate) fn by_order(&mut self) {
        if self.is_all_by_name() {
            return;
        }
        let wanted: Vec<Name> = self.requests.iter().map(|request| request.plain.clone()).collect();
        let shapes: Vec<_> = self.requests.iter().map(|request| request.shape.clone()).collect();
        let names = wanted.iter().enumerate().map(|(id, name)| (id, name.as_str()));
        let targets = Blocks::of(names, |id| shapes.get(id).map(|shape| shape.as_slice()));
        let has_layer = |path: &&str| {
            targets.layers(path).is_some_and(|layers| layers.values().any(|names| is_single_layer(names)))
        };
        let paths: Vec<&str> =
            targets.paths().into_iter().filter(has_layer).filter(|path| !self.is_in_place(path, &targets)).collect();
        if paths.is_empty() {
            return;
        }
        let sources = source_blocks(self.catalog);
        let mut moved: Vec<(String, SourcePath)> = Vec::new();
        for path in paths {
            let Some(sequence) = self.sequence(path, &targets, &sources, &moved) else { continue };
            match sequence.verdict() {
                Verdict::ByIndex => {}
                Verdict::ByOrder { pairs, aligned } => {
                    let (source, from) = sequence.source.clone();
                    let member = |(to, of): &(u64, u64)| (spell(path, *to, ""), (source, spell(&from, *of, "")));
                    moved.extend(pairs.iter().map(member));
                    self.reorder(&sequence, &pairs, aligned);
                }
                Verdict::Undecided { ours, theirs } => self.refuse(&sequence, &ours, &theirs),
            }
        }
    }

    /// Whether every target has a source of its own name and shape, so that no index can mean another layer.
    fn is_all_by_name(&self) -> bool {
        self.requests.iter().zip(&self.hits).all(|(request, hit)| {
            let hit = hit.as_ref().filter(|hit| hit.step == Step::Name);
            hit.is_some_and(|hit| self.candidate(hit.candidate).info.shape == request.shape)
        })
    }

    /// Whether every tensor of a sequence has a source of its shape at its own index.
    fn is_in_place(&self, path: &str, targets: &Blocks) -> bool {
        let layers = targets.layers(path).into_iter().flatten();
        let mut tensors =
            layers.flat_map(|(index, names)| names.iter().map(move |(tail, request)| (index, tail, request)));
        tensors.all(|(index, tail, request)| {
            let hit = self.hits[*request].as_ref().map(|hit| self.candidate(hit.candidate));
            hit.is_some_and(|candidate| {
                let at_index = |name: &Name| places(name).any(|place| place.index == *index && place.tail == *tail);
                candidate.info.shape == self.requests[*request].shape && candidate.plain.iter().any(at_index)
            })
        })
    }

    fn sequence<'t>(
        &self,
        path: &'t str,
        targets: &Blocks,
        sources: &[Blocks],
        moved: &[(String, SourcePath)],
    ) -> Option<Sequence<'t>> {
        let (source, from) = self.counterpart(path, targets, sources, moved)?;
        let blocks = sources.get(source)?;
        let shape_of_request =
            |id: usize| self.requests.get(id).map(|request| request.shape.clone()).unwrap_or_default();
        let shape_of_candidate = |id: usize| self.candidate(id).info.shape.clone();
        let mut ours = members(targets.layers(path)?, shape_of_request);
        let mut theirs = members(blocks.layers(&from)?, shape_of_candidate);
        let is_new = |member: &Member| member.tensors().all(|request| self.is_declared_new(request));
        let declared = ours.values().filter(|member| is_new(member)).flat_map(Member::tensors).collect();
        ours.retain(|_, member| !is_new(member));
        theirs.retain(|_, member| !member.tensors().all(|id| self.is_claimed(id) || self.is_declared_unused(id)));
        let are_both_stacks = targets.is_numbered_stack(path) && blocks.is_numbered_stack(&from);
        Some(Sequence { path, source: (source, from), ours, declared, theirs, are_both_stacks })
    }

    /// Where a sequence of the target stands in a source: below a member that was moved, where most of its tensors come from, where
    /// what lies around it comes from, or the only sequence whose path ends alike.
    fn counterpart(
        &self,
        path: &str,
        targets: &Blocks,
        sources: &[Blocks],
        moved: &[(String, SourcePath)],
    ) -> Option<SourcePath> {
        let below_moved = moved.iter().rev().find_map(|(to, (source, from))| {
            let rest = below(path, to)?;
            Some((*source, join(from, rest)))
        });
        if below_moved.is_some() {
            return below_moved;
        }
        let mut votes: BTreeMap<SourcePath, usize> = BTreeMap::new();
        for (tail, request) in targets.layers(path)?.values().flatten() {
            let Some(hit) = &self.hits[*request] else { continue };
            let candidate = self.candidate(hit.candidate);
            let Some(place) = candidate.plain.iter().flat_map(|name| places(name)).find(|place| place.tail == *tail)
            else {
                continue;
            };
            *votes.entry((candidate.source, place.path.to_string())).or_default() += 1;
        }
        let elected = votes.into_iter().rev().max_by_key(|(_, count)| *count).map(|(place, _)| place);
        elected.or_else(|| self.around(path, sources)).or_else(|| alike(path, sources))
    }

    /// The path of a source that corresponds as most of the tensors below the same parent do.
    fn around(&self, path: &str, sources: &[Blocks]) -> Option<SourcePath> {
        let mut votes: BTreeMap<SourcePath, usize> = BTreeMap::new();
        for (request, hit) in self.requests.iter().zip(&self.hits) {
            let Some(candidate) = hit.as_ref().map(|hit| self.candidate(hit.candidate)) else { continue };
            for name in &candidate.plain {
                let (to, from) = heads(&request.plain, name);
                if let Some(rest) = below(path, to) {
                    *votes.entry((candidate.source, join(from, rest))).or_default() += 1;
                }
            }
        }
        let known = |(source, from): &SourcePath| sources.get(*source).is_some_and(|one| one.layers(from).is_some());
        votes
            .into_iter()
            .filter(|(place, _)| known(place))
            .rev()
            .max_by_key(|(_, count)| *count)
            .map(|(place, _)| place)
    }

    fn is_declared_new(&self, request: usize) -> bool {
        let rules = &self.target.rules;
        let name = &self.requests[request].name;
        let by_map = rules.map.iter().filter(|rule| rule.from.is_none());
        let mut by_map = by_map.flat_map(|rule| &rule.to);
        selects(&rules.new, name)
            || selects(&rules.reinit, name)
            || by_map.any(|pattern| pattern.matches(name).is_some())
    }

    fn is_declared_unused(&self, id: usize) -> bool {
        self.candidate(id).stored.as_deref().is_some_and(|name| selects(&self.target.rules.unused, name))
    }

    /// Gives every tensor of the target's members that of the member that it was aligned with, and takes from them what came by index.
    fn reorder(&mut self, sequence: &Sequence, pairs: &[(u64, u64)], aligned: usize) {
        let from: BTreeMap<u64, u64> = pairs.iter().copied().collect();
        let source_path = &sequence.source.1;
        // what their indices name is another layer's
        sequence.declared.iter().for_each(|request| self.release(*request));
        let mut given = Vec::new();
        for (to, member) in &sequence.ours {
            let theirs = from.get(to).and_then(|from| Some((*from, sequence.theirs.get(from)?)));
            for (tail, request) in member.names() {
                let own = theirs.and_then(|(_, theirs)| theirs.tensor(tail));
                let hit = self.hits[request].as_ref().map(|hit| hit.candidate);
                if hit.is_some() && hit == own {
                    continue;
                }
                if let Some(lost) = hit {
                    self.release(request);
                    let shown = self.candidate(lost).shown();
                    self.runners_up[request]
                        .push(format!("`{shown}` has the same index in the order and is another layer"));
                }
                self.contested[request] = None;
                given.extend(theirs.zip(own).map(|((from, _), id)| (request, id, from)));
            }
        }
        self.note(sequence, pairs);
        let counted = format!("{aligned} of {} layers agree in kind and shape", sequence.ours.len());
        for (request, id, from) in given {
            let layer = spell(source_path, from, "");
            let reason = format!("the place of `{layer}` in the order of `{source_path}`: {counted}");
            if self.is_free(id) {
                self.take(request, id, Step::Sequence, reason.into());
            }
        }
    }

    /// Notes of sequences that are alike but for the layers around them are one.
    fn note(&mut self, sequence: &Sequence, pairs: &[(u64, u64)]) {
        if pairs.iter().all(|(to, from)| to == from) {
            return;
        }
        let (key, path) = ((template(sequence.path), shifts(pairs)), sequence.path.to_string());
        match self.shifted.iter_mut().find(|one| one.key == key) {
            Some(known) => known.more += 1,
            None => self.shifted.push(Shifted { key, path, more: 0 }),
        }
    }

    fn refuse(&mut self, sequence: &Sequence, ours: &BTreeSet<u64>, theirs: &BTreeSet<u64>) {
        let of = |members: &Members, indices: &BTreeSet<u64>| -> Vec<usize> {
            indices.iter().filter_map(|index| members.get(index)).filter_map(Member::first).collect()
        };
        let targets =
            of(&sequence.ours, ours).into_iter().map(|request| self.requests[request].name.to_string()).collect();
        let sources =
            of(&sequence.theirs, theirs).into_iter().map(|id| self.candidate(id).shown().to_string()).collect();
        let requests: Vec<usize> = sequence.ours.values().flat_map(Member::tensors).collect();
        requests.iter().for_each(|request| self.release(*request));
        let (path, source_path) = (sequence.path.to_string(), sequence.source.1.clone());
        let is_longer = sequence.ours.len() > sequence.theirs.len();
        let order = Some(Disorder { path, source_path, targets, sources, is_longer });
        self.contest(Contest { requests, rivals: Vec::new(), order });
    }
}

impl Sequence<'_> {
    fn verdict(&self) -> Verdict {
        // how deep a repeated block is, is for depth rules to say; as many layers under other numbers are aligned
        let is_of_other_depth = self.are_both_stacks && self.ours.len() != self.theirs.len();
        if is_of_other_depth || self.ours.is_empty() || self.theirs.is_empty() {
            return Verdict::ByIndex;
        }
        let ours: Vec<(&u64, &Member)> = self.ours.iter().collect();
        let theirs: Vec<(&u64, &Member)> = self.theirs.iter().collect();
        let Some(best) = align(ours.len(), theirs.len(), |row, column| ours[row].1.agreement(theirs[column].1)) else {
            return Verdict::ByIndex;
        };
        let by_index = self.by_index();
        let is_named = self.ours.iter().all(|(index, one)| self.theirs.get(index).is_some_and(|two| one.is_like(two)));
        let are_same = is_named && self.ours.len() == self.theirs.len();
        // widths that changed may agree with another layer by chance, and where nothing agrees by index nothing is copied
        if is_named && (by_index == best.total || are_same && (by_index == 0 || !self.is_flat())) {
            return Verdict::ByIndex;
        }
        if best.total == 0 && is_named {
            return Verdict::ByIndex;
        }
        if !best.rivals.is_empty() || are_same {
            return self.undecided(&best, &ours, &theirs);
        }
        let index = |(row, column): &(usize, usize)| (*ours[*row].0, *theirs[*column].0);
        let aligned = best.pairs.len();
        let mut pairs: Vec<(u64, u64)> = best.pairs.iter().map(index).collect();
        pairs.extend(self.replaced(&best.pairs, &ours, &theirs));
        Verdict::ByOrder { pairs, aligned }
    }

    /// What agrees where every index names the same layer.
    fn by_index(&self) -> u64 {
        let agreement = |(index, one): (&u64, &Member)| self.theirs.get(index).map_or(0, |two| one.agreement(two));
        self.ours.iter().map(agreement).sum()
    }

    /// Whether every member is a single layer.
    fn is_flat(&self) -> bool {
        self.ours.values().chain(self.theirs.values()).all(Member::is_single)
    }

    fn undecided(&self, best: &Alignment, ours: &[(&u64, &Member)], theirs: &[(&u64, &Member)]) -> Verdict {
        let shown = if best.rivals.is_empty() { &best.pairs } else { &best.rivals };
        Verdict::Undecided {
            ours: shown.iter().map(|(row, _)| *ours[*row].0).collect(),
            theirs: shown.iter().map(|(_, column)| *theirs[*column].0).collect(),
        }
    }

    /// Members between two aligned ones that took each other's place: as many on either side and of the same kinds, or of one index and
    /// kind. Their shapes differ, so they are mismatched, or tables whose rows are adapted.
    fn replaced(
        &self,
        pairs: &[(usize, usize)],
        ours: &[(&u64, &Member)],
        theirs: &[(&u64, &Member)],
    ) -> Vec<(u64, u64)> {
        let ends = pairs.iter().copied().chain([(ours.len(), theirs.len())]);
        let (mut row, mut column) = (0, 0);
        let mut replaced = Vec::new();
        for (to, from) in ends {
            let (mine, yours) = (&ours[row..to], &theirs[column..from]);
            let in_order = mine.len() == yours.len() && mine.iter().zip(yours).all(|(a, b)| a.1.is_like(b.1));
            if in_order {
                replaced.extend(mine.iter().zip(yours).map(|(a, b)| (*a.0, *b.0)));
            } else {
                let known: HashMap<u64, &Member> = yours.iter().map(|(index, member)| (**index, *member)).collect();
                let same = mine.iter().filter(|(index, one)| known.get(*index).is_some_and(|two| one.is_like(two)));
                replaced.extend(same.map(|(index, _)| (**index, **index)));
            }
            (row, column) = (to + 1, from + 1);
        }
        replaced
    }
}

/// Layers that are named in a note at most.
const MOST_NAMED: usize = 8;

/// Which members of a sequence come from which, in words: `4 from 3, 8 from 6`.
fn shifts(pairs: &[(u64, u64)]) -> String {
    let shifted: BTreeMap<u64, u64> = pairs.iter().copied().filter(|(to, from)| to != from).collect();
    let named: Vec<String> = shifted.iter().take(MOST_NAMED).map(|(to, from)| format!("{to} from {from}")).collect();
    match shifted.len().saturating_sub(named.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The numbered paths of each source, over the stored names without wrappers.
fn source_blocks(catalog: &Catalog) -> Vec<Blocks<'_>> {
    let blocks = |source: usize| {
        let own = catalog.candidates.iter().enumerate().filter(move |(_, candidate)| {
            candidate.source == source && candidate.stored.is_some() && candidate.tensors.len() == 1
        });
        let names = own.filter_map(|(id, candidate)| Some((id, candidate.plain.first()?.as_str())));
        Blocks::of(names, |id| catalog.candidates.get(id).map(|one| one.info.shape.as_slice()))
    };
    (0..catalog.families.len()).map(blocks).collect()
}

/// The only path of all sources at which single layers are numbered and which ends as the target's path does.
fn alike(path: &str, sources: &[Blocks]) -> Option<SourcePath> {
    let mut near = sources.iter().enumerate().flat_map(|(source, blocks)| {
        let ends_alike = move |other: &&str| {
            let shorter = path.split('.').count().min(other.split('.').count());
            !path.is_empty() && last(path) == last(other) && common_suffix(path, other) == shorter
        };
        let has_layer = |other: &&str| {
            blocks.layers(other).is_some_and(|layers| layers.values().any(|names| is_single_layer(names)))
        };
        blocks.paths().into_iter().filter(ends_alike).filter(has_layer).map(move |other| (source, other.to_string()))
    });
    let only = near.next()?;
    near.next().is_none().then_some(only)
}
