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
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::matching::pass::Pass;
use crate::plan::matching::renames::Renames;
use crate::plan::matching::requests::Requests;
use crate::plan::matching::ties::{Stored, StoredTwice};
use crate::plan::quantized::Quantized;
use crate::plan::value::Value;
use crate::threads::side_by_side;

/// What matching found.
pub(crate) struct Matching<'a> {
    sources: &'a [SourceView<'a>],
    target: &'a Architecture,
    /// One for each parameter, in the order of the target's.
    pub matches: Vec<Match>,
    pub warnings: Vec<String>,
    /// Which tensors are used, by source and tensor.
    pub used: Vec<Vec<bool>>,
    /// Why a tensor that is not used is not, where matching knows it, by source and tensor.
    pub unused_reasons: Vec<HashMap<usize, String>>,
    /// Tensors that are there under the names of their owners, whose equal copies they are: source and tensor.
    pub copies: HashSet<Stored>,
    /// The family of each source, where recognised.
    pub families: Vec<Option<String>>,
    /// The dialects of each source, in order of the family blocks.
    pub dialects: Vec<Vec<String>>,
    /// The quantised weights of each source.
    pub quantized: Vec<Quantized>,
    /// The repeated blocks of the target, and which of a source they correspond to.
    blocks: Blocks<'a>,
    counterparts: HashMap<String, Counterpart>,
    depths: Depths,
    stored_twice: Vec<StoredTwice>,
    /// By target, before buffers are computed: whether it has a source or an owner, and whether it lacks one.
    found: Vec<bool>,
    missing: Vec<bool>,
    /// What breaks the contract: before ties, and of buffers.
    violations: Vec<PlanError>,
    of_buffers: Vec<PlanError>,
}

/// Finds the origin of every target tensor. A pattern that matches nothing, arithmetic on a block with a depth rule, or a
/// rule whose operations do not fit is an error; what breaks the coverage contract is a violation.
pub(crate) fn match_all<'a>(sources: &'a [SourceView<'a>], target: &'a Architecture) -> Result<Matching<'a>> {
    let mut matching = find(sources, target)?;
    let Matching { matches, quantized, violations, used, .. } = &mut matching;
    let problems = codes::refuse(sources, target, quantized, matches);
    let (stored_twice, warnings) = ties::settle(sources, target, matches);
    violations.splice(0..0, codes::violations(sources, target, quantized, &problems, matches));
    matches.iter().flat_map(|one| &one.tensors).for_each(|(source, tensor)| mark(used, *source, *tensor));
    matching.stored_twice = stored_twice;
    matching.warnings.extend(warnings);
    matching.mark_parts();
    adapter::mark(sources, &matching.matches, &mut matching.used, &mut matching.unused_reasons);
    matching.found = matching.matches.iter().map(|one| !matches!(one.origin, Origin::New)).collect();
    let targets = target.parameters.iter().zip(&matching.matches);
    matching.missing = targets.map(|(target, one)| target.tied_to.is_none() && one.is_missing()).collect();
    matching.of_buffers = buffers::settle(sources, target, &mut matching.matches);
    Ok(matching)
}

fn mark(used: &mut [Vec<bool>], source: usize, tensor: usize) {
    if let Some(used) = used.get_mut(source).and_then(|used| used.get_mut(tensor)) {
        *used = true;
    }
}

