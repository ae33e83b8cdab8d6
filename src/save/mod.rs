//! The output on disk: where every byte goes (known from the plan before the first is written), the staging folder,
//! and its publication, whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

mod layout;
#[cfg(test)]
mod tests;

pub use layout::{Layout, Span, WeightFile};

use crate::error::Result;

/// What may stand where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Nothing but an empty directory.
    Refuse,
    /// An output of xfer, recognised by its `xfer.json` (`--force`).
    OwnOutput,
}

/// Whether to wait for the disk before publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// fsync every file and directory.
    Wait,
    /// `--no-sync`.
    Skip,
}

/// A file being written at known offsets, by several threads at once; its space is allocated beforehand.
pub struct StagedFile {
    // private
}

impl StagedFile {
    /// Writes at an offset; a full disk is `Error::Io` with the path of the output, not of the staging file.
    pub fn write_at(&self, _offset: u64, _bytes: &[u8]) -> Result<()> {
        todo!()
    }
    /// Reads back, for passes over the staged output.
    pub fn read_at(&self, _offset: u64, _out: &mut [u8]) -> Result<()> {
        todo!()
    }
}

/// The folder `.STEM.xfer-<first 16 hex digits of the plan hash>` beside DIR (inside it where DIR is a mount point), locked.
/// Dropped without `publish`, it removes itself. Opening reclaims debris of dead runs for the same DIR whose lock is free.
pub struct Staging {
    // private
}

impl Staging {
    /// Checks DIR against `replace`, finishes or undoes an interrupted exchange, reclaims debris, creates and locks the folder.
    /// Another live writer of the same DIR is an error with exit 75; a foreign DIR is exit 3 and nothing is touched.
    pub fn open(_out: &Path, _plan_hash: &str, _replace: Replace) -> Result<Staging> {
        todo!()
    }
    /// Creates a file of this length (`fallocate`; an error there before anything is written if the disk is too full).
    pub fn create(&self, _name: &str, _bytes: u64) -> Result<Arc<StagedFile>> {
        todo!()
    }
    /// Writes a small file whole; its name may contain `/`.
    pub fn write(&self, _name: &str, _bytes: &[u8]) -> Result<()> {
        todo!()
    }
    /// The folder, for readers of the staged output.
    pub fn path(&self) -> &Path {
        todo!()
    }
    /// Makes DIR the staged content, by rename or atomic exchange; weights first, index and config last in a mount point.
    pub fn publish(self, _sync: Sync) -> Result<()> {
        todo!()
    }
}

/// The path of DIR for an ARCH reference: the stem of the file in the working directory, or `None` where `--out` is required
/// (a directory, a repository, or a file called `config.json`).
pub fn default_out(_arch: &Path) -> Option<PathBuf> {
    todo!()
}
