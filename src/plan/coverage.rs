//! The share of the target that was found, and what a strict run wants declared.

use std::collections::{BTreeMap, BTreeSet};

use super::mismatches::Mismatches;
use super::{Action, Assignment, Options, SourceView, Unused, names};
use crate::arch::{Architecture, Selector};
use crate::error::{FitError, PlanError, quoted};
use crate::graph::Parameter;
use crate::tensor::{Role, elements};

/// What coverage says about a plan.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// What breaks the contract.
    pub violations: Vec<PlanError>,
    /// The flags that would make `--strict` pass.
    pub strict_lines: Vec<String>,
}

impl Coverage {
    /// Takes back the flags that would declare what is new and what is unused.
    pub fn withhold_lines(&mut self) {
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
pub(super) fn judge(
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

fn is_said(selectors: &[Selector], name: &str) -> bool {
    selectors.iter().any(|selector| selector.pattern.matches(name).is_some())
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
                && !is_said(&rules.new, name)
                && !is_said(&rules.reinit, name)
        })
        .map(|((parameter, _), _)| parameter.name.as_str())
        .collect()
}

fn undeclared_unused<'a>(target: &Architecture, unused: &[&'a Unused]) -> BTreeSet<&'a str> {
    let names = unused.iter().map(|entry| entry.tensor.name.as_str());
    names.filter(|name| !is_said(&target.rules.unused, name)).collect()
}

/// The flags that say these patterns, quoted for a shell.
pub(super) fn flags(flag: &str, patterns: &[String]) -> Vec<String> {
    patterns.iter().map(|pattern| format!("{flag} {}", quoted(pattern))).collect()
}

/// Patterns that match exactly the names of `some` among `all`: first over layer templates (`encoder.layer.{i}.adapter.**`),
/// what is left by subtrees as they are (`encoder.layer.9.**`).
pub(super) fn collapse(all: &[&str], some: &BTreeSet<&str>) -> Vec<String> {
    if some.is_empty() {
        return Vec::new();
    }
    let mut by_template: BTreeMap<String, (Vec<&str>, bool)> = BTreeMap::new();
    for name in all {
        let (members, is_whole) = by_template.entry(pattern_of(name)).or_insert((Vec::new(), true));
        members.push(name);
        *is_whole &= some.contains(name);
    }
    let templates = by_template.iter().map(|(template, (_, is_whole))| (template.as_str(), *is_whole));
    let mut patterns = whole_subtrees(templates);
    let covered: BTreeSet<&str> =
        by_template.values().filter(|(_, is_whole)| *is_whole).flat_map(|(members, _)| members).copied().collect();
    let left = all.iter().map(|name| (*name, some.contains(name) && !covered.contains(name)));
    patterns.extend(whole_subtrees(left));
    patterns
}

/// The first index of a name as `{i}`, further ones as `*`: a letter that stands twice would mean the same number twice.
fn pattern_of(name: &str) -> String {
    let mut has_index = false;
    let mut components = Vec::new();
    for part in name.split('.') {
        components.push(match (names::is_index(part), has_index) {
            (true, false) => "{i}",
            (true, true) => "*",
            (false, _) => part,
        });
        has_index |= names::is_index(part);
    }
    components.join(".")
}

/// How many names lie at or below a path, how many of them are wanted, and whether they lie one component below it or elsewhere.
#[derive(Default)]
struct Subtree {
    names: usize,
    wanted: usize,
    is_itself: bool,
    is_deep: bool,
}

/// The highest paths all of whose names are wanted, as patterns in order of appearance: `path.*` over leaves, `path.**` over more.
fn whole_subtrees<'a>(names: impl Iterator<Item = (&'a str, bool)>) -> Vec<String> {
    let names: Vec<(&str, bool)> = names.collect();
    let mut subtrees: BTreeMap<&str, Subtree> = BTreeMap::new();
    for (name, is_wanted) in &names {
        for (depth, path) in names::self_and_ancestors(name).enumerate() {
            let subtree = subtrees.entry(path).or_default();
            subtree.names += 1;
            subtree.wanted += usize::from(*is_wanted);
            subtree.is_itself |= depth == 0;
            subtree.is_deep |= depth > 1;
        }
    }
    let is_whole = |path: &str| subtrees.get(path).is_some_and(|subtree| subtree.names == subtree.wanted);
    let mut patterns = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, _) in names.iter().filter(|(_, is_wanted)| *is_wanted) {
        // a name may be the path of others that are not wanted
        let Some(top) = names::self_and_ancestors(name).filter(|path| is_whole(path)).last() else {
            patterns.push(name.to_string());
            continue;
        };
        if seen.insert(top) {
            patterns.push(match subtrees.get(top) {
                Some(subtree) if subtree.names == 1 && subtree.is_itself => top.to_string(),
                Some(subtree) if subtree.is_deep || subtree.is_itself => format!("{top}.**"),
                Some(_) | None => format!("{top}.*"),
            });
        }
    }
    patterns
}
