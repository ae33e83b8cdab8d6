//! From steps to origins: every target by way of its depth, its rule or its want, to an expression.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::catalog::{Candidate, Catalog};
use super::dialects::apply_one;
use super::hints::map_flags;
use super::kernels::{Stored, Turning};
use super::known::Layouts;
use super::map::{Ruled, Rules};
use super::names::{below, plain, plain_components};
use super::ruling::Ruling;
use super::search::{Search, Shifted, Want};
use super::{Origin, Step};
use crate::adapt::Op;
use crate::arch::{Architecture, FamilyBlock};
use crate::error::{PlanError, Result, quoted};
use crate::graph::{Layout, Parameter, ParameterId};
use crate::hash::{HashMap, HashSet};
use crate::init::Scheme;
use crate::order;
use crate::plan::blocks::{Blocks, index_of, places};
use crate::plan::depth::{Counterpart, Depths, Lookup};
use crate::plan::quantized::Quantized;
use crate::plan::{InitPart, SourceView, Value};
use crate::tensor::{Dtype, Name, TensorInfo};
use crate::threads::side_by_side;

/// What answers for one name of a target.
enum Answerer {
    Rule(Box<Ruled>),
    Want(usize),
}

/// How many tensors of a block of the target come from one block of a source.
struct Vote {
    source: usize,
    path: String,
    count: usize,
}

/// A target's way to its sources.
enum Way {
    New,
    Leaf { answerer: Answerer, identity: bool },
    Between(Box<Way>, Box<Way>, f64),
}

impl Way {
    fn mark_wants(&self, marks: &mut [bool]) {
        match self {
            Way::Leaf { answerer: Answerer::Want(want), .. } => marks[*want] = true,
            Way::Between(a, b, _) => {
                a.mark_wants(marks);
                b.mark_wants(marks);
            }
            Way::New | Way::Leaf { answerer: Answerer::Rule(_), .. } => {}
        }
    }
}

/// What became of one target.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Resolution {
    /// Its origin.
    pub origin: Origin,
    /// The step that answered.
    pub step: Step,
    /// Why.
    pub reason: Cow<'static, str>,
    /// What lost.
    pub runners_up: Vec<String>,
    /// Whether the user said that it is new.
    pub declared: bool,
    /// The stored tensors that the value reads.
    pub tensors: SmallVec<[(usize, usize); 1]>,
    /// Whether it could not be decided.
    pub contested: bool,
    /// Whether its source holds codes that nothing can be made of; the value is not to be used.
    pub opaque: bool,
}

impl Resolution {
    fn new(step: Step, reason: impl Into<Cow<'static, str>>, declared: bool) -> Resolution {
        let origin = Origin::New;
        let (reason, tensors) = (reason.into(), SmallVec::new());
        let (runners_up, contested, opaque) = (Vec::new(), false, false);
        Resolution { origin, step, reason, runners_up, declared, tensors, contested, opaque }
    }

    /// Whether it has a source.
    pub fn is_found(&self) -> bool {
        matches!(self.origin, Origin::Found { .. })
    }
}

/// One run of all steps.
pub(super) struct Pass<'a> {
    pub(super) target: &'a Architecture,
    sources: &'a [SourceView<'a>],
    quantized: &'a [Quantized],
    depths: &'a Depths,
    search: Search<'a>,
    pub(super) rules: Rules<'a>,
    ways: Vec<Way>,
    claimed: Vec<(usize, usize)>,
    suggestions: HashMap<usize, usize>,
}

