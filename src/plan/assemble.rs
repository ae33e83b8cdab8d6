//! A plan, put together: match, fit, initialise, choose types, judge coverage, list what is left.

use std::collections::BTreeSet;

use super::companions::{self, Companions};
use super::coverage;
use super::fit::{Decision, Dtypes, Fitted, Fitter, Narrowings, VocabularyRows, cast};
use super::initialize::{Initializer, Siblings};
use super::matching::{self, Match, Matching, Origin};
use super::{
    Answer, Assignment, FORMAT, Options, Plan, Planned, PlannedSource, Question, SourceView, Step, Target, Unused,
    Value, validate,
};
use crate::arch::Architecture;
use crate::error::Result;
use crate::graph::{Parameter, ParameterId};
use crate::init::Generator;
use crate::tensor::{Role, TensorInfo};

/// The facts about data that `plan` will need; no source (`--from none`) is an empty slice.
pub fn questions(sources: &[SourceView], target: &Architecture) -> Result<Vec<Question>> {
    let mut questions = matching::tie_questions(sources, target)?;
    if !Initializer::wants_siblings(target) {
        return Ok(questions);
    }
    // what is equal and what is not decides whether there is a plan, not which tensors have siblings
    let supposed: Vec<_> = questions.iter().map(|question| (question.clone(), Answer::Equal(true))).collect();
    let matches = matching::match_all(sources, target, &supposed)?.matches;
    let initializer = Initializer::new(target, Siblings::default());
    let wanting = (0..target.parameters.len()).filter(|id| initializer.matches_siblings(*id));
    let has_news = |id: &ParameterId| match (matches.get(*id).map(|found| &found.origin), target.parameters.get(*id)) {
        (Some(Origin::Found { info, .. }), Some(parameter)) => info.shape != parameter.shape,
        (Some(Origin::New), Some(_)) => true,
        (Some(Origin::Found { .. } | Origin::New), None) | (Some(Origin::Tied(_)) | None, _) => false,
    };
    let siblings = Siblings::new(target, &matches, &[]);
    questions.extend(siblings.questions(target, wanting.filter(has_news)));
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
    let vocabulary = VocabularyRows::new(sources, target, &matching.matches)?;
    let initializer = Initializer::new(target, Siblings::new(target, &matching.matches, evidence));
    let mut assembly = Assembly {
        target,
        dtypes: Dtypes::new(options.dtype, target, sources),
        fitter: Fitter::new(sources, target, &matching.matches, &initializer, &vocabulary)?,
        initializer: &initializer,
        narrowings: Narrowings::default(),
        mismatches: Vec::new(),
    };
    let assignments = assembly.assignments(&matching.matches)?;
    let mut warnings = target.notes.clone();
    warnings.append(&mut matching.warnings);
    warnings.extend(assembly.warnings(&assignments));
    let (unused, dropped) = left_over(sources, &matching, &assignments);
    let Companions { files: companions, warnings: about_files } =
        companions::choose(sources, target, &matching, &vocabulary, &assignments);
    warnings.extend(about_files);
    let declared: Vec<bool> = matching.matches.iter().map(|found| found.declared).collect();
    let judged = coverage::judge(sources, target, &assignments, &declared, &unused, options);
    let mut violations = std::mem::take(&mut matching.violations);
    violations.extend(judged.violations);
    let plan = Plan {
        xfer_plan: FORMAT,
        seed: options.seed,
        generator: Generator::VERSION.into(),
        sources: planned_sources(sources, &matching),
        target: summary(target),
        assignments,
        max_shard_size: options.max_shard_size,
        companions,
        unused,
        dropped,
        warnings,
        evidence: evidence.to_vec(),
    };
    validate::validate(&plan)?;
    Ok(Planned { plan, violations, strict_lines: judged.strict_lines })
}

