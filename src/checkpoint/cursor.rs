//! Reading a header from front to back: buffered, hashed, and never beyond an end. No number is believed before it is checked.

use crate::checkpoint::format_error::FormatError;
use crate::error::{Error, Result};
use crate::source::Bytes;

/// How much is read at once.
const PIECE: u64 = 1 << 16;

/// A place in a file that moves on with every read.
pub(super) struct Cursor<'a> {
    file: &'a dyn Bytes,
    format: &'static str,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    start: u64,
    hash: blake3::Hasher,
}

impl<'a> Cursor<'a> {
    /// Begins at the start of a file of a format, whose name errors mention.
    pub(super) fn new(file: &'a dyn Bytes, format: &'static str) -> Cursor<'a> {
        let (end, hash) = (file.len(), blake3::Hasher::new());
        Cursor { file, format, at: 0, end, buffer: Vec::new(), start: 0, hash }
    }

    /// Where the next byte is read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// `blake3:…` of all that was read.
    pub(super) fn digest(&self) -> String {
        format!("blake3:{}", self.hash.finalize().to_hex())
    }

    /// An error at this place.
    pub(super) fn invalid(&self, what: &'static str) -> Error {
        let (file, format, offset) = (self.file.name().to_string(), self.format, self.at);
        FormatError::Invalid { file, format, offset, what }.into()
    }

    /// An error about a number that stands before this place.
    pub(super) fn limit(&self, what: &'static str, found: u64, limit: u64) -> Error {
        FormatError::Limit { file: self.file.name().into(), offset: self.at, what, found, limit }.into()
    }

    fn ends(&self, wanted: u64) -> Error {
        FormatError::Ends { file: self.file.name().into(), offset: self.at, wanted, end: self.end }.into()
    }

    /// The next `count` bytes, of which there are at most `PIECE`.
    fn piece(&mut self, count: u64) -> Result<&[u8]> {
        if count > self.left() {
            return Err(self.ends(count));
        }
        let held = self.start + self.buffer.len() as u64;
        if self.at < self.start || self.at + count > held {
            let size = PIECE.max(count).min(self.left());
            self.buffer.resize(size as usize, 0);
            self.file.read_at(self.at, &mut self.buffer)?;
            self.start = self.at;
        }
        let from = (self.at - self.start) as usize;
        let piece = self.buffer.get(from..from + count as usize).unwrap_or_default();
        self.hash.update(piece);
        self.at += count;
        Ok(piece)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let piece = self.piece(N as u64)?;
        Ok(piece.first_chunk::<N>().copied().unwrap_or([0; N]))
    }

    /// The next byte.
    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next four bytes as a little-endian number.
    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next eight bytes as a little-endian number.
    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next `count` bytes; more than `limit` and more than the file has are an error before anything is allocated.
    pub(super) fn bytes(&mut self, count: u64, limit: u64, what: &'static str) -> Result<Vec<u8>> {
        if count > limit {
            return Err(self.limit(what, count, limit));
        }
        if count > self.left() {
            return Err(self.ends(count));
        }
        let mut bytes = Vec::with_capacity(count as usize);
        while (bytes.len() as u64) < count {
            let piece = self.piece((count - bytes.len() as u64).min(PIECE))?;
            bytes.extend_from_slice(piece);
        }
        Ok(bytes)
    }

    /// Moves over `count` bytes, hashing those of a header.
    pub(super) fn skip(&mut self, count: u64) -> Result<()> {
        if count > self.left() {
            return Err(self.ends(count));
        }
        let to = self.at + count;
        while self.at < to {
            self.piece((to - self.at).min(PIECE))?;
        }
        Ok(())
    }

    /// Goes to a place within the file, back to what was moved over or on behind it.
    pub(super) fn go(&mut self, place: u64) {
        self.at = place.min(self.end);
    }

    /// Moves over `count` bytes of data, which are not read.
    pub(super) fn jump(&mut self, count: u64) -> Result<()> {
        if count > self.left() {
            return Err(self.ends(count));
        }
        self.at += count;
        Ok(())
    }
}