impl<'a> Pass<'a> {
    /// The steps, for what the rules left.
    pub fn run(
        sources: &'a [SourceView<'a>],
        quantized: &'a [Quantized],
        target: &'a Architecture,
        catalog: &'a Catalog,
        depths: &'a Depths,
        wanted: Wanted<'a>,
    ) -> Pass<'a> {
        let Wanted { rules, ways, wants, claimed } = wanted;
        let mut search = Search::new(catalog, sources, target, wants, &claimed);
        search.run();
        let suggestions = search.suggestions();
        Pass { target, sources, quantized, depths, search, rules, ways, claimed, suggestions }
    }

    /// The same, with depths that change no name.
    pub fn with_depths(self, depths: &'a Depths) -> Pass<'a> {
        Pass { depths, ..self }
    }

    /// Why stored tensors that nothing reads are not read, by source and tensor.
    pub fn unused_reasons(&self, counterparts: &HashMap<String, Counterpart>) -> Vec<HashMap<usize, String>> {
        let mut reasons = vec![HashMap::default(); self.sources.len()];
        let stored = || self.search.catalog.candidates.iter().filter(|candidate| candidate.stored.is_some());
        // a number that stands for one module alone is a place in a sequence, and no layer
        let mut layers: HashSet<(usize, &str, u64)> = HashSet::default();
        for candidate in stored().filter(|_| !self.depths.chosen.is_empty()) {
            let deep = candidate.plain.iter().flat_map(|name| places(name)).filter(|place| place.tail.contains('.'));
            layers.extend(deep.map(|place| (candidate.source, place.path, place.index)));
        }
        for candidate in stored() {
            for place in candidate.plain.iter().flat_map(|name| places(name)) {
                if !layers.contains(&(candidate.source, place.path, place.index)) {
                    continue;
                }
                let left = self.depths.left_out(candidate.source, place.path, place.index, counterparts);
                if let (Some(reason), [tensor]) = (left, candidate.tensors.as_slice()) {
                    reasons[candidate.source].insert(*tensor, reason);
                }
            }
        }
        let mut read = vec![false; self.search.wants.len()];
        self.ways.iter().for_each(|way| way.mark_wants(&mut read));
        for (want, hit) in self.search.hits.iter().enumerate().filter(|(want, _)| !read[*want]) {
            let Some(candidate) = hit.as_ref().map(|hit| self.search.candidate(hit.candidate)) else { continue };
            for tensor in &candidate.tensors {
                reasons[candidate.source].insert(*tensor, format!("{} is new by a rule", self.search.wants[want].name));
            }
        }
        reasons
    }

    /// The first map rule that matches nothing, as an error.
    pub fn check_rules(&self) -> Result<()> {
        let names: Vec<&str> = self.target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        self.rules.check(&names)
    }

    /// For each repeated block of the target the block of a source that most of its tensors come from.
    pub fn counterparts(&self) -> HashMap<String, Counterpart> {
        let (votes, layers) = side_by_side(|| self.votes(), || self.offered_layers());
        let all = votes.into_iter().filter_map(|(block, mut votes)| {
            // of equal votes the first path
            order::sort_by(&mut votes, |a, b| (a.source, &a.path).cmp(&(b.source, &b.path)));
            let Vote { source, path, .. } = votes.into_iter().rev().max_by_key(|vote| vote.count)?;
            let mut layers = layers.get(&(source, path.as_str()))?.clone();
            order::sort(&mut layers);
            layers.dedup();
            Some((block.to_string(), Counterpart { source, path, layers }))
        });
        all.collect()
    }

    /// For each repeated block of the target how many of its tensors come from which block of which source.
    fn votes(&self) -> HashMap<&'a str, SmallVec<[Vote; 1]>> {
        let mut votes: HashMap<&str, SmallVec<[Vote; 1]>> = HashMap::default();
        for (parameter, way) in self.target.parameters.iter().zip(&self.ways) {
            let Some((source, names)) = self.first_source(way) else { continue };
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

    /// The source of the first tensor that a way leads to, and its names without wrappers.
    fn first_source(&self, way: &Way) -> Option<(usize, Cow<'_, [Name]>)> {
        match way {
            Way::New => None,
            Way::Between(a, b, _) => self.first_source(a).or_else(|| self.first_source(b)),
            Way::Leaf { answerer: Answerer::Rule(ruled), .. } => {
                let Ruled::Found { tensors, .. } = &**ruled else { return None };
                let (source, tensor) = tensors.first()?;
                let name = &self.sources.get(*source)?.listing.tensors.get(*tensor)?.name;
                Some((*source, Cow::Owned(vec![plain(name)])))
            }
            Way::Leaf { answerer: Answerer::Want(want), .. } => {
                let candidate = self.search.candidate(self.search.hits[*want].as_ref()?.candidate);
                // borrowed: counting references would keep two threads waiting for each other
                Some((candidate.source, Cow::Borrowed(&candidate.plain)))
            }
        }
    }

    /// What the user should know of the steps.
    pub fn notes(&self) -> Vec<String> {
        self.search.shifted.iter().map(Shifted::note).collect()
    }

    /// What could not be decided.
    pub fn ambiguities(&self) -> Vec<PlanError> {
        let contests = self.search.contests.iter().map(|contest| {
            if let Some(disorder) = &contest.order {
                return disorder.error();
            }
            let named =
                |(want, id): &(usize, usize)| (self.search.wants[*want].name.to_string(), self.stored_name(*id));
            let sides: Vec<Vec<(String, String)>> =
                contest.rivals.iter().map(|pairs| pairs.iter().map(named).collect()).collect();
            let firsts: Vec<&(String, String)> = sides.iter().filter_map(|pairs| pairs.first()).collect();
            let one_source = firsts.windows(2).all(|two| two[0].1 == two[1].1);
            PlanError::Ambiguous {
                target: firsts.first().map(|(to, _)| to.clone()).unwrap_or_default(),
                count: contest.wants.len(),
                rivals: firsts.iter().map(|(to, from)| if one_source { to } else { from }.clone()).collect(),
                rules: sides.iter().flat_map(|pairs| map_flags(pairs)).collect(),
            }
        });
        let ruled = self.target.parameters.iter().zip(&self.ways).filter_map(|(parameter, way)| {
            let Way::Leaf { answerer: Answerer::Rule(ruled), .. } = way else { return None };
            let Ruled::Ambiguous { name, sources, .. } = &**ruled else { return None };
            let rivals: Vec<String> =
                sources.iter().map(|source| format!("{}:{name}", self.sources[*source].name)).collect();
            let rules =
                rivals.iter().map(|from| format!("--map {}", quoted(&format!("{}={from}", parameter.name)))).collect();
            Some(PlanError::Ambiguous { target: parameter.name.to_string(), count: 1, rivals, rules })
        });
        contests.chain(ruled).collect()
    }

    /// A candidate's stored name as `map` rules write it.
    fn stored_name(&self, id: usize) -> String {
        let candidate = self.search.candidate(id);
        let view = &self.sources[candidate.source];
        let stored = candidate.tensors.first().and_then(|tensor| view.listing.tensors.get(*tensor));
        let name = candidate.stored.as_deref().or(stored.map(|tensor| tensor.name.as_str())).unwrap_or_default();
        if self.sources.len() > 1 { format!("{}:{name}", view.name) } else { name.to_string() }
    }

    /// What became of every target. `zeroed` are the ends of residual branches in layers that start as the identity.
    pub fn resolve(&self, layouts: &[&Layouts], zeroed: &HashSet<ParameterId>) -> Result<Vec<Resolution>> {
        let mut resolutions = Vec::with_capacity(self.ways.len());
        for (id, (parameter, way)) in self.target.parameters.iter().zip(&self.ways).enumerate() {
            let mut resolution = self.follow(parameter, way, layouts, zeroed.contains(&id))?;
            if let (true, Some(list)) = (resolution.is_found(), self.depths.said(&parameter.name)) {
                resolution.reason.to_mut().push_str(&format!("; depth {list}"));
            }
            resolutions.push(resolution);
        }
        Ok(resolutions)
    }

    fn follow(&self, parameter: &Parameter, way: &Way, layouts: &[&Layouts], zero: bool) -> Result<Resolution> {
        match way {
            Way::New => {
                let list = self.depths.said(&parameter.name).unwrap_or("new");
                Ok(Resolution::new(Step::None, format!("a new layer by depth {list}"), true))
            }
            Way::Leaf { answerer, identity } => {
                let mut resolution = match answerer {
                    Answerer::Rule(ruled) => self.by_rule(parameter, ruled, layouts)?,
                    Answerer::Want(want) => self.by_want(parameter, *want, layouts)?,
                };
                if *identity && zero {
                    start_at_zero(parameter, &mut resolution);
                }
                Ok(resolution)
            }
            Way::Between(a, b, t) => {
                let a = self.follow(parameter, a, layouts, zero)?;
                let b = self.follow(parameter, b, layouts, zero)?;
                Ok(between(a, b, *t))
            }
        }
    }

    fn by_rule(&self, parameter: &Parameter, ruled: &Ruled, layouts: &[&Layouts]) -> Result<Resolution> {
        let text = |rule: &usize| self.target.rules.map.get(*rule).map_or("", |rule| rule.text.as_str());
        Ok(match ruled {
            Ruled::Found { rule, slot, tensors, sizes } => {
                let ruling = Ruling { pass: self, parameter, layouts, rule: *rule, slot: *slot, tensors, sizes };
                let (made, words) = ruling.value()?;
                let mut reason = format!("rule `{}`", text(rule));
                if !words.is_empty() {
                    reason.push_str(&format!("; {words}"));
                }
                let mut resolution = Resolution::new(Step::Map, reason, false);
                resolution.origin = Origin::Found { value: made.0, info: made.1 };
                resolution.tensors = tensors.iter().copied().collect();
                resolution
            }
            Ruled::New { rule } => Resolution::new(Step::Map, format!("declared new by `{}`", text(rule)), true),
            Ruled::Ambiguous { rule, name, .. } => {
                let reason = format!("ambiguous: several sources have the `{name}` of rule `{}`", text(rule));
                Resolution { contested: true, ..Resolution::new(Step::None, reason, false) }
            }
            Ruled::No | Ruled::Missing { .. } => Resolution::new(Step::None, "no source", false),
        })
    }

    /// A stored tensor as a value: the weight that its codes stand for, unless a rule itself says how codes are read.
    pub(super) fn weight(&self, source: usize, tensor: usize, is_explicit: bool) -> (Value, TensorInfo) {
        let quantized = &self.quantized[source];
        let weight = quantized.of_codes(tensor).filter(|_| !is_explicit);
        match weight.and_then(|weight| quantized.numbers(source, self.sources[source].listing, weight)) {
            Some(numbers) => (numbers.value, numbers.info),
            None => self.stored(source, tensor),
        }
    }

    /// A stored tensor as a value.
    pub(super) fn stored(&self, source: usize, tensor: usize) -> (Value, TensorInfo) {
        let info = self.sources[source].listing.tensors[tensor].clone();
        let (tensor, dtype, shape) = (info.name.clone(), info.dtype, info.shape.clone());
        (Value::Source { source, tensor, dtype, shape }, info)
    }

    fn by_want(&self, parameter: &Parameter, want: usize, layouts: &[&Layouts]) -> Result<Resolution> {
        let runners_up = self.search.runners_up[want].clone();
        if let Some(contest) = self.search.contested[want] {
            if let Some(disorder) = &self.search.contests[contest].order {
                let reason = format!("undecided: its place in the order of `{}`", disorder.path);
                return Ok(Resolution { contested: true, ..Resolution::new(Step::None, reason, false) });
            }
            let rivals = self.search.contests[contest].rivals.iter().flatten().filter(|(of, _)| *of == want);
            let names: Vec<String> = rivals.map(|(_, id)| format!("`{}`", self.stored_name(*id))).collect();
            let reason = format!("ambiguous: {}", names.join(", "));
            let base = Resolution::new(Step::None, reason, false);
            return Ok(Resolution { contested: true, runners_up: names, ..base });
        }
        let Some(hit) = &self.search.hits[want] else {
            let base = Resolution::new(Step::None, "no source tensor matches", false);
            let suggested = self.suggestions.get(&want).map(|id| {
                let pair = (parameter.name.to_string(), self.stored_name(*id));
                format!("`{}` ends alike: {}", pair.1, map_flags(std::slice::from_ref(&pair)).join(" "))
            });
            return Ok(Resolution { runners_up: runners_up.into_iter().chain(suggested).collect(), ..base });
        };
        let candidate = self.search.candidate(hit.candidate);
        let tensors: SmallVec<_> = candidate.tensors.iter().map(|tensor| (candidate.source, *tensor)).collect();
        let base = Resolution { runners_up, tensors, ..Resolution::new(hit.step, hit.reason.clone(), false) };
        if let Some(origin) = self.codes_for(parameter, candidate) {
            return Ok(Resolution { origin, ..base });
        }
        if candidate.opaque {
            let origin = Origin::Found { value: candidate.value.clone(), info: candidate.info.clone() };
            return Ok(Resolution { origin, opaque: true, ..base });
        }
        let layouts = layouts.get(candidate.source);
        let stored = layouts.and_then(|layouts| candidate.names().find_map(|name| layouts.layout(name)));
        let made = (candidate.value.clone(), candidate.info.clone());
        let made = match (&stored, &made.0) {
            (None, _) => made,
            (Some(Stored::Family(layout)), _) => relaid(parameter, made, candidate.shown(), *layout)?,
            (Some(stored), Value::Source { .. }) => {
                Turning { parameter, name: candidate.shown(), stored }.turn(made)?.0
            }
            // a dialect has made of it what its family has
            (Some(_), _) => made,
        };
        let mut reason = base.reason;
        for how in self.dequantized(candidate).into_iter().take(1) {
            reason.to_mut().push_str(&format!("; {how}"));
        }
        Ok(Resolution { origin: Origin::Found { value: made.0, info: made.1 }, reason, ..base })
    }

    /// The codes as they are stored, for a target that lists them so: in their type, with what stands next to them.
    fn codes_for(&self, parameter: &Parameter, candidate: &Candidate) -> Option<Origin> {
        let [tensor] = candidate.tensors.as_slice() else { return None };
        candidate.stored.as_ref().and_then(|_| self.codes_of(parameter, candidate.source, *tensor))
    }

    pub(super) fn codes_of(&self, parameter: &Parameter, source: usize, tensor: usize) -> Option<Origin> {
        let view = &self.sources[source];
        let weight = self.quantized[source].of_codes(tensor)?;
        let stored = view.listing.tensors.get(tensor)?;
        let is_listed = match parameter.dtype {
            Some(dtype) => dtype == stored.dtype && parameter.shape == stored.shape,
            None => {
                let mut names = weight.names_beside(view.listing, &parameter.name).peekable();
                names.peek().is_some() && names.all(|name| self.search.has_target(&name))
            }
        };
        let (tensor, dtype) = (stored.name.clone(), stored.dtype);
        let value = Value::Source { source, tensor, dtype, shape: stored.shape.clone() };
        is_listed.then(|| Origin::Found { value, info: stored.clone() })
    }

    /// What was done to the codes that a candidate is made of, in words.
    fn dequantized(&self, candidate: &Candidate) -> Option<String> {
        let (quantized, listing) = (&self.quantized[candidate.source], self.sources[candidate.source].listing);
        let codes = candidate.tensors.iter().filter_map(|tensor| quantized.of_codes(*tensor));
        codes
            .filter_map(|weight| quantized.numbers(candidate.source, listing, weight))
            .map(|numbers| numbers.how)
            .next()
    }

    /// Names that a rule gave away: targets without a source, of the very name of a tensor that a rule took.
    pub fn given_away(&self, resolutions: &[Resolution]) -> Option<String> {
        if self.claimed.is_empty() {
            return None;
        }
        let claimed: HashSet<(usize, usize)> = self.claimed.iter().copied().collect();
        let by_stored = &self.search.catalog.by_stored;
        let is_claimed = |id: &usize| {
            let candidate = self.search.candidate(*id);
            candidate.tensors.iter().any(|tensor| claimed.contains(&(candidate.source, *tensor)))
        };
        let mut names = self.target.parameters.iter().zip(resolutions).filter(|(parameter, resolution)| {
            let lost = matches!(resolution.origin, Origin::New) && resolution.step == Step::None;
            lost && by_stored.get(parameter.name.as_str()).is_some_and(|ids| ids.iter().any(is_claimed))
        });
        let (first, _) = names.next()?;
        let (name, more) = (&first.name, names.count());
        let others = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("`{name}`{others}: a map rule gave the source tensor of this name to another target"))
    }
}

