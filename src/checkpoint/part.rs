//! Files of one checkpoint, opened one by one and joined.

use crate::checkpoint::file_format::CheckpointFormat;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::natural::natural_cmp;
use super::{Extent, Listing, Reader};
use crate::checkpoint::error::CheckpointError;
use crate::error::Result;
use crate::source::Bytes;
use crate::tensor::{Rows, TensorInfo};

/// Opens a file in the directory of another by its name relative to it.
pub(super) type Beside<'a> = &'a dyn Fn(&str) -> Result<Arc<dyn Bytes>>;

/// One file, opened.
pub(super) struct Part {
    /// Its name below the source.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// `blake3:…` of what the listing was read from.
    pub(super) digest: String,
    pub(super) reader: Arc<dyn Reader>,
    /// Which of its dictionaries was read, where it nests them.
    pub(super) key: Option<String>,
    /// Files that hold its data, by their names relative to it.
    pub(super) beside: Vec<(String, Arc<dyn Bytes>)>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

impl Part {
    /// The names of its tensors, in natural order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.reader.listing().tensors.iter().map(|tensor| tensor.name.as_str())
    }
}

/// Offset and length in bytes of `rows` within a tensor of `total` bytes; all rows together need not be whole bytes each.
pub(crate) fn row_bytes(info: &TensorInfo, total: u64, rows: Rows) -> Result<(u64, u64)> {
    let count = info.rows();
    if rows.start > rows.end || rows.end > count {
        let tensor = info.name.clone();
        return Err(CheckpointError::Rows {
            tensor: tensor.to_string(),
            start: rows.start,
            end: rows.end,
            rows: count,
        }
        .into());
    }
    if rows == (0..count) || total == 0 {
        return Ok((0, total));
    }
    let row = info.row_bytes().map_err(|_| {
        let (tensor, dtype, shape) = (info.name.clone(), info.dtype, info.shape.clone());
        CheckpointError::PartialRow { tensor: tensor.to_string(), dtype, shape }
    })?;
    // `total` was checked against the shape, so no product of rows within it overflows
    Ok((rows.start * row, (rows.end - rows.start) * row))
}

/// Several files as one checkpoint, with the config beside them.
pub(super) struct Joined {
    listing: Listing,
    /// Part and tensor within it, one for each tensor of the listing.
    places: Vec<(usize, usize)>,
    readers: Vec<Arc<dyn Reader>>,
}

impl Joined {
    /// Joins the files. A tensor that lies in two of them is an error.
    pub(super) fn new(parts: &[Part], config: Option<String>) -> Result<Joined> {
        let readers: Vec<Arc<dyn Reader>> = parts.iter().map(|part| part.reader.clone()).collect();
        let (mut metadata, mut ties, mut entries) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut variables = BTreeMap::new();
        for (number, part) in parts.iter().enumerate() {
            let listing = part.reader.listing();
            metadata.extend(listing.metadata.iter().cloned());
            ties.extend(listing.ties.clone());
            variables.extend(listing.variables.clone());
            entries.extend(listing.tensors.iter().cloned().enumerate().map(|(index, info)| ((number, index), info)));
        }
        metadata.sort_unstable();
        metadata.dedup();
        entries.sort_by(|(_, a), (_, b)| natural_cmp(&a.name, &b.name));
        refuse_twice(&entries, parts)?;
        let format = readers.first().map_or(CheckpointFormat::Safetensors, |reader| reader.listing().format);
        let (places, tensors) = entries.into_iter().unzip();
        let listing = Listing::new(format, tensors, metadata, config).with_ties(ties).with_variables(variables);
        Ok(Joined { listing, places, readers })
    }

    /// As above, with the files beside it that state a quantisation.
    pub(super) fn with_quantization(mut self, files: Vec<(String, String)>) -> Joined {
        self.listing.quantization = files;
        self
    }

    fn place(&self, tensor: usize) -> Option<(&dyn Reader, usize)> {
        let (part, index) = self.places.get(tensor)?;
        Some((self.readers.get(*part)?.as_ref(), *index))
    }
}

fn refuse_twice(entries: &[((usize, usize), TensorInfo)], parts: &[Part]) -> Result<()> {
    let name = |part: usize| parts.get(part).map(|part| part.name.clone()).unwrap_or_default();
    for pair in entries.windows(2) {
        if let [((a, _), info), ((b, _), other)] = pair
            && info.name == other.name
        {
            let (first, second) = (name(*a), name(*b));
            return Err(CheckpointError::TwoShards { tensor: info.name.to_string(), first, second }.into());
        }
    }
    Ok(())
}

impl Reader for Joined {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn extent(&self, tensor: usize) -> Option<Extent> {
        let (reader, index) = self.place(tensor)?;
        reader.extent(index)
    }

    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        match self.place(tensor) {
            Some((reader, index)) => reader.read(index, rows, out),
            None => Err(CheckpointError::Index { index: tensor, tensors: self.places.len() }.into()),
        }
    }

    fn scratch(&self, tensor: usize) -> u64 {
        self.place(tensor).map_or(0, |(reader, index)| reader.scratch(index))
    }
}
