//! Bytes at an offset, and a file by its name and pin.

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Bytes at an offset. No mapping into memory (a truncated file would kill the process) and no seek state.
pub trait Bytes: Send + Sync {
    /// The length in bytes.
    fn len(&self) -> u64;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The name that errors mention: the last component of a path, or the file in a repository.
    fn name(&self) -> &str;
    /// Fills `out` from `offset`, or an error where the file ends before.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()>;
}

/// A file of a source, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedFile {
    /// Its name below the source.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// `etag:…` of a Hub file, `blake3:…` of the header of a local one.
    pub pin: String,
}
