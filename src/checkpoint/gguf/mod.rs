//! GGUF, versions 2 and 3: metadata, tensors by name, data at aligned offsets. Block quantisations are read as the `F32` that they stand
//! for, and listed so; float and integer types are carried as they are. Dimensions are turned round: the file names the
//! innermost first.

pub(super) mod block;
mod metadata;
#[cfg(test)]
mod tests;

use crate::checkpoint::file_format::CheckpointFormat;
use std::collections::BTreeMap;
use std::sync::Arc;

use self::block::{BLOCKS, UNREAD};
use super::arrays::{Array, FileContents, Order};
use super::cursor::Cursor;
use super::part::Part;
use super::zip::{EntryBytes, Packing};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::format_error::FormatError;
use crate::error::Result;
use crate::source::Bytes;
use crate::tensor::{Dtype, TensorInfo};

/// The most pairs and tensors that a file may have, and the fewest bytes that each takes.
const PAIRS: (u64, u64) = (1_000_000, 13);
const TENSORS: (u64, u64) = (10_000_000, 24);
/// More axes than ggml has.
const AXES: u32 = 8;
/// Where nothing else is said, data are aligned to so many bytes.
const ALIGNMENT: u64 = 32;
/// The largest alignment that is believed.
const ALIGNMENT_LIMIT: u64 = 1 << 20;

/// Types that are carried as they are, by their numbers.
const PLAIN: &[(u32, Dtype)] = &[
    (0, Dtype::F32),
    (1, Dtype::F16),
    (24, Dtype::I8),
    (25, Dtype::I16),
    (26, Dtype::I32),
    (27, Dtype::I64),
    (28, Dtype::F64),
    (30, Dtype::Bf16),
];

/// A tensor as the header has it.
struct Entry {
    info: TensorInfo,
    order: Order,
    /// Counted from the beginning of the data.
    offset: u64,
}

/// Reads and checks the header of a file; touches no data.
pub(super) fn open(file: Arc<dyn Bytes>) -> Result<Part> {
    let name = file.name().to_string();
    let mut cursor = Cursor::new(file.as_ref(), "GGUF");
    let (tensors, pairs) = read_counts(&mut cursor)?;
    let mut metadata = metadata::read(&mut cursor, &name, pairs)?;
    let alignment = alignment(&cursor, &metadata)?;
    let mut entries = Vec::new();
    for _ in 0..tensors {
        entries.push(read_entry(&mut cursor, &name)?);
    }
    let data = cursor.at().next_multiple_of(alignment);
    refuse_overlaps(&name, &mut entries)?;
    let notes = quantised(&entries).into_iter().collect();
    let mut arrays = Vec::with_capacity(entries.len());
    for entry in entries {
        arrays.push(place(&file, data, alignment, entry)?);
    }
    metadata.sort_unstable();
    let digest = cursor.digest();
    FileContents { format: CheckpointFormat::Gguf, arrays, metadata, digest, notes }.into_part(file.as_ref())
}

fn read_counts(cursor: &mut Cursor) -> Result<(u64, u64)> {
    if cursor.array()? != *b"GGUF" {
        return Err(cursor.invalid("it does not begin with GGUF"));
    }
    match cursor.u32()? {
        2 | 3 => {}
        1 => return Err(cursor.invalid("version 1 is not read, only 2 and 3")),
        version if matches!(version.swap_bytes(), 1..=3) => return Err(cursor.invalid("big-endian files are not read")),
        _ => return Err(cursor.invalid("the version is neither 2 nor 3")),
    }
    let tensors = read_count(cursor, "the number of tensors", TENSORS)?;
    let pairs = read_count(cursor, "the number of metadata pairs", PAIRS)?;
    Ok((tensors, pairs))
}

fn read_count(cursor: &mut Cursor, what: &'static str, (limit, fewest): (u64, u64)) -> Result<u64> {
    let count = cursor.u64()?;
    let limit = limit.min(cursor.left() / fewest);
    if count > limit { Err(cursor.limit(what, count, limit)) } else { Ok(count) }
}

