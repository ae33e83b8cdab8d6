//! Tensors by module, as a tree: what each module holds together, and its tensors below it.

use std::fmt::Write;

use super::text::count;
use crate::hash::HashMap;
use crate::text::Text;

/// Modules within each other that are told apart: a name from a file may have any number of dots.
const DEEPEST: usize = 64;

/// A module, or a tensor where it has words.
#[derive(Default)]
struct Branch {
    /// The last part of its name; several parts where nothing else is beside them.
    name: String,
    /// Shape and type.
    words: Option<String>,
    parameters: u64,
    bytes: u64,
    branches: Vec<Branch>,
    /// Where the branch of a name is.
    places: HashMap<String, usize>,
}

/// Tensors by module. Modules stand in the order of their first tensor.
pub(super) struct Tree(Branch);

impl Tree {
    /// The tree of tensors: names with dots, their shape and type in words, elements, bytes.
    pub(super) fn of<'a>(tensors: impl Iterator<Item = (&'a str, String, u64, u64)>) -> Tree {
        let mut root = Branch::default();
        for (name, words, parameters, bytes) in tensors {
            let mut branch = &mut root;
            branch.add(parameters, bytes);
            for part in name.splitn(DEEPEST, '.') {
                branch = branch.child(part);
                branch.add(parameters, bytes);
            }
            // a name with two shapes, as an ambiguous range could be, keeps both
            branch.words = Some(branch.words.take().map_or(words.clone(), |other| format!("{other}, {words}")));
        }
        root.branches.iter_mut().for_each(Branch::join_single);
        Tree(root)
    }

    /// A line for each module and tensor.
    pub(super) fn to_text(&self) -> Text {
        let width = self.0.branches.iter().map(|branch| branch.width(1)).max().unwrap_or(0).min(72);
        let mut out = Text::default();
        self.0.branches.iter().for_each(|branch| branch.write(1, width, &mut out));
        out
    }
}

impl Branch {
    fn add(&mut self, parameters: u64, bytes: u64) {
        self.parameters = self.parameters.saturating_add(parameters);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn child(&mut self, name: &str) -> &mut Branch {
        let next = self.branches.len();
        let place = *self.places.entry(name.to_string()).or_insert(next);
        if place == next {
            self.branches.push(Branch { name: name.into(), ..Branch::default() });
        }
        &mut self.branches[place] // a place is only given to a branch that is there
    }

    /// A module with one thing in it is one line with it: `encoder.layer.{0-11}`.
    fn join_single(&mut self) {
        self.branches.iter_mut().for_each(Branch::join_single);
        if self.words.is_none()
            && self.branches.len() == 1
            && let Some(only) = self.branches.pop()
        {
            *self = Branch { name: format!("{}.{}", self.name, only.name), ..only };
        }
    }

    fn width(&self, depth: usize) -> usize {
        let below = self.branches.iter().map(|branch| branch.width(depth + 1)).max().unwrap_or(0);
        (2 * depth + self.name.chars().count()).max(below)
    }

    fn write(&self, depth: usize, width: usize, out: &mut Text) {
        let name = format!("{:indent$}{}", "", self.name, indent = 2 * depth);
        let held = format!("{} parameters, {} bytes", count(self.parameters), self.bytes);
        let words = match &self.words {
            Some(words) if self.branches.is_empty() => words,
            // a tensor that is called like a module
            Some(words) => &format!("{words}; with those below {held}"),
            None => &held,
        };
        let _ = writeln!(out, "{name:<width$}  {words}");
        self.branches.iter().for_each(|branch| branch.write(depth + 1, width, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tensors: &[(&str, u64)]) -> String {
        Tree::of(tensors.iter().map(|(name, n)| (*name, format!("[{n}] F32"), *n, 4 * n))).to_text().to_string()
    }

    #[test]
    fn a_module_says_what_is_below_it_and_single_ones_are_one_line() {
        let tree = text(&[("net.a.weight", 3), ("net.a.bias", 1), ("net.b.c.d", 5)]);
        let expected = "  net         9 parameters, 36 bytes\n    a         4 parameters, 16 bytes\n      weight  [3] F32\n      bias    [1] F32\n    b.c.d     [5] F32\n";
        assert_eq!(tree, expected);
    }

    #[test]
    fn a_name_of_a_million_dots_is_a_line() {
        let name = vec!["a"; 1_000_000].join(".");
        let tree = text(&[(&name, 1), ("b", 1)]);
        assert_eq!(tree.lines().count(), 2);
        assert!(tree.contains(&name));
    }

    #[test]
    fn one_tensor_nothing_and_a_tensor_called_like_a_module() {
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[("a.b.c", 2)]), "  a.b.c  [2] F32\n");
        assert_eq!(
            text(&[("a", 2), ("a.b", 1)]),
            "  a    [2] F32; with those below 3 parameters, 12 bytes\n    b  [1] F32\n"
        );
    }
}
