//! Dotted names: wrappers, suffixes, integers in them, and the names that mean something everywhere.

use crate::name::{WRAPPERS, join, last, parent};
use crate::tensor::Name;

/// Components that containers put around a model's own, wherever they stand, and that a model may have too.
const CONTAINERS: &[&str] = &["model", "state_dict", "model_state_dict"];

/// State without learning that its owner can compute anew but a constant cannot stand for.
const COMPUTED: &[&str] = &[
    "position_ids", "rotary_emb.inv_freq", "rotary_emb.original_inv_freq", "rotary_emb.cos_cached",
    "rotary_emb.sin_cached", "relative_position_index", "relative_coords_table", "attn_mask", "rope.freqs",
    "rope_freqs.weight", "rotary_pos_emb.inv_freq", "_extra_state",
];

/// State without learning that starts as a constant.
const CONSTANT: &[&str] = &["num_batches_tracked", "token_type_ids", "masked_bias"];

fn ends_in(name: &str, tail: &str) -> bool {
    name.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

/// Whether a tensor of this name is state without learning that models recompute: `position_ids`, `rotary_emb.inv_freq`,
/// `num_batches_tracked`, `relative_position_index` and their like.
pub(crate) fn is_known_buffer(name: &str) -> bool {
    is_computed_buffer(name) || CONSTANT.iter().any(|tail| ends_in(name, tail))
}

/// Whether a buffer of this name holds values that no constant can stand for.
pub(crate) fn is_computed_buffer(name: &str) -> bool {
    COMPUTED.iter().any(|tail| ends_in(name, tail))
}

/// The name without wrapper components; one that consists of nothing else stays.
pub(crate) fn plain(name: &Name) -> Name {
    // as a rule one stands before all else, and what follows is the name as it is
    let is_plain = |inner: &str| !inner.split('.').any(|part| part.is_empty() || is_wrapper(part));
    match name.split_once('.') {
        Some((first, inner)) if is_wrapper(first) && is_plain(inner) => Name::from(inner),
        _ => without(name, is_wrapper).map_or_else(|| name.clone(), Name::from),
    }
}

/// As above, for a text that is not a tensor's.
pub(crate) fn plain_text(name: &str) -> String {
    without(name, is_wrapper).unwrap_or_else(|| name.to_string())
}

/// How many components `plain` leaves.
pub(crate) fn plain_components(name: &str) -> usize {
    match name.split('.').filter(|part| !is_wrapper(part)).count() {
        0 => name.split('.').count(),
        some => some,
    }
}

/// Whether a path consists of wrappers alone.
pub(crate) fn is_around(path: &str) -> bool {
    path.split('.').all(is_wrapper)
}

/// Whether a component only wraps a model's own.
pub(crate) fn is_wrapper(part: &str) -> bool {
    WRAPPERS.contains(&part) || CONTAINERS.contains(&part)
}

/// A name without some components, or `None` where it has none of them or nothing else.
fn without(name: &str, is_around: impl Fn(&str) -> bool) -> Option<String> {
    if !name.split('.').any(&is_around) {
        return None;
    }
    let mut kept = String::with_capacity(name.len());
    for part in name.split('.').filter(|part| !is_around(part)) {
        if !kept.is_empty() {
            kept.push('.');
        }
        kept.push_str(part);
    }
    (!kept.is_empty()).then_some(kept)
}

/// The name without what `torch.compile`, `DistributedDataParallel` and their like put into it; one of nothing else stays.
pub(crate) fn unwrapped(name: &str) -> String {
    without(name, |part| WRAPPERS.contains(&part)).unwrap_or_else(|| name.to_string())
}

/// The name that a layer norm's `gamma` or `beta` has today, where the last component is one as a whole.
pub(crate) fn modern_norm(name: &str) -> Option<String> {
    let modern = match last(name) {
        "gamma" => "weight",
        "beta" => "bias",
        _ => return None,
    };
    Some(join(parent(name), modern))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_without_wrappers_is_the_same_by_either_way(name in "(model|module|state_dict|0|w|)([.](model|_orig_mod|1|w|)){0,4}") {
            let slowly = without(&name, is_wrapper).unwrap_or_else(|| name.clone());
            let quickly = plain(&Name::from(name.as_str()));
            prop_assert_eq!(quickly.as_str(), slowly.as_str());
        }
    }
}
