//! The `--map` flags that say what names prove, and sentences about what they leave open.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::arch::{Flags, Rules};
use crate::error::quoted;
use crate::name::{index_of, template};
use crate::plan::matching::blocks::{places, spell};
use crate::plan::matching::gaps::Gaps;
use crate::plan::matching::renames::pairing::{Pairing, Proven};
use crate::plan::names::is_wrapper;

/// More lines than this nobody types.
const MOST_RULES: usize = 64;

/// So many groups of names that are open are shown.
const MOST_OPEN: usize = 8;

/// The letters of indices, the layer's first.
const LETTERS: [&str; 4] = ["{i}", "{j}", "{k}", "{l}"];

/// What a rename is between: a source, and blocks of both sides where it is in layers.
pub(crate) struct Side<'a> {
    pub source: usize,
    pub target_block: Option<&'a str>,
    pub source_block: Option<&'a str>,
}

/// A rule, before it is written: targets and sources with letters for indices.
type Lettered = (Vec<String>, Vec<String>);

/// The flags, each of which says exactly what was proven.
pub(crate) fn rules(gaps: &Gaps, side: &Side, pairings: &[Pairing]) -> Vec<String> {
    let proven: Vec<&Proven> = pairings.iter().flat_map(|pairing| &pairing.proven).collect();
    let mut by_rule: Vec<(Lettered, Vec<&Proven>)> = Vec::new();
    let mut places: BTreeMap<Lettered, usize> = BTreeMap::new();
    for one in proven {
        let rule = lettered(side, one);
        let at = *places.entry(rule.clone()).or_insert_with(|| {
            by_rule.push((rule, Vec::new()));
            by_rule.len() - 1
        });
        by_rule[at].1.push(one);
    }
    let prefix = match gaps.sources {
        [_] => String::new(),
        several => several.get(side.source).map(|view| format!("{}:", view.name)).unwrap_or_default(),
    };
    let mut flags = Vec::new();
    for (rule, said) in &by_rule {
        let text = text(&prefix, &rule.0, &rule.1);
        if says_exactly(gaps, side, &text, said) {
            flags.push(text);
            continue;
        }
        let literal = said.iter().map(|one| (text_of(&prefix, one), *one));
        flags.extend(literal.filter(|(text, one)| says_exactly(gaps, side, text, &[one])).map(|(text, _)| text));
    }
    flags.truncate(MOST_RULES);
    flags.into_iter().map(|text| format!("--map {}", quoted(&text))).collect()
}

fn text_of(prefix: &str, proven: &Proven) -> String {
    text(prefix, &proven.to, &proven.from)
}

fn text(prefix: &str, to: &[String], from: &[String]) -> String {
    let from: Vec<String> = from.iter().map(|name| format!("{prefix}{name}")).collect();
    let split = if to.len() > 1 { format!("|split(0, {})", to.len()) } else { String::new() };
    format!("{}={}{split}", to.join(","), from.join(","))
}

/// Names with a letter for the layer, and further letters for numbers that both sides have below it.
fn lettered(side: &Side, proven: &Proven) -> Lettered {
    let (Some(target_block), Some(source_block)) = (side.target_block, side.source_block) else {
        return (proven.to.clone(), proven.from.clone());
    };
    let split = |name: &String, position: usize| -> Option<Vec<String>> {
        let mut parts: Vec<String> = name.split('.').map(str::to_string).collect();
        *parts.get_mut(position)? = LETTERS[0].into();
        Some(parts)
    };
    let depth = |path: &str| if path.is_empty() { 0 } else { path.split('.').count() };
    let to = proven.to.iter().map(|name| split(name, depth(target_block)));
    let from = proven.from.iter().map(|name| split(name, raw_position(name, depth(source_block))?));
    let (Some(mut to), Some(mut from)) = (to.collect::<Option<Vec<_>>>(), from.collect::<Option<Vec<_>>>()) else {
        return (proven.to.clone(), proven.from.clone());
    };
    letter_inner(&mut to, &mut from);
    let joined = |all: Vec<Vec<String>>| all.into_iter().map(|parts| parts.join(".")).collect();
    (joined(to), joined(from))
}