/// What the rules answer, and what they leave to look for.
pub(super) struct Wanted<'a> {
    rules: Rules<'a>,
    ways: Vec<Way>,
    wants: Vec<Want>,
    claimed: Vec<(usize, usize)>,
}

impl<'a> Wanted<'a> {
    /// Every target by way of its depth.
    pub fn of(sources: &'a [SourceView<'a>], target: &'a Architecture, depths: &Depths) -> Result<Wanted<'a>> {
        let mut wanting = Wanting {
            rules: Rules::new(&target.rules.map, sources, &target.parameters),
            wants: Vec::with_capacity(target.parameters.len()),
            // without depth every target looks for its own name, and no two have one
            by_name: depths.has_rules().then(HashMap::default),
            claimed: Vec::new(),
        };
        let mut ways = Vec::with_capacity(target.parameters.len());
        for parameter in &target.parameters {
            let block = target.blocks.iter().find(|block| below(&parameter.name, &block.path).is_some());
            let ruled = depths.ruled(&parameter.name);
            ways.push(wanting.way(parameter, depths.lookup(&parameter.name), ruled, block)?);
        }
        let Wanting { rules, wants, claimed, by_name: _ } = wanting;
        Ok(Wanted { rules, ways, wants, claimed })
    }
}

/// Collects wants while rules are asked.
struct Wanting<'a> {
    rules: Rules<'a>,
    wants: Vec<Want>,
    /// Wants by their names, where several targets may look for one.
    by_name: Option<HashMap<Name, usize>>,
    claimed: Vec<(usize, usize)>,
}

