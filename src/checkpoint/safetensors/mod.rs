//! Safetensors: a header that says where every tensor lies, in one file or in shards that an index names.

mod header;
mod index;

use std::sync::Arc;

pub(super) use header::LIMIT as HEADER_LIMIT;
pub(super) use index::{check_shards, parse_index};

use self::header::{Entry, Header};
use crate::checkpoint::natural::natural_cmp;
use crate::checkpoint::{Extent, Listing, Reader};
use crate::error::{CheckpointError, Result};
use crate::source::Bytes;
use crate::tensor::{Rows, TensorInfo};

/// One file, its header read and checked.
pub(super) struct Shard {
    file: Arc<dyn Bytes>,
    header: Header,
}

impl Shard {
    /// Reads and checks the header of a file.
    pub(super) fn open(file: Arc<dyn Bytes>) -> Result<Shard> {
        let header = header::read(file.as_ref())?;
        Ok(Shard { file, header })
    }

    /// `blake3:…` of the header, its length included.
    pub(super) fn digest(&self) -> &str {
        &self.header.digest
    }

    /// The length of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// The names of its tensors, in natural order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.header.entries.iter().map(|entry| entry.info.name.as_str())
    }
}

/// Where a tensor lies.
struct Place {
    shard: usize,
    offset: u64,
    len: u64,
}

/// A checkpoint of one or several safetensors files.
pub(super) struct Safetensors {
    listing: Listing,
    /// One for each tensor of the listing.
    places: Vec<Place>,
    files: Vec<Arc<dyn Bytes>>,
}

impl Safetensors {
    /// Joins shards into one checkpoint. A tensor that lies in two of them is an error.
    pub(super) fn join(shards: Vec<Shard>, config: Option<String>) -> Result<Safetensors> {
        let (mut files, mut metadata, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for (number, shard) in shards.into_iter().enumerate() {
            files.push(shard.file);
            metadata.extend(shard.header.metadata);
            entries.extend(shard.header.entries.into_iter().map(|entry| (number, entry)));
        }
        metadata.sort();
        metadata.dedup();
        entries.sort_by(|(_, a), (_, b)| natural_cmp(&a.info.name, &b.info.name));
        refuse_twice(&entries, &files)?;
        let (places, tensors) = entries.into_iter().map(split).unzip();
        Ok(Safetensors { listing: Listing::new("safetensors", tensors, metadata, config), places, files })
    }

    fn tensor(&self, tensor: usize) -> Option<(&TensorInfo, &Place, &Arc<dyn Bytes>)> {
        let place = self.places.get(tensor)?;
        Some((self.listing.tensors.get(tensor)?, place, self.files.get(place.shard)?))
    }
}

fn split((shard, entry): (usize, Entry)) -> (Place, TensorInfo) {
    (Place { shard, offset: entry.offset, len: entry.len }, entry.info)
}

fn refuse_twice(entries: &[(usize, Entry)], files: &[Arc<dyn Bytes>]) -> Result<()> {
    let name = |shard: usize| files.get(shard).map(|file| file.name().to_string()).unwrap_or_default();
    for pair in entries.windows(2) {
        if let [(a, entry), (b, other)] = pair
            && entry.info.name == other.info.name
        {
            let (first, second) = (name(*a), name(*b));
            return Err(CheckpointError::TwoShards { tensor: entry.info.name.clone(), first, second }.into());
        }
    }
    Ok(())
}

impl Reader for Safetensors {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn extent(&self, tensor: usize) -> Option<Extent> {
        let (_, place, file) = self.tensor(tensor)?;
        Some(Extent { file: file.clone(), offset: place.offset, len: place.len })
    }

    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        let Some((info, place, file)) = self.tensor(tensor) else {
            return Err(CheckpointError::Index { index: tensor, tensors: self.places.len() }.into());
        };
        let (start, len) = row_bytes(info, place.len, rows)?;
        if out.len() as u64 != len {
            let (tensor, found) = (info.name.clone(), out.len() as u64);
            return Err(CheckpointError::Buffer { tensor, expected: len, found }.into());
        }
        if out.is_empty() { Ok(()) } else { file.read_at(place.offset + start, out) }
    }

    fn scratch(&self, _tensor: usize) -> u64 {
        0
    }
}

/// Offset and length in bytes of `rows` within a tensor of `total` bytes; all rows together need not be whole bytes each.
fn row_bytes(info: &TensorInfo, total: u64, rows: Rows) -> Result<(u64, u64)> {
    let count = info.rows();
    if rows.start > rows.end || rows.end > count {
        let tensor = info.name.clone();
        return Err(CheckpointError::Rows { tensor, start: rows.start, end: rows.end, rows: count }.into());
    }
    if rows == (0..count) || total == 0 {
        return Ok((0, total));
    }
    let row = info.row_bytes().map_err(|_| {
        let (tensor, dtype, shape) = (info.name.clone(), info.dtype, info.shape.clone());
        CheckpointError::PartialRow { tensor, dtype, shape }
    })?;
    // `total` was checked against the shape, so no product of rows within it overflows
    Ok((rows.start * row, (rows.end - rows.start) * row))
}
