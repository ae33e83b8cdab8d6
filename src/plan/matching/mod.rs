//! Which source tensor each target tensor's value comes from, before it is made to fit. Decides from names, shapes, dtypes
//! and the two architectures alone; reads no data and resizes nothing.

mod adapter;
mod agreements;
mod alignment;
mod application;
pub(super) mod blocks;
mod buffers;
mod catalog;
pub(super) mod codes;
mod counterparts;
mod depth;
pub(super) mod dialects;
mod gaps;
mod hints;
mod kernels;
pub(super) mod known;
mod layers;
mod map;
mod map_value;
pub(super) mod matches;
mod naming;
mod pass;
mod prefix;
mod reasons;
mod recurrent;
mod renames;
mod requests;
pub(super) mod resolve;
pub(super) mod respelling;
mod ruled;
mod search;
mod selectors;
mod sequence;
pub(super) mod stored;
pub(super) mod stored_layout;
mod suffix;
mod templates;
#[cfg(test)]
mod tests;
pub(super) mod ties;
mod tracked;
mod unbound;
pub(super) mod unit;
mod unreadable;

use crate::arch::{Architecture, Selector};
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::{Config, Family};
use crate::graph::ParameterId;
use crate::hash::{HashMap, HashSet};
use crate::name::join;
use crate::plan::assignment::{Assignment, Step};
use crate::plan::error::PlanError;
use crate::plan::evidence::{Answer, Question};
use crate::plan::inputs::SourceView;
use crate::plan::matching::blocks::Blocks;
use crate::plan::matching::catalog::Catalog;
use crate::plan::matching::depth::{Counterpart, Depths, Expansion};
use crate::plan::matching::gaps::Gaps;
use crate::plan::matching::known::Layouts;
use crate::plan::matching::matches::{Match, Matching, Origin, Resolution};
use crate::plan::matching::pass::Pass;
use crate::plan::matching::renames::Renames;
use crate::plan::matching::requests::Requests;
use crate::plan::quantized::Quantized;
use crate::plan::value::Value;
use crate::threads::side_by_side;

impl Matching {
    /// What the user should know of weights that were quantised.
    pub(crate) fn quantization_notes(&self, sources: &[SourceView], assignments: &[Assignment]) -> Vec<String> {
        let (mut read, mut dequantized) = (HashSet::default(), HashSet::default());
        if self.quantized.iter().any(Quantized::is_any) {
            for assignment in assignments {
                assignment.value.leaves(&mut |leaf| {
                    if let Value::Source { source, tensor, .. } = leaf {
                        read.insert((*source, tensor.as_str()));
                        if assignment.value.dequantizes() {
                            dequantized.insert((*source, tensor.as_str()));
                        }
                    }
                });
            }
        }
        let notes = self.quantized.iter().zip(sources).enumerate().map(|(source, (quantized, view))| {
            let name = |id: usize| view.listing.tensors.get(id).map_or("", |tensor| tensor.name.as_str());
            let is_in = |set: &HashSet<(usize, &str)>, id| set.contains(&(source, name(id)));
            quantized.notes(view.listing, |id| is_in(&read, id), |id| is_in(&dequantized, id))
        });
        notes.flatten().collect()
    }

    /// The sources of which codes are copied as they are stored.
    pub(crate) fn carrying(&self, sources: &[SourceView], assignments: &[Assignment]) -> Vec<usize> {
        let mut found = Vec::new();
        for assignment in assignments {
            let Value::Source { source, tensor, .. } = &assignment.value else { continue };
            let (Some(view), Some(quantized)) = (sources.get(*source), self.quantized.get(*source)) else { continue };
            let is_codes = || view.listing.position(tensor).is_some_and(|id| quantized.of_codes(id).is_some());
            if quantized.is_any() && !found.contains(source) && is_codes() {
                found.push(*source);
            }
        }
        found
    }
}

/// What the steps came to, before ties.
struct Found<'a> {
    /// The repeated blocks of the target.
    blocks: Blocks<'a>,
    resolutions: Vec<Resolution>,
    violations: Vec<PlanError>,
    warnings: Vec<String>,
    counterparts: HashMap<String, Counterpart>,
    depths: Depths,
    unused_reasons: Vec<HashMap<usize, String>>,
    families: Vec<Option<String>>,
    dialects: Vec<Vec<String>>,
    quantized: Vec<Quantized>,
}

