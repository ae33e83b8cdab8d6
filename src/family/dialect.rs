//! Dialects: the names and layouts other than its own in which the weights of a family are published, as tables of rules.

use super::config::Config;
use crate::adapt::Op;
use crate::graph::Layout;

/// One correspondence between the names of a family as transformers writes it today (`ours`) and those of a dialect (`theirs`).
/// Templates lie below the block's path; `{i}` is a layer, `{p}` any path. One side has one name, or both. Alternatives in braces stand for
/// one rule each, the first of `ours` with the first of `theirs`: `{weight,bias}` and `{g,b}`, `{gate,up}_proj` and `ffn_{gate,up}`.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Names as the family writes them.
    pub ours: &'static [&'static str],
    /// Names in the dialect.
    pub theirs: &'static [&'static str],
    /// What turns theirs into ours, in order. With several of `theirs` the first operation is applied to all of them together; with
    /// several of `ours` there is one list for each, and empty lists mean equal pieces of axis 0. `{e}` on one side only numbers the
    /// layers of a stack: its tensors are those of axis 0 of the one on the other side. A rule knows no sizes without a config: a reshape
    /// to no axes leaves out the first one, which must be 1.
    pub read: fn(&Config) -> Vec<Vec<Op>>,
    /// What turns ours into theirs: the inverse, likewise.
    pub write: fn(&Config) -> Vec<Vec<Op>>,
}

/// One rule of a dialect, with one choice of all alternatives.
#[derive(Clone)]
pub(crate) struct Correspondence {
    /// Templates of names as the family writes them.
    pub ours: Vec<String>,
    /// Templates of names in the dialect.
    pub theirs: Vec<String>,
    /// What turns theirs into ours, and ours into theirs.
    pub rule: Rule,
}

impl Correspondence {
    /// One correspondence for each choice of the alternatives, the last of them changing fastest.
    fn all(self, into: &mut Vec<Correspondence>) {
        let Some(choices) = self.ours.first().and_then(|name| alternatives(name)).map(|(_, choices, _)| choices.len())
        else {
            return into.push(self);
        };
        for at in 0..choices {
            let chosen = |names: &[String]| names.iter().map(|name| chosen(name, at)).collect();
            Correspondence { ours: chosen(&self.ours), theirs: chosen(&self.theirs), rule: self.rule }.all(into);
        }
    }
}

/// The text before the first alternatives of a template, these, and the text after them.
fn alternatives(template: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (start, end) = template.match_indices('{').find_map(|(start, _)| {
        let end = start + template[start..].find('}')?;
        template[start..end].contains(',').then_some((start, end))
    })?;
    Some((&template[..start], template[start + 1..end].split(',').collect(), &template[end + 1..]))
}

fn chosen(template: &str, at: usize) -> String {
    match alternatives(template) {
        Some((before, choices, after)) => format!("{before}{}{after}", choices.get(at).unwrap_or(&"")),
        None => template.to_string(),
    }
}

/// Names and a layout in which a family's weights are published.
pub struct Dialect {
    /// Its name, as in `convert --to`.
    pub name: &'static str,
    /// Templates of which one present in a source, in a shape that passes `marker_shape`, is proof of this dialect.
    pub markers: &'static [&'static str],
    /// What the shape of a marker must be, where names alone prove nothing.
    pub marker_shape: fn(&[u64]) -> bool,
    /// Names that together prove family and dialect where a source has no config and no name as the family writes it; empty where
    /// the family's own names are there too.
    pub alone: &'static [&'static str],
    /// How it stores the matrices that the family stores as (in, out), where it stores them otherwise.
    pub layout: Option<Layout>,
    /// The rules, in groups that several dialects share; a name that no rule mentions is the same in both.
    pub rules: &'static [&'static [Rule]],
    /// Ends of the family's names of what this dialect does without, as if it were 0.
    pub absent: &'static [&'static str],
    /// Whether it stores both tensors of what the family ties.
    pub stores_ties: bool,
    /// Ends of its names of what the model computes and no other dialect stores.
    pub buffers: &'static [&'static str],
}

impl Dialect {
    /// With the names and the layout of the family.
    pub(crate) const PLAIN: Dialect = Dialect {
        name: "",
        markers: &[],
        marker_shape: |_| true,
        alone: &[],
        layout: None,
        rules: &[],
        absent: &[],
        stores_ties: false,
        buffers: &[],
    };

