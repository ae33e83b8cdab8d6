//! The share of the target that was found, and what a strict run wants declared.

use std::collections::BTreeSet;

use crate::arch::Architecture;
use crate::graph::Parameter;
use crate::plan::assignment::Assignment;
use crate::plan::document::Unused;
use crate::plan::error::PlanError;
use crate::plan::fit::error::FitError;
use crate::plan::fit::mismatches::Mismatches;
use crate::plan::inputs::{Options, SourceView};
use crate::plan::patterns::{collapse, flags};
use crate::plan::selectors::selects;
use crate::plan::value::Action;
use crate::tensor::{Role, elements};

/// What coverage says about a plan.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub violations: Vec<PlanError>,
    /// The flags that would make `--strict` pass.
    pub strict_lines: Vec<String>,
}

impl Coverage {
    /// Takes back the flags that would declare what is new and what is unused.
    pub(crate) fn withhold_lines(&mut self) {
        self.strict_lines.clear();
        for violation in &mut self.violations {
            if let PlanError::Fit(FitError::UndeclaredNew { lines, .. } | FitError::UndeclaredUnused { lines, .. }) =
                violation
            {
                lines.clear();
            }
        }
    }
}

/// Judges a plan. `declared` says of each assignment whether matching saw it declared, `unused` which tensors are lost.
pub(crate) fn judge(
    sources: &[SourceView],
    target: &Architecture,
    assignments: &[Assignment],
    declared: &[bool],
    unused: &[&Unused],
    mismatched: &Mismatches,
    options: &Options,
) -> Coverage {
    let mut coverage = Coverage::default();
    if sources.is_empty() {
        return coverage;
    }
    coverage.violations.extend(low(target, assignments, mismatched, options.min_coverage).map(PlanError::from));
    let new = undeclared_new(target, assignments, declared);
    let all: Vec<&str> = target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let names = collapse(&all, &new);
    let lines = flags("--new", &names);
    coverage.strict_lines.extend(lines.iter().cloned());
    if options.strict && !new.is_empty() {
        let count = new.len();
        coverage.violations.push(FitError::UndeclaredNew { count, names, lines }.into());
    }
    let idle = undeclared_unused(target, unused);
    let all: Vec<&str> = sources.iter().flat_map(|s| &s.listing.tensors).map(|tensor| tensor.name.as_str()).collect();
    let names = collapse(&all, &idle);
    let lines = flags("--unused", &names);
    coverage.strict_lines.extend(lines.iter().cloned());
    if options.strict && !idle.is_empty() {
        let count = idle.len();
        coverage.violations.push(FitError::UndeclaredUnused { count, names, lines }.into());
    }
    coverage
}

/// The elements of a target that have a source, and all of them; buffers and tied ones count for nothing.
fn found(parameter: &Parameter, assignment: &Assignment) -> (u64, u64) {
    let total = elements(&parameter.shape).unwrap_or(u64::MAX);
    let row = elements(parameter.shape.get(1..).unwrap_or(&[])).unwrap_or(u64::MAX);
    match assignment.action {
        Action::Tied => (0, 0),
        Action::Copied => (total, total),
        Action::New => (0, total),
        Action::Adapted => (total.saturating_sub(assignment.new_rows.saturating_mul(row)), total),
    }
}

fn low(target: &Architecture, assignments: &[Assignment], mismatched: &Mismatches, minimum: f64) -> Option<FitError> {
    let counted = target.parameters.iter().zip(assignments).filter(|(p, _)| !p.head && p.role != Role::Buffer);
    let (found, total) = counted
        .map(|(parameter, assignment)| found(parameter, assignment))
        .fold((0u64, 0u64), |(found, total), (some, all)| (found.saturating_add(some), total.saturating_add(all)));
    let is_low = total > 0 && (found as f64) < minimum * total as f64;
    let mismatched = || mismatched.lines(target);
    is_low.then(|| FitError::LowCoverage { found, total, minimum, mismatched: mismatched() })
}

fn undeclared_new<'a>(target: &'a Architecture, assignments: &[Assignment], declared: &[bool]) -> BTreeSet<&'a str> {
    let rules = &target.rules;
    let entries = target.parameters.iter().zip(assignments).zip(declared);
    entries
        .filter(|((parameter, assignment), declared)| {
            let name = &parameter.name;
            assignment.action == Action::New
                && parameter.role != Role::Buffer
                && !**declared
                && !selects(&rules.new, name)
                && !selects(&rules.reinit, name)
        })
        .map(|((parameter, _), _)| parameter.name.as_str())
        .collect()
}

fn undeclared_unused<'a>(target: &Architecture, unused: &[&'a Unused]) -> BTreeSet<&'a str> {
    let names = unused.iter().map(|entry| entry.tensor.name.as_str());
    names.filter(|name| !selects(&target.rules.unused, name)).collect()
}
