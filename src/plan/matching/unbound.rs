//! Wildcards that only the source of a map rule has: the stored tensors that the rest of the name decides.

use std::sync::{Arc, Mutex, PoisonError};

use crate::arch::Pattern;
use crate::hash::HashMap;
use crate::plan::inputs::SourceView;

/// Stored tensors, source and place, by how their names end.
type ByTail<'a> = HashMap<&'a str, Vec<(usize, usize)>>;

/// The stored names, found by as many of their last components as a pattern fixes.
pub(crate) struct Unbound<'a> {
    sources: &'a [SourceView<'a>],
    /// By the number of components, made when it is first asked for.
    by_tail: Mutex<HashMap<usize, Arc<ByTail<'a>>>>,
}

impl<'a> Unbound<'a> {
    pub(crate) fn new(sources: &'a [SourceView<'a>]) -> Unbound<'a> {
        Unbound { sources, by_tail: Mutex::new(HashMap::default()) }
    }

    /// The tensors of the one name that a pattern matches, or two names where it matches more than one.
    pub(crate) fn find(
        &self,
        pattern: &Pattern,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<(usize, usize)>, [String; 2]> {
        let (tail, components) = pattern.fixed_tail();
        let index = self.index(components);
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (source, tensor) in index.get(tail.as_str()).into_iter().flatten().filter(|(of, _)| is_wanted(*of)) {
            let name = self.name(*source, *tensor);
            if pattern.matches(name).is_none() {
                continue;
            }
            match found.first().map(|(source, tensor)| self.name(*source, *tensor)) {
                Some(first) if first != name => return Err([first.to_string(), name.to_string()]),
                Some(_) | None => found.push((*source, *tensor)),
            }
        }
        Ok(found)
    }

    fn name(&self, source: usize, tensor: usize) -> &'a str {
        let tensor = self.sources.get(source).and_then(|view| view.listing.tensors.get(tensor));
        tensor.map_or("", |tensor| tensor.name.as_str())
    }

    fn index(&self, components: usize) -> Arc<ByTail<'a>> {
        let mut known = self.by_tail.lock().unwrap_or_else(PoisonError::into_inner);
        let index = known.entry(components).or_insert_with(|| {
            let mut index: ByTail = HashMap::default();
            for (source, view) in self.sources.iter().enumerate() {
                for (tensor, info) in view.listing.tensors.iter().enumerate() {
                    index.entry(tail(&info.name, components)).or_default().push((source, tensor));
                }
            }
            Arc::new(index)
        });
        index.clone()
    }
}

/// The last components of a name; all of it where it has no more.
fn tail(name: &str, components: usize) -> &str {
    match components.checked_sub(1) {
        None => "",
        Some(dots) => name.rmatch_indices('.').nth(dots).map_or(name, |(dot, _)| name.get(dot + 1..).unwrap_or(name)),
    }
}
