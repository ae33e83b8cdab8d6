//! What a run of matching reports beside origins: ambiguities, notes, and why a stored tensor is not read.

use crate::error::{Result, quoted};
use crate::hash::{HashMap, HashSet};
use crate::plan::error::PlanError;
use crate::plan::matching::Step;
use crate::plan::matching::blocks::places;
use crate::plan::matching::depth::Counterpart;
use crate::plan::matching::hints::map_flags;
use crate::plan::matching::map::Ruled;
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::matching::pass::Pass;
use crate::plan::matching::requests::{Answerer, Route};
use crate::plan::matching::search::Shifted;

impl Pass<'_> {
    /// Why stored tensors that nothing reads are not read, by source and tensor.
    pub(crate) fn unused_reasons(&self, counterparts: &HashMap<String, Counterpart>) -> Vec<HashMap<usize, String>> {
        let mut reasons = vec![HashMap::default(); self.sources.len()];
        let stored = || self.search.catalog.candidates.iter().filter(|candidate| candidate.stored.is_some());
        // a number that stands for one module alone is a place in a sequence, and no layer
        let mut layers: HashSet<(usize, &str, u64)> = HashSet::default();
        for candidate in stored().filter(|_| self.depths.are_chosen()) {
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
        let mut read = vec![false; self.search.requests.len()];
        self.routes.iter().for_each(|route| route.mark_requests(&mut read));
        for (request, hit) in self.search.hits.iter().enumerate().filter(|(request, _)| !read[*request]) {
            let Some(candidate) = hit.as_ref().map(|hit| self.search.candidate(hit.candidate)) else { continue };
            for tensor in &candidate.tensors {
                reasons[candidate.source]
                    .insert(*tensor, format!("{} is new by a rule", self.search.requests[request].name));
            }
        }
        reasons
    }

    /// The first map rule that matches nothing, as an error.
    pub(crate) fn check_rules(&self) -> Result<()> {
        let names: Vec<&str> = self.target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        self.rules.check(&names)
    }

    /// What the user should know of the steps.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.search.shifted.iter().map(Shifted::note).collect()
    }

    pub(crate) fn ambiguities(&self) -> Vec<PlanError> {
        let contests = self.search.contests.iter().map(|contest| {
            if let Some(disorder) = &contest.order {
                return disorder.error();
            }
            let named = |(request, id): &(usize, usize)| {
                (self.search.requests[*request].name.to_string(), self.stored_name(*id))
            };
            let sides: Vec<Vec<(String, String)>> =
                contest.rivals.iter().map(|pairs| pairs.iter().map(named).collect()).collect();
            let firsts: Vec<&(String, String)> = sides.iter().filter_map(|pairs| pairs.first()).collect();
            let one_source = firsts.windows(2).all(|two| two[0].1 == two[1].1);
            PlanError::Ambiguous {
                target: firsts.first().map(|(to, _)| to.clone()).unwrap_or_default(),
                count: contest.requests.len(),
                rivals: firsts.iter().map(|(to, from)| if one_source { to } else { from }.clone()).collect(),
                rules: sides.iter().flat_map(|pairs| map_flags(pairs)).collect(),
            }
        });
        let ruled = self.target.parameters.iter().zip(&self.routes).filter_map(|(parameter, route)| {
            let Route::Leaf { answerer: Answerer::Rule(ruled), .. } = route else { return None };
            let Ruled::Ambiguous { name, sources, .. } = &**ruled else { return None };
            let rivals: Vec<String> =
                sources.iter().map(|source| format!("{}:{name}", self.sources[*source].name)).collect();
            let rules =
                rivals.iter().map(|from| format!("--map {}", quoted(&format!("{}={from}", parameter.name)))).collect();
            Some(PlanError::Ambiguous { target: parameter.name.to_string(), count: 1, rivals, rules })
        });
        contests.chain(ruled).collect()
    }

    /// Names that a rule gave away: targets without a source, of the very name of a tensor that a rule took.
    pub(crate) fn given_away(&self, resolutions: &[Match]) -> Option<String> {
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
