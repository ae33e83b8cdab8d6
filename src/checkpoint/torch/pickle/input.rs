//! The bytes of a pickle, read forward through a window.

use crate::checkpoint::torch::error::{PickleProblem, TorchError};
use crate::error::Result;
use crate::source::Bytes;

/// How much is read at once.
const WINDOW: u64 = 1 << 16;

/// A range of a file, read forward. What is asked for is checked against what is left before any memory is taken.
pub(in crate::checkpoint::torch) struct Input<'a> {
    file: &'a dyn Bytes,
    window: Vec<u8>,
    /// Where in the window the next byte is.
    at: usize,
    /// Where in the file the window ends.
    next: u64,
    end: u64,
    /// Where the instruction began that errors speak of.
    pub(super) instruction: u64,
}

impl<'a> Input<'a> {
    /// The bytes of `file` from `start` to `end`, or to its end where that comes first.
    pub(in crate::checkpoint::torch) fn new(file: &'a dyn Bytes, start: u64, end: u64) -> Input<'a> {
        Input { file, window: Vec::new(), at: 0, next: start, end: end.min(file.len()), instruction: start }
    }

    /// Where in the file the next byte is.
    pub(in crate::checkpoint::torch) fn offset(&self) -> u64 {
        self.next - (self.window.len() - self.at) as u64
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.offset())
    }

    /// An error about the current instruction.
    pub(super) fn fault<T>(&self, problem: PickleProblem) -> Result<T> {
        Err(TorchError::Pickle { file: self.file.name().into(), offset: self.instruction, problem }.into())
    }

    pub(super) fn file_name(&self) -> &str {
        self.file.name()
    }

    fn require(&self, wanted: u64) -> Result<()> {
        match self.left() {
            left if left < wanted => self.fault(PickleProblem::Ends { wanted, left }),
            _ => Ok(()),
        }
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&[u8]> {
        self.require(count as u64)?;
        if self.window.len() - self.at < count {
            self.window.drain(..self.at);
            self.at = 0;
            let held = self.window.len();
            let more = (count - held).max(WINDOW.min(self.end.saturating_sub(self.next)) as usize);
            self.window.resize(held + more, 0);
            let fresh = self.window.get_mut(held..).unwrap_or_default();
            self.file.read_at(self.next, fresh)?;
            self.next += more as u64;
        }
        let start = self.at;
        self.at += count;
        Ok(self.window.get(start..self.at).unwrap_or_default())
    }

    /// Passes over `count` bytes without reading them.
    pub(super) fn skip(&mut self, count: u64) -> Result<()> {
        self.require(count)?;
        let held = (self.window.len() - self.at) as u64;
        if count <= held {
            self.at += count as usize;
        } else {
            self.next += count - held;
            self.window.clear();
            self.at = 0;
        }
        Ok(())
    }

    /// The next bytes as an array.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// The text up to the next line feed, which is consumed; at most `limit` bytes.
    pub(super) fn line(&mut self, limit: usize) -> Result<String> {
        let mut line = Vec::new();
        loop {
            match self.array()? {
                [b'\n'] => break,
                [byte] => line.push(byte),
            }
            if line.len() > limit {
                return self.fault(PickleProblem::Limit { what: "bytes in a line", limit: limit as u64 });
            }
        }
        match String::from_utf8(line) {
            Ok(line) => Ok(line),
            Err(_) => self.fault(PickleProblem::NotUtf8),
        }
    }
}
