//! Narrow: a piece of an axis.

use super::{Block, Demand, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Rows, TensorInfo};

const OP: &str = "narrow";

/// A piece of an axis.
#[derive(Clone, Copy)]
pub(super) struct Slice {
    pub axis: usize,
    pub start: u64,
    pub len: u64,
}

pub(super) fn out(piece: Slice, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one(OP, infos)?;
    let size = inputs::axis_size(OP, input, piece.axis)?;
    if piece.start.checked_add(piece.len).is_none_or(|end| end > size) {
        let Slice { axis, start, len } = piece;
        return Err(AdaptError::Beyond { input: input.clone(), axis, size, start, len }.into());
    }
    inputs::Along::of(OP, input, piece.axis)?;
    let mut shape = input.shape.clone();
    shape[piece.axis] = piece.len;
    inputs::result(input, input.dtype, shape)
}

pub(super) fn demand(piece: Slice, rows: &Rows) -> Vec<Demand> {
    let rows = match piece.axis {
        0 => rows.start.saturating_add(piece.start)..rows.end.saturating_add(piece.start),
        _ => rows.clone(),
    };
    vec![Demand::rows(rows)]
}

pub(super) fn apply(piece: Slice, blocks: &[Block], out: &mut [u8]) -> Result<()> {
    let [block] = blocks else { return Ok(()) };
    if piece.axis == 0 {
        out.copy_from_slice(block.bytes);
        return Ok(());
    }
    let along = inputs::Along::of(OP, block.info, piece.axis)?;
    let whole = inputs::size(OP, along.size * along.inner)?;
    let skip = inputs::size(OP, piece.start * along.inner)?;
    let keep = inputs::size(OP, piece.len * along.inner)?;
    if keep == 0 {
        return Ok(());
    }
    for (from, to) in block.bytes.chunks_exact(whole).zip(out.chunks_exact_mut(keep)) {
        to.copy_from_slice(&from[skip..skip + keep]);
    }
    Ok(())
}