    /// Its rules in order, one for each choice of alternatives.
    pub(crate) fn correspondences(&self) -> Vec<Correspondence> {
        let mut all = Vec::new();
        for rule in self.rules.iter().copied().flatten() {
            let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
            Correspondence { ours: owned(rule.ours), theirs: owned(rule.theirs), rule: *rule }.all(&mut all);
        }
        all
    }

    /// Whether this dialect does without a tensor of the family.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        ends_in(name, self.absent)
    }

    /// Whether a tensor of this name is one that the model computes.
    pub(crate) fn computes(&self, name: &str) -> bool {
        ends_in(name, self.buffers)
    }
}

/// A layout in which a family's weights are published and that the names of its tensors do not determine.
pub struct Undetermined {
    /// Templates of which one present in a source is proof of it.
    pub markers: &'static [&'static str],
    /// What writes it.
    pub by: &'static str,
    /// What is not determined.
    pub why: &'static str,
    /// What writes the same weights in a layout that is.
    pub remedy: &'static str,
}

/// Whether a name is one of these or ends in one after a dot.
fn ends_in(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.strip_suffix(end).is_some_and(|path| path.is_empty() || path.ends_with('.')))
}

/// No operation in either direction: the dialect only has another name.
pub(super) fn same(_config: &Config) -> Vec<Vec<Op>> {
    vec![Vec::new()]
}

/// All inputs of a rule below each other.
pub(super) fn joined(_config: &Config) -> Vec<Vec<Op>> {
    vec![vec![Op::Concat { axis: 0 }]]
}

/// Equal halves of the rows.
pub(super) fn halves(_config: &Config) -> Vec<Vec<Op>> {
    vec![Vec::new(); 2]
}

/// Equal thirds of the rows.
pub(super) fn thirds(_config: &Config) -> Vec<Vec<Op>> {
    vec![Vec::new(); 3]
}

/// A group of rules, `OURS => THEIRS`, each side a template or a list of them in brackets. Without operations in front (`read, write;`)
/// the names alone differ.
macro_rules! rules {
    ($read:expr, $write:expr; $($ours:tt => $theirs:tt),* $(,)?) => {
        &[$($crate::family::dialect::Rule {
            ours: rules!(@names $ours),
            theirs: rules!(@names $theirs),
            read: $read,
            write: $write,
        }),*]
    };
    (@names [$($name:literal),* $(,)?]) => { &[$($name),*] };
    (@names $name:literal) => { &[$name] };
    ($($ours:tt => $theirs:tt),* $(,)?) => {
        rules!($crate::family::dialect::same, $crate::family::dialect::same; $($ours => $theirs),*)
    };
}
pub(super) use rules;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_one_rule_each_in_step_on_both_sides() {
        const GROUP: &[Rule] = rules! {
            "h.{i}.{q,k}.{weight,bias}" => "{i}/{a,b}/{g,s}",
            ["x.{weight,bias}", "y.{weight,bias}"] => "xy_{weight,bias}",
        };
        let names = |one: &Correspondence| (one.ours.join(" "), one.theirs.join(" "));
        let all = Dialect { rules: &[GROUP], ..Dialect::PLAIN }.correspondences();
        let found: Vec<(String, String)> = all.iter().map(names).collect();
        let expected = [
            ("h.{i}.q.weight", "{i}/a/g"),
            ("h.{i}.q.bias", "{i}/a/s"),
            ("h.{i}.k.weight", "{i}/b/g"),
            ("h.{i}.k.bias", "{i}/b/s"),
            ("x.weight y.weight", "xy_weight"),
            ("x.bias y.bias", "xy_bias"),
        ];
        assert_eq!(found, expected.map(|(ours, theirs)| (ours.to_string(), theirs.to_string())));
    }

    #[test]
    fn both_sides_of_every_rule_have_the_same_alternatives() {
        fn counts(mut template: &str) -> Vec<usize> {
            let mut counts = Vec::new();
            while let Some((_, choices, rest)) = alternatives(template) {
                counts.push(choices.len());
                template = rest;
            }
            counts
        }
        for dialect in crate::family::FAMILIES.iter().flat_map(|family| family.dialects()) {
            for rule in dialect.rules.iter().copied().flatten() {
                let all: Vec<_> = rule.ours.iter().chain(rule.theirs).map(|name| counts(name)).collect();
                assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{} {:?}", dialect.name, rule.ours);
            }
        }
    }
}
