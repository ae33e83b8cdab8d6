//! Safetensors: a header that says where every tensor lies, in one file or in shards that an index names.

mod header;
mod index;

use std::sync::Arc;

pub(super) use header::LIMIT as HEADER_LIMIT;
pub(super) use index::{Index, check_shards, parse_index, stays_inside};

use super::part::{Part, row_bytes};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file_format::CheckpointFormat;
use crate::checkpoint::{Extent, Listing, Reader};
use crate::error::Result;
use crate::source::Bytes;
use crate::tensor::{Rows, TensorInfo};

/// Where a tensor lies in the file.
struct DataRange {
    offset: u64,
    len: u64,
}

/// One file.
struct Safetensors {
    file: Arc<dyn Bytes>,
    listing: Listing,
    /// One for each tensor of the listing.
    places: Vec<DataRange>,
}

/// Reads and checks the header of a file.
pub(super) fn open(file: Arc<dyn Bytes>) -> Result<Part> {
    let header = header::read(file.as_ref())?;
    let (name, bytes) = (file.name().to_string(), file.len());
    let split = |entry: header::Entry| (DataRange { offset: entry.offset, len: entry.len }, entry.info);
    let (places, tensors) = header.entries.into_iter().map(split).unzip();
    let listing = Listing::new(CheckpointFormat::Safetensors, tensors, header.metadata, None);
    let reader = Arc::new(Safetensors { file, listing, places });
    Ok(Part { name, bytes, digest: header.digest, reader, key: None, beside: Vec::new(), notes: Vec::new() })
}

impl Safetensors {
    fn tensor(&self, tensor: usize) -> Option<(&TensorInfo, &DataRange)> {
        Some((self.listing.tensors.get(tensor)?, self.places.get(tensor)?))
    }
}

impl Reader for Safetensors {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn extent(&self, tensor: usize) -> Option<Extent> {
        let (_, place) = self.tensor(tensor)?;
        Some(Extent { file: self.file.clone(), offset: place.offset, len: place.len })
    }

    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        let Some((info, place)) = self.tensor(tensor) else {
            return Err(CheckpointError::Index { index: tensor, tensors: self.places.len() }.into());
        };
        let (start, len) = row_bytes(info, place.len, rows)?;
        if out.len() as u64 != len {
            let (tensor, found) = (info.name.clone(), out.len() as u64);
            return Err(CheckpointError::Buffer { tensor: tensor.to_string(), expected: len, found }.into());
        }
        if out.is_empty() { Ok(()) } else { self.file.read_at(place.offset + start, out) }
    }

    fn scratch(&self, _tensor: usize) -> u64 {
        0
    }
}