/// Finds the origin of every target tensor. A pattern that matches nothing, arithmetic on a block with a depth rule, or a
/// rule whose operations do not fit is an error; what breaks the coverage contract is a violation.
pub fn match_all(sources: &[SourceView], target: &Architecture, evidence: &[(Question, Answer)]) -> Result<Matching> {
    let mut found = find(sources, target)?;
    let problems = codes::refuse(sources, target, &found.quantized, &mut found.resolutions);
    let settled = ties::settle(sources, target, &mut found.resolutions, evidence)?;
    found.violations.splice(0..0, codes::violations(sources, target, &found.quantized, &problems, &found.resolutions));
    found.violations.extend(settled.violations);
    found.warnings.extend(settled.warnings);
    for (source, tensor) in &settled.with_owner {
        let reason = "equal to the copy that is written, to which the target ties it".to_string();
        found.unused_reasons.get_mut(*source).map(|reasons| reasons.insert(*tensor, reason));
    }
    let mut used = used(sources, &found.quantized, &found.resolutions, &settled.with_owner);
    adapter::mark(sources, &found.resolutions, &mut used, &mut found.unused_reasons);
    if !sources.is_empty() {
        let gaps = Gaps {
            sources,
            target,
            blocks: &found.blocks,
            counterparts: &found.counterparts,
            depths: &found.depths,
            found: &found.resolutions,
            used: &used,
        };
        if gaps.are_any() {
            let (violations, explained) = gaps.layers();
            found.violations.extend(violations);
            found.violations.extend(Renames::of(&gaps).violations(&explained));
        }
    }
    let matches = found.resolutions.into_iter().enumerate().map(|(target, resolution)| {
        let Resolution { origin, step, reason, runners_up, declared, tensors: _, contested: _, opaque: _ } = resolution;
        Match { target, origin, step, reason, runners_up, declared }
    });
    let mut matching = Matching {
        matches: matches.collect(),
        violations: found.violations,
        warnings: found.warnings,
        used,
        unused_reasons: found.unused_reasons,
        copies: settled.with_owner.into_iter().collect(),
        families: found.families,
        dialects: found.dialects,
        quantized: found.quantized,
    };
    buffers::settle(sources, target, &mut matching);
    Ok(matching)
}

/// The facts about data that matching will need: whether both stored copies of a tie are equal.
pub fn tie_questions(sources: &[SourceView], target: &Architecture) -> Result<Vec<Question>> {
    if sources.is_empty() || target.parameters.iter().all(|parameter| parameter.tied_to.is_none()) {
        return Ok(Vec::new());
    }
    let found = find(sources, target)?;
    Ok(ties::questions(sources, target, &found.resolutions))
}

/// All steps: once to see which blocks correspond, and again where depth rules choose layers of them.
fn find<'a>(sources: &[SourceView], target: &'a Architecture) -> Result<Found<'a>> {
    let plain = Depths::default();
    let quantized: Vec<Quantized> = sources.iter().map(|source| Quantized::of(source.listing)).collect();
    let of_target = || (Blocks::of_target(target), Requests::of(sources, target, &plain));
    let (catalog, (blocks, wanted)) = side_by_side(|| Catalog::of(sources, &quantized, target), of_target);
    selectors::check(sources, target, &blocks)?;
    let catalog = catalog?;
    let mut pass = Pass::run(sources, &quantized, target, &catalog, &plain, wanted?);
    let counterparts = pass.counterparts();
    let depths = if sources.is_empty() { Depths::default() } else { Depths::of(target, &blocks, &counterparts)? };
    pass = match depths.has_rules() {
        true => {
            let wanted = Requests::of(sources, target, &depths)?;
            Pass::run(sources, &quantized, target, &catalog, &depths, wanted)
        }
        false => pass.with_depths(&depths),
    };
    pass.check_rules()?;
    let mut violations = pass.ambiguities();
    let zeroed = zeroed(target, &depths, &mut violations)?;
    let known = catalog.families.iter().zip(sources).map(|(family, source)| Known::of(family, source.listing));
    let known: Vec<Known> = known.collect::<Result<_>>()?;
    let layouts: Vec<&Layouts> = known.iter().map(|known| &known.layouts).collect();
    let (resolutions, mut unused_reasons) =
        side_by_side(|| pass.resolve(&layouts, &zeroed), || pass.unused_reasons(&counterparts));
    let mut resolutions = resolutions?;
    let mut warnings: Vec<String> = pass.notes().into_iter().chain(pass.given_away(&resolutions)).collect();
    warnings.extend(catalog.warnings.iter().cloned());
    untie(sources, target, &known, &mut resolutions);
    declare(target, &mut resolutions, &mut unused_reasons);
    let families = catalog.families.iter().map(|family| family.as_ref().map(|(family, _)| family.name().to_string()));
    let families = families.collect();
    drop(pass);
    let dialects = catalog.dialects;
    Ok(Found {
        blocks,
        resolutions,
        violations,
        warnings,
        counterparts,
        depths,
        unused_reasons,
        families,
        dialects,
        quantized,
    })
}

