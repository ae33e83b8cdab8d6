//! Names that differ only in layer numbers, as one line. Only what agrees exactly is collapsed, and gaps are shown
//! (`layer.{0-2, 4-6}.weight`): a range that hides a hole or another shape would lie.

use std::collections::BTreeMap;

use crate::hash::HashMap;
use crate::ranges;

/// One line: a name, perhaps with ranges, and how many tensors it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<K> {
    /// As `encoder.layer.{0-11}.attention.self.query.weight`.
    pub name: String,
    /// What all of them agree in.
    pub key: K,
    /// How many.
    pub count: usize,
}

/// Names that are alike but for their numbers, and agree in `key`.
struct Group<'a, K> {
    template: Template<'a>,
    key: K,
    /// Those of all names, one name after the other.
    numbers: Vec<u64>,
    count: usize,
}

/// Collapses names of equal `key`. Lines stand where their first member stood.
pub(crate) fn collapse<'a, K: Ord + Clone>(items: impl Iterator<Item = (&'a str, K)>) -> Vec<Line<K>> {
    let mut groups: Vec<Group<K>> = Vec::new();
    let mut index: HashMap<String, BTreeMap<K, usize>> = HashMap::default();
    let (mut text, mut numbers) = (String::new(), Vec::new());
    for (name, key) in items {
        split(name, &mut text, &mut numbers);
        if !index.contains_key(&text) {
            index.insert(text.clone(), BTreeMap::new());
        }
        let Some(of_text) = index.get_mut(&text) else { continue };
        let at = match of_text.get(&key) {
            Some(at) => *at,
            None => {
                of_text.insert(key.clone(), groups.len());
                groups.push(Group { template: Template::of(name), key, numbers: Vec::new(), count: 0 });
                groups.len() - 1
            }
        };
        if let Some(group) = groups.get_mut(at) {
            group.numbers.extend_from_slice(&numbers);
            group.count += 1;
        }
    }
    groups.into_iter().flat_map(Group::lines).collect()
}

/// Writes what names that collapse have in common into `text`, and the numbers of this one into `numbers`. Every component begins
/// with a letter of its own kind, so that no text of a hostile file passes for a number.
fn split(name: &str, text: &mut String, numbers: &mut Vec<u64>) {
    text.clear();
    numbers.clear();
    for component in name.split('.') {
        match canonical_integer(component) {
            Some(number) => {
                numbers.push(number);
                text.push('n');
            }
            None => {
                text.push('t');
                text.push_str(component);
            }
        }
        text.push('.');
    }
}

/// The ranges further in as they are spelt, the innermost last.
type RangeTexts = Vec<String>;

/// The numbers further out, and what is spelt already.
type Outer<'n> = (&'n [u64], RangeTexts);

/// A name whose integer components stand for others.
struct Template<'a> {
    components: Vec<Option<&'a str>>,
}

