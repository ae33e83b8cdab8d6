//! Concatenation along an axis, and the stack along a new one.

use super::{Block, Demand, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Rows, TensorInfo};

const CONCAT: &str = "concat";
const STACK: &str = "stack";

pub(super) fn out(axis: usize, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let first = inputs::first(CONCAT, infos)?;
    inputs::axis_size(CONCAT, first, axis)?;
    let mut total = 0u64;
    for other in infos {
        inputs::alike(CONCAT, first, other, Some(axis))?;
        inputs::Along::of(CONCAT, other, axis)?;
        let size = inputs::axis_size(CONCAT, other, axis)?;
        total = total.checked_add(size).ok_or_else(|| AdaptError::Shapes {
            op: CONCAT,
            first: first.clone(),
            other: (*other).clone(),
        })?;
    }
    let mut shape = first.shape.clone();
    shape[axis] = total;
    inputs::result(first, first.dtype, shape)
}

pub(super) fn demand(axis: usize, infos: &[&TensorInfo], rows: &Rows) -> Vec<Demand> {
    if axis > 0 {
        return infos.iter().map(|_| Demand::rows(rows.clone())).collect();
    }
    let mut start = 0u64;
    let mut demands = Vec::with_capacity(infos.len());
    for info in infos {
        demands.push(Demand::rows(inputs::within(rows, start, info.rows())));
        start = start.saturating_add(info.rows());
    }
    demands
}

pub(super) fn apply(axis: usize, blocks: &[Block], out: &mut [u8]) -> Result<()> {
    if axis == 0 {
        join(blocks, out);
        return Ok(());
    }
    let mut widths = Vec::with_capacity(blocks.len());
    for block in blocks {
        let along = inputs::Along::of(CONCAT, block.info, axis)?;
        widths.push(inputs::size(CONCAT, along.size * along.inner)?);
    }
    let whole: usize = widths.iter().sum();
    let mut skip = 0;
    for (block, width) in blocks.iter().zip(widths) {
        if width == 0 {
            continue;
        }
        for (from, to) in block.bytes.chunks_exact(width).zip(out.chunks_exact_mut(whole)) {
            to[skip..skip + width].copy_from_slice(from);
        }
        skip += width;
    }
    Ok(())
}

/// The bytes of the blocks one after the other.
fn join(blocks: &[Block], out: &mut [u8]) {
    let mut at = 0;
    for block in blocks {
        out[at..at + block.bytes.len()].copy_from_slice(block.bytes);
        at += block.bytes.len();
    }
}

pub(super) fn stack_out(infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let first = inputs::first(STACK, infos)?;
    for other in infos {
        inputs::alike(STACK, first, other, None)?;
    }
    let mut shape = vec![infos.len() as u64];
    shape.extend(&first.shape);
    inputs::result(first, first.dtype, shape.into())
}

/// Row `i` of a stack is the whole of input `i`.
pub(super) fn stack_demand(infos: &[&TensorInfo], rows: &Rows) -> Vec<Demand> {
    let all = |(i, info): (usize, &&TensorInfo)| match rows.contains(&(i as u64)) {
        true => Demand::rows(0..info.rows()),
        false => Demand::None,
    };
    infos.iter().enumerate().map(all).collect()
}

pub(super) fn stack_apply(blocks: &[Block], out: &mut [u8]) {
    join(blocks, out);
}
