//! Reshape: the same elements in row-major order under another shape.

use super::{Block, Demand, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Rows, Shape, TensorInfo, elements};

const OP: &str = "reshape";

pub(super) fn out(shape: &Shape, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one(OP, infos)?;
    if elements(shape) != elements(&input.shape) {
        return Err(AdaptError::Elements { input: input.clone(), shape: shape.clone() }.into());
    }
    input.row_bytes()?;
    inputs::result(input, input.dtype, shape.clone())
}

/// The bytes of the input that `rows` of the result are.
fn span(input: &TensorInfo, shape: &Shape, rows: &Rows) -> Result<std::ops::Range<u64>> {
    let out = inputs::result(input, input.dtype, shape.clone())?;
    // within the whole, which does not overflow
    let row = out.row_bytes()?;
    Ok(rows.start.saturating_mul(row)..rows.end.saturating_mul(row))
}

pub(super) fn demand(shape: &Shape, infos: &[&TensorInfo], rows: &Rows) -> Result<Vec<Demand>> {
    let input = inputs::one(OP, infos)?;
    let span = span(input, shape, rows)?;
    if span.is_empty() {
        return Ok(vec![Demand::None]);
    }
    let row = input.row_bytes()?.max(1);
    Ok(vec![Demand::rows(span.start / row..span.end.div_ceil(row))])
}

pub(super) fn apply(shape: &Shape, blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [block] = blocks else { return Ok(()) };
    if out.is_empty() {
        return Ok(());
    }
    let span = span(block.info, shape, rows)?;
    let skip = inputs::size(OP, span.start % block.info.row_bytes()?.max(1))?;
    out.copy_from_slice(&block.bytes[skip..skip + out.len()]);
    Ok(())
}