/// Turns matches into assignments, one after the other.
struct Assembly<'a> {
    target: &'a Architecture,
    dtypes: Dtypes,
    fitter: Fitter<'a>,
    initializer: &'a Initializer<'a>,
    narrowings: Narrowings,
    mismatches: Vec<String>,
}

impl Assembly<'_> {
    fn assignments(&mut self, matches: &[Match]) -> Result<Vec<Assignment>> {
        let mut assignments = Vec::with_capacity(matches.len());
        for (id, (parameter, found)) in self.target.parameters.iter().zip(matches).enumerate() {
            assignments.push(match found.origin {
                Origin::Tied(owner) => self.tied(parameter, found, owner),
                Origin::New | Origin::Found { .. } => self.written(id, parameter, found)?,
            });
        }
        settle_ties(&mut assignments, self.target, matches);
        Ok(assignments)
    }

    fn written(&mut self, id: ParameterId, parameter: &Parameter, found: &Match) -> Result<Assignment> {
        let stored = match &found.origin {
            Origin::Found { info, .. } => Some(info.dtype),
            Origin::New | Origin::Tied(_) => None,
        };
        let decision = self.dtypes.decide(self.target, parameter, stored)?;
        match self.fitter.fit(id, decision.dtype)? {
            Some(Fitted::Value { value, dtype, how, new_rows, init }) => {
                if let Some(stored) = stored {
                    self.narrowings.note(stored, decision);
                }
                let mut reason = joined(&found.reason, &how);
                if dtype != decision.dtype {
                    reason = joined(&reason, &format!("cast from {dtype} to {}", decision.dtype));
                }
                let value = cast(value, dtype, decision.dtype);
                let assignment = assignment(parameter, decision, value, found.step, reason, found);
                Ok(Assignment { init, new_rows, ..assignment })
            }
            Some(Fitted::New { reason, is_mismatch }) => {
                if is_mismatch {
                    self.mismatches.push(format!("tensor {}: {reason}; it is initialised", parameter.name));
                }
                let decision = self.dtypes.decide(self.target, parameter, None)?;
                self.fresh(id, parameter, found, decision, reason)
            }
            None => self.fresh(id, parameter, found, decision, found.reason.clone()),
        }
    }

    fn fresh(
        &self,
        id: ParameterId,
        parameter: &Parameter,
        found: &Match,
        decision: Decision,
        reason: String,
    ) -> Result<Assignment> {
        let initial = self.initializer.initial(id)?;
        let value = cast(initial.value, initial.dtype, decision.dtype);
        let assignment = assignment(parameter, decision, value, Step::None, reason, found);
        Ok(Assignment { init: Some(initial.init), ..assignment })
    }

    /// Type and owner are settled once all owners are known.
    fn tied(&self, parameter: &Parameter, found: &Match, owner: ParameterId) -> Assignment {
        let to = self.target.parameters.get(owner).map_or_else(String::new, |owner| owner.name.clone());
        let decision = Decision { dtype: crate::tensor::Dtype::F32, asked: false };
        assignment(parameter, decision, Value::Tied { to }, Step::Tie, found.reason.clone(), found)
    }

    /// What the user should know of the fitting: mismatches, rows copied by position, narrowing, idle rules.
    fn warnings(&self, assignments: &[Assignment]) -> Vec<String> {
        let mut warnings = self.mismatches.clone();
        warnings.extend(self.fitter.warnings());
        warnings.extend(self.narrowings.warnings());
        warnings.extend(idle_rules(self.target, assignments));
        warnings
    }
}

fn assignment(
    parameter: &Parameter,
    decision: Decision,
    value: Value,
    step: Step,
    reason: String,
    found: &Match,
) -> Assignment {
    Assignment {
        target: TensorInfo::new(parameter.name.clone(), decision.dtype, parameter.shape.clone()),
        action: value.action(),
        value,
        step,
        reason,
        runners_up: found.runners_up.clone(),
        init: None,
        new_rows: 0,
        head: parameter.head,
    }
}

fn joined(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first.to_string(),
        (true, false) => second.to_string(),
        (false, false) => format!("{first}; {second}"),
    }
}

