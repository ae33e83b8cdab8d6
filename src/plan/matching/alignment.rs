//! Two ordered lists, aligned: pairs that keep the order of both, with the largest sum of scores (the longest common subsequence where
//! every score is 0 or 1).

/// More cells than this are not compared.
const MOST_CELLS: usize = 1 << 20;

/// The best pairs, and whether there are others as good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// Pairs with a score, in order.
    pub pairs: Vec<(usize, usize)>,
    /// The sum of their scores.
    pub total: u64,
    /// Pairs that only some of the best alignments have.
    pub rivals: Vec<(usize, usize)>,
}

/// Aligns two lists of these lengths, or gives `None` where they are too long.
pub(crate) fn align(rows: usize, columns: usize, score: impl Fn(usize, usize) -> u64) -> Option<Alignment> {
    let width = columns.checked_add(1)?;
    let cells = rows.checked_add(1)?.checked_mul(width).filter(|cells| *cells <= MOST_CELLS)?;
    let at = |row: usize, column: usize| row * width + column;
    let mut scores = vec![0; cells];
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        scores[at(row, column)] = score(row, column);
    }
    // the best of what lies before, and of what lies at or behind
    let (mut before, mut behind) = (vec![0u64; cells], vec![0u64; cells]);
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let with = before[at(row, column)].saturating_add(scores[at(row, column)]);
        before[at(row + 1, column + 1)] = with.max(before[at(row, column + 1)]).max(before[at(row + 1, column)]);
    }
    for (row, column) in (0..rows).rev().flat_map(|row| (0..columns).rev().map(move |column| (row, column))) {
        let with = behind[at(row + 1, column + 1)].saturating_add(scores[at(row, column)]);
        behind[at(row, column)] = with.max(behind[at(row + 1, column)]).max(behind[at(row, column + 1)]);
    }
    let total = before[at(rows, columns)];
    let is_best = |row: usize, column: usize| {
        let here = scores[at(row, column)];
        let sum = before[at(row, column)].saturating_add(here).saturating_add(behind[at(row + 1, column + 1)]);
        here > 0 && sum == total
    };
    let best: Vec<(usize, usize)> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .filter(|(row, column)| is_best(*row, *column))
        .collect();
    let pairs = first_chain(&best, &scores, &behind, at, total);
    // a pair of every best alignment crosses or excludes no other pair that is in one
    let is_compatible = |a: (usize, usize), b: (usize, usize)| (a.0 < b.0 && a.1 < b.1) || (a.0 > b.0 && a.1 > b.1);
    let rivals = match best.len() == pairs.len() {
        true => Vec::new(),
        false => {
            let free = |a: &&(usize, usize)| best.iter().any(|b| *b != **a && !is_compatible(**a, *b));
            best.iter().filter(free).copied().collect()
        }
    };
    Some(Alignment { pairs, total, rivals })
}

/// The pairs of one best alignment, each the first that can follow.
fn first_chain(
    best: &[(usize, usize)],
    scores: &[u64],
    behind: &[u64],
    at: impl Fn(usize, usize) -> usize,
    total: u64,
) -> Vec<(usize, usize)> {
    let (mut pairs, mut left) = (Vec::new(), total);
    let (mut row, mut column) = (0, 0);
    for (to, from) in best.iter().copied() {
        if to < row || from < column {
            continue;
        }
        let here = scores[at(to, from)];
        if here.saturating_add(behind[at(to + 1, from + 1)]) == left {
            pairs.push((to, from));
            left -= here;
            (row, column) = (to + 1, from + 1);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(a: &str, b: &str) -> Alignment {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        align(a.len(), b.len(), |row, column| u64::from(a[row] == b[column])).unwrap()
    }

    /// Every set of pairs that keeps the order, by brute force.
    fn chains(a: &[u8], b: &[u8]) -> Vec<Vec<(usize, usize)>> {
        let mut all: Vec<Vec<(usize, usize)>> = vec![Vec::new()];
        for (row, kind) in a.iter().enumerate() {
            let mut longer = Vec::new();
            for chain in &all {
                let from = chain.last().map_or(0, |(_, column)| column + 1);
                let fitting = (from..b.len()).filter(|column| *kind == b[*column]);
                longer.extend(fitting.map(|column| [&chain[..], &[(row, column)]].concat()));
            }
            all.extend(longer);
        }
        all
    }

    #[test]
    fn what_was_inserted_is_left_out() {
        let found = of("cbcbcb", "ccc");
        assert_eq!((found.pairs, found.rivals.len()), (vec![(0, 0), (2, 1), (4, 2)], 0));
    }

    #[test]
    fn one_more_of_the_same_can_stand_anywhere() {
        let found = of("assh", "ash");
        assert_eq!(found.total, 3);
        assert_eq!(found.rivals, [(1, 1), (2, 1)]);
    }

    #[test]
    fn too_long_lists_are_not_compared() {
        assert_eq!(align(1 << 16, 1 << 16, |_, _| 1), None);
        assert_eq!(align(usize::MAX, 2, |_, _| 1), None);
    }

    proptest! {
        #[test]
        fn the_best_alignment_is_found_and_known_to_be_the_only_one(a in "[abc]{0,7}", b in "[abc]{0,7}") {
            let found = of(&a, &b);
            let all = chains(a.as_bytes(), b.as_bytes());
            let longest = all.iter().map(Vec::len).max().unwrap();
            let best: Vec<_> = all.into_iter().filter(|chain| chain.len() == longest).collect();
            prop_assert_eq!(found.total as usize, longest);
            prop_assert!(best.contains(&found.pairs));
            prop_assert_eq!(found.rivals.is_empty(), best.len() == 1);
        }
    }
}
