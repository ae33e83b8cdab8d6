//! The steps after the rules: the same name, wrappers, dialects. Prefixes and suffixes stand in files of their own.
//! Every step looks only for what is still open, and takes only what is still free; what is taken counts for ambiguity.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use smallvec::SmallVec;

use crate::arch::{Architecture, FamilyBlock};
use crate::hash::{HashMap, HashSet};
use crate::name::{join, parent};
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::inputs::SourceView;
use crate::plan::matching::catalog::{Candidate, Catalog, Spelling};
use crate::plan::matching::hints::heads;
use crate::plan::names::{plain, plain_text};
use crate::tensor::{Name, Shape};

/// A name that some target tensors look for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The name, as the target spells it, with the layer of the source.
    pub name: Name,
    pub plain: Name,
    pub shape: Shape,
    /// The family of the block that it stands in.
    pub family: Option<&'static str>,
    /// The path of that block, without wrappers.
    pub block: Option<String>,
}

/// What a request found.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub candidate: usize,
    pub step: Step,
    pub reason: Cow<'static, str>,
}

/// Requests that several candidates fit alike, or a candidate that fits several requests alike.
#[derive(Clone, Debug)]
pub(crate) struct Contest {
    pub requests: Vec<usize>,
    /// For each rival the pairs of request and candidate that it stands for.
    pub rivals: Vec<Vec<(usize, usize)>>,
    /// Instead of rivals, a sequence whose layers can be aligned in several ways.
    pub order: Option<Disorder>,
}

/// A sequence whose layers can be aligned with those of a source in several ways.
#[derive(Clone, Debug)]
pub(crate) struct Disorder {
    pub path: String,
    pub source_path: String,
    /// Tensors of the target, one for each layer that is not decided.
    pub targets: Vec<String>,
    /// Tensors of the source, the same.
    pub sources: Vec<String>,
    /// Whether the source has fewer layers than the target, or else more or as many.
    pub is_longer: bool,
}

/// Sequences whose members have other indices in the source, and are alike but for the layers around them.
#[derive(Clone, Debug)]
pub(crate) struct Shifted {
    /// The path with its own indices replaced, and which member comes from which.
    pub key: (String, String),
    pub path: String,
    pub more: usize,
}

impl Shifted {
    pub(crate) fn note(&self) -> String {
        let place = if self.path.is_empty() { "the model".to_string() } else { format!("`{}`", self.path) };
        let more = if self.more > 0 { format!(" and {} more like it", self.more) } else { String::new() };
        let shifts = &self.key.1;
        format!("the layers of {place}{more} have other indices in the source and are matched by their order: {shifts}")
    }
}

impl Disorder {
    pub(crate) fn error(&self) -> PlanError {
        let Disorder { path, source_path, targets, sources, is_longer } = self.clone();
        PlanError::Order { path, source_path, targets, sources, is_longer }
    }
}

/// What holds a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Free,
    /// A rule, or a candidate that goes by its stored name.
    Whole,
    /// A dialect that makes several tensors of it.
    Pieces,
}

/// The state of the search.
pub(crate) struct Search<'a> {
    pub catalog: &'a Catalog,
    pub requests: Vec<Request>,
    pub hits: Vec<Option<Hit>>,
    pub contested: Vec<Option<usize>>,
    pub contests: Vec<Contest>,
    /// By request, candidates that lost, in words.
    pub runners_up: Vec<Vec<String>>,
    /// Sequences that were matched by their order.
    pub shifted: Vec<Shifted>,
    pub target: &'a Architecture,
    /// What rules took, by source and tensor.
    claimed: HashSet<(usize, usize)>,
    /// Every name of the target, where that is asked for.
    names: OnceLock<HashSet<&'a str>>,
    held: Vec<Vec<Use>>,
    taken: Vec<bool>,
}

