//! The output on disk: where every byte goes (known from the plan before the first is written), the staging folder,
//! and its publication, whole or not at all.

use std::path::{Path, PathBuf};

mod archive;
pub(crate) mod error;
mod file;
mod layout;
mod lock;
mod npz;
mod part;
mod place;
mod publish;
mod staging;
mod sums;
#[cfg(test)]
mod tests;
mod torch;
mod weights;

pub(crate) use file::StagedFile;
pub(crate) use layout::{Archive, Layout};
pub(crate) use part::{files_in, is_laid_out};
pub(crate) use staging::{Staging, admit, settle};
pub(crate) use sums::{fill_in, sums_agree};
pub(crate) use weights::{Span, Sum, WeightFile};

/// What may stand where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Nothing but an empty directory.
    Refuse,
    /// An output of xfer, recognised by its `xfer.json` (`--force`).
    OwnOutput,
    /// A directory in which every file is, byte for byte, one of those that replace it: it only lacks some.
    Part,
}

/// Whether to wait for the disk before publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// fsync every file and directory.
    Wait,
    /// `--no-sync`.
    Skip,
}

/// The path of DIR for an ARCH reference: the stem of the file in the working directory, or `None` where `--out` is required
/// (a directory, a repository, a file without an ending, or one called `config.json`).
pub fn default_out(arch: &Path) -> Option<PathBuf> {
    let required = !arch.is_file() || arch.extension().is_none() || arch.file_name()? == "config.json";
    if required { None } else { arch.file_stem().map(PathBuf::from) }
}
