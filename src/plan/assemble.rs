//! A plan, put together: match, fit, initialise, choose types, judge coverage, list what is left.

use std::borrow::Cow;

use crate::arch::Architecture;
use crate::error::Result;
use crate::graph::{Parameter, ParameterId};
use crate::hash::HashMap;
use crate::plan::assignment::{Assignment, Exact, Initialisation, Step};
use crate::plan::dtype::{Decision, Dtypes, Narrowings};
use crate::plan::error::PlanError;
use crate::plan::fit::Fitter;
use crate::plan::fit::fitted::Fitted;
use crate::plan::fit::mismatches::Mismatches;
use crate::plan::fit::rows::cast;
use crate::plan::fit::vocabulary::VocabularyRows;
use crate::plan::initialize::Initializer;
use crate::plan::inputs::{DtypeChoice, SourceView};
use crate::plan::matching::matches::{Match, Origin};
use crate::plan::unused::PassedOver;
use crate::plan::value::Value;
use crate::plan::warnings::{idle_rules, unknown_buffers};
use crate::tensor::{Dtype, TensorInfo};

/// Turns matches into assignments, one after the other.
pub(crate) struct Assembly<'a> {
    target: &'a Architecture,
    dtypes: Dtypes,
    fitter: Fitter<'a>,
    initializer: &'a Initializer<'a>,
    narrowings: Narrowings,
    pub mismatches: Mismatches,
    /// Source tensors that were matched and not used, and why.
    pub passed_over: PassedOver,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(
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
    pub(crate) fn assignments(&mut self, matches: &[Match]) -> Result<Vec<Assignment>> {
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
                        Some(Fitted::Mismatched { .. }) => require_fit(self.target, parameter, found, true)?,
                        Some(Fitted::New { .. }) => require_fit(self.target, parameter, found, false)?,
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
        for leaf in value.sources() {
            let key = (leaf.source, leaf.tensor.clone());
            // tensors of one reason are one line of the report, so a target of the tensor's own name is not repeated
            self.passed_over.entry(key).or_insert_with(|| match *leaf.tensor == parameter.name {
                true => reason.to_string(),
                false => format!("for {}: {reason}", parameter.name),
            });
        }
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
    pub(crate) fn warnings(&self, assignments: &[Assignment]) -> Vec<String> {
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
    let target = TensorInfo::new(parameter.name.clone(), decision.dtype, parameter.shape.clone());
    let runners_up = found.runners_up.clone();
    Assignment { runners_up, head: parameter.head, ..Assignment::new(target, value, step, reason) }
}

/// What is said of a value that matching made of no source: a branch that starts at zero.
fn sourceless(value: &Value, found: &Match) -> Option<Initialisation> {
    let scheme = if matches!(value, Value::Computed { .. }) { "computed" } else { "zeros" };
    value.sources().next().is_none().then(|| Initialisation {
        scheme: scheme.into(),
        std: None,
        by: found.reason.to_string(),
        exact: Exact::Anywhere,
    })
}

/// Whether a rule says that a target is new: matching saw so, or made its value of no source.
pub(crate) fn is_declared_new(found: &Match) -> bool {
    let is_sourceless = match &found.origin {
        Origin::Found { value, .. } => value.sources().next().is_none(),
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

/// An error where a map rule gave a target a source that does not fit it. The rows of a head whose classes have no names are left
/// to initialisation where a wildcard led to them, as a whole model is renamed by one rule.
pub(crate) fn require_fit(
    target: &Architecture,
    parameter: &Parameter,
    found: &Match,
    is_mismatch: bool,
) -> Result<()> {
    let Origin::Found { value, info } = &found.origin else { return Ok(()) };
    let names_it = || {
        let mut to = target.rules.map.iter().flat_map(|rule| &rule.to);
        info.shape != parameter.shape && to.any(|to| to.is_plain() && to.text == parameter.name.as_str())
    };
    if found.step != Step::Map || !(is_mismatch || names_it()) {
        return Ok(());
    }
    let first = value.sources().next();
    Err(PlanError::MapShape {
        rule: found.reason.to_string(),
        target: parameter.name.to_string(),
        from: first.map(|first| first.tensor.to_string()).unwrap_or_default(),
        expected: parameter.shape.clone(),
        stored: first.map(|first| first.shape.clone()).filter(|shape| *shape != info.shape),
        found: info.shape.clone(),
    }
    .into())
}