impl Matching<'_> {
    /// The facts about data that decide what breaks the contract: whether both stored copies of a tie are equal.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let mut questions: Vec<Question> = Vec::new();
        for question in self.stored_twice.iter().filter_map(|one| one.question.as_ref()) {
            if !questions.contains(question) {
                questions.push(question.clone());
            }
        }
        questions
    }

    /// What breaks the contract: ambiguities, ties that differ, holes, renames, new layers, buffers. An error where a question is not answered.
    pub(crate) fn settle(&mut self, evidence: &[(Question, Answer)]) -> Result<Vec<PlanError>> {
        let mut violations = std::mem::take(&mut self.violations);
        let (equal, differing) = ties::compared(std::mem::take(&mut self.stored_twice), evidence)?;
        violations.extend(differing);
        for (source, tensor) in &equal {
            let reason = "equal to the copy that is written, to which the target ties it".to_string();
            self.unused_reasons.get_mut(*source).map(|reasons| reasons.insert(*tensor, reason));
            mark(&mut self.used, *source, *tensor);
        }
        self.mark_parts();
        self.copies = equal.into_iter().collect();
        let Matching { sources, target, blocks, counterparts, depths, found, missing, used, .. } = &*self;
        let gaps = Gaps { sources, target, blocks, counterparts, depths, found, missing, used };
        if !sources.is_empty() && gaps.are_any() {
            let (layers, explained) = gaps.layers();
            violations.extend(layers);
            violations.extend(Renames::of(&gaps).violations(&explained));
        }
        violations.append(&mut self.of_buffers);
        Ok(violations)
    }

    /// What stands next to codes is used with them.
    fn mark_parts(&mut self) {
        for (quantized, used) in self.quantized.iter().zip(&mut self.used) {
            for weight in &quantized.weights {
                if used.get(weight.codes) == Some(&true) {
                    for part in &weight.parts {
                        used.get_mut(*part).into_iter().for_each(|used| *used = true);
                    }
                }
            }
        }
    }

    /// What the user should know of weights that were quantised.
    pub(crate) fn quantization_notes(&self, assignments: &[Assignment]) -> Vec<String> {
        let (mut read, mut dequantized) = (HashSet::default(), HashSet::default());
        if self.quantized.iter().any(Quantized::is_any) {
            for assignment in assignments {
                let sources = || assignment.value.sources().map(|leaf| (leaf.source, leaf.tensor.as_str()));
                read.extend(sources());
                if assignment.value.dequantizes() {
                    dequantized.extend(sources());
                }
            }
        }
        let notes = self.quantized.iter().zip(self.sources).enumerate().map(|(source, (quantized, view))| {
            let is_in = |set: &HashSet<(usize, &str)>, id| set.contains(&(source, view.listing.name(id)));
            quantized.notes(view.listing, |id| is_in(&read, id), |id| is_in(&dequantized, id))
        });
        notes.flatten().collect()
    }

    /// The sources of which codes are copied as they are stored.
    pub(crate) fn carrying(&self, assignments: &[Assignment]) -> Vec<usize> {
        let mut found = Vec::new();
        for assignment in assignments {
            let Value::Source { source, tensor, .. } = &assignment.value else { continue };
            let (Some(view), Some(quantized)) = (self.sources.get(*source), self.quantized.get(*source)) else {
                continue;
            };
            let is_codes = || view.listing.position(tensor).is_some_and(|id| quantized.of_codes(id).is_some());
            if quantized.is_any() && !found.contains(source) && is_codes() {
                found.push(*source);
            }
        }
        found
    }
}

/// All steps: once to see which blocks correspond, and again where depth rules choose layers of them.
fn find<'a>(sources: &'a [SourceView<'a>], target: &'a Architecture) -> Result<Matching<'a>> {
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
    let (matches, mut unused_reasons) =
        side_by_side(|| pass.resolve(&layouts, &zeroed), || pass.unused_reasons(&counterparts));
    let mut matches = matches?;
    let mut warnings: Vec<String> = pass.notes().into_iter().chain(pass.given_away(&matches)).collect();
    warnings.extend(catalog.warnings.iter().cloned());
    untie(sources, target, &known, &mut matches);
    declare(target, &mut matches, &mut unused_reasons);
    let families = catalog.families.iter().map(|family| family.as_ref().map(|(family, _)| family.name().to_string()));
    let families = families.collect();
    drop(pass);
    let dialects = catalog.dialects;
    Ok(Matching {
        sources,
        target,
        matches,
        warnings,
        used: sources.iter().map(|source| vec![false; source.listing.tensors.len()]).collect(),
        unused_reasons,
        copies: HashSet::default(),
        families,
        dialects,
        quantized,
        blocks,
        counterparts,
        depths,
        stored_twice: Vec::new(),
        found: Vec::new(),
        missing: Vec::new(),
        violations,
        of_buffers: Vec::new(),
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
fn untie(sources: &[SourceView], target: &Architecture, known: &[Known], resolutions: &mut [Match]) {
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
fn declare(target: &Architecture, resolutions: &mut [Match], unused: &mut [HashMap<usize, String>]) {
    let rules = &target.rules;
    for (parameter, resolution) in target.parameters.iter().zip(resolutions) {
        let hit = |selectors: &[Selector]| {
            let found = selectors.iter().find(|selector| selector.pattern.matches(&parameter.name).is_some());
            found.map(|selector| selector.text.clone())
        };
        if let Some(pattern) = hit(&rules.reinit).filter(|_| parameter.tied_to.is_none()) {
            for (source, tensor) in std::mem::take(&mut resolution.tensors) {
                let reason = format!("{} is reinitialised", parameter.name);
                unused.get_mut(source).map(|reasons| reasons.insert(tensor, reason));
            }
            resolution.origin = Origin::New;
            resolution.step = Step::None;
            resolution.reason = format!("reinitialised by reinit `{pattern}`").into();
            (resolution.declared, resolution.contested) = (true, false);
        }
        let is_new = matches!(resolution.origin, Origin::New);
        resolution.declared |= is_new && hit(&rules.new).is_some();
    }
}
