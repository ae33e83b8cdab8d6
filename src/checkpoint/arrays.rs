//! Arrays that lie in files: what the formats without ties or dictionaries come down to, and the one reader of them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::gguf::block::Block;
use super::kernel::Variable;
use super::natural::natural_cmp;
use super::part::{Part, row_bytes};
use super::torch::{Gather, InMemory, Stored, WINDOW, swap};
use super::zip::{EntryBytes, Packing, unpack};
use super::{Extent, Listing, Reader};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file_format::CheckpointFormat;
use crate::checkpoint::format_error::FormatError;
use crate::error::{Error, Result};
use crate::source::Bytes;
use crate::tensor::{Rows, TensorInfo};

/// How the elements follow each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// Row by row, each element in little-endian order.
    Rows,
    /// Row by row, each element in big-endian order.
    BigEndian,
    /// As in Fortran: the first index varies fastest.
    Columns {
        /// Whether elements are in big-endian order.
        is_big_endian: bool,
    },
    /// Row by row in blocks of a quantisation, which are read as `F32`.
    Blocks(&'static Block),
}

/// Where an array lies.
#[derive(Clone)]
pub(super) struct Array {
    pub(super) file: Arc<dyn Bytes>,
    /// What its data, or the packed entry that holds them, take of it.
    pub(super) place: EntryBytes,
    /// How many bytes of the place, unpacked, stand before the data.
    pub(super) skip: u64,
    /// How its elements follow each other.
    pub(super) order: Order,
}

impl Array {
    /// An array that lies in a file as it is, row by row in little-endian order.
    pub(super) fn verbatim(file: Arc<dyn Bytes>, offset: u64, bytes: u64) -> Array {
        Array { file, place: EntryBytes { offset, bytes, packing: Packing::Stored }, skip: 0, order: Order::Rows }
    }

    /// An array in memory, row by row in little-endian order; `name` is that of the file it was made from.
    pub(super) fn in_memory(name: &str, bytes: Vec<u8>) -> Array {
        let length = bytes.len() as u64;
        Array::verbatim(Arc::new(InMemory { name: name.into(), bytes }), 0, length)
    }
}

/// What a format found in a file.
pub(super) struct FileContents {
    pub(super) format: CheckpointFormat,
    /// Every tensor and where it lies.
    pub(super) arrays: Vec<(TensorInfo, Array)>,
    /// Key and value pairs of the header.
    pub(super) metadata: Vec<(String, String)>,
    /// `blake3:…` of what all this was read from.
    pub(super) digest: String,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

impl FileContents {
    /// Checks that names are distinct and that every array lies in its file, and makes a reader of them.
    pub(super) fn into_part(self, file: &dyn Bytes) -> Result<Part> {
        self.into_part_stating(file, BTreeMap::new())
    }

