//! Zip archives whose entries are stored as they are, so that every byte's place is known beforehand: what `torch.load` and `numpy.load`
//! read. Data begin at multiples of 64, as PyTorch lays them. The checksums of tensors are filled in afterwards.

use super::weights::{Span, Sum, WeightFile};
use crate::error::Result;
use crate::save::error::SaveError;

/// What data are aligned to.
const ALIGNMENT: u64 = 64;
/// From here on sizes and offsets stand in fields of 64 bits.
const WIDE: u64 = 0xFFFF_FFFF;
/// The most entries that the short directory end counts.
const MANY: u64 = 0xFFFF;
/// 1 January 1980, the first day that a zip archive knows: the same bytes whenever they are written.
const DATE: u16 = 0x21;

/// One entry: bytes that are known, and a tensor after them where it is one's.
pub(super) struct Entry {
    pub name: String,
    pub bytes: Vec<u8>,
    /// The assignment and its length in bytes.
    pub tensor: Option<(usize, u64)>,
}

impl Entry {
    fn len(&self) -> u64 {
        (self.bytes.len() as u64).saturating_add(self.tensor.map_or(0, |(_, len)| len))
    }
}

/// An entry with its place.
struct Placed {
    entry: Entry,
    /// Where its local header begins.
    header: u64,
    /// Where its data begin.
    data: u64,
    crc: u32,
}

/// The file of these entries. One byte of length that 64 bits cannot count, and a name too long for the format, are errors.
pub(super) fn file(name: &str, entries: Vec<Entry>) -> Result<WeightFile> {
    let mut file = WeightFile {
        name: name.into(),
        header: Vec::new(),
        rest: Vec::new(),
        spans: Vec::new(),
        sums: Vec::new(),
        bytes: 0,
    };
    let mut placed = Vec::with_capacity(entries.len());
    for entry in entries {
        placed.push(place(entry, &mut file)?);
    }
    let directory = file.bytes;
    let mut bytes = Vec::new();
    for entry in &placed {
        let crc = directory + bytes.len() as u64 + 16;
        if let Some(sum) = file.sums.iter_mut().find(|sum| sum.offset == entry.data && entry.entry.tensor.is_some()) {
            sum.places[1] = crc;
        }
        bytes.extend(central(entry));
    }
    bytes.extend(end(placed.len() as u64, directory, bytes.len() as u64));
    file.bytes = directory.checked_add(bytes.len() as u64).ok_or(SaveError::TooLarge)?;
    file.rest.push((directory, bytes));
    // what stands first is what tells one file from another
    file.header = file.rest.remove(0).1;
    Ok(file)
}

/// Lays an entry behind what is there.
fn place(entry: Entry, file: &mut WeightFile) -> Result<Placed> {
    let header = file.bytes;
    let len = entry.len();
    let wide = len >= WIDE;
    let name = entry.name.len() as u64;
    if name > 0xF000 {
        return Err(SaveError::UnsafeName { name: entry.name }.into());
    }
    let before = header + 30 + name + if wide { 20 } else { 0 };
    // a field of padding takes 4 bytes itself
    let padding = (before + 4).next_multiple_of(ALIGNMENT) - before - 4;
    let data = before + 4 + padding;
    let mut crc = flate2::Crc::new();
    crc.update(&entry.bytes);
    let crc = if entry.tensor.is_some() { 0 } else { crc.sum() };
    let mut bytes = Vec::new();
    bytes.extend(0x0403_4B50u32.to_le_bytes());
    bytes.extend(fixed(wide, crc, len));
    bytes.extend((name as u16).to_le_bytes());
    bytes.extend(((data - before) as u16 + if wide { 20 } else { 0 }).to_le_bytes());
    bytes.extend(entry.name.as_bytes());
    if wide {
        bytes.extend([1, 0, 16, 0]);
        bytes.extend([len.to_le_bytes(), len.to_le_bytes()].concat());
    }
    bytes.extend(*b"FB");
    bytes.extend((padding as u16).to_le_bytes());
    bytes.resize((data - header) as usize, b'Z');
    bytes.extend(&entry.bytes);
    file.bytes = data.checked_add(len).filter(|end| *end <= i64::MAX as u64).ok_or(SaveError::TooLarge)?;
    if let Some((assignment, len)) = entry.tensor {
        let offset = data + entry.bytes.len() as u64;
        file.spans.push(Span { assignment, offset, len });
        file.sums.push(Sum { offset: data, len: entry.len(), places: [header + 14, 0] });
    }
    file.rest.push((header, bytes));
    Ok(Placed { entry, header, data, crc })
}

/// What both headers of an entry have: version, flags, no compression, the date, checksum and sizes.
fn fixed(wide: bool, crc: u32, len: u64) -> Vec<u8> {
    let size = if wide { WIDE as u32 } else { len as u32 };
    let mut bytes = Vec::with_capacity(22);
    bytes.extend((if wide { 45u16 } else { 20 }).to_le_bytes());
    // names are UTF-8
    bytes.extend(0x0800u16.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend([0, 0]);
    bytes.extend(DATE.to_le_bytes());
    bytes.extend(crc.to_le_bytes());
    bytes.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
    bytes
}

/// An entry's line in the directory.
fn central(placed: &Placed) -> Vec<u8> {
    let (len, header) = (placed.entry.len(), placed.header);
    let wide = len >= WIDE || header >= WIDE;
    let mut extra = Vec::new();
    if wide {
        extra.extend([1, 0, 24, 0]);
        extra.extend([len.to_le_bytes(), len.to_le_bytes(), header.to_le_bytes()].concat());
    }
    let mut bytes = Vec::new();
    bytes.extend(0x0201_4B50u32.to_le_bytes());
    bytes.extend(20u16.to_le_bytes());
    bytes.extend(fixed(wide, placed.crc, len));
    bytes.extend((placed.entry.name.len() as u16).to_le_bytes());
    bytes.extend((extra.len() as u16).to_le_bytes());
    // no comment, first disk, no attributes
    bytes.extend([0; 10]);
    bytes.extend((if wide { WIDE as u32 } else { header as u32 }).to_le_bytes());
    bytes.extend(placed.entry.name.as_bytes());
    bytes.extend(extra);
    bytes
}

/// The end of the directory, in both widths where the short one cannot say it.
fn end(count: u64, offset: u64, len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let wide = count >= MANY || offset >= WIDE || len >= WIDE;
    if wide {
        bytes.extend(0x0606_4B50u32.to_le_bytes());
        bytes.extend(44u64.to_le_bytes());
        bytes.extend([45, 0, 45, 0]);
        bytes.extend([0; 8]);
        bytes.extend([count, count, len, offset].map(u64::to_le_bytes).concat());
        bytes.extend(0x0706_4B50u32.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((offset + len).to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
    }
    let short = count.min(MANY) as u16;
    bytes.extend(0x0605_4B50u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend([short.to_le_bytes(), short.to_le_bytes()].concat());
    bytes.extend((len.min(WIDE) as u32).to_le_bytes());
    bytes.extend((offset.min(WIDE) as u32).to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}
