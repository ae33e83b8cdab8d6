//! Names that differ only in layer numbers, as one line. Only what agrees exactly is collapsed, and gaps are shown
//! (`layer.{0-2, 4-6}.weight`): a range that hides a hole or another shape would lie.

use std::collections::BTreeMap;

/// One line: a name, perhaps with ranges, and how many tensors it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<K> {
    /// As `encoder.layer.{0-11}.attention.self.query.weight`.
    pub name: String,
    /// What all of them agree in.
    pub key: K,
    /// How many.
    pub count: usize,
}

/// Collapses names of equal `key`. Lines stand where their first member stood.
pub fn collapse<'a, K: Ord + Clone>(items: impl Iterator<Item = (&'a str, K)>) -> Vec<Line<K>> {
    let mut groups: Vec<(Template, K, Vec<Vec<u64>>)> = Vec::new();
    let mut index: BTreeMap<(String, K), usize> = BTreeMap::new();
    for (name, key) in items {
        let (template, numbers) = Template::of(name);
        let at = *index.entry((template.key(), key.clone())).or_insert_with(|| {
            groups.push((template, key, Vec::new()));
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(at) {
            group.2.push(numbers);
        }
    }
    groups.into_iter().flat_map(|(template, key, numbers)| template.lines(numbers, key)).collect()
}

/// The numbers further out, and the ranges further in as they are spelt.
type Rest = (Vec<u64>, Vec<String>);

/// A name with its integer components taken out.
struct Template {
    components: Vec<Option<String>>,
}

impl Template {
    fn of(name: &str) -> (Template, Vec<u64>) {
        let mut numbers = Vec::new();
        let components = name
            .split('.')
            .map(|component| match canonical_integer(component) {
                Some(n) => {
                    numbers.push(n);
                    None
                }
                None => Some(component.to_string()),
            })
            .collect();
        (Template { components }, numbers)
    }

    fn key(&self) -> String {
        self.components.iter().map(|c| c.as_deref().unwrap_or("{}")).collect::<Vec<_>>().join(".")
    }

    fn spell(&self, numbers: &[String]) -> String {
        let mut numbers = numbers.iter();
        let spelt = self.components.iter().map(|component| match component {
            Some(text) => text.as_str(),
            None => numbers.next().map_or("", String::as_str),
        });
        spelt.collect::<Vec<_>>().join(".")
    }

    /// Collapses the innermost number first: prefixes whose inner ranges are spelt alike then collapse in turn.
    fn lines<K: Clone>(&self, tuples: Vec<Vec<u64>>, key: K) -> Vec<Line<K>> {
        let width = tuples.first().map_or(0, Vec::len);
        let mut rows: Vec<(Vec<u64>, Vec<String>, usize)> = tuples.into_iter().map(|t| (t, Vec::new(), 1)).collect();
        for _ in 0..width {
            let mut order: Vec<Rest> = Vec::new();
            let mut merged: BTreeMap<Rest, (Vec<u64>, usize)> = BTreeMap::new();
            for (mut prefix, suffix, count) in rows {
                let last = prefix.pop().unwrap_or_default();
                let entry = merged.entry((prefix.clone(), suffix.clone())).or_insert_with(|| {
                    order.push((prefix, suffix));
                    (Vec::new(), 0)
                });
                entry.0.push(last);
                entry.1 += count;
            }
            rows = order
                .into_iter()
                .filter_map(|id| {
                    let (numbers, count) = merged.remove(&id)?;
                    let suffix = std::iter::once(ranges(numbers)).chain(id.1).collect();
                    Some((id.0, suffix, count))
                })
                .collect();
        }
        rows.into_iter().map(|(_, spelt, count)| Line { name: self.spell(&spelt), key: key.clone(), count }).collect()
    }
}

fn canonical_integer(component: &str) -> Option<u64> {
    let digits = !component.is_empty() && component.bytes().all(|b| b.is_ascii_digit());
    let canonical = digits && (component == "0" || !component.starts_with('0'));
    canonical.then(|| component.parse().ok()).flatten()
}

/// `3` for one number, `{0-2, 4-6}` for several.
pub fn ranges(mut numbers: Vec<u64>) -> String {
    numbers.sort_unstable();
    numbers.dedup();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(n) => *last = n,
            _ => runs.push((n, n)),
        }
    }
    if let [(only, last)] = runs.as_slice()
        && only == last
    {
        return only.to_string();
    }
    let spelt = runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    format!("{{{}}}", spelt.collect::<Vec<_>>().join(", "))
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
    fn every_tensor_is_counted_once() {
        let lines = collapse([("a.0.x.1", 1), ("a.1.x.1", 1), ("a.1.x.2", 1), ("b", 1)].into_iter());
        assert_eq!(lines.iter().map(|l| l.count).sum::<usize>(), 4);
    }
}
