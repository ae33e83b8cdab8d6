//! Where bytes come from: a file, a directory, a repository of the Hugging Face Hub through its standard cache.

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
