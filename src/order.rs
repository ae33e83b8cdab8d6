//! Sorting by one compiled sort. The standard library's is compiled anew for every type and comparison, which made up one part in
//! twenty-five of the program; what is not sorted all the time shares this one.

use std::cmp::Ordering;

/// Sorts by a comparison; equal items stay in their order.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    sort_positions(&mut order, &|a, b| compare(&items[a], &items[b]));
    for start in 0..order.len() {
        let mut at = start;
        while order[at] != start {
            let from = std::mem::replace(&mut order[at], at);
            items.swap(at, from);
            at = from;
        }
        order[at] = at;
    }
}

/// Sorts by a key; equal items stay in their order.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

fn sort_positions(order: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    order.sort_by(|a, b| compare(*a, *b));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_come_out_as_the_standard_library_sorts_them(keys in prop::collection::vec(0u8..20, 0..200)) {
            let items: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            let mut found = items.clone();
            sort_by_key(&mut found, |(key, _)| *key);
            prop_assert_eq!(&found, &expected);
            expected.sort_by(|a, b| b.cmp(a));
            sort_by(&mut found, |a, b| b.cmp(a));
            prop_assert_eq!(&found, &expected);
            sort(&mut found);
            expected.sort();
            prop_assert_eq!(&found, &expected);
        }
    }
}
