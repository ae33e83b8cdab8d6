//! Zip archives: the directory at the end, entries read in place or unpacked. Every number in it is checked before use.

use std::io::Read as _;

use crate::checkpoint::zip_error::ArchiveError;
use crate::error::Result;
use crate::hash::HashMap;
use crate::source::Bytes;

/// The most bytes that one compressed entry may unpack to; no library compresses weights of its own accord.
pub(in crate::checkpoint) const UNPACKED_LIMIT: u64 = 4 << 30;

/// The longest directory that is read, in bytes; a million entries take half as much.
const DIRECTORY_LIMIT: u64 = 256 << 20;
/// Bytes of the end record without its comment, and of the two records that 64-bit archives have before it.
const END: u64 = 22;
const LOCATOR: u64 = 20;
const END64: u64 = 56;
/// The longest comment.
const COMMENT: u64 = 65_535;
/// Bytes of a directory entry and of the header before an entry's data, without their names.
const ENTRY: usize = 46;
const HEADER: u64 = 30;
/// Deflate makes at most this much of one byte.
const RATIO: u64 = 1032;

/// How the bytes of an entry are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Stored,
    /// By deflate, from this many bytes.
    Deflated(u64),
}

/// One entry of the directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The name with `/`; bytes that are not UTF-8 are replaced.
    pub(super) name: String,
    /// How many bytes it has, unpacked.
    pub(super) bytes: u64,
    packed: u64,
    method: u16,
    encrypted: bool,
    header: u64,
}

/// Where the bytes of an entry lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryBytes {
    /// The first of them in the file.
    pub(super) offset: u64,
    /// How many there are, unpacked.
    pub(super) bytes: u64,
    /// How they are kept.
    pub(super) packing: Packing,
}

/// The directory of an archive.
#[derive(Debug)]
pub(super) struct Archive {
    entries: Vec<Entry>,
    names: HashMap<String, usize>,
    /// Where the data end and the directory begins.
    end: u64,
    /// The directory as it stands in the file, for pins.
    pub(super) directory: Vec<u8>,
}

/// Where the directory lies.
struct Directory {
    offset: u64,
    bytes: u64,
    entries: u64,
}

impl Archive {
    /// Reads the directory; touches no entry. Two entries of one name are an error, and one that lies outside the file.
    pub(super) fn open(file: &dyn Bytes) -> Result<Archive> {
        let place = find_directory(file)?;
        if place.bytes > DIRECTORY_LIMIT {
            return Err(wrong(file, place.offset, "the directory has more than 256 MiB"));
        }
        let mut directory = vec![0; place.bytes as usize];
        file.read_at(place.offset, &mut directory)?;
        let entries = read_entries(file, &place, &directory)?;
        refuse_overlaps(file, &entries, place.offset)?;
        let mut names = HashMap::with_capacity_and_hasher(entries.len(), Default::default());
        for (number, entry) in entries.iter().enumerate() {
            if names.insert(entry.name.clone(), number).is_some() {
                return Err(ArchiveError::Duplicate { file: file.name().into(), entry: entry.name.clone() }.into());
            }
        }
        Ok(Archive { entries, names, end: place.offset, directory })
    }

    /// All entries, in the order of the directory.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.names.get(name)?)
    }

    /// Reads the header before an entry's data, to say where these lie. They must lie before the directory.
    pub(super) fn place(&self, file: &dyn Bytes, entry: &Entry) -> Result<EntryBytes> {
        let fault = |what| ArchiveError::Entry {
            file: file.name().into(),
            entry: entry.name.clone(),
            offset: entry.header,
            what,
        };
        if entry.encrypted {
            return Err(fault("it is encrypted").into());
        }
        let packing = match entry.method {
            0 if entry.packed == entry.bytes => Packing::Stored,
            0 => return Err(fault("it is stored, but its packed size differs from its size").into()),
            8 => Packing::Deflated(entry.packed),
            method => {
                return Err(ArchiveError::Method { file: file.name().into(), entry: entry.name.clone(), method }.into());
            }
        };
        let mut header = [0; HEADER as usize];
        if entry.header.checked_add(HEADER).is_none_or(|end| end > self.end) {
            return Err(self.beyond(file, entry, entry.header));
        }
        file.read_at(entry.header, &mut header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(fault("no entry begins there").into());
        }
        let after = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let offset = entry.header + HEADER + after;
        if offset.checked_add(entry.packed).is_none_or(|end| end > self.end) {
            return Err(self.beyond(file, entry, offset));
        }
        Ok(EntryBytes { offset, bytes: entry.bytes, packing })
    }

    fn beyond(&self, file: &dyn Bytes, entry: &Entry, offset: u64) -> crate::error::Error {
        let (file, name) = (file.name().to_string(), entry.name.clone());
        ArchiveError::Beyond { file, entry: name, offset, bytes: entry.packed, end: self.end }.into()
    }

    /// All bytes of a small entry, unpacked where needed; more than `limit` are an error.
    pub(super) fn read(&self, file: &dyn Bytes, entry: &Entry, limit: u64) -> Result<Vec<u8>> {
        unpack(file, &entry.name, self.place(file, entry)?, limit)
    }
}