fn alignment(cursor: &Cursor, metadata: &[(String, String)]) -> Result<u64> {
    let stated = metadata.iter().find(|(key, _)| key == "general.alignment");
    let Some((_, text)) = stated else { return Ok(ALIGNMENT) };
    match text.parse::<u64>() {
        Ok(alignment) if alignment.is_power_of_two() && alignment <= ALIGNMENT_LIMIT => Ok(alignment),
        _ => Err(cursor.invalid("general.alignment is not a power of two up to 1048576")),
    }
}

fn read_entry(cursor: &mut Cursor, file: &str) -> Result<Entry> {
    let name = metadata::read_name(cursor, file, "the length of a tensor's name")?;
    let axes = cursor.u32()?;
    if axes > AXES {
        return Err(cursor.limit("the number of a tensor's axes", axes.into(), AXES.into()));
    }
    let mut shape = Vec::new();
    for _ in 0..axes {
        shape.push(cursor.u64()?);
    }
    shape.reverse();
    let number = cursor.u32()?;
    let offset = cursor.u64()?;
    let (dtype, order) = elements(number).ok_or_else(|| {
        let known = UNREAD.iter().find(|(unread, _)| *unread == number);
        let found =
            known.map_or_else(|| format!("the unknown type {number}"), |(_, called)| format!("{called} blocks"));
        FormatError::Elements { file: file.into(), tensor: name.clone(), found }
    })?;
    Ok(Entry { info: TensorInfo::new(name, dtype, shape), order, offset })
}

fn elements(number: u32) -> Option<(Dtype, Order)> {
    if let Some((_, dtype)) = PLAIN.iter().find(|(plain, _)| *plain == number) {
        return Some((*dtype, Order::Rows));
    }
    let block = BLOCKS.iter().find(|block| block.number == number)?;
    Some((Dtype::F32, Order::Blocks(block)))
}

/// The bytes that a tensor takes in the file, or `None` where there is not such a number.
fn bytes(entry: &Entry) -> Option<u64> {
    match &entry.order {
        Order::Blocks(block) => {
            entry.info.bytes().ok().and(entry.info.elements().ok()).map(|count| block.bytes_of(count))
        }
        _ => entry.info.bytes().ok(),
    }
}

fn refuse_overlaps(file: &str, entries: &mut [Entry]) -> Result<()> {
    entries.sort_by_key(|entry| (entry.offset, bytes(entry)));
    for pair in entries.windows(2) {
        let [first, second] = pair else { continue };
        let end = first.offset.saturating_add(bytes(first).unwrap_or(0));
        if second.offset < end && bytes(second) != Some(0) {
            let (tensor, other) = (second.info.name.clone(), first.info.name.clone());
            return Err(CheckpointError::Overlap {
                file: file.into(),
                tensor: tensor.to_string(),
                begin: second.offset,
                other: other.to_string(),
                end,
            }
            .into());
        }
    }
    Ok(())
}

fn place(file: &Arc<dyn Bytes>, data: u64, alignment: u64, entry: Entry) -> Result<(TensorInfo, Array)> {
    let name = file.name().to_string();
    let Some(bytes) = bytes(&entry) else {
        let TensorInfo { name: tensor, dtype, shape } = entry.info;
        return Err(CheckpointError::Uncountable { file: name, tensor: tensor.to_string(), dtype, shape }.into());
    };
    if !entry.offset.is_multiple_of(alignment) {
        let what = "a tensor's offset is not aligned";
        return Err(FormatError::Invalid { file: name, format: "GGUF", offset: entry.offset, what }.into());
    }
    // without data the file may end before their place; a place that overflows is behind the end of every file
    let offset = if bytes == 0 { 0 } else { data.saturating_add(entry.offset) };
    let place = EntryBytes { offset, bytes, packing: Packing::Stored };
    Ok((entry.info, Array { file: file.clone(), place, skip: 0, order: entry.order }))
}

/// What to say of quantised tensors: how many of each kind.
fn quantised(entries: &[Entry]) -> Option<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in entries {
        if let Order::Blocks(block) = &entry.order {
            *counts.entry(block.name).or_default() += 1;
        }
    }
    let listed: Vec<String> = counts.iter().map(|(name, count)| format!("{count} of {name}")).collect();
    let total: u64 = counts.values().sum();
    (total > 0).then(|| format!("{total} tensors are quantised ({}) and read as f32", listed.join(", ")))
}