impl Wanting<'_> {
    fn way(
        &mut self,
        parameter: &Parameter,
        lookup: Lookup,
        ruled: Option<&str>,
        block: Option<&FamilyBlock>,
    ) -> Result<Way> {
        Ok(match lookup {
            Lookup::New => Way::New,
            Lookup::Between(a, b, t) => {
                let a = self.way(parameter, *a, ruled, block)?;
                let b = self.way(parameter, *b, ruled, block)?;
                Way::Between(Box::new(a), Box::new(b), t)
            }
            Lookup::Name { name, identity } => {
                let said = self.rules.decide(&parameter.name, &name, ruled)?;
                if let Ruled::Found { tensors, .. } = &said {
                    self.claimed.extend(tensors);
                }
                let answerer = match said {
                    Ruled::No | Ruled::Missing { .. } => Answerer::Want(self.want(parameter, name, block)),
                    // what is new by rule still holds its namesake, which no other target may take for its own
                    Ruled::New { .. } => {
                        self.want(parameter, name, block);
                        Answerer::Rule(Box::new(said))
                    }
                    Ruled::Found { .. } | Ruled::Ambiguous { .. } => Answerer::Rule(Box::new(said)),
                };
                Way::Leaf { answerer, identity }
            }
        })
    }

    fn want(&mut self, parameter: &Parameter, name: Name, block: Option<&FamilyBlock>) -> usize {
        if let Some(known) = self.by_name.as_ref().and_then(|known| known.get(&name)) {
            return *known;
        }
        let id = self.wants.len();
        if let Some(known) = &mut self.by_name {
            known.insert(name.clone(), id);
        }
        self.wants.push(Want::new(name, parameter.shape.clone(), block));
        id
    }
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

