//! Patterns of rules: what they select, and the error for one that matches nothing.

use crate::arch::{Architecture, Selector};
use crate::error::{Result, edits, nearest};
use crate::graph::ParameterId;
use crate::plan::error::PlanError;

/// An error where a pattern matches none of these names and does not say that it may.
pub(crate) fn require(selector: &Selector, of: &'static str, names: &[&str]) -> Result<()> {
    if selector.optional || names.iter().any(|name| selector.pattern.matches(name).is_some()) {
        return Ok(());
    }
    let nearest = nearest_name(&selector.pattern.text, names.iter().copied()).map(str::to_string);
    Err(PlanError::MatchesNothing { place: selector.place.clone(), pattern: selector.text.clone(), of, nearest }.into())
}

/// The name that a pattern was to match: its components, as far as they are plain, are those of the name but for typing errors.
pub(crate) fn nearest_name<'a>(pattern: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let is_wild = |part: &str| part.contains(['*', '{']);
    if !pattern.split('.').any(is_wild) {
        return nearest(pattern, names);
    }
    let slips = |name: &str| -> Option<usize> {
        let (mut parts, mut total) = (name.split('.'), 0);
        for part in pattern.split('.') {
            if part == "**" {
                break;
            }
            let own = parts.next()?;
            if !is_wild(part) && part != own {
                total += edits(part, own)?;
            }
        }
        Some(total)
    };
    names.filter_map(|name| Some((slips(name)?, name))).min().map(|(_, name)| name)
}

/// Whether any of these selects a name.
pub(crate) fn selects(selectors: &[Selector], name: &str) -> bool {
    selectors.iter().any(|selector| selector.pattern.matches(name).is_some())
}

/// Whether `--new` or `--reinit` says that a target is initialised.
pub(crate) fn is_declared(target: &Architecture, id: ParameterId) -> bool {
    let name = target.parameters.get(id).map(|parameter| parameter.name.as_str());
    name.is_some_and(|name| selects(&target.rules.new, name) || selects(&target.rules.reinit, name))
}
