//! Whole numbers that need no source: an index along an axis, or zero.

use std::ops::Range;

use super::scratch::size;
use crate::error::Result;
use crate::tensor::{TensorInfo, elements};

/// The elements of such a tensor.
pub(super) struct Count {
    /// Elements between one index and the next, and the size of the axis; `None` where all are zero.
    along: Option<(u64, u64)>,
    bytes: u64,
}

impl Count {
    /// An index along `axis` of a tensor that planning has checked.
    pub(crate) fn new(info: &TensorInfo, axis: Option<usize>) -> Count {
        let along = axis.and_then(|axis| {
            let inner = elements(info.shape.get(axis + 1..)?)?;
            Some((inner, *info.shape.get(axis)?))
        });
        Count { along, bytes: info.dtype.bits() / 8 }
    }

    /// Elements `range` into `out`, little-endian.
    pub(crate) fn fill(&self, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        let width = size(self.bytes.max(1))?;
        for (element, out) in range.zip(out.chunks_exact_mut(width)) {
            let index = match self.along {
                Some((inner, size)) if inner > 0 && size > 0 => element / inner % size,
                Some(_) | None => 0,
            };
            out.copy_from_slice(&index.to_le_bytes()[..width]);
        }
        Ok(())
    }
}