    /// As above, with what the file states about its tensors.
    pub(super) fn into_part_stating(mut self, file: &dyn Bytes, variables: BTreeMap<String, Variable>) -> Result<Part> {
        self.arrays.sort_by(|(a, _), (b, _)| natural_cmp(&a.name, &b.name));
        check(&self.arrays, file.name())?;
        let (infos, arrays): (Vec<TensorInfo>, Vec<Array>) = self.arrays.into_iter().unzip();
        let listing = Listing::new(self.format, infos, self.metadata, None).with_variables(variables);
        let reader = Arc::new(Arrays { listing, arrays, unpacked: Mutex::new(None) });
        let (name, bytes, key) = (file.name().to_string(), file.len(), None);
        Ok(Part { name, bytes, digest: self.digest, reader, key, beside: Vec::new(), notes: self.notes })
    }
}

fn check(arrays: &[(TensorInfo, Array)], file: &str) -> Result<()> {
    for pair in arrays.windows(2) {
        if let [(first, _), (second, _)] = pair
            && first.name == second.name
        {
            return Err(CheckpointError::DuplicateTensor { file: file.into(), tensor: first.name.to_string() }.into());
        }
    }
    arrays.iter().try_for_each(|(info, array)| check_place(info, array))
}

/// The bytes that the elements take where they are stored.
fn stored_bytes(info: &TensorInfo, order: &Order, file: &str) -> Result<u64> {
    let uncountable = |_: Error| {
        let (file, tensor) = (file.to_string(), info.name.clone());
        CheckpointError::Uncountable { file, tensor: tensor.to_string(), dtype: info.dtype, shape: info.shape.clone() }
    };
    let read = info.bytes().map_err(uncountable)?;
    let Order::Blocks(block) = order else { return Ok(read) };
    let row = info.shape.last().copied().unwrap_or(1);
    if row % block.elements != 0 {
        let (file, tensor) = (file.to_string(), info.name.clone());
        let (kind, block) = (block.name, block.elements);
        return Err(FormatError::Block { file, tensor: tensor.to_string(), kind, elements: row, block }.into());
    }
    Ok(block.bytes_of(info.elements()?))
}

fn check_place(info: &TensorInfo, array: &Array) -> Result<()> {
    let (file, end) = (array.file.name(), array.file.len());
    let needed = stored_bytes(info, &array.order, file)?;
    let packed = match array.place.packing {
        Packing::Stored => array.place.bytes,
        Packing::Deflated(packed) => packed,
    };
    if array.place.offset.checked_add(packed).is_none_or(|last| last > end) {
        let (file, tensor, offset) = (file.to_string(), info.name.clone(), array.place.offset);
        return Err(FormatError::Beyond { file, tensor: tensor.to_string(), offset, bytes: packed, end }.into());
    }
    let found = array.place.bytes.saturating_sub(array.skip);
    if needed != found {
        let (file, tensor, dtype, shape) = (file.to_string(), info.name.clone(), info.dtype, info.shape.clone());
        return Err(
            CheckpointError::Size { file, tensor: tensor.to_string(), dtype, shape, expected: needed, found }.into()
        );
    }
    Ok(())
}

/// The array that was unpacked last, and its number.
type Last = Option<(usize, Arc<InMemory>)>;

/// A checkpoint of arrays.
struct Arrays {
    listing: Listing,
    /// One for each tensor of the listing.
    arrays: Vec<Array>,
    unpacked: Mutex<Last>,
}

impl Arrays {
    fn tensor(&self, tensor: usize) -> Option<(&TensorInfo, &Array)> {
        Some((self.listing.tensors.get(tensor)?, self.arrays.get(tensor)?))
    }

    /// A compressed array in memory. One is kept, as pieces of one tensor follow each other.
    fn unpack(&self, number: usize, info: &TensorInfo, array: &Array) -> Result<Arc<InMemory>> {
        let mut slot = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, bytes)) = slot.as_ref()
            && *held == number
        {
            return Ok(bytes.clone());
        }
        *slot = None;
        let bytes = unpack(array.file.as_ref(), &info.name, array.place, crate::checkpoint::zip::UNPACKED_LIMIT)?;
        let unpacked = Arc::new(InMemory { name: array.file.name().into(), bytes });
        *slot = Some((number, unpacked.clone()));
        Ok(unpacked)
    }
}

/// Reads from data that begin at `start` of `file`.
fn read_from(
    file: &dyn Bytes,
    start: u64,
    (info, array): (&TensorInfo, &Array),
    rows: Rows,
    out: &mut [u8],
) -> Result<()> {
    match &array.order {
        Order::Blocks(block) => read_blocks(file, start, info, block, rows, out),
        Order::Columns { is_big_endian } => {
            Gather { file, start, info, stored: &columns(info) }.read(rows, out)?;
            if *is_big_endian {
                swap(info.dtype, out);
            }
            Ok(())
        }
        order => {
            let (skip, _) = row_bytes(info, info.bytes()?, rows)?;
            file.read_at(start + skip, out)?;
            if *order == Order::BigEndian {
                swap(info.dtype, out);
            }
            Ok(())
        }
    }
}

