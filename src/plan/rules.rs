//! A rule does what it says, or fails: what the user wrote is never quietly replaced by an initialisation.

use super::matching::{Match, Origin};
use super::{Action, Assignment, Step, Value};
use crate::arch::Architecture;
use crate::error::{PlanError, Result};
use crate::graph::Parameter;
use crate::tensor::{Role, Shape};

/// An error where a map rule gave a target a source that does not fit it. The rows of a head whose classes have no names are left
/// to initialisation where a wildcard led to them, as a whole model is renamed by one rule.
pub(super) fn require_fit(
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
    let (from, stored) = first_stored(value);
    Err(PlanError::MapShape {
        rule: found.reason.to_string(),
        target: parameter.name.to_string(),
        from,
        expected: parameter.shape.clone(),
        stored: stored.filter(|shape| *shape != info.shape),
        found: info.shape.clone(),
    }
    .into())
}

/// The first stored tensor of a value, and its shape.
fn first_stored(value: &Value) -> (String, Option<Shape>) {
    let mut first = None;
    value.leaves(&mut |leaf| {
        if let (None, Value::Source { tensor, shape, .. }) = (&first, leaf) {
            first = Some((tensor.to_string(), shape.clone()));
        }
    });
    first.map_or((String::new(), None), |(name, shape)| (name, Some(shape)))
}

/// The flag that reaches what `--init` without a pattern passes over: new weights of heads and embeddings, by name.
pub(super) fn init_flag(scheme: &str, target: &Architecture, assignments: &[Assignment]) -> String {
    let is_new = |assignment: &Assignment| assignment.action == Action::New || assignment.new_rows > 0;
    let all = target.parameters.iter().zip(assignments).filter(|(_, assignment)| is_new(assignment));
    let mut weights = all.filter_map(|(parameter, _)| Some((parameter.name.as_str(), passed_over(parameter)?)));
    match (weights.next(), weights.count()) {
        (None, _) => format!("`--init 'PATTERN={scheme}'` reaches others"),
        (Some((name, why)), 0) => format!("{name} is new and {why}: `--init '{name}={scheme}'` reaches it"),
        (Some((name, why)), more) => {
            format!("{name} is new and {why}, and {more} more are passed over: `--init '{name}={scheme}'` reaches it")
        }
    }
}

/// Why `--init` without a pattern does not reach a weight, where it is one.
fn passed_over(parameter: &Parameter) -> Option<&'static str> {
    match parameter.role {
        Role::Embedding | Role::Position => Some("an embedding"),
        Role::Linear | Role::Conv { .. } | Role::ConvTranspose { .. } => parameter.head.then_some("in a head"),
        Role::Unknown if parameter.shape.len() > 1 => Some("of an unknown role"),
        Role::Norm | Role::Bias | Role::Token | Role::Buffer | Role::Unknown => None,
    }
}