impl<'a> Search<'a> {
    /// A search that has found nothing yet. `claimed` are stored tensors that rules took, by source and tensor.
    pub(crate) fn new(
        catalog: &'a Catalog,
        sources: &[SourceView],
        target: &'a Architecture,
        requests: Vec<Request>,
        claimed: &[(usize, usize)],
    ) -> Search<'a> {
        let mut held: Vec<Vec<Use>> =
            sources.iter().map(|source| vec![Use::Free; source.listing.tensors.len()]).collect();
        for (source, tensor) in claimed {
            held[*source][*tensor] = Use::Whole;
        }
        let count = requests.len();
        Search {
            catalog,
            requests,
            hits: vec![None; count],
            contested: vec![None; count],
            contests: Vec::new(),
            runners_up: vec![Vec::new(); count],
            shifted: Vec::new(),
            target,
            claimed: claimed.iter().copied().collect(),
            names: OnceLock::new(),
            held,
            taken: vec![false; catalog.candidates.len()],
        }
    }

    pub(crate) fn run(&mut self) {
        self.by_name();
        self.by_wrapper();
        self.by_dialect();
        self.by_prefix();
        self.by_suffix();
        self.by_order();
    }

    pub(crate) fn candidate(&self, id: usize) -> &'a Candidate {
        &self.catalog.candidates[id]
    }

    /// Whether a request is neither found nor contested.
    pub(crate) fn is_open(&self, request: usize) -> bool {
        self.hits[request].is_none() && self.contested[request].is_none()
    }

    /// Whether nothing has taken the candidate or what it is made of.
    pub(crate) fn is_free(&self, id: usize) -> bool {
        let candidate = self.candidate(id);
        let free = |tensor: &usize| match self.held[candidate.source][*tensor] {
            Use::Free => true,
            Use::Whole => false,
            Use::Pieces => candidate.stored.is_none(),
        };
        !self.taken[id] && candidate.tensors.iter().all(free)
    }

    /// Whether a candidate may fill this target: an old norm's `gamma` is not a `weight` where the target has a `gamma` too.
    pub(crate) fn may_fill(&self, id: usize, target: &str) -> bool {
        !self.candidate(id).is_old_norm(target) || !self.has_target(&join(parent(target), "gamma"))
    }

    /// Whether the target has a parameter of this name.
    pub(crate) fn has_target(&self, name: &str) -> bool {
        let all = || self.target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        self.names.get_or_init(all).contains(name)
    }

    /// Gives a candidate to a request.
    pub(crate) fn take(&mut self, request: usize, id: usize, step: Step, reason: Cow<'static, str>) {
        let candidate = self.candidate(id);
        let how = if candidate.stored.is_some() { Use::Whole } else { Use::Pieces };
        for tensor in &candidate.tensors {
            self.held[candidate.source][*tensor] = how;
        }
        self.taken[id] = true;
        self.hits[request] = Some(Hit { candidate: id, step, reason });
    }

    /// Takes from a request what it was given.
    pub(crate) fn release(&mut self, request: usize) {
        let Some(hit) = self.hits[request].take() else { return };
        let candidate = self.candidate(hit.candidate);
        for tensor in &candidate.tensors {
            self.held[candidate.source][*tensor] = Use::Free;
        }
        self.taken[hit.candidate] = false;
    }

    /// Whether a rule took what a candidate is made of.
    pub(crate) fn is_claimed(&self, id: usize) -> bool {
        let candidate = self.candidate(id);
        candidate.tensors.iter().any(|tensor| self.claimed.contains(&(candidate.source, *tensor)))
    }

    /// Records that requests cannot be decided.
    pub(crate) fn contest(&mut self, contest: Contest) {
        for request in &contest.requests {
            self.contested[*request] = Some(self.contests.len());
        }
        self.contests.push(contest);
    }

    fn open(&self) -> Vec<usize> {
        (0..self.requests.len()).filter(|request| self.is_open(*request)).collect()
    }

    fn by_name(&mut self) {
        let catalog = self.catalog;
        self.settle(
            |search, request| catalog.stored(&search.requests[request].name),
            Step::Name,
            |_| "the same name".into(),
        );
    }

    fn by_wrapper(&mut self) {
        let catalog = self.catalog;
        let found = |search: &Search, request: usize| catalog.plain(&search.requests[request].plain);
        self.settle(found, Step::Wrapper, |_| "the same name without wrappers".into());
    }

    fn by_dialect(&mut self) {
        let catalog = self.catalog;
        let reason = |candidate: &Candidate| match candidate.spelt {
            Some((_, Spelling::Dialect(name))) => format!("the {name} dialect's name for it").into(),
            Some((_, Spelling::Weight)) => "the weight that its codes encode".into(),
            Some((_, Spelling::Norm)) | None => "a norm's gamma and beta are its weight and bias".into(),
        };
        let spelt = |ids: Option<&SmallVec<[usize; 1]>>| ids.cloned().unwrap_or_default();
        self.settle(
            |search, request| spelt(catalog.by_spelt.get(&search.requests[request].name)),
            Step::Dialect,
            reason,
        );
        self.settle(
            |search, request| spelt(catalog.by_plain_spelt.get(&search.requests[request].plain)),
            Step::Dialect,
            reason,
        );
    }

    /// One step: an open request whose key one candidate has, free and wanted by no other, takes it; several are a contest.
    fn settle(
        &mut self,
        found: impl Fn(&Search, usize) -> SmallVec<[usize; 1]>,
        step: Step,
        reason: impl Fn(&Candidate) -> Cow<'static, str>,
    ) {
        let mut by_first: HashMap<usize, SmallVec<[usize; 1]>> = HashMap::default();
        let mut order = Vec::new();
        for request in self.open() {
            let mut fitting = found(self, request);
            fitting.retain(|id| self.may_fill(*id, &self.requests[request].name));
            let Some(first) = fitting.first().copied() else { continue };
            let rivals = by_first.entry(first).or_default();
            if rivals.is_empty() {
                order.push((first, fitting));
            }
            rivals.push(request);
        }
        let mut contests: BTreeMap<Vec<String>, Contest> = BTreeMap::new();
        for (first, fitting) in order {
            let requests = &by_first[&first];
            if fitting.iter().all(|id| !self.is_free(*id)) {
                for request in requests {
                    let shown = self.candidate(first).shown();
                    self.runners_up[*request].push(format!("`{shown}` is taken"));
                }
            } else if let ([request], [id]) = (requests.as_slice(), fitting.as_slice()) {
                let reason = reason(self.candidate(*id));
                self.take(*request, *id, step, reason);
            } else {
                self.add_contest(&mut contests, requests, &fitting);
            }
        }
        for contest in contests.into_values() {
            self.contest(contest);
        }
    }

    /// Contests of one kind (the same sources, the same wrappers) are one.
    fn add_contest(&self, contests: &mut BTreeMap<Vec<String>, Contest>, requests: &[usize], fitting: &[usize]) {
        let sides: Vec<Vec<(usize, usize)>> = if fitting.len() > 1 {
            fitting.iter().map(|id| requests.iter().map(|request| (*request, *id)).collect()).collect()
        } else {
            requests.iter().map(|request| fitting.iter().map(|id| (*request, *id)).collect()).collect()
        };
        let kind = sides.iter().flatten().map(|(request, id)| {
            let (target, candidate) = (&self.requests[*request].name, self.candidate(*id));
            let (to, from) = heads(target, candidate.shown());
            format!("{to}={}:{from}", candidate.source)
        });
        let contest = contests.entry(kind.collect()).or_insert_with(|| Contest {
            requests: Vec::new(),
            rivals: vec![Vec::new(); sides.len()],
            order: None,
        });
        contest.requests.extend(requests);
        for (rival, pairs) in contest.rivals.iter_mut().zip(sides) {
            rival.extend(pairs);
        }
    }
}

impl Request {
    /// A request for a target of this name and shape, in a family's block or in none.
    pub(crate) fn new(name: Name, shape: Shape, block: Option<&FamilyBlock>) -> Request {
        Request {
            plain: plain(&name),
            name,
            shape,
            family: block.map(|block| block.family.name()),
            block: block.map(|block| plain_text(&block.path)),
        }
    }
}
