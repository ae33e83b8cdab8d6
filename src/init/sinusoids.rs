//! Fixed positions: sines and cosines of geometrically spaced frequencies (Vaswani et al., arXiv:1706.03762), as Whisper lays them out.

use std::ops::Range;

use super::elementary;

/// Elements `range` of a table `(positions, width)`: sines of the frequencies 10000^(-i / (width / 2 - 1)) in the first half of a row,
/// cosines in the second.
pub(super) fn fill(shape: &[u64], range: Range<u64>, out: &mut [f32]) {
    let width = shape.get(1).copied().unwrap_or(0).max(1);
    let half = (width / 2).max(1);
    let step = if half > 1 { elementary::ln_f64(10_000.0) / (half - 1) as f64 } else { 0.0 };
    for (value, element) in out.iter_mut().zip(range) {
        let (position, column) = (element / width, element % width);
        let angle = position as f64 * elementary::exp(-step * (column % half) as f64);
        let (sine, cosine) = elementary::sin_cos(angle);
        *value = if column < half { sine } else { cosine } as f32;
    }
}