/// A tied tensor has its owner's type, and its owner is the one that is written.
fn settle_ties(assignments: &mut [Assignment], target: &Architecture, matches: &[Match]) {
    for id in 0..assignments.len() {
        let Some(owner) = written_owner(matches, id).filter(|owner| *owner != id) else { continue };
        let Some((dtype, name)) = assignments.get(owner).map(|owner| (owner.target.dtype, owner.target.name.clone()))
        else {
            continue;
        };
        debug_assert!(target.parameters.len() == assignments.len());
        if let Some(tied) = assignments.get_mut(id) {
            tied.target.dtype = dtype;
            tied.value = Value::Tied { to: name };
        }
    }
}

/// The end of a chain of ties; a loop ends where it was entered.
fn written_owner(matches: &[Match], id: ParameterId) -> Option<ParameterId> {
    let mut owner = id;
    for _ in 0..=matches.len() {
        match matches.get(owner)?.origin {
            Origin::Tied(next) => owner = next,
            Origin::New | Origin::Found { .. } => return Some(owner),
        }
    }
    None
}

/// Initialisation rules that only meet what was transferred whole: probably not what their author believes.
fn idle_rules(target: &Architecture, assignments: &[Assignment]) -> Vec<String> {
    let mut warnings = Vec::new();
    for rule in &target.rules.init {
        let Some(selector) = &rule.target else { continue };
        let mut met = assignments.iter().filter(|a| selector.pattern.matches(&a.target.name).is_some()).peekable();
        if met.peek().is_some() && met.all(|assignment| assignment.init.is_none()) {
            warnings.push(format!(
                "{} {}: every tensor that it matches is transferred, so nothing is drawn by it; `--reinit '{}'` draws them",
                selector.place, selector.text, selector.pattern.text
            ));
        }
    }
    warnings
}

/// What no target uses: learned tensors, and known buffers apart.
fn left_over(sources: &[SourceView], matching: &Matching, assignments: &[Assignment]) -> (Vec<Unused>, Vec<Unused>) {
    let mut used: BTreeSet<(usize, &str)> = BTreeSet::new();
    for assignment in assignments {
        assignment.value.leaves(&mut |leaf| {
            if let Value::Source { source, tensor, .. } = leaf {
                used.insert((*source, tensor));
            }
        });
    }
    let (mut unused, mut dropped) = (Vec::new(), Vec::new());
    for (source, view) in sources.iter().enumerate() {
        for (index, tensor) in view.listing.tensors.iter().enumerate() {
            if used.contains(&(source, tensor.name.as_str())) {
                continue;
            }
            let known = matching.unused_reasons.get(source).and_then(|reasons| reasons.get(&index));
            let was_matched = matching.used.get(source).and_then(|used| used.get(index)).copied().unwrap_or(false);
            let is_buffer = matching::is_known_buffer(&tensor.name);
            let reason = match (known, was_matched, is_buffer) {
                (Some(reason), _, _) => reason.clone(),
                (None, true, _) => "matched, but not used: the target is initialised or tied".into(),
                (None, false, true) => "a buffer that the target does not name".into(),
                (None, false, false) => "no target of this name".into(),
            };
            let entry = Unused { source, tensor: tensor.clone(), reason };
            if is_buffer { dropped.push(entry) } else { unused.push(entry) }
        }
    }
    (unused, dropped)
}

fn planned_sources(sources: &[SourceView], matching: &Matching) -> Vec<PlannedSource> {
    let one = |(index, view): (usize, &SourceView)| PlannedSource {
        name: view.name.clone(),
        reference: view.reference.clone(),
        location: view.location.clone(),
        commit: view.commit.clone(),
        format: view.listing.format.to_string(),
        family: matching.families.get(index).cloned().flatten(),
        dialects: matching.dialects.get(index).cloned().unwrap_or_default(),
        files: view.files.clone(),
        key: view.key.clone(),
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
