//! Which examples are trained on, and in which order.

use crate::error::Result;
use crate::init::{Generator, Scheme};

/// Examples that are trained on, and those that are held out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub training: Vec<u32>,
    pub held_out: Vec<u32>,
}

impl Split {
    /// The last `holdout` of a shuffle, at least one example and not all.
    pub(super) fn of(examples: u64, holdout: f64) -> Result<Split> {
        let mut training = shuffled(examples, 0, "compare:split")?;
        let count = (examples as f64 * holdout) as usize;
        let held_out = training.split_off(training.len() - count.clamp(1, training.len() - 1));
        Ok(Split { training, held_out })
    }
}

/// The numbers below `count` in the order of uniform draws that `seed` and `name` determine.
fn shuffled(count: u64, seed: u64, name: &str) -> Result<Vec<u32>> {
    let mut draws = vec![0f32; usize::try_from(count).unwrap_or(usize::MAX)];
    let uniform = Scheme::Uniform { low: -1.0, high: 1.0 };
    Generator::new(seed, name).fill(&uniform, &[count], 0, 0..count, &mut draws)?;
    let mut order: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|a, b| draws[*a as usize].total_cmp(&draws[*b as usize]).then(a.cmp(b)));
    Ok(order)
}

/// The training examples of one epoch in batches; the last may be smaller.
pub(super) fn epoch(training: &[u32], size: u64, seed: u64, epoch: u64) -> Result<Vec<Vec<u32>>> {
    let order = shuffled(training.len() as u64, seed, &format!("compare:epoch {epoch}"))?;
    let size = usize::try_from(size).unwrap_or(usize::MAX).max(1);
    let examples: Vec<u32> = order.into_iter().filter_map(|place| training.get(place as usize).copied()).collect();
    Ok(examples.chunks(size).map(<[u32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_on_one_side_and_every_epoch_sees_all_of_them_once() {
        let split = Split::of(103, 0.2).unwrap();
        assert_eq!((split.training.len(), split.held_out.len()), (83, 20));
        let mut all: Vec<u32> = split.training.iter().chain(&split.held_out).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<u32>>());
        let (first, second) = (epoch(&split.training, 16, 5, 0).unwrap(), epoch(&split.training, 16, 5, 1).unwrap());
        assert_ne!(first, second);
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [16, 16, 16, 16, 16, 3]);
        let sorted = |batches: Vec<Vec<u32>>| {
            let mut examples = batches.concat();
            examples.sort_unstable();
            examples
        };
        assert_eq!(sorted(first), sorted(second));
    }

    #[test]
    fn something_is_held_out_and_something_trained_on_whatever_the_share() {
        for (examples, holdout) in [(2, 0.0), (2, 1.0), (7, 0.01), (7, 0.999)] {
            let split = Split::of(examples, holdout).unwrap();
            assert!(!split.training.is_empty() && !split.held_out.is_empty(), "{examples} {holdout}");
        }
    }
}
