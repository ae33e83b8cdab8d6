//! Initial values: any range of elements, part by part, in f32.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::scratch::{room, size};
use crate::adapt::float::{Float, Real, non_finite};
use crate::error::Result;
use crate::init::{Generator, Scheme};
use crate::plan::InitPart;
use crate::tensor::error::TensorError;
use crate::tensor::{Dtype, Shape, TensorInfo};
use crate::transfer::error::TransferError;

/// Elements that are drawn at once; they stay in the first cache between drawing and storing.
const TILE: usize = 4096;

/// The initial values of a tensor.
pub(super) struct Fresh<'a> {
    generator: Generator,
    tensor: &'a str,
    parts: Vec<Part<'a>>,
}

/// A piece of axis 0 under one scheme.
struct Part<'a> {
    scheme: &'a Scheme,
    shape: Shape,
    /// The index in the target of its first element.
    base: u64,
    elements: Range<u64>,
    /// All its values, where the scheme only gives them all at once.
    whole: Mutex<Option<Arc<Vec<f32>>>>,
}

impl<'a> Fresh<'a> {
    /// Checks that the parts are the rows, and that no index overflows.
    pub(crate) fn new(
        seed: u64,
        tensor: &'a str,
        info: &TensorInfo,
        first: u64,
        parts: &'a [InitPart],
    ) -> Result<Fresh<'a>> {
        let rows = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.rows));
        if rows != Some(info.rows()) {
            let parts = rows.unwrap_or(u64::MAX);
            return Err(TransferError::Parts { tensor: tensor.into(), parts, rows: info.rows() }.into());
        }
        let overflow = || TensorError::Overflow { shape: info.shape.clone(), dtype: info.dtype };
        first.checked_add(info.elements()?).ok_or_else(overflow)?;
        let row = info.row_elements()?;
        let mut start = 0u64;
        let mut known = Vec::with_capacity(parts.len());
        for InitPart { rows, scheme } in parts {
            let end = start + rows * row;
            let mut shape = info.shape.clone();
            if let Some(size) = shape.first_mut() {
                *size = *rows;
            }
            scheme.check(&shape)?;
            known.push(Part { scheme, shape, base: first + start, elements: start..end, whole: Mutex::new(None) });
            start = end;
        }
        Ok(Fresh { generator: Generator::new(seed, tensor), tensor, parts: known })
    }

    /// Whether a part exists only all at once.
    pub(crate) fn needs_whole(&self) -> bool {
        self.parts.iter().any(|part| part.scheme.needs_whole())
    }

    /// Bytes that stay in memory from range to range, and bytes that one range holds meanwhile.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let whole = |part: &&Part| part.scheme.needs_whole();
        let kept = self.parts.iter().filter(whole).map(|part| (part.elements.end - part.elements.start) * 4).sum();
        let meanwhile = self.parts.iter().map(|part| part.scheme.scratch(&part.shape)).max().unwrap_or(0);
        (kept, meanwhile + 4 * TILE as u64)
    }

    /// Elements `range` of the value into `out`, as little-endian f32.
    pub(crate) fn fill(&self, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        let first = self.parts.partition_point(|part| part.elements.end <= range.start);
        let mut out = out;
        for part in self.parts.iter().skip(first) {
            let start = range.start.max(part.elements.start);
            let end = range.end.min(part.elements.end);
            if start >= range.end {
                break;
            }
            if start >= end {
                continue;
            }
            let (piece, rest) = std::mem::take(&mut out).split_at_mut(size((end - start) * 4)?);
            self.fill_part(part, start - part.elements.start..end - part.elements.start, piece)?;
            out = rest;
        }
        Ok(())
    }

    fn fill_part(&self, part: &Part, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        if part.scheme.needs_whole() {
            let values = self.whole(part)?;
            let values = &values[size(range.start)?..size(range.end)?];
            f32::encode(Float::F32, values, out);
            return Ok(());
        }
        let mut tile = [0f32; TILE];
        let mut start = range.start;
        for out in out.chunks_mut(4 * TILE) {
            let tile = &mut tile[..out.len() / 4];
            let end = start + tile.len() as u64;
            self.generator.fill(part.scheme, &part.shape, part.base, start..end, tile)?;
            f32::encode(Float::F32, tile, out);
            self.check(out)?;
            start = end;
        }
        Ok(())
    }

    fn whole(&self, part: &Part) -> Result<Arc<Vec<f32>>> {
        let mut slot = part.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(values) = &*slot {
            return Ok(Arc::clone(values));
        }
        let elements = part.elements.end - part.elements.start;
        let len = size(elements)?;
        let mut values = room(len)?;
        values.resize(len, 0f32);
        self.generator.fill(part.scheme, &part.shape, part.base, 0..elements, &mut values)?;
        let count = values.iter().filter(|value| !value.is_finite()).count() as u64;
        self.all_finite(count)?;
        let values = Arc::new(values);
        *slot = Some(Arc::clone(&values));
        Ok(values)
    }

    fn check(&self, bytes: &[u8]) -> Result<()> {
        self.all_finite(non_finite(Dtype::F32, bytes).total())
    }

    fn all_finite(&self, count: u64) -> Result<()> {
        match count {
            0 => Ok(()),
            _ => Err(TransferError::Generated { tensor: self.tensor.into(), count }.into()),
        }
    }

    /// Frees what is kept from range to range.
    pub(crate) fn forget(&self) {
        for part in &self.parts {
            *part.whole.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
