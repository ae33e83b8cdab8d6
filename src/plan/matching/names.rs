//! Dotted names: wrappers, suffixes, integers in them, and the names that mean something everywhere.

use crate::plan::blocks::MOST_COMPONENTS;
use crate::tensor::Name;

/// Components that containers put around a model's own, wherever they stand, and that a model may have too.
const CONTAINERS: &[&str] = &["model", "state_dict", "model_state_dict"];

/// Components that trainers put around modules, so that no module of a model is called so.
const AROUND: &[&str] = &["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// State without learning that its owner can compute anew but a constant cannot stand for.
const COMPUTED: &[&str] = &[
    "position_ids",
    "rotary_emb.inv_freq",
    "rotary_emb.original_inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    "relative_position_index",
    "relative_coords_table",
    "attn_mask",
    "rope.freqs",
    "rope_freqs.weight",
    "rotary_pos_emb.inv_freq",
    "_extra_state",
];

/// State without learning that starts as a constant.
const CONSTANT: &[&str] = &["num_batches_tracked", "token_type_ids", "masked_bias"];

fn ends_in(name: &str, tail: &str) -> bool {
    name.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

/// Whether a tensor of this name is state without learning that models recompute: `position_ids`, `rotary_emb.inv_freq`,
/// `num_batches_tracked`, `relative_position_index` and their like.
pub fn is_known_buffer(name: &str) -> bool {
    is_computed_buffer(name) || CONSTANT.iter().any(|tail| ends_in(name, tail))
}

/// Whether a buffer of this name holds values that no constant can stand for.
pub fn is_computed_buffer(name: &str) -> bool {
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

/// The same of a text that is no tensor's.
pub(crate) fn plain_text(name: &str) -> String {
    without(name, is_wrapper).unwrap_or_else(|| name.to_string())
}

/// How many components `plain` leaves.
pub(super) fn plain_components(name: &str) -> usize {
    match name.split('.').filter(|part| !is_wrapper(part)).count() {
        0 => name.split('.').count(),
        some => some,
    }
}

/// Whether a path consists of wrappers alone.
pub(super) fn is_around(path: &str) -> bool {
    path.split('.').all(is_wrapper)
}

/// Whether a component only wraps a model's own.
pub(crate) fn is_wrapper(part: &str) -> bool {
    AROUND.contains(&part) || CONTAINERS.contains(&part)
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
    without(name, |part| AROUND.contains(&part)).unwrap_or_else(|| name.to_string())
}

/// What stands before the last component, without its dot; empty for a name of one component.
pub(crate) fn parent(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The last component.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// Two paths with a dot between them, where neither is empty.
pub(crate) fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_string(),
        (path, "") => path.to_string(),
        (path, name) => format!("{path}.{name}"),
    }
}

/// The name below a path, or `None` where it does not lie there.
pub(crate) fn below<'a>(name: &'a str, path: &str) -> Option<&'a str> {
    if path.is_empty() {
        return Some(name);
    }
    name.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
}

/// Every way to cut a name at a dot, the longest suffix first: what stands before, what stands after. Beyond `MOST_COMPONENTS`
/// a name is not cut.
pub(super) fn cuts(name: &str) -> impl Iterator<Item = (&str, &str)> {
    name.match_indices('.').take(MOST_COMPONENTS).map(|(at, _)| (&name[..at], &name[at + 1..]))
}

/// The longest path that all names share; empty for none.
pub(super) fn common_path<'a>(names: impl IntoIterator<Item = &'a str>) -> &'a str {
    let mut names = names.into_iter();
    let Some(first) = names.next() else { return "" };
    let mut common = parent(first);
    for name in names {
        while below(name, common).is_none() {
            common = parent(common);
        }
    }
    common
}

/// How many trailing components two names share.
pub(super) fn common_suffix(a: &str, b: &str) -> usize {
    a.rsplit('.').zip(b.rsplit('.')).take_while(|(a, b)| a == b).count()
}

/// The name that a layer norm's `gamma` or `beta` has today, where the last component is one as a whole.
pub(super) fn modern_norm(name: &str) -> Option<String> {
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
