//! What operations ask of their inputs, and the numbers of bytes that follow.

use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::tensor::{Dtype, Rows, Shape, TensorInfo};

/// The only input.
pub(super) fn one<'a>(op: &'static str, inputs: &[&'a TensorInfo]) -> Result<&'a TensorInfo> {
    match inputs {
        [input] => Ok(input),
        _ => Err(AdaptError::Inputs { op, expected: "one", found: inputs.len() }.into()),
    }
}

/// The only two inputs.
pub(super) fn two<'a>(op: &'static str, inputs: &[&'a TensorInfo]) -> Result<(&'a TensorInfo, &'a TensorInfo)> {
    match inputs {
        [a, b] => Ok((a, b)),
        _ => Err(AdaptError::Inputs { op, expected: "two", found: inputs.len() }.into()),
    }
}

/// The first of at least one input.
pub(super) fn first<'a>(op: &'static str, inputs: &[&'a TensorInfo]) -> Result<&'a TensorInfo> {
    match inputs {
        [first, ..] => Ok(first),
        [] => Err(AdaptError::Inputs { op, expected: "at least one", found: 0 }.into()),
    }
}

/// The only input, whose elements are floats.
pub(super) fn one_float<'a>(op: &'static str, inputs: &[&'a TensorInfo]) -> Result<&'a TensorInfo> {
    float(op, one(op, inputs)?)
}

/// The tensor, or an error where its elements are no floats.
pub(super) fn float<'a>(op: &'static str, input: &'a TensorInfo) -> Result<&'a TensorInfo> {
    match input.dtype.is_float() {
        true => Ok(input),
        false => Err(AdaptError::NotFloat { op, input: input.clone() }.into()),
    }
}

/// The size of an axis, or an error where there is none such.
pub(super) fn axis_size(op: &'static str, input: &TensorInfo, axis: usize) -> Result<u64> {
    input.shape.get(axis).copied().ok_or_else(|| AdaptError::Axis { op, axis, input: input.clone() }.into())
}

/// An error unless both have one type and one shape, `free` excepted.
pub(super) fn alike(op: &'static str, first: &TensorInfo, other: &TensorInfo, free: Option<usize>) -> Result<()> {
    if first.dtype != other.dtype {
        return Err(AdaptError::Dtypes { op, first: first.clone(), other: other.clone() }.into());
    }
    let agree = first.shape.len() == other.shape.len()
        && first.shape.iter().zip(&other.shape).enumerate().all(|(axis, (a, b))| a == b || Some(axis) == free);
    match agree {
        true => Ok(()),
        false => Err(AdaptError::Shapes { op, first: first.clone(), other: other.clone() }.into()),
    }
}

/// The result, called as the first input; an error where it overflows or its rows are not a whole number of bytes.
pub(super) fn result(first: &TensorInfo, dtype: Dtype, shape: Shape) -> Result<TensorInfo> {
    let out = TensorInfo::new(first.name.clone(), dtype, shape);
    out.bytes()?;
    out.row_bytes()?;
    Ok(out)
}

/// A number of bytes as memory is addressed.
pub(super) fn size(op: &'static str, bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| AdaptError::Size { op, bytes }.into())
}

/// A tensor seen along one of its axes: pieces of `size` indices of `inner` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Along {
    pub size: u64,
    /// Bytes of one index of the axis.
    pub inner: u64,
}

impl Along {
    /// The view along `axis`, or an error where there is none such or its indices are not a whole number of bytes.
    pub(super) fn of(op: &'static str, input: &TensorInfo, axis: usize) -> Result<Along> {
        let size = axis_size(op, input, axis)?;
        let below = TensorInfo::new(input.name.clone(), input.dtype, input.shape.get(axis + 1..).unwrap_or(&[]));
        Ok(Along { size, inner: below.bytes()? })
    }
}

/// Appends a range of rows, joined with the last one where they touch; nothing where it is empty.
pub(super) fn push_rows(ranges: &mut Vec<Rows>, rows: Rows) {
    if rows.is_empty() {
        return;
    }
    match ranges.last_mut() {
        Some(last) if last.end == rows.start => last.end = rows.end,
        _ => ranges.push(rows),
    }
}

/// The part of `rows` that lies in `start .. start + len`, counted from `start`; empty where they do not meet.
pub(super) fn within(rows: &Rows, start: u64, len: u64) -> Rows {
    let from = rows.start.max(start).min(start.saturating_add(len));
    let to = rows.end.min(start.saturating_add(len)).max(from);
    from.saturating_sub(start)..to.saturating_sub(start)
}

/// How many rows some ranges hold.
pub(super) fn count(ranges: &[Rows]) -> u64 {
    ranges.iter().map(|rows| rows.end.saturating_sub(rows.start)).sum()
}
