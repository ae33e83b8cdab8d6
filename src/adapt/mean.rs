//! Means: of heads in groups (Ainslie et al., GQA, arXiv:2305.13245), and of all rows.

use super::float::{self, Float, Real};
use super::{Block, Demand, Scan, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, Rows, TensorInfo};

const HEADS: &str = "mean_heads";
const ROWS: &str = "mean_rows";

/// How many heads the input has, and how many groups the result.
#[derive(Clone, Copy)]
pub(super) struct Grouping {
    pub heads: u64,
    pub groups: u64,
}

/// Rows of one head, and heads of one group.
#[derive(Clone, Copy)]
struct Group {
    head: u64,
    heads: u64,
}

impl Grouping {
    fn group(self, input: &TensorInfo) -> Result<Group> {
        let rows = inputs::axis_size(HEADS, input, 0)?;
        let Grouping { heads, groups } = self;
        if rows.checked_rem(heads) != Some(0) {
            return Err(AdaptError::Heads { op: HEADS, input: input.clone(), heads }.into());
        }
        if heads.checked_rem(groups) != Some(0) {
            return Err(AdaptError::Groups { input: input.clone(), heads, groups }.into());
        }
        Ok(Group { head: rows / heads, heads: heads / groups })
    }
}

impl Group {
    /// The pieces of heads that make up rows of the result: the first row of the group in the input, and rows of its heads.
    fn pieces(self, rows: &Rows) -> impl Iterator<Item = (u64, Rows)> + use<> {
        let rows = rows.clone();
        let (head, heads) = (self.head.max(1), self.heads);
        (rows.start / head..rows.end.div_ceil(head))
            .map(move |group| (group * heads * head, inputs::within(&rows, group * head, head)))
            .filter(|(_, piece)| !piece.is_empty())
    }
}

pub(super) fn out(grouping: Grouping, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one_float(HEADS, infos)?;
    let group = grouping.group(input)?;
    let mut shape = input.shape.clone();
    shape[0] = group.head * grouping.groups;
    inputs::result(input, input.dtype, shape)
}

/// Equal rows of every head of the group.
pub(super) fn demand(grouping: Grouping, infos: &[&TensorInfo], rows: &Rows) -> Result<Vec<Demand>> {
    let group = grouping.group(inputs::one(HEADS, infos)?)?;
    let mut ranges = Vec::new();
    for (first, piece) in group.pieces(rows) {
        for head in 0..group.heads {
            let start = first + head * group.head;
            inputs::push_rows(&mut ranges, start + piece.start..start + piece.end);
        }
    }
    Ok(vec![Demand::Rows(ranges)])
}

pub(super) fn apply(grouping: Grouping, blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [block] = blocks else { return Ok(()) };
    match (block.info.dtype, Float::of(block.info.dtype)) {
        (_, None) => Ok(()),
        (Dtype::F64, Some(float)) => mean_heads::<f64>(float, grouping, block, rows, out),
        (_, Some(float)) => mean_heads::<f32>(float, grouping, block, rows, out),
    }
}

fn mean_heads<R: Real>(float: Float, grouping: Grouping, block: &Block, rows: &Rows, out: &mut [u8]) -> Result<()> {
    let group = grouping.group(block.info)?;
    let row = inputs::size(HEADS, block.info.row_bytes()?)?;
    let heads = inputs::size(HEADS, group.heads)?;
    let (mut bytes, mut out) = (block.bytes, out);
    for (_, piece) in group.pieces(rows) {
        let len = inputs::size(HEADS, piece.end - piece.start)? * row;
        let (these, after) = bytes.split_at(len * heads);
        let (result, rest) = std::mem::take(&mut out).split_at_mut(len);
        mean_of_pieces::<R>(float, these, heads, result);
        (bytes, out) = (after, rest);
    }
    Ok(())
}

/// The mean of `count` pieces of one length, that lie one after the other, summed in their order.
fn mean_of_pieces<R: Real>(float: Float, bytes: &[u8], count: usize, out: &mut [u8]) {
    let len = out.len();
    let divisor = R::of(count as f64);
    let (mut sum, mut next) = ([R::default(); float::TILE], [R::default(); float::TILE]);
    let step = float::TILE * float.bytes();
    for start in (0..len).step_by(step) {
        let end = (start + step).min(len);
        let elements = (end - start) / float.bytes();
        R::decode(float, &bytes[start..end], &mut sum[..elements]);
        for piece in 1..count {
            R::decode(float, &bytes[piece * len + start..piece * len + end], &mut next[..elements]);
            sum.iter_mut().zip(&next).take(elements).for_each(|(sum, next)| *sum = sum.plus(*next));
        }
        sum.iter_mut().take(elements).for_each(|sum| *sum = sum.over(divisor).canonical());
        R::encode(float, &sum[..elements], &mut out[start..end]);
    }
}

pub(super) fn rows_out(infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one_float(ROWS, infos)?;
    let mut shape = input.shape.clone();
    match shape.first_mut() {
        None => return Err(AdaptError::Rank { op: ROWS, expected: "at least 1".into(), input: input.clone() }.into()),
        Some(0) => return Err(AdaptError::NoRows { op: ROWS, input: input.clone() }.into()),
        Some(rows) => *rows = 1,
    }
    input.row_bytes()?;
    inputs::result(input, input.dtype, shape)
}

/// The sums of the columns so far.
struct MeanRows {
    input: TensorInfo,
    float: Float,
    sums: Vec<f64>,
    row: usize,
    seen: u64,
}

/// The scan that sums every column in f64, in the order of the rows.
pub(super) fn scan(infos: &[&TensorInfo]) -> Result<Box<dyn Scan>> {
    let input = inputs::one_float(ROWS, infos)?;
    let Some(float) = Float::of(input.dtype) else {
        return Err(AdaptError::NotFloat { op: ROWS, input: input.clone() }.into());
    };
    let row = inputs::size(ROWS, input.row_bytes()?)?;
    let sums = vec![0.0; row / float.bytes()];
    Ok(Box::new(MeanRows { input: input.clone(), float, sums, row, seen: 0 }))
}

impl Scan for MeanRows {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.row == 0 {
            self.seen = self.input.rows();
            return Ok(());
        }
        let mut tile = [0.0; float::TILE];
        for row in bytes.chunks_exact(self.row) {
            for (piece, sums) in row.chunks(float::TILE * self.float.bytes()).zip(self.sums.chunks_mut(float::TILE)) {
                let tile = &mut tile[..sums.len()];
                f64::decode(self.float, piece, tile);
                sums.iter_mut().zip(tile).for_each(|(sum, value)| *sum += *value);
            }
        }
        self.seen += (bytes.len() / self.row) as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, out: &mut [u8]) -> Result<()> {
        if self.row > 0 && self.seen != self.input.rows() || out.len() != self.row {
            let row = self.row as u64;
            return Err(
                AdaptError::Supplied { op: ROWS, expected: self.input.rows() * row, found: self.seen * row }.into()
            );
        }
        let rows = self.seen as f64;
        let means: Vec<f64> = self.sums.iter().map(|sum| (sum / rows).canonical()).collect();
        f64::encode(self.float, &means, out);
        Ok(())
    }
}
