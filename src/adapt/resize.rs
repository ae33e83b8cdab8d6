//! Linear interpolation of rows, as `torch.nn.functional.interpolate(mode="linear", align_corners=False)` without antialias.

use super::float::{self, Float, Real};
use super::{Block, Demand, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, Rows, TensorInfo};

const OP: &str = "resize_rows";

/// How many rows the result has, and how many leading ones are kept.
#[derive(Clone, Copy)]
pub(super) struct Resize {
    pub rows: u64,
    pub prefix: u64,
}

/// Where a row of the result lies: on row `low`, or the share `weight` of the way from it to the next.
#[derive(Clone, Copy)]
struct Neighbours {
    low: u64,
    weight: f64,
}

impl Resize {
    /// Output row `d` of `m` lies at `(d + ½) · n / m − ½` of the `n` input rows, not before the first and not after the last.
    /// In whole numbers, so that rows that fall on a row fall on it exactly.
    fn place(self, input_rows: u64, row: u64) -> Neighbours {
        if row < self.prefix {
            return Neighbours { low: row, weight: 0.0 };
        }
        let n = i128::from(input_rows.saturating_sub(self.prefix));
        let m = i128::from(self.rows.saturating_sub(self.prefix)).max(1);
        let numerator = ((2 * i128::from(row - self.prefix) + 1) * n - m).max(0);
        let (low, rest) = (numerator / (2 * m), numerator % (2 * m));
        let last = low + 1 >= n;
        let weight = if last { 0.0 } else { rest as f64 / (2 * m) as f64 };
        Neighbours { low: self.prefix.saturating_add(low as u64), weight }
    }
}

impl Neighbours {
    fn rows(self) -> Rows {
        self.low..self.low + 1 + u64::from(self.weight > 0.0)
    }
}

pub(super) fn out(resize: Resize, infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let input = inputs::one_float(OP, infos)?;
    let have = inputs::axis_size(OP, input, 0)?;
    let Resize { rows, prefix } = resize;
    if prefix > have || prefix > rows || (rows > prefix && have == prefix) {
        return Err(AdaptError::Resize { input: input.clone(), rows, prefix }.into());
    }
    input.row_bytes()?;
    let mut shape = input.shape.clone();
    shape[0] = rows;
    inputs::result(input, input.dtype, shape)
}

/// Each row's neighbours, once.
pub(super) fn demand(resize: Resize, infos: &[&TensorInfo], rows: &Rows) -> Result<Vec<Demand>> {
    let have = inputs::axis_size(OP, inputs::one(OP, infos)?, 0)?;
    let mut ranges: Vec<Rows> = Vec::new();
    for row in rows.clone() {
        let place = resize.place(have, row).rows();
        // rows of the result lie in the order of the input
        let seen = ranges.last().map_or(0, |last| last.end);
        inputs::push_rows(&mut ranges, place.start.max(seen)..place.end);
    }
    Ok(vec![Demand::Rows(ranges)])
}

pub(super) fn apply(resize: Resize, blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [block] = blocks else { return Ok(()) };
    match (block.info.dtype, Float::of(block.info.dtype)) {
        (_, None) => Ok(()),
        (Dtype::F64, Some(float)) => interpolate::<f64>(float, resize, block, rows, out),
        (_, Some(float)) => interpolate::<f32>(float, resize, block, rows, out),
    }
}

fn interpolate<R: Real>(float: Float, resize: Resize, block: &Block, rows: &Rows, out: &mut [u8]) -> Result<()> {
    let row = inputs::size(OP, block.info.row_bytes()?)?;
    if row == 0 {
        return Ok(());
    }
    let mut held = StoredRows { ranges: &block.rows, before: 0 };
    for (index, out) in rows.clone().zip(out.chunks_exact_mut(row)) {
        let place = resize.place(block.info.rows(), index);
        let at = inputs::size(OP, held.position(place.low))? * row;
        let low = &block.bytes[at..at + row];
        match place.weight > 0.0 {
            true => blend::<R>(float, place.weight, low, &block.bytes[at + row..at + 2 * row], out),
            false => out.copy_from_slice(low),
        }
    }
    Ok(())
}

/// Where rows lie in a block, asked for in ascending order.
struct StoredRows<'a> {
    ranges: &'a [Rows],
    before: u64,
}

impl StoredRows<'_> {
    fn position(&mut self, row: u64) -> u64 {
        while let Some((range, rest)) = self.ranges.split_first() {
            if row < range.end {
                return self.before + row.saturating_sub(range.start);
            }
            self.before += range.end - range.start;
            self.ranges = rest;
        }
        self.before
    }
}

fn blend<R: Real>(float: Float, weight: f64, low: &[u8], high: &[u8], out: &mut [u8]) {
    let (near, far) = (R::of(1.0 - weight), R::of(weight));
    float::zip::<R>(float, low, high, out, |a, b| a.times(near).plus(b.times(far)).canonical());
}
