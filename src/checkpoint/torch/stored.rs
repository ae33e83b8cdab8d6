//! Tensors within storages: bounds, contiguity, and gathering what is not contiguous.

use super::rebuild::Described;
use crate::checkpoint::torch::error::StoredProblem;
use crate::error::Result;
use crate::source::Bytes;
use crate::tensor::{Dtype, Rows, TensorInfo};

/// How much of a storage is held while elements are gathered from it.
pub(in crate::checkpoint) const WINDOW: u64 = 1 << 20;

/// A tensor within its storage; everything counts bytes, and was checked to lie inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::checkpoint) struct Stored {
    pub(in crate::checkpoint) storage: usize,
    /// Where its first element lies in the storage.
    pub(in crate::checkpoint) offset: u64,
    /// From one index to the next, for each axis.
    pub(in crate::checkpoint) stride: Vec<u64>,
    /// Whether its elements lie in order without gaps.
    pub(in crate::checkpoint) is_contiguous: bool,
}

/// The bytes of the storage up to the end of the tensor, or why there is not such a number; zero without elements.
pub(super) fn reach(tensor: &Described) -> std::result::Result<u64, StoredProblem> {
    let overflow = || StoredProblem::Overflow {
        shape: tensor.shape.as_slice().into(),
        stride: tensor.stride.clone(),
        offset: tensor.offset,
    };
    let (_, element) = tensor.dtype.unit();
    if tensor.shape.contains(&0) {
        return Ok(0);
    }
    let mut last = tensor.offset;
    for (size, stride) in tensor.shape.iter().zip(&tensor.stride) {
        let step = (size - 1).checked_mul(*stride).ok_or_else(overflow)?;
        last = last.checked_add(step).ok_or_else(overflow)?;
    }
    let view = tensor.storage.view.checked_mul(tensor.storage.element).ok_or_else(overflow)?;
    let end = last.checked_add(1).and_then(|count| count.checked_mul(element)).ok_or_else(overflow)?;
    end.checked_add(view).ok_or_else(overflow)
}

/// A tensor in bytes, whose `reach` was checked before.
pub(super) fn stored(tensor: &Described, storage: usize) -> Stored {
    let (_, element) = tensor.dtype.unit();
    let mut expected = 1u64;
    let mut is_contiguous = true;
    for (size, stride) in tensor.shape.iter().zip(&tensor.stride).rev() {
        // the stride of an axis of one element is never used
        is_contiguous &= *size == 1 || *stride == expected;
        expected = expected.saturating_mul(*size);
    }
    let is_empty = tensor.shape.contains(&0);
    let view = tensor.storage.view.saturating_mul(tensor.storage.element);
    Stored {
        storage,
        offset: if is_empty { 0 } else { tensor.offset.saturating_mul(element).saturating_add(view) },
        stride: tensor.stride.iter().map(|stride| stride.saturating_mul(element)).collect(),
        is_contiguous: is_contiguous || is_empty,
    }
}

/// One axis of a box of elements: how many, how far apart in the storage, and how far apart in the result.
#[derive(Clone, Copy, Debug)]
struct Axis {
    size: u64,
    from: u64,
    to: u64,
}

/// Elements of a tensor that lie anywhere in a storage, into row-major order.
pub(in crate::checkpoint) struct Gather<'a> {
    /// The file, and where in it the storage begins.
    pub(in crate::checkpoint) file: &'a dyn Bytes,
    pub(in crate::checkpoint) start: u64,
    pub(in crate::checkpoint) info: &'a TensorInfo,
    pub(in crate::checkpoint) stored: &'a Stored,
}

