//! Source tensors that no target uses, and why.

use crate::hash::{HashMap, HashSet};
use crate::plan::assignment::Assignment;
use crate::plan::document::Unused;
use crate::plan::inputs::SourceView;
use crate::plan::matching::Matching;
use crate::plan::names::is_known_buffer;
use crate::plan::structure;
use crate::tensor::Name;

/// What no target uses: learned tensors, and known buffers apart.
pub(crate) fn left_over(
    sources: &[SourceView],
    matching: &Matching,
    assignments: &[Assignment],
    passed_over: &PassedOver,
) -> (Vec<Unused>, Vec<Unused>) {
    let mut used: HashSet<(usize, &str)> = HashSet::with_capacity_and_hasher(assignments.len(), Default::default());
    for assignment in assignments {
        used.extend(assignment.value.sources().map(|leaf| (leaf.source, leaf.tensor.as_str())));
    }
    let (mut unused, mut dropped) = (Vec::new(), Vec::new());
    for (source, view) in sources.iter().enumerate() {
        for (index, tensor) in view.listing.tensors.iter().enumerate() {
            if used.contains(&(source, tensor.name.as_str())) {
                continue;
            }
            let by_matching = || matching.unused_reasons.get(source).and_then(|reasons| reasons.get(&index));
            let known = passed_over.get(&(source, tensor.name.clone())).or_else(by_matching);
            let is_used = |id: usize| matching.used.get(source).and_then(|used| used.get(id)).copied().unwrap_or(false);
            if let Some(reason) = matching.quantized.get(source).and_then(|all| all.aside(index, is_used)) {
                dropped.push(Unused { source, tensor: tensor.clone(), reason });
                continue;
            }
            let is_buffer = is_known_buffer(&tensor.name);
            let reason = match (known, is_buffer) {
                (Some(reason), _) => reason.clone(),
                (None, true) => "a buffer that the target does not name".into(),
                (None, false) => structure::NO_TARGET.into(),
            };
            let entry = Unused { source, tensor: tensor.clone(), reason };
            if is_buffer { dropped.push(entry) } else { unused.push(entry) }
        }
    }
    (unused, dropped)
}

/// Whether a tensor is there under the name of its owner, so that nothing of it is lost.
pub(crate) fn is_copy(sources: &[SourceView], matching: &Matching, entry: &Unused) -> bool {
    let place = sources.get(entry.source).and_then(|view| view.listing.position(&entry.tensor.name));
    place.is_some_and(|place| matching.copies.contains(&(entry.source, place)))
}

/// Reasons by source and tensor.
pub(crate) type PassedOver = HashMap<(usize, Name), String>;
