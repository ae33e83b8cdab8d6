//! Elements of any type as numbers, and tensors read by runs of elements.

use std::ops::Range;

use super::scratch::{Buffer, PIECE, Scratch, size};
use super::stored::Stored;
use crate::adapt::float::{Float, Real};
use crate::error::Result;
use crate::tensor::{Dtype, TensorInfo};

/// How the elements of a type are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Floats; a complex element is two of them.
    Float(Float),
    /// Whole numbers of so many bytes.
    Integer { bytes: usize, signed: bool },
}

impl Number {
    /// `None` for types that mean nothing without a scale beside them.
    pub(crate) fn of(dtype: Dtype) -> Option<Number> {
        let integer = |bytes, signed| Some(Number::Integer { bytes, signed });
        match dtype {
            Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 => Float::of(dtype).map(Number::Float),
            Dtype::C64 => Some(Number::Float(Float::F32)),
            Dtype::Bool | Dtype::U8 => integer(1, false),
            Dtype::I8 => integer(1, true),
            Dtype::U16 => integer(2, false),
            Dtype::I16 => integer(2, true),
            Dtype::U32 => integer(4, false),
            Dtype::I32 => integer(4, true),
            Dtype::U64 => integer(8, false),
            Dtype::I64 => integer(8, true),
            Dtype::F4
            | Dtype::F6E2m3
            | Dtype::F6E3m2
            | Dtype::F8E5m2
            | Dtype::F8E4m3
            | Dtype::F8E8m0
            | Dtype::F8E4m3fnuz
            | Dtype::F8E5m2fnuz => None,
        }
    }

    /// Every number in `bytes`, in f64; whole numbers above 2^53 are rounded.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut Vec<f64>) {
        match self {
            Number::Float(float) => {
                out.resize(bytes.len() / float.bytes(), 0.0);
                f64::decode(float, bytes, out);
            }
            Number::Integer { bytes: width, signed } => {
                out.clear();
                out.extend(bytes.chunks_exact(width).map(|element| integer(element, signed) as f64));
            }
        }
    }
}

/// A little-endian whole number of at most 8 bytes.
pub(super) fn integer(element: &[u8], signed: bool) -> i128 {
    let unsigned = element.iter().rev().fold(0i128, |sum, byte| sum << 8 | i128::from(*byte));
    let bits = 8 * element.len();
    if signed && unsigned >> (bits - 1) == 1 { unsigned - (1i128 << bits) } else { unsigned }
}

/// How many elements are read at once: a piece's worth of the widest type; whole rows where a reader only gives rows.
pub(super) fn run(stored: &[&Stored]) -> Result<u64> {
    const RUN: u64 = PIECE / 8;
    let mut run = RUN;
    for stored in stored.iter().filter(|stored| !stored.is_verbatim()) {
        // rows that are not a whole number of bytes are read all at once
        let row = match stored.info.row_bytes() {
            Ok(_) => stored.info.row_elements()?.max(1),
            Err(_) => stored.info.elements()?.max(1),
        };
        run = run.max(RUN.div_ceil(row).saturating_mul(row));
    }
    Ok(run)
}

/// Ranges of at most `run` elements, in order.
pub(super) fn runs(info: &TensorInfo, run: u64) -> Result<impl Iterator<Item = Range<u64>>> {
    let all = info.elements()?;
    let step = usize::try_from(run.max(1)).unwrap_or(usize::MAX);
    Ok((0..all).step_by(step).map(move |start| start..start.saturating_add(run).min(all)))
}

/// The bytes of a range of elements.
pub(super) fn read(stored: &Stored, elements: &Range<u64>, scratch: &mut Scratch) -> Result<Buffer> {
    let at = |element| stored.info.dtype.bytes_of(element);
    let span = at(elements.start)?..at(elements.end)?;
    let mut bytes = scratch.take(size(span.end - span.start)?)?;
    stored.read(span, &mut bytes, scratch)?;
    Ok(bytes)
}
