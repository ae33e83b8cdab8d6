//! What the user should know of a plan although nothing is wrong with it.

use std::collections::BTreeSet;

use crate::arch::{Architecture, InitRule};
use crate::graph::Parameter;
use crate::name::last;
use crate::plan::assignment::Assignment;
use crate::plan::initialize::buffer::is_known_buffer;
use crate::plan::initialize::is_general;
use crate::plan::patterns::collapse;
use crate::plan::value::{Action, Value};
use crate::tensor::Role;

/// Buffers without a source whose meaning is not known from their name: zeros may be wrong.
pub(crate) fn unknown_buffers(target: &Architecture, assignments: &[Assignment]) -> Vec<String> {
    let buffers = target.parameters.iter().zip(assignments).filter(|(parameter, assignment)| {
        parameter.role == Role::Buffer
            && assignment.action == Action::New
            && !matches!(assignment.value, Value::Computed { .. })
            && !is_known_buffer(last(&parameter.name))
    });
    let some: BTreeSet<&str> = buffers.map(|(parameter, _)| parameter.name.as_str()).collect();
    let all: Vec<&str> = target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let line =
        |pattern| format!("buffer {pattern}: no source, and its name does not determine its values; it is all zeros");
    collapse(&all, &some).into_iter().map(line).collect()
}

/// Initialisation rules that only meet what was transferred whole: probably not what their author believes.
pub(crate) fn idle_rules(target: &Architecture, assignments: &[Assignment]) -> Vec<String> {
    target.rules.init.iter().filter_map(|rule| idle(rule, target, assignments)).collect()
}

fn idle(rule: &InitRule, target: &Architecture, assignments: &[Assignment]) -> Option<String> {
    let Some(selector) = &rule.target else {
        let mut written = target.parameters.iter().zip(assignments).filter(|(p, _)| is_general(p));
        return written.all(|(_, assignment)| assignment.init.is_none()).then(|| {
            let reaches = init_flag(&rule.scheme.to_string(), target, assignments);
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

/// The flag that reaches what `--init` without a pattern passes over: new weights of heads and embeddings, by name.
pub(crate) fn init_flag(scheme: &str, target: &Architecture, assignments: &[Assignment]) -> String {
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
