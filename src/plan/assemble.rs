//! A plan, put together: match, fit, initialise, choose types, judge coverage, list what is left.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::companions::{self, Companions};
use super::damage::Damage;
use super::fit::{self, Decision, Dtypes, Fitted, Fitter, Narrowings, VocabularyRows, cast};
use super::initialize::{self, Initializer, Siblings};
use super::matching::{self, Match, Matching, Origin};
use super::mismatches::Mismatches;
use super::rules;
use super::{
    Action, Answer, Assignment, DtypeChoice, Exact, FORMAT, Initialisation, Options, Plan, Planned, PlannedSource,
    Question, SourceView, Step, Target, Unused, Value, names, structure, validate,
};
use super::{codes, coverage};
use crate::arch::{Architecture, InitRule};
use crate::error::{PlanError, Result};
use crate::graph::{Parameter, ParameterId};
use crate::hash::{HashMap, HashSet};
use crate::init::Generator;
use crate::tensor::{Dtype, Name, Role, TensorInfo};

/// The facts about data that `plan` will need; no source (`--from none`) is an empty slice.
pub fn questions(sources: &[SourceView], target: &Architecture) -> Result<Vec<Question>> {
    let mut questions = matching::tie_questions(sources, target)?;
    if !Initializer::wants_siblings(target) {
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
    fit::check_rules(sources, target, &matching.matches)?;
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
    let declared: Vec<bool> = matching.matches.iter().map(is_declared).collect();
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

/// Turns matches into assignments, one after the other.
struct Assembly<'a> {
    target: &'a Architecture,
    dtypes: Dtypes,
    fitter: Fitter<'a>,
    initializer: &'a Initializer<'a>,
    narrowings: Narrowings,
    mismatches: Mismatches,
    /// Source tensors that were matched and not used, and why.
    passed_over: PassedOver,
}

/// Reasons by source and tensor.
type PassedOver = HashMap<(usize, Name), String>;

impl<'a> Assembly<'a> {
    fn new(
        sources: &'a [SourceView<'a>],
        target: &'a Architecture,
        dtype: DtypeChoice,
        matches: &'a [Match],
        initializer: &'a Initializer<'a>,
        vocabulary: &'a VocabularyRows,
    ) -> Result<Assembly<'a>> {
        Ok(Assembly {
            target,
            dtypes: Dtypes::new(dtype, target, sources),
            fitter: Fitter::new(sources, target, matches, initializer, vocabulary)?,
            initializer,
            narrowings: Narrowings::default(),
            mismatches: Mismatches::default(),
            passed_over: HashMap::default(),
        })
    }

    /// First everything is fitted, for a tensor that does not fit withdraws the others of its module; then each becomes its assignment.
    fn assignments(&mut self, matches: &[Match]) -> Result<Vec<Assignment>> {
        let mut fits = self.fits(matches)?;
        self.mismatches = Mismatches::withdraw(self.target, matches, &mut fits);
        let mut assignments = Vec::with_capacity(matches.len());
        let targets = self.target.parameters.iter().zip(matches).zip(fits);
        for (id, ((parameter, found), fitted)) in targets.enumerate() {
            assignments.push(match found.origin {
                Origin::Tied(owner) => self.tied(parameter, found, owner),
                Origin::New | Origin::Found { .. } => self.written(id, parameter, found, fitted)?,
            });
        }
        settle_ties(&mut assignments, self.target, matches);
        Ok(assignments)
    }

    fn fits(&mut self, matches: &[Match]) -> Result<Vec<Option<Fitted>>> {
        let mut fits = Vec::with_capacity(matches.len());
        for (id, (parameter, found)) in self.target.parameters.iter().zip(matches).enumerate() {
            fits.push(match &found.origin {
                Origin::Found { info, .. } => {
                    let decision = self.dtypes.decide(self.target, parameter, Some(info.dtype))?;
                    let fitted = self.fitter.fit(id, decision.dtype)?;
                    match &fitted {
                        Some(Fitted::Mismatched { .. }) => rules::require_fit(self.target, parameter, found, true)?,
                        Some(Fitted::New { .. }) => rules::require_fit(self.target, parameter, found, false)?,
                        Some(Fitted::Value { .. }) | None => {}
                    }
                    fitted
                }
                Origin::New | Origin::Tied(_) => None,
            });
        }
        Ok(fits)
    }

    fn written(
        &mut self,
        id: ParameterId,
        parameter: &Parameter,
        found: &Match,
        fitted: Option<Fitted>,
    ) -> Result<Assignment> {
        let stored = match &found.origin {
            Origin::Found { info, .. } => Some(info.dtype),
            Origin::New | Origin::Tied(_) => None,
        };
        match fitted {
            Some(Fitted::Value { value, dtype, how, new_rows, init }) => {
                let decision = self.dtypes.decide(self.target, parameter, stored)?;
                if let Some(stored) = stored {
                    self.narrowings.note(stored, decision);
                }
                let mut reason = joined(found.reason.clone(), &how);
                if dtype != decision.dtype {
                    let words = format!("{dtype} to {} by {}", decision.dtype, decision.by);
                    reason = joined(reason, &words);
                }
                let init = init.or_else(|| sourceless(&value, found));
                let value = cast(value, dtype, decision.dtype);
                let assignment = assignment(parameter, decision, value, found.step, reason, found);
                Ok(Assignment { init, new_rows, ..assignment })
            }
            Some(Fitted::New { reason } | Fitted::Mismatched { reason, .. }) => {
                self.pass_over(parameter, found, &reason);
                let fresh = self.fresh(id, parameter, found, reason.into())?;
                Ok(Assignment { mismatched: self.mismatches.get(id).cloned(), ..fresh })
            }
            None => self.fresh(id, parameter, found, found.reason.clone()),
        }
    }

    fn pass_over(&mut self, parameter: &Parameter, found: &Match, reason: &str) {
        let Origin::Found { value, .. } = &found.origin else { return };
        value.leaves(&mut |leaf| {
            if let Value::Source { source, tensor, .. } = leaf {
                let key = (*source, tensor.clone());
                // tensors of one reason are one line of the report, so a target of the tensor's own name is not repeated
                self.passed_over.entry(key).or_insert_with(|| match *tensor == parameter.name {
                    true => reason.to_string(),
                    false => format!("for {}: {reason}", parameter.name),
                });
            }
        });
    }

    fn fresh(
        &self,
        id: ParameterId,
        parameter: &Parameter,
        found: &Match,
        reason: Cow<'static, str>,
    ) -> Result<Assignment> {
        let decision = self.dtypes.decide(self.target, parameter, None)?;
        let initial = self.initializer.initial(id)?;
        let value = cast(initial.value, initial.dtype, decision.dtype);
        let assignment = assignment(parameter, decision, value, Step::None, reason, found);
        Ok(Assignment { init: Some(initial.init), lsuv: initial.lsuv, ..assignment })
    }

    /// Type and owner are settled once all owners are known.
    fn tied(&self, parameter: &Parameter, found: &Match, owner: ParameterId) -> Assignment {
        let to = self.target.parameters.get(owner).map_or_else(String::new, |owner| owner.name.to_string());
        let decision = Decision { dtype: Dtype::F32, asked: false, by: "its owner" };
        assignment(parameter, decision, Value::Tied { to }, Step::Tie, found.reason.clone(), found)
    }

    /// What the user should know of the fitting: mismatches, rows copied by position, narrowing, idle rules.
    fn warnings(&self, assignments: &[Assignment]) -> Vec<String> {
        let mut warnings = self.mismatches.warnings(self.target);
        warnings.extend(self.fitter.warnings());
        warnings.extend(self.narrowings.warnings());
        warnings.extend(unknown_buffers(self.target, assignments));
        warnings.extend(idle_rules(self.target, assignments));
        warnings
    }
}

