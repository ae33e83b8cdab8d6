//! Identities: of a matrix, and of a convolution.

use std::ops::Range;

use crate::error::Result;
use crate::init::error::InitError;

/// Whether the groups divide the output channels.
pub(super) fn check(groups: u64, shape: &[u64]) -> Result<()> {
    let channels = shape.first().copied().unwrap_or(0);
    match channels.checked_rem(groups) {
        Some(0) => Ok(()),
        _ => Err(InitError::Groups { groups, channels }.into()),
    }
}

/// Elements `range` of a matrix with ones on its diagonal, padded with zeros (`torch.nn.init.eye_`).
pub(super) fn identity(shape: &[u64], range: Range<u64>, out: &mut [f32]) {
    let columns = shape.get(1).copied().unwrap_or(0);
    ones(columns, range, out, |row| (row < columns).then_some(row));
}

/// Elements `range` of the kernel `(out, in / groups, …)` that copies each of its first input channels to the output channel of the same
/// number, group by group (`torch.nn.init.dirac_`).
pub(super) fn dirac(groups: u64, shape: &[u64], range: Range<u64>, out: &mut [f32]) {
    let channels = shape.get(1).copied().unwrap_or(0);
    let kernel = shape.get(2..).unwrap_or(&[]);
    let taps: u64 = kernel.iter().product();
    let centre = kernel.iter().fold(0, |index, size| index * size + size / 2);
    let per_group = shape.first().copied().unwrap_or(0) / groups.max(1);
    ones(channels * taps, range, out, |row| {
        let channel = row.checked_rem(per_group)?;
        (channel < channels).then(|| channel * taps + centre)
    });
}

/// Zeros, and in each row of `columns` elements a one where `place` says.
fn ones(columns: u64, range: Range<u64>, out: &mut [f32], place: impl Fn(u64) -> Option<u64>) {
    out.fill(0.0);
    if columns == 0 {
        return;
    }
    for row in range.start / columns..range.end.div_ceil(columns) {
        let offset = place(row).and_then(|column| (row * columns + column).checked_sub(range.start));
        if let Some(value) = offset.and_then(|offset| out.get_mut(usize::try_from(offset).ok()?)) {
            *value = 1.0;
        }
    }
}