/// All bytes at a place, unpacked where needed. More than `limit`, and any other number than the directory says, are an
/// error; memory grows with what really comes out.
pub(super) fn unpack(file: &dyn Bytes, entry: &str, place: EntryBytes, limit: u64) -> Result<Vec<u8>> {
    let names = || (file.name().to_string(), entry.to_string());
    let packed = match place.packing {
        Packing::Stored => place.bytes,
        Packing::Deflated(packed) => packed,
    };
    if place.bytes > limit || place.bytes / RATIO > packed {
        let ((file, entry), stated) = (names(), place.bytes);
        return Err(ArchiveError::TooLarge { file, entry, packed, stated, limit: limit.min(packed * RATIO) }.into());
    }
    let mut bytes = Vec::new();
    if place.packing == Packing::Stored {
        bytes.resize(place.bytes as usize, 0);
        file.read_at(place.offset, &mut bytes)?;
        return Ok(bytes);
    }
    let range = RangeReader { file, at: place.offset, end: place.offset + packed };
    let mut inflated = flate2::read::DeflateDecoder::new(range).take(place.bytes + 1);
    if inflated.read_to_end(&mut bytes).is_err() || bytes.len() as u64 != place.bytes {
        let ((file, entry), stated) = (names(), place.bytes);
        return Err(ArchiveError::Unpacked { file, entry, stated, found: bytes.len() as u64 }.into());
    }
    Ok(bytes)
}

/// The first `count` bytes at a place, or all where there are fewer, unpacked where needed.
pub(super) fn unpack_start(file: &dyn Bytes, entry: &str, place: EntryBytes, count: u64) -> Result<Vec<u8>> {
    let count = count.min(place.bytes);
    let packed = match place.packing {
        Packing::Stored => return unpack(file, entry, EntryBytes { bytes: count, ..place }, count),
        Packing::Deflated(packed) => packed,
    };
    let mut bytes = Vec::new();
    let range = RangeReader { file, at: place.offset, end: place.offset + packed };
    let read = flate2::read::DeflateDecoder::new(range).take(count).read_to_end(&mut bytes);
    if read.is_err() || bytes.len() as u64 != count {
        let (file, entry, found) = (file.name().into(), entry.into(), bytes.len() as u64);
        return Err(ArchiveError::Unpacked { file, entry, stated: place.bytes, found }.into());
    }
    Ok(bytes)
}

/// A range of a file as a stream.
struct RangeReader<'a> {
    file: &'a dyn Bytes,
    at: u64,
    end: u64,
}

impl std::io::Read for RangeReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let Some(out) = out.get_mut(..count) else { return Ok(0) };
        self.file.read_at(self.at, out).map_err(|error| std::io::Error::other(error.to_string()))?;
        self.at += count as u64;
        Ok(count)
    }
}

fn wrong(file: &dyn Bytes, offset: u64, what: &'static str) -> crate::error::Error {
    ArchiveError::Directory { file: file.name().into(), offset, what }.into()
}

/// Finds the end record from behind, and by it the directory; the numbers of 64-bit archives stand in a record before it.
fn find_directory(file: &dyn Bytes) -> Result<Directory> {
    let missing = || ArchiveError::NoEnd { file: file.name().into(), bytes: file.len() };
    let tail_bytes = file.len().min(END + COMMENT);
    let start = file.len() - tail_bytes;
    let mut tail = vec![0; tail_bytes as usize];
    file.read_at(start, &mut tail)?;
    let ends_here = |at: &usize| {
        let record = tail.get(*at..).unwrap_or_default();
        record.starts_with(b"PK\x05\x06")
            && record.len() as u64 >= END
            && record.len() as u64 == END + u64::from(u16_at(record, 20))
    };
    let at = (0..tail.len()).rev().find(ends_here).ok_or_else(missing)?;
    let record = tail.get(at..).unwrap_or_default();
    let end = start + at as u64;
    let small = Directory {
        entries: u64::from(u16_at(record, 10)),
        bytes: u64::from(u32_at(record, 12)),
        offset: u64::from(u32_at(record, 16)),
    };
    let (directory, end) = match find_end64(file, end)? {
        Some(found) => found,
        None => (small, end),
    };
    if directory.offset.checked_add(directory.bytes).is_none_or(|last| last > end) {
        return Err(wrong(file, end, "the directory extends past its end"));
    }
    Ok(directory)
}

