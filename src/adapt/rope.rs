//! The two layouts of rotary embeddings: halves (Hugging Face, GPT-NeoX) and neighbours (Meta, GPT-J).
//! `transformers` calls the step `permute` in `convert_llama_weights_to_hf.py`.

use super::{Block, Demand, RopeLayout, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Rows, TensorInfo};

const OP: &str = "rope_permute";

/// The heads of axis 0, and how many rows of each are rotated.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub heads: u64,
    pub rotary: u64,
}

impl Heads {
    /// Rows of one head, or an error where axis 0 does not divide or the rotated rows do not fit.
    fn head(self, input: &TensorInfo) -> Result<u64> {
        let rows = inputs::axis_size(OP, input, 0)?;
        let head = match rows.checked_rem(self.heads) {
            Some(0) => rows / self.heads,
            _ => return Err(AdaptError::Heads { op: OP, input: input.clone(), heads: self.heads }.into()),
        };
        if !self.rotary.is_multiple_of(2) || self.rotary > head {
            return Err(AdaptError::Rotary { input: input.clone(), rotary: self.rotary, head }.into());
        }
        Ok(head)
    }
}

pub(super) fn out(heads: Heads, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one(OP, infos)?;
    heads.head(input)?;
    inputs::result(input, input.dtype, input.shape.clone())
}

/// The heads that cover the rows.
pub(super) fn demand(heads: Heads, infos: &[&TensorInfo], rows: &Rows) -> Result<Vec<Demand>> {
    let head = heads.head(inputs::one(OP, infos)?)?.max(1);
    Ok(vec![Demand::rows(rows.start / head * head..rows.end.div_ceil(head) * head)])
}

pub(super) fn apply(heads: Heads, to: RopeLayout, blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [block] = blocks else { return Ok(()) };
    let row = inputs::size(OP, block.info.row_bytes()?)?;
    let head = heads.head(block.info)?.max(1);
    if row == 0 {
        return Ok(());
    }
    let first = rows.start / head * head;
    for (index, piece) in rows.clone().zip(out.chunks_exact_mut(row)) {
        let source = index / head * head + origin(to, heads.rotary, index % head);
        let from = inputs::size(OP, source - first)? * row;
        piece.copy_from_slice(&block.bytes[from..from + row]);
    }
    Ok(())
}

/// The row of the head that row `row` of the result is taken from.
fn origin(to: RopeLayout, rotary: u64, row: u64) -> u64 {
    let half = rotary / 2;
    match to {
        _ if row >= rotary => row,
        RopeLayout::ToHalves if row < half => 2 * row,
        RopeLayout::ToHalves => 2 * (row - half) + 1,
        RopeLayout::ToNeighbours if row.is_multiple_of(2) => row / 2,
        RopeLayout::ToNeighbours => half + row / 2,
    }
}
