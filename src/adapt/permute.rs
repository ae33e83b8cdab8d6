//! Transpose and permute: the same elements with their axes in another order.

use super::{Block, Demand, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Rows, TensorInfo};

/// The order that exchanges the axes of a matrix.
pub(super) const TRANSPOSED: &[usize] = &[1, 0];

pub(super) fn out(op: &'static str, order: &[usize], infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one(op, infos)?;
    check(op, order, input)?;
    let shape = order.iter().filter_map(|axis| input.shape.get(*axis).copied()).collect();
    // elements move one by one
    input.dtype.bytes_of(1)?;
    inputs::result(input, input.dtype, shape)
}

fn check(op: &'static str, order: &[usize], input: &TensorInfo) -> Result<()> {
    let rank = input.shape.len();
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        return Ok(());
    }
    match op {
        "transpose" => Err(AdaptError::Rank { op, expected: "2".into(), input: input.clone() }.into()),
        _ => Err(AdaptError::Order { input: input.clone(), order: order.to_vec() }.into()),
    }
}

pub(super) fn demand(order: &[usize], rows: &Rows) -> Vec<Demand> {
    match order.first() {
        None | Some(0) => vec![Demand::rows(rows.clone())],
        Some(_) => vec![Demand::Whole],
    }
}

/// One axis of the result: its size, and how far apart its indices lie in the input.
#[derive(Clone, Copy)]
struct Stride {
    size: usize,
    step: usize,
}

pub(super) fn apply(op: &'static str, order: &[usize], blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [block] = blocks else { return Ok(()) };
    let unit = inputs::size(op, block.info.dtype.bytes_of(1)?)?;
    let mut strides = strides(op, order, block.info, unit)?;
    let Some(leading) = strides.first_mut() else {
        out.copy_from_slice(block.bytes);
        return Ok(());
    };
    // where the leading axis stays, the block holds just these rows
    let skip = if order.first() == Some(&0) { 0 } else { inputs::size(op, rows.start)? * leading.step };
    leading.size = inputs::size(op, rows.end - rows.start)?;
    let unit = join(&mut strides, unit);
    copy(&strides, unit, block.bytes.get(skip..).unwrap_or(&[]), out);
    Ok(())
}

/// The axes of the result, outermost first.
fn strides(op: &'static str, order: &[usize], input: &TensorInfo, unit: usize) -> Result<Vec<Stride>> {
    let mut steps = vec![unit; input.shape.len()];
    let mut step = unit;
    for (axis, size) in input.shape.iter().enumerate().rev() {
        steps[axis] = step;
        step = step.saturating_mul(inputs::size(op, *size)?);
    }
    order.iter().map(|axis| Ok(Stride { size: inputs::size(op, input.shape[*axis])?, step: steps[*axis] })).collect()
}

/// Joins neighbouring axes that also lie together in the input; returns the bytes that move as one piece.
fn join(strides: &mut Vec<Stride>, unit: usize) -> usize {
    let mut joined: Vec<Stride> = Vec::with_capacity(strides.len());
    for stride in strides.drain(..) {
        match joined.last_mut() {
            Some(last) if last.step == stride.step * stride.size => {
                *last = Stride { size: last.size * stride.size, step: stride.step }
            }
            _ => joined.push(stride),
        }
    }
    let mut piece = unit;
    if let Some(last) = joined.last().copied()
        && last.step == unit
    {
        piece = last.size * unit;
        joined.pop();
    }
    *strides = joined;
    piece
}

/// Copies pieces of `unit` bytes in the order of the result.
fn copy(strides: &[Stride], unit: usize, bytes: &[u8], out: &mut [u8]) {
    match strides {
        [] => out.copy_from_slice(&bytes[..out.len()]),
        [one] => matrix([Stride { size: 1, step: 0 }, *one], unit, bytes, out),
        [a, b] => matrix([*a, *b], unit, bytes, out),
        [outer, rest @ ..] => {
            let len = out.len().checked_div(outer.size).unwrap_or(0);
            for (index, piece) in out.chunks_exact_mut(len.max(1)).enumerate() {
                copy(rest, unit, &bytes[index * outer.step..], piece);
            }
        }
    }
}

/// How many indices of the inner axis are taken before the outer one moves on: few enough for their lines to stay in cache.
const TILE: usize = 32;

fn matrix(strides: [Stride; 2], unit: usize, bytes: &[u8], out: &mut [u8]) {
    match unit {
        1 => tiles::<1>(strides, bytes, out),
        2 => tiles::<2>(strides, bytes, out),
        4 => tiles::<4>(strides, bytes, out),
        8 => tiles::<8>(strides, bytes, out),
        _ => {
            let [a, b] = strides;
            let mut pieces = out.chunks_exact_mut(unit.max(1));
            for i in 0..a.size {
                for j in 0..b.size {
                    let from = i * a.step + j * b.step;
                    if let Some(piece) = pieces.next() {
                        piece.copy_from_slice(&bytes[from..from + unit]);
                    }
                }
            }
        }
    }
}

fn tiles<const UNIT: usize>([a, b]: [Stride; 2], bytes: &[u8], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<UNIT>();
    for tile in (0..b.size).step_by(TILE) {
        let end = (tile + TILE).min(b.size);
        for i in 0..a.size {
            let line = &mut out[i * b.size + tile..i * b.size + end];
            for (j, piece) in (tile..end).zip(line) {
                let from = i * a.step + j * b.step;
                if let Some(element) = bytes[from..].first_chunk::<UNIT>() {
                    *piece = *element;
                }
            }
        }
    }
}