/// The directory of a 64-bit archive and where its end record begins; `None` where it is not such a archive.
fn find_end64(file: &dyn Bytes, end: u64) -> Result<Option<(Directory, u64)>> {
    let Some(at) = end.checked_sub(LOCATOR) else { return Ok(None) };
    let mut locator = [0; LOCATOR as usize];
    file.read_at(at, &mut locator)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    let place = u64_at(&locator, 8);
    if place.checked_add(END64).is_none_or(|last| last > at) {
        return Err(wrong(file, at, "the 64-bit end record lies outside the file"));
    }
    let mut record = [0; END64 as usize];
    file.read_at(place, &mut record)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(wrong(file, place, "there is no 64-bit end record"));
    }
    let directory = Directory { entries: u64_at(&record, 32), bytes: u64_at(&record, 40), offset: u64_at(&record, 48) };
    Ok(Some((directory, place)))
}

fn read_entries(file: &dyn Bytes, place: &Directory, directory: &[u8]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at < directory.len() {
        let offset = place.offset + at as u64;
        let rest = directory.get(at..).unwrap_or_default();
        if !rest.starts_with(b"PK\x01\x02") || rest.len() < ENTRY {
            return Err(wrong(file, offset, "an entry of the directory is expected"));
        }
        let name = usize::from(u16_at(rest, 28));
        let extra = usize::from(u16_at(rest, 30));
        let comment = usize::from(u16_at(rest, 32));
        let (Some(name_bytes), Some(extra_bytes)) =
            (rest.get(ENTRY..ENTRY + name), rest.get(ENTRY + name..ENTRY + name + extra))
        else {
            return Err(wrong(file, offset, "an entry reaches over the end of the directory"));
        };
        let [bytes, packed, header] =
            sizes(rest, extra_bytes).ok_or_else(|| wrong(file, offset, "an entry lacks its 64-bit numbers"))?;
        entries.push(Entry {
            name: String::from_utf8_lossy(name_bytes).into_owned(),
            bytes,
            packed,
            method: u16_at(rest, 10),
            encrypted: u16_at(rest, 8) & 1 != 0,
            header,
        });
        at += ENTRY + name + extra + comment;
    }
    if at != directory.len() || entries.len() as u64 != place.entries {
        return Err(wrong(file, place.offset, "the directory does not contain as many entries as it states"));
    }
    Ok(entries)
}

/// Size, packed size and place of an entry; numbers that do not fit into 32 bits stand in its extra field 1, in this order.
fn sizes(entry: &[u8], mut extra: &[u8]) -> Option<[u64; 3]> {
    let small = [u32_at(entry, 24), u32_at(entry, 20), u32_at(entry, 42)];
    let mut long: &[u8] = &[];
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        // padding at the end need not be a whole field
        let Some(field) = extra.get(4..4 + length) else { break };
        if id == 1 {
            long = field;
        }
        extra = extra.get(4 + length..).unwrap_or_default();
    }
    let mut numbers = [0; 3];
    for (number, small) in numbers.iter_mut().zip(small) {
        *number = u64::from(small);
        if small == u32::MAX {
            let (eight, rest) = long.split_first_chunk::<8>()?;
            *number = u64::from_le_bytes(*eight);
            long = rest;
        }
    }
    Some(numbers)
}

/// No two entries share bytes in an archive that a program wrote: where they do, a small file claims any number of bytes.
/// What lies outside of the data, which end at `end`, is an error where it is read.
fn refuse_overlaps(file: &dyn Bytes, entries: &[Entry], end: u64) -> Result<()> {
    let last = |entry: &Entry| entry.header.saturating_add(HEADER).saturating_add(entry.packed);
    let mut sorted: Vec<&Entry> = entries.iter().filter(|entry| last(entry) <= end).collect();
    sorted.sort_by_key(|entry| entry.header);
    for pair in sorted.windows(2) {
        if let [first, second] = pair
            && last(first) > second.header
        {
            let (entry, other) = (first.name.clone(), second.name.clone());
            return Err(ArchiveError::Overlap { file: file.name().into(), entry, other }.into());
        }
    }
    Ok(())
}

/// Numbers in a record whose length was checked; behind its end all bytes count as zero.
fn array_at<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    record.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(record, at))
}

fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(record, at))
}

fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(record, at))
}
