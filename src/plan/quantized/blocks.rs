//! Which elements of a weight share a scale, from the two shapes and the sizes that the source states.

/// What is known of the blocks of one source: the sizes that it states, and what its weights and scales together leave possible.
pub(crate) struct Blocks {
    stated: Vec<[u64; 2]>,
    /// For rows and columns, the least and the largest size of a block that every weight of the source agrees with.
    possible: [Option<(u64, u64)>; 2],
    /// Whether scales that are vectors belong to columns: as long as those of some weight that is not square, and of none as long as rows.
    by_column: bool,
}

/// The last two axes, or what there is of them.
fn matrix(shape: &[u64]) -> Option<[u64; 2]> {
    match shape {
        [.., rows, columns] => Some([*rows, *columns]),
        _ => None,
    }
}

impl Blocks {
    /// From the shapes of all weights and scales of a source.
    pub(crate) fn of<'a>(stated: &[[u64; 2]], pairs: impl Iterator<Item = (&'a [u64], &'a [u64])>) -> Blocks {
        let mut possible = [None, None];
        let (mut rows, mut columns) = (false, false);
        for (weight, scale) in pairs {
            if let ([high, wide], [count]) = (weight, scale)
                && high != wide
            {
                rows |= high == count;
                columns |= wide == count;
            }
            let scale = squeezed(weight, scale);
            let (Some(sizes), Some(counts)) = (matrix(weight), matrix(&scale).filter(|_| scale.len() == weight.len()))
            else {
                continue;
            };
            for ((size, count), known) in sizes.into_iter().zip(counts).zip(&mut possible) {
                if let Some((least, most)) = between(size, count) {
                    let (low, high) = known.unwrap_or((least, most));
                    *known = Some((low.max(least), high.min(most)));
                }
            }
        }
        Blocks { stated: stated.to_vec(), possible, by_column: columns && !rows }
    }

    /// The size of a block along each axis, or `None` where the shapes do not fit, or fit blocks of several sizes.
    pub(crate) fn block(&self, weight: &[u64], scale: &[u64]) -> Option<Vec<u64>> {
        let whole = || weight.iter().map(|size| (*size).max(1)).collect::<Vec<_>>();
        if scale.iter().product::<u64>() == 1 {
            return Some(whole());
        }
        if weight.contains(&0) {
            return None;
        }
        if let [count] = scale
            && let Some(block) = self.vector(weight, *count)
        {
            return Some(block);
        }
        let scale = squeezed(weight, scale);
        if scale.len() < weight.len() {
            // one for each index of the leading axes
            let leads = scale.iter().zip(weight).all(|(count, size)| count == size || *count == 1);
            let axes = weight.iter().enumerate();
            let block = axes.map(|(axis, size)| if scale.get(axis) == Some(size) { 1 } else { *size });
            return leads.then(|| block.collect());
        }
        if scale.len() != weight.len() {
            return None;
        }
        let is_plain = |(size, count): (&u64, &u64)| *count == 1 || count == size;
        if weight.iter().zip(&scale).all(is_plain) {
            let axes = weight.iter().zip(&scale);
            return Some(axes.map(|(size, count)| if count == size { 1 } else { *size }).collect());
        }
        match self.stated.is_empty() {
            false => self.stated.iter().find_map(|stated| fits(weight, &scale, *stated)),
            true => self.by_shape(weight, &scale),
        }
    }

    /// One number for each row, or for each column where that is what the others of the source have.
    fn vector(&self, weight: &[u64], count: u64) -> Option<Vec<u64>> {
        let (first, last) = (*weight.first()?, *weight.last()?);
        let along = |axis: usize| {
            let sizes = weight.iter().enumerate();
            sizes.map(|(at, size)| if at == axis { 1 } else { *size }).collect::<Vec<_>>()
        };
        match () {
            () if count == last && weight.len() > 1 && (count != first || self.by_column) => {
                Some(along(weight.len() - 1))
            }
            () if count == first => Some(along(0)),
            () => None,
        }
    }

    fn by_shape(&self, weight: &[u64], scale: &[u64]) -> Option<Vec<u64>> {
        let first = weight.len().checked_sub(2);
        let axes = weight.iter().zip(scale).enumerate();
        let block = axes.map(|(axis, (size, count))| match (*count, first.and_then(|first| axis.checked_sub(first))) {
            (1, _) => Some(*size),
            (count, _) if count == *size => Some(1),
            (count, place) => {
                only_size(*size, count, place.and_then(|place| self.possible.get(place).copied().flatten()))
            }
        });
        block.collect()
    }
}

/// Scales of one more axis of size 1 after each that they have (`[rows, 1, columns, 1]`), without those.
fn squeezed(weight: &[u64], scale: &[u64]) -> Vec<u64> {
    match (weight, scale) {
        ([_, _], [rows, 1, columns, 1]) => vec![*rows, *columns],
        _ => scale.to_vec(),
    }
}

/// The block of a stated size, where the number of scales follows from it; in axes before the last two each index has its own.
fn fits(weight: &[u64], scale: &[u64], stated: [u64; 2]) -> Option<Vec<u64>> {
    let lead = weight.len().checked_sub(2)?;
    let block = (0..weight.len()).map(|axis| match axis.checked_sub(lead) {
        Some(place) => stated[place],
        None => 1,
    });
    let block: Vec<u64> = block.collect();
    let counts = weight.iter().zip(&block).map(|(size, block)| size.div_ceil(*block));
    counts.eq(scale.iter().copied()).then_some(block)
}

/// The least and the largest size of a block of which `count` cover `size`; `None` where one does, or where each index has its own.
fn between(size: u64, count: u64) -> Option<(u64, u64)> {
    if count < 2 || count >= size {
        return None;
    }
    // ceil(size / block) = count
    let (least, most) = (size.div_ceil(count), (size - 1) / (count - 1));
    (least <= most).then_some((least, most))
}

