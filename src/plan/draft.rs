//! A plan before its questions are answered. Matching and fitting run once: no answer changes where a value comes from.

use crate::arch::Architecture;
use crate::error::Result;
use crate::init::Generator;
use crate::plan::assemble::{Assembly, is_declared_new};
use crate::plan::assignment::Assignment;
use crate::plan::companions::{self, Companions};
use crate::plan::damage::Damage;
use crate::plan::damage_error::DamageError;
use crate::plan::document::{FORMAT, Plan, PlannedSource, Target, Unused};
use crate::plan::error::PlanError;
use crate::plan::evidence::{Answer, Question};
use crate::plan::fit::adapt::check_rules;
use crate::plan::fit::mismatches::Mismatches;
use crate::plan::fit::vocabulary::VocabularyRows;
use crate::plan::initialize::Initializer;
use crate::plan::initialize::siblings::Siblings;
use crate::plan::inputs::{Options, SourceView};
use crate::plan::matching::{self, Matching, codes};
use crate::plan::unused::{PassedOver, is_copy, left_over};
use crate::plan::{coverage, structure, validate};
use crate::tensor::Role;

/// A plan, and what in it breaks the coverage contract. With violations nothing is written (exit 4); a dry run still prints it.
#[derive(Debug)]
pub struct Planned {
    pub plan: Plan,
    /// Each an ambiguity, a hole, a likely rename, a new layer, a low coverage or (with `--strict`) an undeclared tensor.
    pub violations: Vec<PlanError>,
    /// The flags that would make `--strict` pass, ready to paste.
    pub strict_lines: Vec<String>,
}

/// Everything that is decided from names, shapes and types.
pub(crate) struct Draft<'a> {
    sources: &'a [SourceView<'a>],
    target: &'a Architecture,
    options: &'a Options,
    matching: Matching<'a>,
    vocabulary: VocabularyRows,
    siblings: Siblings,
    /// What is drawn like its siblings waits for their moments.
    assignments: Vec<Assignment>,
    /// By target, whether a rule says that it is new.
    declared: Vec<bool>,
    mismatches: Mismatches,
    passed_over: PassedOver,
    damage: Vec<DamageError>,
    warnings: Vec<String>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        sources: &'a [SourceView<'a>],
        target: &'a Architecture,
        options: &'a Options,
    ) -> Result<Draft<'a>> {
        let mut matching = matching::match_all(sources, target)?;
        let matches = std::mem::take(&mut matching.matches);
        check_rules(sources, target, &matches)?;
        let vocabulary = VocabularyRows::new(sources, target, &matches)?;
        let initializer = Initializer::new(target, Siblings::of(target, &matches), &matching.dialects);
        let mut assembly = Assembly::new(sources, target, options.dtype, &matches, &initializer, &vocabulary)?;
        let assignments = assembly.assignments(&matches)?;
        let damage = Damage { sources, target, matches: &matches }.violations();
        let mut warnings = target.notes.clone();
        warnings.append(&mut matching.warnings);
        warnings.extend(assembly.warnings(&assignments));
        warnings.extend(matching.quantization_notes(&assignments));
        let declared = matches.iter().map(is_declared_new).collect();
        let Assembly { mismatches, passed_over, .. } = assembly;
        let siblings = initializer.siblings;
        Ok(Draft {
            sources,
            target,
            options,
            matching,
            vocabulary,
            siblings,
            assignments,
            declared,
            mismatches,
            passed_over,
            damage,
            warnings,
        })
    }

    /// The facts about data that the plan needs.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let mut questions = self.matching.questions();
        questions.extend(self.siblings.questions(&self.assignments));
        questions
    }

    /// The plan with these answers; an error where one is missing.
    pub(crate) fn plan(self, evidence: Vec<(Question, Answer)>) -> Result<Planned> {
        let Draft { sources, target, options, mut matching, mut assignments, declared, mut warnings, .. } = self;
        let mut violations = matching.settle(&evidence)?;
        self.siblings.measured(&mut assignments, &evidence)?;
        let left = left_over(sources, &matching, &assignments, &self.passed_over);
        let (left, lost_structure) =
            structure::judge(sources, &matching.families, target, (&assignments, &declared), left);
        let Companions { files: companions, warnings: about_files } =
            companions::choose(sources, target, &matching, &self.vocabulary, &assignments);
        warnings.extend(about_files);
        let lost: Vec<&Unused> = left.learned().filter(|entry| !is_copy(sources, &matching, entry)).collect();
        let mut judged = coverage::judge(sources, target, &assignments, &declared, &lost, &self.mismatches, options);
        if violations.iter().any(PlanError::is_rename) {
            // both sides of a rename declared would hide it
            judged.withhold_lines();
        }
        violations.extend(self.damage.into_iter().map(PlanError::from));
        violations.extend(lost_structure);
        violations.extend(judged.violations);
        codes::instead_of_coverage(sources, &matching.quantized, &mut violations);
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
            evidence,
            batch: None,
        };
        validate::validate(&plan)?;
        Ok(Planned { plan, violations, strict_lines: judged.strict_lines })
    }
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
