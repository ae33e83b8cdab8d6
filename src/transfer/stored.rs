//! A tensor of a source, read by any span of its bytes.

use std::ops::Range;
use std::sync::Arc;

use super::scratch::{Scratch, size};
use crate::checkpoint::{Extent, Reader};
use crate::error::Result;
use crate::tensor::TensorInfo;
use crate::transfer::error::TransferError;

/// A tensor of a source.
pub(super) struct Stored<'a> {
    reader: &'a dyn Reader,
    index: usize,
    extent: Option<Extent>,
    /// As the source lists it.
    pub info: &'a TensorInfo,
}

impl<'a> Stored<'a> {
    /// Finds a tensor by name, or an error where the source is not there or has none such.
    pub(crate) fn find(readers: &'a [Arc<dyn Reader>], source: usize, tensor: &str) -> Result<Stored<'a>> {
        let Some(reader) = readers.get(source) else {
            return Err(TransferError::Source { source_index: source, sources: readers.len() }.into());
        };
        let found =
            reader.listing().position(tensor).and_then(|index| Some((index, reader.listing().tensors.get(index)?)));
        match found {
            Some((index, info)) => Ok(Stored { reader: reader.as_ref(), index, extent: reader.extent(index), info }),
            None => Err(TransferError::Missing { source_index: source, tensor: tensor.into() }.into()),
        }
    }

    /// Whether the bytes lie verbatim in a file, so that any span of them costs the same.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.extent.is_some()
    }

    /// Whether both are the same bytes of one file, as ties of a PyTorch file are.
    pub(crate) fn is_same_place(&self, other: &Stored) -> bool {
        match (&self.extent, &other.extent) {
            (Some(a), Some(b)) => Arc::ptr_eq(&a.file, &b.file) && (a.offset, a.len) == (b.offset, b.len),
            _ => false,
        }
    }

    /// Bytes that a read holds meanwhile.
    pub(crate) fn scratch(&self) -> u64 {
        self.reader.scratch(self.index)
    }

    /// Some of the tensor's bytes; a reader that only gives rows gives those that cover them.
    pub(crate) fn read(&self, span: Range<u64>, out: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        if let Some(extent) = &self.extent {
            return extent.file.read_at(extent.offset.saturating_add(span.start), out);
        }
        // rows that are not a whole number of bytes are read all at once
        let row = self.info.row_bytes().unwrap_or(self.info.bytes()?).max(1);
        let rows = span.start / row..span.end.div_ceil(row).min(self.info.rows());
        if rows.start * row == span.start && rows.end * row == span.end {
            return self.reader.read(self.index, rows, out);
        }
        let skip = size(span.start - rows.start * row)?;
        let mut covering = scratch.take(size((rows.end - rows.start) * row)?)?;
        self.reader.read(self.index, rows, &mut covering)?;
        out.copy_from_slice(&covering[skip..skip + out.len()]);
        scratch.give(covering);
        Ok(())
    }
}
