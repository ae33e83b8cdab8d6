//! Matrices whose columns have an exact share of zeros (`torch.nn.init.sparse_`).

use super::draws::{Groups, by_groups, normal};
use super::generator::{GROUP, Generator};
use super::philox::LANES;
use crate::error::Result;
use crate::init::error::InitError;

/// The purpose of the draws that order the rows of a column.
const ORDER: u16 = 0x8000;

/// The words that order the rows.
struct Order<'a> {
    generator: &'a Generator,
}

impl Groups<u32> for Order<'_> {
    #[inline(always)]
    fn make(&self, group: u64, values: &mut [u32; GROUP]) {
        let (lanes, _) = values.as_chunks_mut::<LANES>();
        lanes.copy_from_slice(&self.generator.group(group, ORDER));
    }
}

/// How many zeros each column of so many rows has: ⌈sparsity · rows⌉.
pub(super) fn zeros(sparsity: f64, rows: u64) -> u64 {
    ((sparsity * rows as f64).ceil() as u64).min(rows)
}

/// Bytes that `fill` holds meanwhile: a word for each element, and one column in order.
pub(super) fn scratch(shape: &[u64]) -> u64 {
    let rows = shape.first().copied().unwrap_or(0);
    let words = crate::tensor::elements(shape).unwrap_or(u64::MAX).saturating_mul(4);
    words.saturating_add(rows.saturating_mul(16))
}

/// A whole matrix: every element N(0, std²), then in each column the rows whose words are smallest are set to zero (of equal words
/// the upper row), which is a uniform choice.
pub(super) fn fill(
    generator: &Generator,
    sparsity: f64,
    std: f64,
    shape: &[u64],
    first: u64,
    out: &mut [f32],
) -> Result<()> {
    normal(generator, 0.0, std, first, out);
    let columns = shape.get(1).copied().and_then(|columns| usize::try_from(columns).ok()).unwrap_or(0);
    let rows = out.len().checked_div(columns).unwrap_or(0);
    let zeros = zeros(sparsity, rows as u64) as usize;
    if zeros == 0 {
        return Ok(());
    }
    let too_large = |_| InitError::TooLarge { scheme: "sparse", shape: shape.into() };
    let mut words: Vec<u32> = Vec::new();
    words.try_reserve_exact(out.len()).map_err(too_large)?;
    words.resize(out.len(), 0);
    by_groups(first, &mut words, &Order { generator });
    let mut order: Vec<(u32, usize)> = Vec::new();
    order.try_reserve_exact(rows).map_err(too_large)?;
    for column in 0..columns {
        order.clear();
        order.extend(words.iter().skip(column).step_by(columns).copied().zip(0..rows));
        order.select_nth_unstable(zeros - 1);
        for (_, row) in order.iter().take(zeros) {
            out[row * columns + column] = 0.0;
        }
    }
    Ok(())
}
