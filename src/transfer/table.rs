//! Tables that need no source: each element by a formula of its place.

use std::ops::Range;

use super::scratch::size;
use crate::error::Result;
use crate::init::Computed;
use crate::tensor::{Dtype, Shape, TensorInfo};

/// The elements of such a table.
pub(super) struct Table {
    formula: Computed,
    /// The shape that the formula is of, however its rows are seen.
    shape: Shape,
    dtype: Dtype,
}

impl Table {
    /// A table that planning has checked.
    pub(crate) fn new(info: &TensorInfo, formula: &Computed) -> Table {
        Table { formula: formula.clone(), shape: info.shape.clone(), dtype: info.dtype }
    }

    /// Elements `range` into `out`, little-endian.
    pub(crate) fn fill(&self, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        let width = size((self.dtype.bits() / 8).max(1))?;
        for (place, out) in range.zip(out.chunks_exact_mut(width)) {
            let value = self.formula.element(place, &self.shape);
            match self.dtype {
                Dtype::F64 => out.copy_from_slice(&value.to_le_bytes()),
                Dtype::F16 => out.copy_from_slice(&half::f16::from_f64(value).to_le_bytes()),
                Dtype::Bf16 => out.copy_from_slice(&half::bf16::from_f64(value).to_le_bytes()),
                Dtype::F32 => out.copy_from_slice(&(value as f32).to_le_bytes()),
                _ => out.copy_from_slice(&(value as i64).to_le_bytes()[..width]),
            }
        }
        Ok(())
    }
}