impl Gather<'_> {
    /// The elements of `rows` into `out`, whose length is exactly theirs. Reads follow the order of the storage.
    pub(in crate::checkpoint) fn read(&self, rows: Rows, out: &mut [u8]) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let (axes, first) = self.axes(rows);
        let element = self.info.dtype.unit().1;
        // as many of the inner axes as fit into the window are read at once
        let mut span = element;
        let mut inner = axes.len();
        while let Some(axis) = inner.checked_sub(1).and_then(|place| axes.get(place)) {
            let wider = (axis.size - 1).saturating_mul(axis.from).saturating_add(span);
            if wider > WINDOW {
                break;
            }
            (span, inner) = (wider, inner - 1);
        }
        let (outer, inner) = axes.split_at(inner);
        let mut window = vec![0; span as usize];
        let mut failed = Ok(());
        for_each(outer, &mut |from, to| {
            if failed.is_ok() {
                failed = self.file.read_at(self.start + self.stored.offset + first + from, &mut window);
                scatter(&window, inner, element as usize, out, to);
            }
        });
        failed
    }

    /// The axes of a range of rows, the widest apart first, and where the first element lies.
    fn axes(&self, rows: Rows) -> (Vec<Axis>, u64) {
        let mut to = self.info.dtype.unit().1;
        let mut axes: Vec<Axis> = Vec::with_capacity(self.info.shape.len());
        for (place, (size, from)) in self.info.shape.iter().zip(&self.stored.stride).enumerate().rev() {
            let size = if place == 0 { rows.end - rows.start } else { *size };
            axes.push(Axis { size, from: *from, to });
            to = to.saturating_mul(size);
        }
        let first = rows.start.saturating_mul(self.stored.stride.first().copied().unwrap_or(0));
        axes.retain(|axis| axis.size > 1);
        axes.sort_by_key(|axis| (std::cmp::Reverse(axis.from), std::cmp::Reverse(axis.to)));
        (axes, first)
    }
}

/// Calls with the offset in the storage and in the result of every index of the axes, in order.
fn for_each(axes: &[Axis], call: &mut dyn FnMut(u64, u64)) {
    match axes.split_first() {
        // as deep as a tensor has axes, at most 64
        Some((axis, inner)) => {
            for index in 0..axis.size {
                for_each(inner, &mut |from, to| call(index * axis.from + from, index * axis.to + to));
            }
        }
        None => call(0, 0),
    }
}

/// Copies every element of a window to its place.
fn scatter(window: &[u8], axes: &[Axis], element: usize, out: &mut [u8], base: u64) {
    let (axes, run) = match axes.split_last() {
        Some((last, rest)) => (rest, *last),
        None => (axes, Axis { size: 1, from: 0, to: 0 }),
    };
    let (step, jump) = (run.from as usize, run.to as usize);
    for_each(axes, &mut |from, to| {
        let (mut from, mut to) = (from as usize, (base + to) as usize);
        if step == element && jump == element {
            copy(window, from, out, to, element * run.size as usize);
            return;
        }
        for _ in 0..run.size {
            copy(window, from, out, to, element);
            from += step;
            to += jump;
        }
    });
}

fn copy(window: &[u8], from: usize, out: &mut [u8], to: usize, count: usize) {
    if let (Some(source), Some(target)) = (window.get(from..from + count), out.get_mut(to..to + count)) {
        target.copy_from_slice(source);
    }
}

/// Turns big-endian numbers round; those of a complex number each for itself.
pub(in crate::checkpoint) fn swap(dtype: Dtype, bytes: &mut [u8]) {
    let unit = match dtype {
        Dtype::C64 => 4,
        other => other.unit().1 as usize,
    };
    bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
}

/// Hashes a range of a file by pieces.
pub(super) fn hash_range(file: &dyn Bytes, start: u64, end: u64, hash: &mut blake3::Hasher) -> Result<()> {
    let mut piece = vec![0; WINDOW as usize];
    let mut at = start;
    while at < end {
        let count = (end - at).min(WINDOW) as usize;
        let piece = piece.get_mut(..count).unwrap_or_default();
        file.read_at(at, piece)?;
        hash.update(piece);
        at += count as u64;
    }
    Ok(())
}