/// The only size that blocks are made in, a power of two or the quotient, among those that are possible.
fn only_size(size: u64, count: u64, known: Option<(u64, u64)>) -> Option<u64> {
    let (own_least, own_most) = between(size, count)?;
    let (least, most) = match known {
        Some((least, most)) if least.max(own_least) <= most.min(own_most) => (least.max(own_least), most.min(own_most)),
        _ => (own_least, own_most),
    };
    let quotient = size.is_multiple_of(count).then_some(size / count).filter(|quotient| *quotient >= least);
    let powers = (0..63).map(|power| 1u64 << power).filter(|power| (least..=most).contains(power));
    let mut sizes: Vec<u64> = powers.chain(quotient.filter(|quotient| !quotient.is_power_of_two())).collect();
    sizes.dedup();
    match (sizes.as_slice(), least == most) {
        ([one], _) => Some(*one),
        (_, true) => Some(least),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alone(weight: &[u64], scale: &[u64]) -> Option<Vec<u64>> {
        Blocks::of(&[], std::iter::once((weight, scale))).block(weight, scale)
    }

    #[test]
    fn scales_of_every_shape_find_the_elements_that_they_are_of() {
        for scale in [&[][..], &[1], &[1, 1], &[1, 1, 1]] {
            assert_eq!(alone(&[6, 4], scale), Some(vec![6, 4]), "{scale:?}");
        }
        assert_eq!(alone(&[6, 4], &[6]), Some(vec![1, 4]));
        assert_eq!(alone(&[6, 4], &[6, 1]), Some(vec![1, 4]));
        assert_eq!(alone(&[6, 4], &[1, 4]), Some(vec![6, 1]));
        assert_eq!(alone(&[6, 4], &[4]), Some(vec![6, 1]));
        assert_eq!(alone(&[4, 4], &[4]), Some(vec![1, 4]));
        assert_eq!(alone(&[6, 128], &[6, 4]), Some(vec![1, 32]));
        assert_eq!(alone(&[256, 384], &[2, 1, 3, 1]), Some(vec![128, 128]));
        assert_eq!(alone(&[576, 512], &[5, 4]), Some(vec![128, 128]));
        assert_eq!(alone(&[3, 8, 5], &[3]), Some(vec![1, 8, 5]));
        assert_eq!(alone(&[3, 8, 5], &[3, 8]), Some(vec![1, 1, 5]));
        assert_eq!(alone(&[3, 8, 5], &[3, 1, 5]), Some(vec![1, 8, 1]));
        assert_eq!(alone(&[8, 3, 5, 5], &[8, 1, 1, 1]), Some(vec![1, 3, 5, 5]));
        assert_eq!(alone(&[6, 4], &[5]), None);
        assert_eq!(alone(&[6, 4], &[2, 5]), None);
        // 48 divides 96, and of blocks of 64 there are two as well
        assert_eq!(alone(&[96, 96], &[2, 2]), None);
    }

    #[test]
    fn what_is_stated_decides_and_what_does_not_agree_with_it_is_refused() {
        let stated = |weight: &[u64], scale: &[u64]| Blocks::of(&[[64, 16]], std::iter::empty()).block(weight, scale);
        assert_eq!(stated(&[96, 96], &[2, 6]), Some(vec![64, 16]));
        assert_eq!(stated(&[3, 96, 96], &[3, 2, 6]), Some(vec![1, 64, 16]));
        assert_eq!(stated(&[96, 96], &[6, 2]), None, "transposed");
        assert_eq!(stated(&[96, 96], &[96, 1]), Some(vec![1, 96]), "a scale for each row is not a block");
    }

    #[test]
    fn the_other_weights_of_a_source_decide_what_one_leaves_open() {
        let pairs = [(&[96u64, 96][..], &[2u64, 2][..]), (&[256, 256], &[4, 4])];
        let blocks = Blocks::of(&[], pairs.into_iter());
        assert_eq!(blocks.block(&[96, 96], &[2, 2]), Some(vec![64, 64]));
        let columns = [(&[4u64, 12][..], &[12u64][..]), (&[4, 4], &[4])];
        assert_eq!(Blocks::of(&[], columns.into_iter()).block(&[4, 4], &[4]), Some(vec![4, 1]));
    }

    proptest! {
        #[test]
        fn a_stated_block_is_always_found(rows in 1u64..400, columns in 1u64..400, high in 1u64..130, wide in 1u64..130) {
            let scale = [rows.div_ceil(high), columns.div_ceil(wide)];
            let block = Blocks::of(&[[high, wide]], std::iter::empty()).block(&[rows, columns], &scale).unwrap();
            prop_assert_eq!([rows.div_ceil(block[0]), columns.div_ceil(block[1])], scale);
            for (axis, (size, stated)) in [(rows, high), (columns, wide)].into_iter().enumerate() {
                prop_assert!(block[axis] == stated.min(size) || block[axis] == stated || scale[axis] == 1 || scale[axis] == size);
            }
        }

        #[test]
        fn blocks_of_a_power_of_two_are_found_or_refused_never_mistaken(
            rows in 2u64..400, columns in 2u64..400, high in 3u32..8, wide in 3u32..8,
        ) {
            let (high, wide) = (1u64 << high, 1u64 << wide);
            let scale = [rows.div_ceil(high), columns.div_ceil(wide)];
            if let Some(block) = alone(&[rows, columns], &scale) {
                for (axis, (size, stated)) in [(rows, high), (columns, wide)].into_iter().enumerate() {
                    prop_assert!(block[axis] == stated || scale[axis] == 1 || scale[axis] == size, "{:?}", block);
                }
            }
        }
    }
}