/// A matrix that the source stores in a layout that is known to matter, laid out as the target stores it.
fn relaid(parameter: &Parameter, made: (Value, TensorInfo), name: &str, stored: Layout) -> Result<(Value, TensorInfo)> {
    match parameter.layout {
        Layout::Unknown => {
            let stored = if stored == Layout::InOut { "(in, out)" } else { "(out, in)" };
            let (target, source_name) = (parameter.name.clone(), name.to_string());
            Err(PlanError::LayoutUnknown { target: target.to_string(), source_name, stored }.into())
        }
        wanted if stored == wanted || made.1.shape.len() != 2 => Ok(made),
        Layout::InOut | Layout::OutIn => apply_one(vec![made], &Op::Transpose),
    }
}

/// The end of a residual branch in a layer that starts as the identity.
fn start_at_zero(parameter: &Parameter, resolution: &mut Resolution) {
    let Origin::Found { info, .. } = &resolution.origin else { return };
    let shape = parameter.shape.clone();
    let rows = shape.first().copied().unwrap_or(1);
    let parts = vec![InitPart { rows, scheme: Scheme::Constant { value: 0.0 } }];
    let mut value = Value::Init { shape: shape.clone(), first: 0, parts };
    let dtype = if info.dtype.is_float() { info.dtype } else { Dtype::F32 };
    if dtype != Dtype::F32 {
        value = Value::Apply { op: Op::Cast { dtype }, inputs: vec![value] };
    }
    let info = TensorInfo::new(info.name.clone(), dtype, shape);
    resolution.origin = Origin::Found { value, info };
    resolution.tensors.clear();
    resolution.reason = "zero: the end of a residual branch in a layer that starts as the identity".into();
}

