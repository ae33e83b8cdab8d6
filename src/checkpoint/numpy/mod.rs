//! NumPy: one array in a `.npy` file, several in a `.npz` archive, compressed or not. Tensors are called as NumPy's `load` calls
//! them; a single array has the name of its file.

mod header;
#[cfg(test)]
mod tests;

use crate::checkpoint::file_format::CheckpointFormat;
use std::sync::Arc;

use self::header::{Elements, Header, LIMIT, PREFIX};
use super::arrays::{Array, FileContents, Order};
use super::part::Part;
use super::zip::{Archive, Entry, EntryBytes, Packing, unpack_start};
use crate::checkpoint::format_error::FormatError;
use crate::error::Result;
use crate::source::Bytes;
use crate::tensor::TensorInfo;

/// What the names of arrays in an archive end with.
const ENDING: &str = ".npy";

/// Opens a `.npy` file.
pub(super) fn open_array(file: Arc<dyn Bytes>) -> Result<Part> {
    let place = EntryBytes { offset: 0, bytes: file.len(), packing: Packing::Stored };
    let (header, digest) = read_header(file.as_ref(), file.name(), place)?;
    let stem = file.name().rsplit('/').next().unwrap_or_default();
    let name = stem.strip_suffix(ENDING).unwrap_or(stem).to_string();
    let arrays = match array(&file, name, place, header)? {
        Ok(array) => vec![array],
        Err((tensor, found)) => return Err(FormatError::Elements { file: file.name().into(), tensor, found }.into()),
    };
    let found = FileContents { format: CheckpointFormat::Npy, arrays, metadata: Vec::new(), digest, notes: Vec::new() };
    found.into_part(file.as_ref())
}

/// Opens a `.npz` archive. Entries that hold texts, dates or objects are stepped over and noted; objects are never unpickled.
pub(super) fn open_archive(file: Arc<dyn Bytes>) -> Result<Part> {
    let archive = Archive::open(file.as_ref())?;
    let mut hash = blake3::Hasher::new();
    hash.update(&archive.directory);
    let (mut arrays, mut notes) = (Vec::new(), Vec::new());
    for entry in archive.entries() {
        let Some(name) = entry.name.strip_suffix(ENDING) else {
            notes.push(format!("skipped `{}`: it is not an array", entry.name));
            continue;
        };
        let (found, digest) = member(&file, &archive, entry, name)?;
        hash.update(digest.as_bytes());
        match found {
            Ok(array) => arrays.push(array),
            Err((name, found)) => notes.push(format!("skipped `{name}`: it contains {found}")),
        }
    }
    if arrays.is_empty() {
        return Err(FormatError::Empty { file: file.name().into() }.into());
    }
    let digest = crate::digest::text(hash.finalize());
    FileContents { format: CheckpointFormat::Npz, arrays, metadata: Vec::new(), digest, notes }.into_part(file.as_ref())
}

/// An array, or the name and the content of what holds no numbers.
type Member = std::result::Result<(TensorInfo, Array), (String, String)>;

fn member(file: &Arc<dyn Bytes>, archive: &Archive, entry: &Entry, name: &str) -> Result<(Member, String)> {
    let place = archive.place(file.as_ref(), entry)?;
    let called = format!("{}/{}", file.name(), entry.name);
    let (header, digest) = read_header(file.as_ref(), &called, place)?;
    Ok((array(file, name.to_string(), place, header)?, digest))
}

/// The header and its digest; `called` is for errors.
fn read_header(file: &dyn Bytes, called: &str, place: EntryBytes) -> Result<(Header, String)> {
    let start = unpack_start(file, called, place, PREFIX as u64)?;
    let length = header::length(called, &start)?;
    if length > place.bytes {
        let (offset, wanted) = (place.offset, length);
        return Err(FormatError::Ends { file: called.into(), offset, wanted, end: place.bytes }.into());
    }
    let header = unpack_start(file, called, place, length.min(LIMIT + PREFIX as u64))?;
    let digest = crate::digest::of(&header);
    Ok((header::parse(called, &header)?, digest))
}

fn array(file: &Arc<dyn Bytes>, name: String, place: EntryBytes, header: Header) -> Result<Member> {
    let Header { elements, is_fortran, shape, bytes } = header;
    let (dtype, is_big_endian) = match elements {
        Elements::Numbers { dtype, is_big_endian } => (dtype, is_big_endian),
        Elements::NoNumbers(found) => return Ok(Err((name, found))),
        Elements::Unknown(found) => {
            return Err(FormatError::Elements { file: file.name().into(), tensor: name, found }.into());
        }
    };
    let order = match (is_fortran && shape.len() > 1, is_big_endian) {
        (true, is_big_endian) => Order::Columns { is_big_endian },
        (false, true) => Order::BigEndian,
        (false, false) => Order::Rows,
    };
    Ok(Ok((TensorInfo::new(name, dtype, shape), Array { file: file.clone(), place, skip: bytes, order })))
}
