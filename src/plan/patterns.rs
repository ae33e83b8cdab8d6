//! Patterns that match exactly some of a list of names.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::quoted;
use crate::name::{is_index, self_and_ancestors};

/// The flags that say these patterns, quoted for a shell.
pub(crate) fn flags(flag: &str, patterns: &[String]) -> Vec<String> {
    patterns.iter().map(|pattern| format!("{flag} {}", quoted(pattern))).collect()
}

/// Patterns that match exactly the names of `some` among `all`: first over layer templates (`encoder.layer.{i}.adapter.**`),
/// what is left by subtrees as they are (`encoder.layer.9.**`).
pub(crate) fn collapse(all: &[&str], some: &BTreeSet<&str>) -> Vec<String> {
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
        components.push(match (is_index(part), has_index) {
            (true, false) => "{i}",
            (true, true) => "*",
            (false, _) => part,
        });
        has_index |= is_index(part);
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
        for (depth, path) in self_and_ancestors(name).enumerate() {
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
        let Some(top) = self_and_ancestors(name).filter(|path| is_whole(path)).last() else {
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