/// Between two layers, where both have a source; whole numbers stay with the lower.
fn between(a: Resolution, b: Resolution, t: f64) -> Resolution {
    let (Origin::Found { value, info }, Origin::Found { value: upper, info: upper_info }) = (&a.origin, &b.origin)
    else {
        let contested = a.contested || b.contested;
        let reason = "one of the two layers that it lies between has no source".to_string();
        return Resolution { contested, ..Resolution::new(Step::None, reason, a.declared && b.declared) };
    };
    let inputs = vec![(value.clone(), info.clone()), (upper.clone(), upper_info.clone())];
    let Ok((value, info)) = apply_one(inputs, &Op::Lerp { t }) else { return a };
    let tensors = a.tensors.iter().chain(&b.tensors).copied().collect();
    let reason = format!("{}, between two layers ({t} of the upper)", a.reason);
    Resolution { origin: Origin::Found { value, info }, tensors, reason: reason.into(), ..a }
}

/// The repeated blocks of the target.
pub(in crate::plan) fn blocks(target: &Architecture) -> Blocks<'_> {
    let names = target.parameters.iter().enumerate().map(|(id, parameter)| (id, parameter.name.as_str()));
    Blocks::of(names, |id| target.parameters.get(id).map(|parameter| parameter.shape.as_slice()))
}
