//! Numbers of 8 bits with their scales and zero points: `(q − zero) · scale`.

use super::float::{Float, Real};
use super::{Block, Demand, codes, inputs};
use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, Rows, TensorInfo};

const OP: &str = "dequantize";

/// A weight, its scale, and its zero point where it has one.
struct Inputs<'a> {
    packed: &'a TensorInfo,
    scale: &'a TensorInfo,
    zero: Option<&'a TensorInfo>,
}

impl<'a> Inputs<'a> {
    fn of(infos: &[&'a TensorInfo]) -> Result<Inputs<'a>> {
        match *infos {
            [packed, scale] => Ok(Inputs { packed, scale, zero: None }),
            [packed, scale, zero] => Ok(Inputs { packed, scale, zero: Some(zero) }),
            _ => Err(AdaptError::Inputs { op: OP, expected: "two or three", found: infos.len() }.into()),
        }
    }
}

/// Type and shape of the result, or an error where the inputs are not of types that are read, or scales and blocks do not fit.
pub(super) fn out(block: &[u64], infos: &[&TensorInfo]) -> Result<TensorInfo> {
    let Inputs { packed, scale, zero } = Inputs::of(infos)?;
    if codes::number(packed.dtype).is_none() || packed.dtype == Dtype::F8E8m0 {
        return Err(AdaptError::NotCodes { op: OP, input: packed.clone() }.into());
    }
    if !(scale.dtype.is_float() || is_exponent(scale.dtype)) {
        return Err(AdaptError::NotFloat { op: OP, input: scale.clone() }.into());
    }
    if let Some(zero) = zero.filter(|zero| Numbers::of(zero.dtype).is_none()) {
        return Err(AdaptError::NotFloat { op: OP, input: zero.clone() }.into());
    }
    if packed.shape.len() != block.len() {
        let expected = block.len().to_string();
        return Err(AdaptError::Rank { op: OP, expected, input: packed.clone() }.into());
    }
    let counts = packed.shape.iter().zip(block).map(|(size, block)| (*block > 0).then(|| size.div_ceil(*block)));
    let blocks = counts.into_iter().try_fold(1u64, |product, count| product.checked_mul(count?));
    for other in std::iter::once(scale).chain(zero) {
        if blocks != Some(other.elements()?) {
            return Err(AdaptError::Shapes { op: OP, first: packed.clone(), other: other.clone() }.into());
        }
        inputs::size(OP, other.bytes()?)?;
        other.row_bytes()?;
    }
    inputs::result(packed, Dtype::F32, packed.shape.clone())
}

/// Row by row; of scales that have a row for each row of blocks, the rows of theirs.
pub(super) fn demand(block: &[u64], infos: &[&TensorInfo], rows: &Rows) -> Result<Vec<Demand>> {
    let Inputs { packed, scale, zero } = Inputs::of(infos)?;
    let of = |other: &TensorInfo| match blocks_by_row(block, packed, other) {
        Some(high) => Demand::rows(rows.start / high..(rows.end - 1) / high + 1),
        None => Demand::Whole,
    };
    Ok([Demand::rows(rows.clone()), of(scale)].into_iter().chain(zero.map(of)).collect())
}

/// The rows of a block, where the other tensor has a row for each row of blocks.
fn blocks_by_row(block: &[u64], packed: &TensorInfo, other: &TensorInfo) -> Option<u64> {
    let high = *block.first()?;
    (!other.shape.is_empty() && other.rows() == packed.rows().div_ceil(high.max(1))).then_some(high)
}

/// A scale that is an exponent of two: in its own type, or as the bytes of one.
fn is_exponent(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F8E8m0 | Dtype::U8)
}

/// How the numbers next to a weight are read.
#[derive(Clone, Copy)]
enum Numbers {
    Float(Float),
    Byte(fn(u8) -> f32),
    Int16,
    Int32,
    Int64,
}

impl Numbers {
    fn of(dtype: Dtype) -> Option<Numbers> {
        match (Float::of(dtype), codes::number(dtype), dtype) {
            (Some(float), _, _) => Some(Numbers::Float(float)),
            (_, Some(number), _) => Some(Numbers::Byte(number)),
            (_, _, Dtype::I16) => Some(Numbers::Int16),
            (_, _, Dtype::I32) => Some(Numbers::Int32),
            (_, _, Dtype::I64) => Some(Numbers::Int64),
            _ => None,
        }
    }

