//! Where bytes come from: a file, a directory, a repository of the Hugging Face Hub through its standard cache.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::progress::Progress;

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

/// What a `SRC` or an `ARCH` names, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `none`: a model from scratch.
    None,
    /// A repository of the Hub: `org/name[@rev]`, `hf://org/name[@rev][/path]`, or an alias.
    Hub {
        /// `org/name`.
        repository: String,
        /// Branch, tag or commit as typed; `None` is `main`.
        revision: Option<String>,
        /// One file of it, where the reference names one.
        file: Option<String>,
    },
    /// A file or a directory.
    Path(PathBuf),
}

impl Reference {
    /// Parses what was typed. A bare word that is neither alias nor path is an error that names the nearest aliases.
    pub fn parse(_text: &str) -> Result<Reference> {
        todo!()
    }
}

/// How to reach the Hub: flags over environment over defaults.
#[derive(Clone, Debug)]
pub struct Access {
    /// `HF_ENDPOINT`, without a trailing slash.
    pub endpoint: String,
    /// `HF_TOKEN` or its file; sent to the endpoint's origin alone.
    pub token: Option<String>,
    /// The cache's `hub` directory.
    pub cache: PathBuf,
    /// `--offline` or `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// `--revision`.
    pub revision: Option<String>,
}

impl Access {
    /// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`; the arguments are the flags.
    pub fn from_environment(_cache_dir: Option<PathBuf>, _offline: bool, _revision: Option<String>) -> Result<Access> {
        todo!()
    }
}

/// An opened reference: a set of named files, listed without being read or fetched. `org/name/file` and a single
/// local file list that one file alone (and its siblings are still reachable by `file`).
pub struct Source {
    // local directory or Hub snapshot; private
}

impl Source {
    /// Resolves the reference: a Hub revision to its commit, a path to what stands there. Fetches no file.
    /// `Reference::None` is not a source: an error.
    pub fn open(_reference: &Reference, _access: &Access, _progress: &dyn Progress) -> Result<Source> {
        todo!()
    }
    /// For reports: `org/name`, or the last component of the path.
    pub fn label(&self) -> &str {
        todo!()
    }
    /// The commit of a Hub repository.
    pub fn commit(&self) -> Option<&str> {
        todo!()
    }
    /// Names below it, with `/`, sorted; for a single-file reference only that file.
    pub fn names(&self) -> &[String] {
        todo!()
    }
    /// Whether the reference was to one file.
    pub fn is_single_file(&self) -> bool {
        todo!()
    }
    /// Opens a file by name, fetching it into the cache where it is a Hub file that is not there yet.
    /// A name that leaves the directory (`../x`, absolute, through a symlink of a repository) is an error.
    pub fn file(&self, _name: &str, _progress: &dyn Progress) -> Result<Arc<dyn Bytes>> {
        todo!()
    }
    /// All bytes of a file of at most `limit` bytes, or an error with both numbers.
    pub fn read(&self, _name: &str, _limit: u64, _progress: &dyn Progress) -> Result<Vec<u8>> {
        todo!()
    }
    /// `etag:…` of a Hub file that was opened; `None` for a local one, whose pin is the digest of its header.
    pub fn etag(&self, _name: &str) -> Option<String> {
        todo!()
    }
}
