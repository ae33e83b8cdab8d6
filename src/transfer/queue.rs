//! Pieces on their way to a file. A file system lets one thread write to a file at a time; the others would wait where they could read
//! and hash the next piece. So a piece is left with the thread that is writing already, if there is one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::scratch::{Buffer, Scratch};
use crate::error::Result;

/// How many pieces may wait for one file, and how many empty buffers are kept.
pub(super) const MOST: usize = 2;

/// A piece of a file.
pub(super) struct Chunk {
    /// Where it goes.
    pub offset: u64,
    pub bytes: Buffer,
    /// Which of them.
    pub window: Range<usize>,
}

/// Those of all files.
pub(super) struct Queue {
    lanes: Vec<Lane>,
    spare: Mutex<Vec<Buffer>>,
}

#[derive(Default)]
struct Lane {
    waiting: Mutex<VecDeque<Chunk>>,
    /// Held by who writes.
    turn: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// One lane for each file.
    pub(crate) fn new(files: usize) -> Queue {
        Queue { lanes: (0..files).map(|_| Lane::default()).collect(), spare: Mutex::new(Vec::new()) }
    }

    /// Leaves a piece for its file: written now, with all others that wait, or by the thread that is writing already. When all
    /// threads are done, nothing waits.
    pub(crate) fn put(
        &self,
        file: usize,
        piece: Chunk,
        write: &dyn Fn(u64, &[u8]) -> Result<()>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Some(lane) = self.lanes.get(file) else { return Ok(()) };
        let waiting = {
            let mut waiting = lock(&lane.waiting);
            waiting.push_back(piece);
            waiting.len()
        };
        if let Some(buffer) = lock(&self.spare).pop() {
            scratch.give(buffer);
        }
        loop {
            let turn = match lane.turn.try_lock() {
                Ok(turn) => turn,
                Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
                Err(TryLockError::WouldBlock) if waiting > MOST => lock(&lane.turn),
                // whoever has the turn looks again when it ends
                Err(TryLockError::WouldBlock) => return Ok(()),
            };
            loop {
                let next = lock(&lane.waiting).pop_front();
                let Some(Chunk { offset, bytes, window }) = next else { break };
                write(offset, bytes.get(window).unwrap_or_default())?;
                let mut spare = lock(&self.spare);
                if spare.len() < MOST {
                    spare.push(bytes);
                }
            }
            drop(turn);
            if lock(&lane.waiting).is_empty() {
                return Ok(());
            }
        }
    }
}