/// Where in a stored name the component stands that has this place in the name without wrappers.
fn raw_position(name: &str, position: usize) -> Option<usize> {
    let mut own = name.split('.').enumerate().filter(|(_, part)| !is_wrapper(part));
    own.nth(position).map(|(at, _)| at)
}

/// Equal numbers in the same order in every name, as experts have them.
fn letter_inner(to: &mut [Vec<String>], from: &mut [Vec<String>]) {
    let layer = |parts: &Vec<String>| parts.iter().position(|part| part == LETTERS[0]).unwrap_or(0);
    let inner = |parts: &Vec<String>| -> Vec<String> {
        parts.iter().skip(layer(parts)).filter(|part| index_of(part).is_some()).cloned().collect()
    };
    let own = to.first().map(inner).unwrap_or_default();
    let same = to.iter().chain(from.iter()).all(|parts| inner(parts) == own);
    if own.is_empty() || own.len() >= LETTERS.len() || !same {
        return;
    }
    for parts in to.iter_mut().chain(from.iter_mut()) {
        let start = layer(parts);
        let mut letters = LETTERS.iter().skip(1);
        for part in parts.iter_mut().skip(start).filter(|part| index_of(part).is_some()) {
            if let Some(letter) = letters.next() {
                *part = letter.to_string();
            }
        }
    }
}

/// Whether a flag parses to a rule that gives every target that it matches what was proven for it, and matches no other.
fn says_exactly(gaps: &Gaps, side: &Side, text: &str, proven: &[&Proven]) -> bool {
    let flags = Flags { map: vec![text.to_string()], ..Flags::default() };
    let Ok(rules) = Rules::from_flags(&flags) else { return false };
    let [rule] = rules.map.as_slice() else { return false };
    let sources = rule.from.iter().flatten();
    let pairs = |one: &&'_ Proven| -> Vec<(String, String)> {
        one.to.iter().flat_map(|to| one.from.iter().map(|from| (to.clone(), from.clone()))).collect()
    };
    let known: BTreeSet<(String, String)> = proven.iter().flat_map(pairs).collect();
    let mut said = BTreeSet::new();
    for parameter in &gaps.target.parameters {
        let name = through_depth(gaps, side, &parameter.name);
        let Some(bindings) = rule.to.iter().find_map(|pattern| pattern.matches(&name)) else { continue };
        for (_, pattern) in sources.clone() {
            let Some(from) = pattern.substitute(&bindings) else { return false };
            said.insert((parameter.name.to_string(), from));
        }
    }
    said == known
}

/// A target's name with the layer of the source that a depth rule puts there: an index of a rule goes through it.
fn through_depth<'n>(gaps: &Gaps, side: &Side, name: &'n str) -> Cow<'n, str> {
    let place = side.target_block.and_then(|block| places(name).find(|place| place.path == block));
    match place.and_then(|place| Some((place, gaps.depths.source_layer(place.path, place.index)?))) {
        Some((place, layer)) => spell(place.path, layer, place.tail).into(),
        None => name.into(),
    }
}

/// Sentences about what is open, each once for all layers.
pub(crate) fn open_lines(pairings: &[Pairing]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    let listed = |names: &[String]| {
        let names: BTreeSet<String> = names.iter().map(|name| template(name)).collect();
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    for pairing in pairings {
        for (wanted, offered) in &pairing.open {
            add(format!(
                "{} may come from {}: names and shapes do not determine which is which",
                listed(wanted),
                listed(offered)
            ));
        }
        for name in &pairing.rotary {
            add(format!(
                "the rows of {} are ordered by rotary positions in one of two layouts, and names do not say in which: a rule \
                 for it ends in `rope_permute(heads, rotary, halves)` where they are by neighbours",
                listed(std::slice::from_ref(name))
            ));
        }
    }
    lines.truncate(MOST_OPEN);
    lines
}
