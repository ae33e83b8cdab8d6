//! Patterns that match nothing: an error with the nearest name, unless the pattern begins with `?`.

use crate::arch::{Architecture, Selector};
use crate::error::Result;
use crate::name::parent;
use crate::plan::inputs::SourceView;
use crate::plan::matching::blocks::Blocks;
use crate::plan::selectors::require;

/// The first pattern of a rule other than `map` that matches nothing, as an error.
pub(crate) fn check(sources: &[SourceView], target: &Architecture, blocks: &Blocks) -> Result<()> {
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
            path = parent(path);
        }
    }
    seen.into_iter().collect()
}