/// The steps of a tensor that is stored column by column; its number of bytes was checked.
fn columns(info: &TensorInfo) -> Stored {
    let mut step = info.dtype.unit().1;
    let mut stride = Vec::with_capacity(info.shape.len());
    for size in &info.shape {
        stride.push(step);
        step = step.saturating_mul(*size);
    }
    Stored { storage: 0, offset: 0, stride, is_contiguous: false }
}

/// Reads whole blocks by pieces, and turns each into floats. Rows are whole blocks, except those of a vector.
fn read_blocks(
    file: &dyn Bytes,
    start: u64,
    info: &TensorInfo,
    block: &'static Block,
    rows: Rows,
    out: &mut [u8],
) -> Result<()> {
    const F32: u64 = 4;
    let (skip, length) = row_bytes(info, info.bytes()?, rows)?;
    let (mut element, end) = (skip / F32, (skip + length) / F32);
    let at_once = WINDOW / block.bytes;
    let mut packed = vec![0; (at_once * block.bytes) as usize];
    let mut floats = vec![0f32; (at_once * block.elements) as usize];
    let mut out = out.chunks_exact_mut(F32 as usize);
    while element < end {
        let first = element / block.elements;
        let count = (end.div_ceil(block.elements) - first).min(at_once);
        let packed = packed.get_mut(..(count * block.bytes) as usize).unwrap_or_default();
        file.read_at(start + first * block.bytes, packed)?;
        let floats = floats.get_mut(..(count * block.elements) as usize).unwrap_or_default();
        block.dequantize(packed, floats);
        let begin = first * block.elements;
        let last = (begin + floats.len() as u64).min(end);
        let wanted = floats.get((element - begin) as usize..(last - begin) as usize).unwrap_or_default();
        for (value, target) in wanted.iter().zip(out.by_ref()) {
            target.copy_from_slice(&value.to_le_bytes());
        }
        element = last;
    }
    Ok(())
}

impl Reader for Arrays {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn extent(&self, tensor: usize) -> Option<Extent> {
        let (info, array) = self.tensor(tensor)?;
        let is_verbatim = match array.order {
            Order::Rows => true,
            Order::BigEndian => info.dtype.bits() == 8,
            // a vector, and what has at most one axis of more than one element, is the same either way
            Order::Columns { is_big_endian } => {
                (!is_big_endian || info.dtype.bits() == 8) && info.shape.iter().filter(|size| **size != 1).count() <= 1
            }
            Order::Blocks(_) => false,
        };
        let (offset, len) = (array.place.offset + array.skip, array.place.bytes - array.skip);
        let is_plain = is_verbatim && array.place.packing == Packing::Stored;
        is_plain.then(|| Extent { file: array.file.clone(), offset, len })
    }

    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        let Some((info, array)) = self.tensor(tensor) else {
            return Err(CheckpointError::Index { index: tensor, tensors: self.arrays.len() }.into());
        };
        let (_, expected) = row_bytes(info, info.bytes()?, rows.clone())?;
        if out.len() as u64 != expected {
            let (tensor, found) = (info.name.clone(), out.len() as u64);
            return Err(CheckpointError::Buffer { tensor: tensor.to_string(), expected, found }.into());
        }
        if out.is_empty() {
            return Ok(());
        }
        match array.place.packing {
            Packing::Stored => {
                read_from(array.file.as_ref(), array.place.offset + array.skip, (info, array), rows, out)
            }
            Packing::Deflated(_) => {
                let unpacked = self.unpack(tensor, info, array)?;
                read_from(unpacked.as_ref(), array.skip, (info, array), rows, out)
            }
        }
    }

    fn scratch(&self, tensor: usize) -> u64 {
        let Some((_, array)) = self.tensor(tensor) else { return 0 };
        let window = match &array.order {
            Order::Rows | Order::BigEndian => 0,
            Order::Columns { .. } => WINDOW.min(array.place.bytes),
            Order::Blocks(block) => WINDOW + WINDOW / block.bytes * block.elements * 4,
        };
        match array.place.packing {
            Packing::Stored => window,
            Packing::Deflated(_) => window.saturating_add(array.place.bytes),
        }
    }
}
