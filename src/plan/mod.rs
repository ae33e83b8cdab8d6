//! Planning: (listings, architecture, evidence) → `Plan`, a pure value. It reads no tensor data; what it must know of
//! data it asks for beforehand as questions, and the answers stand in the plan.

mod assemble;
mod assignment;
mod companions;
mod compatibility;
mod configs;
mod convert;
mod coverage;
mod damage;
pub(crate) mod damage_error;
mod document;
mod dtype;
pub(crate) mod error;
mod evidence;
mod fit;
mod format;
mod initialize;
mod inputs;
mod matching;
mod names;
mod patterns;
mod quantized;
mod selectors;
mod structure;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tied_names;
mod unused;
mod validate;
mod value;
mod warnings;

use crate::arch::Architecture;
use crate::error::Result;
use crate::init::Generator;
use crate::plan::assemble::{Assembly, is_declared_new};
pub use crate::plan::assignment::{Assignment, Exact, Initialisation, Lsuv, Mismatch, Step};
use crate::plan::companions::Companions;
pub use crate::plan::companions::is_companion;
pub use crate::plan::convert::convert;
pub use crate::plan::convert::ties::convert_questions;
use crate::plan::damage::Damage;
pub use crate::plan::document::{Companion, Content, FORMAT, Plan, PlannedBatch, PlannedSource, Target, Unused};
use crate::plan::error::PlanError;
pub use crate::plan::evidence::{Answer, Question};
use crate::plan::fit::adapt::check_rules;
use crate::plan::fit::vocabulary::VocabularyRows;
use crate::plan::initialize::Initializer;
use crate::plan::initialize::siblings::{self, Siblings};
pub use crate::plan::inputs::{Conversion, DtypeChoice, Options, SourceView};
use crate::plan::matching::codes;
pub use crate::plan::matching::dialects::recognise;
use crate::plan::matching::matches::Matching;
pub(crate) use crate::plan::names::unwrapped;
pub use crate::plan::tied_names::tied_names;
use crate::plan::unused::{is_copy, left_over};
pub use crate::plan::value::{Action, InitPart, Value};
pub use crate::source::PinnedFile;
use crate::tensor::Role;

/// A plan, and what in it breaks the coverage contract. With violations nothing is written (exit 4); a dry run still prints it.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Each an ambiguity, a hole, a likely rename, a new layer, a low coverage or (with `--strict`) an undeclared tensor.
    pub violations: Vec<PlanError>,
    /// The flags that would make `--strict` pass, ready to paste.
    pub strict_lines: Vec<String>,
}

/// The facts about data that `plan` will need; no source (`--from none`) is an empty slice.
pub fn questions(sources: &[SourceView], target: &Architecture) -> Result<Vec<Question>> {
    let mut questions = matching::tie_questions(sources, target)?;
    if !siblings::are_asked_for(target) {
        return Ok(questions);
    }
    // what is equal and what is not decides whether there is a plan, not what is drawn like its siblings
    let supposed: Vec<_> = questions.iter().map(|question| (question.clone(), Answer::Equal(true))).collect();
    let matches = matching::match_all(sources, target, &supposed)?.matches;
    let vocabulary = VocabularyRows::new(sources, target, &matches)?;
    let initializer = Initializer::new(target, Siblings::asking(target, &matches));
    let options = DtypeChoice::Unsaid;
    Assembly::new(sources, target, options, &matches, &initializer, &vocabulary)?.assignments(&matches)?;
    questions.extend(initializer.questions());
    Ok(questions)
}

/// Decides everything. Pure: the same arguments give the same plan.
pub fn plan(
    sources: &[SourceView],
    target: &Architecture,
    options: &Options,
    evidence: &[(Question, Answer)],
) -> Result<Planned> {
    let mut matching = matching::match_all(sources, target, evidence)?;
    check_rules(sources, target, &matching.matches)?;
    let vocabulary = VocabularyRows::new(sources, target, &matching.matches)?;
    let initializer = Initializer::new(target, Siblings::new(target, &matching.matches, evidence));
    let initializer = initializer.spelt(&matching.dialects);
    let mut assembly = Assembly::new(sources, target, options.dtype, &matching.matches, &initializer, &vocabulary)?;
    let assignments = assembly.assignments(&matching.matches)?;
    let damage = Damage { sources, target, matches: &matching.matches }.violations();
    let mut warnings = target.notes.clone();
    warnings.append(&mut matching.warnings);
    warnings.extend(assembly.warnings(&assignments));
    warnings.extend(matching.quantization_notes(sources, &assignments));
    let declared: Vec<bool> = matching.matches.iter().map(is_declared_new).collect();
    let left = left_over(sources, &matching, &assignments, &assembly.passed_over);
    let (left, lost_structure) = structure::judge(sources, &matching.families, target, (&assignments, &declared), left);
    let Companions { files: companions, warnings: about_files } =
        companions::choose(sources, target, &matching, &vocabulary, &assignments);
    warnings.extend(about_files);
    let lost: Vec<&Unused> = left.learned().filter(|entry| !is_copy(sources, &matching, entry)).collect();
    let mut judged = coverage::judge(sources, target, &assignments, &declared, &lost, &assembly.mismatches, options);
    let mut violations = std::mem::take(&mut matching.violations);
    if violations.iter().any(PlanError::is_rename) {
        // both sides of a rename declared would hide it
        judged.withhold_lines();
    }
    violations.extend(damage.into_iter().map(PlanError::from));
    violations.extend(lost_structure);
    violations.extend(judged.violations);
    codes::instead_of_coverage(sources, &matching, &mut violations);
    let plan = Plan {
        xfer_plan: FORMAT,
        seed: options.seed,
        generator: Generator::VERSION.into(),
        sources: planned_sources(sources, &matching),
        target: summary(target),
        assignments,
        max_shard_size: options.max_shard_size,
        companions,
        unused: left.unused,
        dropped: left.dropped,
        warnings,
        evidence: evidence.to_vec(),
        batch: None,
    };
    validate::validate(&plan)?;
    Ok(Planned { plan, violations, strict_lines: judged.strict_lines })
}

fn planned_sources(sources: &[SourceView], matching: &Matching) -> Vec<PlannedSource> {
    let one = |(index, view): (usize, &SourceView)| {
        let family = matching.families.get(index).cloned().flatten();
        PlannedSource::of(view, family, matching.dialects.get(index).cloned().unwrap_or_default())
    };
    sources.iter().enumerate().map(one).collect()
}

fn summary(target: &Architecture) -> Target {
    let counted = target.parameters.iter().filter(|p| p.tied_to.is_none() && p.role != Role::Buffer);
    let elements = counted.map(|parameter| crate::tensor::elements(&parameter.shape).unwrap_or(u64::MAX));
    Target {
        form: target.form.name().into(),
        family: target.blocks.iter().find(|block| block.path.is_empty()).map(|block| block.family.name().into()),
        tensors: target.parameters.len() as u64,
        parameters: elements.fold(0u64, u64::saturating_add),
    }
}
