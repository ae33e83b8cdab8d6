//! Gather: rows, columns or indices of any axis by number, from one or several inputs.

use super::{Block, Demand, Run, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Rows, TensorInfo};

const OP: &str = "gather";

pub(super) fn out(axis: usize, runs: &[Run], infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let first = inputs::first(OP, infos)?;
    for other in infos {
        inputs::alike(OP, first, other, Some(axis))?;
        inputs::Along::of(OP, other, axis)?;
    }
    let mut total = 0u64;
    for run in runs {
        check(axis, run, infos)?;
        total = total.checked_add(run.len).ok_or_else(|| beyond(axis, run, first))?;
    }
    let mut shape = first.shape.clone();
    shape[axis] = total;
    inputs::result(first, first.dtype, shape)
}

/// An error unless every index of the run lies in its input.
fn check(axis: usize, run: &Run, infos: &[&TensorInfo]) -> Result<()> {
    let Some(input) = infos.get(run.input) else {
        return Err(AdaptError::RunInput { input: run.input, inputs: infos.len() }.into());
    };
    let size = inputs::axis_size(OP, input, axis)?;
    if run.len == 0 {
        return Ok(());
    }
    let last = i128::from(run.step)
        .checked_mul(i128::from(run.len - 1))
        .and_then(|distance| distance.checked_add(i128::from(run.start)));
    let inside = last.is_some_and(|last| (0..i128::from(size)).contains(&last)) && run.start < size;
    if inside { Ok(()) } else { Err(beyond(axis, run, input).into()) }
}

fn beyond(axis: usize, run: &Run, input: &TensorInfo) -> AdaptError {
    let size = input.shape.get(axis).copied().unwrap_or(0);
    AdaptError::Run { input: input.clone(), axis, size, start: run.start, step: run.step, len: run.len }
}

impl Run {
    /// The index that piece `k` of the run takes; in range for a run that was checked.
    fn index(&self, k: u64) -> u64 {
        self.start.wrapping_add((self.step as u64).wrapping_mul(k))
    }
}

/// The pieces of runs that make up `rows` of the result: a run, and which of its pieces.
fn pieces<'a>(runs: &'a [Run], rows: &Rows) -> impl Iterator<Item = (&'a Run, Rows)> {
    let rows = rows.clone();
    let mut start = 0u64;
    runs.iter()
        .map(move |run| {
            let piece = inputs::within(&rows, start, run.len);
            start = start.saturating_add(run.len);
            (run, piece)
        })
        .filter(|(_, piece)| !piece.is_empty())
}

/// The rows of its input that a piece of a run needs, in the order in which a block holds them.
fn needed(run: &Run, piece: &Rows, ranges: &mut Vec<Rows>) {
    let (first, last) = (run.index(piece.start), run.index(piece.end - 1));
    match run.step {
        0 => ranges.push(first..first + 1),
        1 => ranges.push(first..last + 1),
        -1 => ranges.push(last..first + 1),
        _ => ranges.extend(piece.clone().map(|k| run.index(k)..run.index(k) + 1)),
    }
}

pub(super) fn demand(axis: usize, runs: &[Run], infos: &[&TensorInfo], rows: &Rows) -> Vec<Demand> {
    let mut ranges = vec![Vec::new(); infos.len()];
    if axis > 0 {
        for run in runs.iter().filter(|run| run.len > 0) {
            ranges[run.input] = vec![rows.clone()];
        }
    } else {
        pieces(runs, rows).for_each(|(run, piece)| needed(run, &piece, &mut ranges[run.input]));
    }
    ranges.into_iter().map(Demand::Rows).collect()
}

pub(super) fn apply(axis: usize, runs: &[Run], blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    match axis {
        0 => rows_of(runs, blocks, rows, out),
        _ => indices_of(axis, runs, blocks, out),
    }
}

/// Axis 0: each block holds just what its pieces need, in their order.
fn rows_of(runs: &[Run], blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let Some(first) = blocks.first() else { return Ok(()) };
    let row = inputs::size(OP, first.info.row_bytes()?)?;
    let mut rest: Vec<&[u8]> = blocks.iter().map(|block| block.bytes).collect();
    let mut at = 0;
    for (run, piece) in pieces(runs, rows) {
        let len = inputs::size(OP, piece.end - piece.start)? * row;
        let held = if run.step == 0 { row } else { len };
        let (bytes, after) = rest[run.input].split_at(held);
        rest[run.input] = after;
        let to = &mut out[at..at + len];
        match run.step {
            0 => to.chunks_exact_mut(row).for_each(|to| to.copy_from_slice(bytes)),
            -1 => {
                to.chunks_exact_mut(row).zip(bytes.rchunks_exact(row)).for_each(|(to, from)| to.copy_from_slice(from))
            }
            _ => to.copy_from_slice(bytes),
        }
        at += len;
    }
    Ok(())
}

/// Another axis: the blocks hold the rows of the result.
fn indices_of(axis: usize, runs: &[Run], blocks: &[Block], out: &mut [u8]) -> Result<()> {
    let mut widths = Vec::with_capacity(blocks.len());
    let mut inner = 0;
    for block in blocks {
        let along = inputs::Along::of(OP, block.info, axis)?;
        inner = inputs::size(OP, along.inner)?;
        widths.push(inputs::size(OP, along.size)? * inner);
    }
    let whole = inputs::size(OP, runs.iter().map(|run| run.len).sum())? * inner;
    for (index, to) in out.chunks_exact_mut(whole).enumerate() {
        let mut at = 0;
        for run in runs.iter().filter(|run| run.len > 0) {
            let from = &blocks[run.input].bytes[index * widths[run.input]..][..widths[run.input]];
            let len = inputs::size(OP, run.len)? * inner;
            copy_run(run, from, inner, &mut to[at..at + len])?;
            at += len;
        }
    }
    Ok(())
}

fn copy_run(run: &Run, from: &[u8], inner: usize, to: &mut [u8]) -> Result<()> {
    let start = inputs::size(OP, run.start)? * inner;
    if run.step == 1 {
        to.copy_from_slice(&from[start..start + to.len()]);
        return Ok(());
    }
    for (k, to) in to.chunks_exact_mut(inner).enumerate() {
        let start = inputs::size(OP, run.index(k as u64))? * inner;
        to.copy_from_slice(&from[start..start + inner]);
    }
    Ok(())
}
