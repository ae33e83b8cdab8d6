//! What one thread keeps from piece to piece: buffers, and what it noticed.

use std::ops::{Deref, DerefMut};

use crate::adapt::error::AdaptError;
use crate::error::Result;
use crate::progress::Progress;
use crate::transfer::error::TransferError;

/// The bytes that move at once: large enough that a system call costs nothing beside them, small enough to stay in cache
/// between reading, hashing and writing. A power of two, so that the pieces are subtrees of a blake3 tree.
pub(super) const PIECE: u64 = 1 << 19;

/// Bytes whose number may shrink and grow again without being written: what lies beyond is kept.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

/// Reusable buffers of one thread, and what its evaluations noticed.
pub(super) struct Scratch<'a> {
    buffers: Vec<Buffer>,
    /// About how many bytes are worked on at once.
    pub piece: u64,
    /// Asked between pieces of work.
    pub progress: &'a dyn Progress,
    /// Whether a value below the root of an expression became infinite.
    pub inner_overflow: bool,
    /// How many values in the window of the root became infinite.
    pub root_overflows: u64,
}

impl<'a> Scratch<'a> {
    pub(crate) fn new(piece: u64, progress: &'a dyn Progress) -> Scratch<'a> {
        Scratch { buffers: Vec::new(), piece, progress, inner_overflow: false, root_overflows: 0 }
    }

    /// A buffer of this length; what it holds is arbitrary.
    pub(crate) fn take(&mut self, len: usize) -> Result<Buffer> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        if buffer.bytes.capacity() < len {
            // what it holds need not be copied to its new place
            buffer.bytes = room(len)?;
        }
        if buffer.bytes.len() < len {
            buffer.bytes.resize(len, 0);
        }
        buffer.len = len;
        Ok(buffer)
    }

    /// Gives a buffer back; one far above a piece is freed, for the next tensor may need none.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        if buffer.bytes.capacity() as u64 <= self.piece.saturating_mul(2) {
            self.buffers.push(buffer);
        }
    }
}

/// Room for so many elements, or an error where the machine has it not: shapes come from files.
pub(super) fn room<T>(len: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
    room.try_reserve_exact(len).map_err(|_| TransferError::Memory { bytes })?;
    Ok(room)
}

/// A number of bytes as memory is addressed.
pub(super) fn size(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| AdaptError::Size { op: "transfer", bytes }.into())
}
