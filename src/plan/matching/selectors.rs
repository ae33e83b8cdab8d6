//! Patterns that match nothing: an error with the nearest name, unless the pattern begins with `?`.

use crate::arch::{Architecture, Selector};
use crate::error::{PlanError, Result, edits, nearest};
use crate::plan::SourceView;
use crate::plan::blocks::Blocks;

/// The first pattern of a rule other than `map` that matches nothing, as an error.
pub(super) fn check(sources: &[SourceView], target: &Architecture, blocks: &Blocks) -> Result<()> {
    let rules = &target.rules;
    let names: Vec<&str> = target.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let tensors = rules.new.iter().chain(&rules.reinit);
    let tensors = tensors.chain(rules.adapt.iter().map(|rule| &rule.target));
    let tensors = tensors.chain(rules.init.iter().filter_map(|rule| rule.target.as_ref()));
    for selector in tensors.chain(rules.vocab.iter().filter_map(|rule| rule.target.as_ref())) {
        require(selector, "target tensor", &names)?;
    }
    let depth: Vec<&Selector> = rules.depth.iter().map(|rule| &rule.path).collect();
    if !depth.is_empty() {
        let paths = blocks.paths();
        depth.into_iter().try_for_each(|selector| require(selector, "repeated block of the target", &paths))?;
    }
    let heads: Vec<&Selector> = rules.labels.iter().filter_map(|rule| rule.head.as_ref()).collect();
    if !heads.is_empty() {
        let paths = modules(&names);
        heads.into_iter().try_for_each(|selector| require(selector, "module of the target", &paths))?;
    }
    if !rules.unused.is_empty() && !sources.is_empty() {
        let stored: Vec<&str> =
            sources.iter().flat_map(|view| view.listing.tensors.iter().map(|tensor| tensor.name.as_str())).collect();
        rules.unused.iter().try_for_each(|selector| require(selector, "source tensor", &stored))?;
    }
    Ok(())
}

/// Every tensor and every path above one, each once.
fn modules<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        let mut path = *name;
        while !path.is_empty() && seen.insert(path) {
            path = super::names::parent(path);
        }
    }
    seen.into_iter().collect()
}

/// The name that a pattern was to match: its components, as far as they are plain, are those of the name but for typing errors.
pub(in crate::plan) fn nearest_name<'a>(pattern: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
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

/// An error where a pattern matches none of these names and does not say that it may.
pub(in crate::plan) fn require(selector: &Selector, of: &'static str, names: &[&str]) -> Result<()> {
    if selector.optional || names.iter().any(|name| selector.pattern.matches(name).is_some()) {
        return Ok(());
    }
    let nearest = nearest_name(&selector.pattern.text, names.iter().copied()).map(str::to_string);
    Err(PlanError::MatchesNothing { place: selector.place.clone(), pattern: selector.text.clone(), of, nearest }.into())
}