    fn read(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Numbers::Float(float) => {
                let mut values = vec![0.0; bytes.len() / float.bytes()];
                f32::decode(float, bytes, &mut values);
                values
            }
            Numbers::Byte(number) => bytes.iter().map(|byte| number(*byte)).collect(),
            Numbers::Int16 => each(bytes, |bytes| f32::from(i16::from_le_bytes(bytes))),
            Numbers::Int32 => each(bytes, |bytes| i32::from_le_bytes(bytes) as f32),
            Numbers::Int64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|element| read(*element)).collect()
}

fn scales(block: &Block) -> Vec<f32> {
    let numbers = match is_exponent(block.info.dtype) {
        true => Some(Numbers::Byte(codes::e8m0)),
        false => Numbers::of(block.info.dtype),
    };
    numbers.map_or_else(Vec::new, |numbers| numbers.read(block.bytes))
}

/// The numbers of some rows into `out`, in f32 as the libraries compute them.
pub(super) fn apply(block: &[u64], blocks: &[Block], rows: &Rows, out: &mut [u8]) -> Result<()> {
    let [packed, scale, zero @ ..] = blocks else { return Ok(()) };
    let Some(number) = codes::number(packed.info.dtype) else { return Ok(()) };
    let scale_values = scales(scale);
    let zeros = zero.first().and_then(|zero| Some(Numbers::of(zero.info.dtype)?.read(zero.bytes)));
    let lines = Lines::of(block, packed.info);
    // where only some rows of the scales are here, the first of them is that of the first block
    let offset = |other: &TensorInfo| match blocks_by_row(block, packed.info, other) {
        Some(high) => rows.start / high * lines.blocks_in_row,
        None => 0,
    };
    let (scale_offset, zero_offset) = (offset(scale.info), zero.first().map_or(0, |zero| offset(zero.info)));
    let wide = inputs::size(OP, lines.wide.max(1))?;
    let line_bytes = inputs::size(OP, lines.columns.max(1))?;
    let first_line = rows.start * lines.in_row;
    let lines_of_codes = (first_line..).zip(packed.bytes.chunks(line_bytes));
    for ((line, codes), out) in lines_of_codes.zip(out.chunks_mut(line_bytes * 4)) {
        let place = lines.first_block(line);
        for (at, (codes, out)) in codes.chunks(wide).zip(out.chunks_mut(wide * 4)).enumerate() {
            let at = place + at as u64;
            let factor = value(&scale_values, at, scale_offset);
            let shift = zeros.as_ref().map(|zeros| value(zeros, at, zero_offset));
            for (code, out) in codes.iter().zip(out.as_chunks_mut::<4>().0) {
                let number = match shift {
                    Some(shift) => number(*code) - shift,
                    None => number(*code),
                };
                *out = (number * factor).canonical().to_le_bytes();
            }
        }
    }
    Ok(())
}

fn value(values: &[f32], at: u64, offset: u64) -> f32 {
    values.get(at.saturating_sub(offset) as usize).copied().unwrap_or(f32::NAN)
}

/// A tensor as lines along its last axis, and the blocks that they cross.
struct Lines {
    /// The elements of a line.
    columns: u64,
    /// The elements of a block along it.
    wide: u64,
    in_row: u64,
    blocks_in_row: u64,
    /// Size, block and number of blocks of every axis but the last.
    axes: Vec<(u64, u64, u64)>,
    /// Blocks along the last axis.
    across: u64,
}

impl Lines {
    fn of(block: &[u64], info: &TensorInfo) -> Lines {
        let axes: Vec<(u64, u64, u64)> = info
            .shape
            .iter()
            .zip(block)
            .map(|(size, block)| (*size, (*block).max(1), size.div_ceil((*block).max(1))))
            .collect();
        match axes.split_last() {
            // of a vector each row is a line of one element
            Some((last, [])) => {
                Lines { columns: 1, wide: 1, in_row: 1, blocks_in_row: 1, axes: vec![*last], across: 1 }
            }
            Some(((columns, wide, across), rest)) => Lines {
                columns: *columns,
                wide: *wide,
                in_row: rest.iter().skip(1).map(|(size, _, _)| size).product(),
                blocks_in_row: rest.iter().skip(1).map(|(_, _, count)| count).product::<u64>() * across,
                axes: rest.to_vec(),
                across: *across,
            },
            None => Lines { columns: 1, wide: 1, in_row: 1, blocks_in_row: 1, axes: Vec::new(), across: 1 },
        }
    }

    /// The number of the first block of a line.
    fn first_block(&self, line: u64) -> u64 {
        let (mut rest, mut stride, mut place) = (line, self.across, 0);
        for (size, block, count) in self.axes.iter().rev() {
            place += rest % size.max(&1) / block * stride;
            rest /= size.max(&1);
            stride *= count;
        }
        place
    }
}