fn assignment(
    parameter: &Parameter,
    decision: Decision,
    value: Value,
    step: Step,
    reason: Cow<'static, str>,
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
        lsuv: None,
        mismatched: None,
    }
}

/// What is said of a value that matching made of no source: a branch that starts at zero.
fn sourceless(value: &Value, found: &Match) -> Option<Initialisation> {
    let scheme = if matches!(value, Value::Computed { .. }) { "computed" } else { "zeros" };
    value.first_source().is_none().then(|| Initialisation {
        scheme: scheme.into(),
        std: None,
        by: found.reason.to_string(),
        exact: Exact::Anywhere,
    })
}

/// Whether a rule says that a target is new: matching saw so, or made its value of no source.
fn is_declared(found: &Match) -> bool {
    let is_sourceless = match &found.origin {
        Origin::Found { value, .. } => value.first_source().is_none(),
        Origin::New | Origin::Tied(_) => false,
    };
    found.declared || is_sourceless
}

fn joined(first: Cow<'static, str>, second: &str) -> Cow<'static, str> {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first,
        (true, false) => second.to_string().into(),
        (false, false) => format!("{first}; {second}").into(),
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
            tied.value = Value::Tied { to: name.to_string() };
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

/// Buffers without a source whose meaning is not known from their name: zeros may be wrong.
fn unknown_buffers(target: &Architecture, assignments: &[Assignment]) -> Vec<String> {
    let buffers = target.parameters.iter().zip(assignments).filter(|(parameter, assignment)| {
        parameter.role == Role::Buffer
            && assignment.action == Action::New
            && !matches!(assignment.value, Value::Computed { .. })
            && !initialize::is_known_buffer(names::last(&parameter.name))
    });
    let some: BTreeSet<&str> = buffers.map(|(parameter, _)| parameter.name.as_str()).collect();
    let all: Vec<&str> = target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let line =
        |pattern| format!("buffer {pattern}: no source, and its name does not say what it holds; it is all zeros");
    coverage::collapse(&all, &some).into_iter().map(line).collect()
}

/// Initialisation rules that only meet what was transferred whole: probably not what their author believes.
fn idle_rules(target: &Architecture, assignments: &[Assignment]) -> Vec<String> {
    target.rules.init.iter().filter_map(|rule| idle(rule, target, assignments)).collect()
}

fn idle(rule: &InitRule, target: &Architecture, assignments: &[Assignment]) -> Option<String> {
    let Some(selector) = &rule.target else {
        let mut written = target.parameters.iter().zip(assignments).filter(|(p, _)| initialize::is_general(p));
        return written.all(|(_, assignment)| assignment.init.is_none()).then(|| {
            let reaches = rules::init_flag(&rule.scheme.to_string(), target, assignments);
            format!(
                "--init {}: no linear or convolutional weight outside heads and embeddings is new, so nothing is drawn by it; \
                 {reaches}",
                rule.scheme
            )
        });
    };
    let mut met = assignments.iter().filter(|a| selector.pattern.matches(&a.target.name).is_some()).peekable();
    met.peek()?;
    met.all(|assignment| assignment.init.is_none()).then(|| {
        format!(
            "{} {}: every tensor that it matches is transferred, so nothing is drawn by it; `--reinit '{}'` draws them",
            selector.place, selector.text, selector.pattern.text
        )
    })
}

/// What no target uses: learned tensors, and known buffers apart.
fn left_over(
    sources: &[SourceView],
    matching: &Matching,
    assignments: &[Assignment],
    passed_over: &PassedOver,
) -> (Vec<Unused>, Vec<Unused>) {
    let mut used: HashSet<(usize, &str)> = HashSet::with_capacity_and_hasher(assignments.len(), Default::default());
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
            let by_matching = || matching.unused_reasons.get(source).and_then(|reasons| reasons.get(&index));
            let known = passed_over.get(&(source, tensor.name.clone())).or_else(by_matching);
            let is_used = |id: usize| matching.used.get(source).and_then(|used| used.get(id)).copied().unwrap_or(false);
            if let Some(reason) = matching.quantized.get(source).and_then(|all| all.aside(index, is_used)) {
                dropped.push(Unused { source, tensor: tensor.clone(), reason });
                continue;
            }
            let is_buffer = matching::is_known_buffer(&tensor.name);
            let reason = match (known, is_buffer) {
                (Some(reason), _) => reason.clone(),
                (None, true) => "a buffer that the target does not name".into(),
                (None, false) => structure::NO_TARGET.into(),
            };
            let entry = Unused { source, tensor: tensor.clone(), reason };
            if is_buffer { dropped.push(entry) } else { unused.push(entry) }
        }
    }
    (unused, dropped)
}

/// Whether a tensor is there under the name of its owner, so that nothing of it is lost.
fn is_copy(sources: &[SourceView], matching: &Matching, entry: &Unused) -> bool {
    let place = sources.get(entry.source).and_then(|view| view.listing.position(&entry.tensor.name));
    place.is_some_and(|place| matching.copies.contains(&(entry.source, place)))
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