/// What the family of a source says of its names.
struct Known {
    layouts: Layouts,
    ties: Vec<(String, String)>,
}

impl Known {
    fn of(family: &Option<(&'static dyn Family, Option<Config>)>, source: &Listing) -> Result<Known> {
        let ties = match family {
            Some((family, Some(config))) => known::ties(&known::parameters(*family, config, "")),
            Some((_, None)) | None => Vec::new(),
        };
        Ok(Known { layouts: Layouts::of(source, family.as_ref().map(|(family, _)| *family))?, ties })
    }
}

/// The parameters that are zero because their layer starts as the identity; where it cannot, a violation.
fn zeroed(target: &Architecture, depths: &Depths, violations: &mut Vec<PlanError>) -> Result<HashSet<ParameterId>> {
    let mut zeroed = HashSet::default();
    for (block, layers) in depths.identities() {
        let Some(graph) = &target.graph else {
            return Err(PlanError::ExpandWithoutGraph { block: block.to_string() }.into());
        };
        let mut impossible = None;
        for layer in layers {
            match depth::expansion(target, graph, &join(block, &layer.to_string())) {
                Expansion::Zero(ends) => zeroed.extend(ends),
                Expansion::AfterSum(norm) => impossible = Some(format!("{norm} comes after the sum")),
                Expansion::NoBranch => impossible = Some(format!("layer {layer} has no residual branch")),
            }
        }
        violations.extend(impossible.map(|why| PlanError::ExpandImpossible { block: block.to_string(), why }));
    }
    Ok(zeroed)
}

/// What a family ties and this target does not: by the target's own family, and by the source's.
fn untie(sources: &[SourceView], target: &Architecture, known: &[Known], resolutions: &mut [Resolution]) {
    for block in &target.blocks {
        let parameters = known::parameters(block.family, &block.config, &block.path);
        ties::untie(target, &known::ties(&parameters), resolutions);
    }
    for (source, known) in known.iter().enumerate() {
        let pairs = ties::pairs_in_target(sources, target, source, &known.ties, resolutions);
        ties::untie(target, &pairs, resolutions);
        ties::untie_from_unused(sources, target, source, &known.ties, resolutions);
    }
}

/// `--reinit` takes sources away, and `new` declares what has none. A tied name follows its owner in both.
fn declare(target: &Architecture, resolutions: &mut [Resolution], unused: &mut [HashMap<usize, String>]) {
    let rules = &target.rules;
    for (parameter, resolution) in target.parameters.iter().zip(resolutions) {
        let hit = |selectors: &[Selector]| {
            let found = selectors.iter().find(|selector| selector.pattern.matches(&parameter.name).is_some());
            found.map(|selector| selector.text.clone())
        };
        if let Some(pattern) = hit(&rules.reinit).filter(|_| parameter.tied_to.is_none()) {
            for (source, tensor) in std::mem::take(&mut resolution.tensors) {
                let reason = format!("{} is initialised afresh", parameter.name);
                unused.get_mut(source).map(|reasons| reasons.insert(tensor, reason));
            }
            resolution.origin = Origin::New;
            resolution.step = Step::None;
            resolution.reason = format!("initialised afresh by reinit `{pattern}`").into();
            (resolution.declared, resolution.contested) = (true, false);
        }
        let is_new = matches!(resolution.origin, Origin::New);
        resolution.declared |= is_new && hit(&rules.new).is_some();
    }
}

/// Which stored tensors some target reads, or are equal to one that is read.
fn used(
    sources: &[SourceView],
    quantized: &[Quantized],
    resolutions: &[Resolution],
    equal: &[(usize, usize)],
) -> Vec<Vec<bool>> {
    let mut used: Vec<Vec<bool>> = sources.iter().map(|source| vec![false; source.listing.tensors.len()]).collect();
    for (source, tensor) in resolutions.iter().flat_map(|one| &one.tensors).chain(equal) {
        if let Some(used) = used.get_mut(*source).and_then(|used| used.get_mut(*tensor)) {
            *used = true;
        }
    }
    for (quantized, used) in quantized.iter().zip(&mut used) {
        // what stands next to codes is used with them
        for weight in &quantized.weights {
            if used.get(weight.codes) == Some(&true) {
                for part in &weight.parts {
                    used.get_mut(*part).into_iter().for_each(|used| *used = true);
                }
            }
        }
    }
    used
}