impl<'a> Template<'a> {
    fn of(name: &'a str) -> Template<'a> {
        let component = |component: &'a str| canonical_integer(component).is_none().then_some(component);
        Template { components: name.split('.').map(component).collect() }
    }

    fn width(&self) -> usize {
        self.components.iter().filter(|component| component.is_none()).count()
    }

    fn spell(&self, numbers: &[String]) -> String {
        let mut numbers = numbers.iter();
        let spelt = self.components.iter().map(|component| match component {
            Some(text) => text,
            None => numbers.next().map_or("", String::as_str),
        });
        spelt.collect::<Vec<_>>().join(".")
    }
}

impl<K: Clone> Group<'_, K> {
    /// Collapses the innermost number first: prefixes whose inner ranges are spelt alike then collapse in turn.
    fn lines(self) -> Vec<Line<K>> {
        let width = self.template.width();
        let line = |spelt: RangeTexts, count| Line { name: self.template.spell(&spelt), key: self.key.clone(), count };
        if width == 0 {
            return (0..self.count).map(|_| line(Vec::new(), 1)).collect();
        }
        let mut rows: Vec<(&[u64], RangeTexts, usize)> =
            self.numbers.chunks(width).map(|numbers| (numbers, Vec::new(), 1)).collect();
        for _ in 0..width {
            let mut order: Vec<Outer> = Vec::new();
            let mut merged: BTreeMap<Outer, (Vec<u64>, usize)> = BTreeMap::new();
            for (numbers, suffix, count) in rows {
                let Some((last, prefix)) = numbers.split_last() else { continue };
                let entry = merged.entry((prefix, suffix)).or_insert_with_key(|(prefix, suffix)| {
                    order.push((prefix, suffix.clone()));
                    (Vec::new(), 0)
                });
                entry.0.push(*last);
                entry.1 += count;
            }
            rows = order
                .into_iter()
                .filter_map(|id| {
                    let (numbers, count) = merged.remove(&id)?;
                    let suffix = std::iter::once(ranges::one_or_set(&numbers)).chain(id.1).collect();
                    Some((id.0, suffix, count))
                })
                .collect();
        }
        rows.into_iter().map(|(_, spelt, count)| line(spelt, count)).collect()
    }
}

fn canonical_integer(component: &str) -> Option<u64> {
    let digits = !component.is_empty() && component.bytes().all(|b| b.is_ascii_digit());
    let canonical = digits && (component == "0" || !component.starts_with('0'));
    canonical.then(|| component.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(items: &[(&str, u32)]) -> Vec<String> {
        collapse(items.iter().copied()).into_iter().map(|line| line.name).collect()
    }

    #[test]
    fn layers_that_agree_are_one_line() {
        assert_eq!(names(&[("l.0.w", 1), ("l.1.w", 1), ("l.2.w", 1)]), ["l.{0-2}.w"]);
    }

    #[test]
    fn a_gap_is_shown() {
        let all: Vec<(String, u32)> = (0..7).filter(|i| *i != 3).map(|i| (format!("l.{i}.w"), 1)).collect();
        let all: Vec<(&str, u32)> = all.iter().map(|(n, k)| (n.as_str(), *k)).collect();
        assert_eq!(names(&all), ["l.{0-2, 4-6}.w"]);
    }

    #[test]
    fn another_shape_or_reason_is_another_line() {
        assert_eq!(names(&[("l.0.w", 1), ("l.1.w", 2), ("l.2.w", 1)]), ["l.{0, 2}.w", "l.1.w"]);
    }

    #[test]
    fn experts_in_layers_collapse_twice_where_they_form_a_grid() {
        let grid: Vec<(String, u32)> =
            (0..3).flat_map(|l| (0..4).map(move |e| (format!("l.{l}.e.{e}.w"), 1))).collect();
        let grid: Vec<(&str, u32)> = grid.iter().map(|(n, k)| (n.as_str(), *k)).collect();
        assert_eq!(names(&grid), ["l.{0-2}.e.{0-3}.w"]);
        assert_eq!(names(&grid[1..]), ["l.0.e.{1-3}.w", "l.{1-2}.e.{0-3}.w"]);
    }

    #[test]
    fn numbers_that_are_not_layer_numbers_stay() {
        assert_eq!(names(&[("a.00.w", 1), ("a.01.w", 1), ("norm1.w", 1)]), ["a.00.w", "a.01.w", "norm1.w"]);
    }

    #[test]
    fn no_component_passes_for_a_number() {
        for odd in ["\0", "{}", "n", "", "t"] {
            let name = format!("l.{odd}.w");
            assert_eq!(names(&[("l.0.w", 1), (&name, 1), ("l.1.w", 1)]), ["l.{0-1}.w", &name], "{odd:?}");
        }
    }

    #[test]
    fn every_tensor_is_counted_once() {
        let lines = collapse([("a.0.x.1", 1), ("a.1.x.1", 1), ("a.1.x.2", 1), ("b", 1)].into_iter());
        assert_eq!(lines.iter().map(|l| l.count).sum::<usize>(), 4);
    }
}
