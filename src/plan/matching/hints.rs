//! Rules to type, made from pairs of a target and a source name.

use std::collections::BTreeSet;

use crate::error::quoted;
use crate::name::{below, common_path, common_suffix, index_of, join, last, parent};

/// What two names have in front of their longest common suffix.
pub(crate) fn heads<'a>(to: &'a str, from: &'a str) -> (&'a str, &'a str) {
    let shared = common_suffix(to, from);
    (without(to, shared), without(from, shared))
}

/// A name without its last components.
fn without(name: &str, components: usize) -> &str {
    (0..components).fold(name, |name, _| parent(name))
}

/// The fewest `--map` flags that say these pairs of target and source.
pub(crate) fn map_flags(pairs: &[(String, String)]) -> Vec<String> {
    if let Some(rule) = whole_path(pairs) {
        return vec![rule];
    }
    let mut seen = BTreeSet::new();
    let rules = pairs.iter().map(|(to, from)| by_template(to, from));
    rules.filter(|rule| seen.insert(rule.clone())).take(MOST_FLAGS).collect()
}

/// More lines than this nobody types.
const MOST_FLAGS: usize = 64;

/// `to.**=from.**` where all pairs lie below one path on either side and are spelt alike there.
fn whole_path(pairs: &[(String, String)]) -> Option<String> {
    let [(first_to, first_from), _, ..] = pairs else { return None };
    let (mut to, mut from) = (
        common_path(pairs.iter().map(|(to, _)| to.as_str())),
        common_path(pairs.iter().map(|(_, from)| from.as_str())),
    );
    let rest_of = |name: &str, path: &str| below(name, path).map(str::to_string);
    // the shared suffix of the two paths belongs to the rest, so far as every pair agrees
    let deepest = rest_of(first_to, to)?.split('.').count().max(rest_of(first_from, from)?.split('.').count());
    (to, from) = (without(first_to, deepest), without(first_from, deepest));
    let alike = |(a, b): &(String, String)| matches!((rest_of(a, to), rest_of(b, from)), (Some(a), Some(b)) if a == b);
    if !pairs.iter().all(alike) {
        return None;
    }
    while !parent(to).is_empty() && last(to) == last(from) {
        (to, from) = (parent(to), parent(from));
    }
    Some(format!("--map {}", quoted(&format!("{}={}", join(to, "**"), join(from, "**")))))
}

/// `to=from` with every layer that both name as a letter.
fn by_template(to: &str, from: &str) -> String {
    rule_flag(to, from, "")
}

/// As above, with operations after it.
pub(crate) fn rule_flag(to: &str, from: &str, ops: &str) -> String {
    const LETTERS: [&str; 4] = ["{i}", "{j}", "{k}", "{l}"];
    let mut letters = LETTERS.iter();
    let mut from: Vec<&str> = from.split('.').collect();
    let mut to: Vec<&str> = to.split('.').collect();
    for component in &mut to {
        let Some(at) = index_of(component).and_then(|_| from.iter().position(|part| part == component)) else {
            continue;
        };
        let Some(letter) = letters.next() else { break };
        *component = letter;
        from[at] = letter;
    }
    format!("--map {}", quoted(&format!("{}={}{ops}", to.join("."), from.join("."))))
}
