//! Templates of names, found by their last component.

use crate::arch::{Bindings, Pattern};
use crate::error::Result;
use crate::hash::HashMap;
use crate::name::{cuts, last};

/// Templates, found by the last component of a name where that is plain text.
pub(crate) struct Templates {
    pub by_last: HashMap<String, Vec<(usize, usize, Pattern)>>,
    pub any: Vec<(usize, usize, Pattern)>,
}

impl Templates {
    /// Each template with the number of its rule and its place there.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = (usize, usize, &'a str)>) -> Result<Templates> {
        let mut templates = Templates { by_last: HashMap::default(), any: Vec::new() };
        for (rule, slot, text) in texts {
            let entry = (rule, slot, Pattern::parse(text)?);
            let end = last(text);
            if end.contains(['{', '}', '*']) {
                templates.any.push(entry);
            } else {
                templates.by_last.entry(end.to_string()).or_default().push(entry);
            }
        }
        Ok(templates)
    }

    pub(crate) fn likely(&self, name: &str) -> impl Iterator<Item = &(usize, usize, Pattern)> {
        self.by_last.get(last(name)).into_iter().flatten().chain(&self.any)
    }

    /// The first template that a name fits: its rule, its place there, what the wildcards stand for.
    pub(crate) fn first(&self, name: &str) -> Option<(usize, usize, Bindings)> {
        let fits = |(rule, slot, pattern): &(usize, usize, Pattern)| Some((*rule, *slot, pattern.matches(name)?));
        self.likely(name).filter_map(fits).min_by_key(|(rule, slot, _)| (*rule, *slot))
    }

    /// The shortest path below which the name fits a template.
    pub(crate) fn path<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.likely(name).next()?;
        let whole = std::iter::once(("", name));
        whole.chain(cuts(name)).find(|(_, rest)| self.first(rest).is_some()).map(|(path, _)| path)
    }
}
