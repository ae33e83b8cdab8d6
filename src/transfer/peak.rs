//! The memory that a transfer will hold, from the demands of its operations.

use std::sync::Arc;

use super::node::{Kind, Node};
use super::queue::MOST;
use super::scratch::PIECE;
use super::work::piece_of;
use crate::adapt::Demand;
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::plan::{Plan, Value};
use crate::tensor::Rows;

/// Pieces of one tensor whose memory is looked at, at most: 32 GiB of them.
const LOOKED_AT: u64 = 1 << 16;

/// Bytes of one expression.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// What stays from piece to piece.
    kept: u64,
    /// What one piece holds meanwhile, at most.
    meanwhile: u64,
}

/// The largest needs of `threads` tensors at once: every thread may be at one of them.
pub(super) fn peak(plan: &Plan, readers: &[Arc<dyn Reader>], threads: usize) -> Result<u64> {
    let mut needs = Vec::new();
    let (mut bookkeeping, mut bytes) = (0u64, 0u64);
    for assignment in &plan.assignments {
        if matches!(assignment.value, Value::Tied { .. }) {
            continue;
        }
        let node = Node::of(plan.seed, assignment, readers)?.refined(PIECE)?;
        let piece = piece_of(&node, PIECE)?;
        // one chaining value for each piece
        bookkeeping = bookkeeping.saturating_add(32 * assignment.target.bytes()?.div_ceil(piece));
        needs.push(need(&node, piece)?);
        bytes = bytes.saturating_add(assignment.target.bytes()?);
    }
    // pieces that wait for their file, and empty buffers
    let queued = if threads > 1 { bytes.min(2 * MOST as u64 * PIECE) } else { 0 };
    bookkeeping = bookkeeping.saturating_add(queued);
    needs.sort_unstable();
    Ok(needs.iter().rev().take(threads.max(1)).fold(bookkeeping, |sum, need| sum.saturating_add(*need)))
}

/// The most that one tensor holds at any of its pieces.
fn need(node: &Node, piece: u64) -> Result<u64> {
    if let Kind::Source(stored) = &node.kind {
        return Ok(piece.saturating_add(stored.scratch()));
    }
    let row = node.info.row_bytes()?.max(1);
    let step = piece.div_ceil(row).saturating_add(1);
    // drawing takes the same for all rows; of very many pieces some are looked at
    let looked = if matches!(node.kind, Kind::Fresh(_)) { 1 } else { LOOKED_AT };
    let stride = step.saturating_mul(node.info.rows().div_ceil(step).div_ceil(looked).max(1));
    let mut most = 0;
    let mut start = 0;
    while start < node.info.rows() {
        let end = start.saturating_add(step).min(node.info.rows());
        let memory = of_rows(node, &(start..end))?;
        let buffer = (end - start).saturating_mul(row);
        most = most.max(buffer.saturating_add(memory.kept).saturating_add(memory.meanwhile));
        start = start.saturating_add(stride);
    }
    Ok(most)
}

fn of_rows(node: &Node, rows: &Rows) -> Result<Memory> {
    match &node.kind {
        Kind::Source(stored) => Ok(Memory { kept: 0, meanwhile: stored.scratch() }),
        Kind::Fresh(fresh) => {
            let (kept, meanwhile) = fresh.memory();
            Ok(Memory { kept, meanwhile })
        }
        Kind::Count(_) | Kind::Table(_) => Ok(Memory::default()),
        Kind::Apply { op: _, inputs } => {
            let mut sum = Memory::default();
            let mut deepest = 0;
            for (input, demand) in inputs.iter().zip(node.demand(rows)?) {
                let (memory, buffer) = of_input(node, input, demand)?;
                sum.kept = sum.kept.saturating_add(memory.kept);
                sum.meanwhile = sum.meanwhile.saturating_add(buffer);
                deepest = deepest.max(memory.meanwhile);
            }
            sum.meanwhile = sum.meanwhile.saturating_add(deepest);
            Ok(sum)
        }
    }
}

/// What an input needs to supply a demand, and the buffer of this piece that it fills.
fn of_input(node: &Node, input: &Node, demand: Demand) -> Result<(Memory, u64)> {
    match demand {
        Demand::None => Ok((Memory::default(), 0)),
        Demand::Rows(ranges) => {
            let mut memory = Memory::default();
            for rows in &ranges {
                let one = of_rows(input, rows)?;
                memory.kept = memory.kept.max(one.kept);
                memory.meanwhile = memory.meanwhile.max(one.meanwhile);
            }
            let count: u64 = ranges.iter().map(|rows| rows.end - rows.start).sum();
            Ok((memory, count.saturating_mul(input.info.row_bytes()?)))
        }
        Demand::Whole => Ok((all_of(input, input.info.bytes()?)?, 0)),
        // the state of a scan is a row in f64
        Demand::Scan => {
            let mut memory = all_of(input, node.info.bytes()?)?;
            let state = input.info.row_elements()?.saturating_mul(8);
            memory.meanwhile = memory.meanwhile.saturating_add(PIECE).saturating_add(state);
            Ok((memory, 0))
        }
    }
}

/// What it takes to compute all of an input by pieces, of which `kept` bytes stay.
fn all_of(input: &Node, kept: u64) -> Result<Memory> {
    let once = of_rows(input, &(0..input.rows_at_once(PIECE)?.min(input.info.rows())))?;
    Ok(Memory { kept, meanwhile: once.kept.saturating_add(once.meanwhile) })
}
