//! Where bytes come from: a file, a directory, a repository of the Hugging Face Hub through its standard cache.

mod access;
mod address;
mod bytes;
mod cache;
mod certificates;
mod download;
pub mod error;
mod front;
mod headers;
mod hub;
mod identity;
mod local;
mod name;
mod pace;
mod reference;
#[cfg(test)]
mod tests;
mod together;
mod transport;

use std::sync::Arc;

use crate::error::Result;
use crate::progress::Progress;
use crate::source::error::SourceError;

pub use access::{Access, Patience};
pub use bytes::{Bytes, PinnedFile};
pub(crate) use local::{local_file, read_local};
pub use reference::{Reference, aliases};

use hub::Snapshot;
use local::Directory;

/// An opened reference: a set of named files, listed without being read or fetched. A reference to one file lists
/// that file alone; the files beside it are still reachable by `file`, under names below its own folder.
pub struct Source {
    place: Location,
}

enum Location {
    Directory(Directory),
    Snapshot(Arc<Snapshot>),
}

impl Source {
    /// Resolves the reference: a Hub revision to its commit, a path to what stands there. Fetches no file.
    /// `Reference::None` is not a source: an error.
    pub fn open(reference: &Reference, access: &Access, progress: &dyn Progress) -> Result<Source> {
        let place = match reference {
            Reference::None => return Err(SourceError::NoSource.into()),
            Reference::Path(path) => Location::Directory(Directory::open(path)?),
            Reference::Hub { repository, revision, file } => {
                let (revision, file) = (revision.as_deref(), file.as_deref());
                Location::Snapshot(Arc::new(Snapshot::open(repository, revision, file, access, progress)?))
            }
        };
        Ok(Source { place })
    }

    /// For reports: `org/name`, or the last component of the path.
    pub fn label(&self) -> &str {
        match &self.place {
            Location::Directory(directory) => &directory.label,
            Location::Snapshot(snapshot) => &snapshot.repository,
        }
    }

    /// As it can be typed: a path, or `hf://org/name`.
    pub(crate) fn address(&self) -> String {
        match &self.place {
            Location::Directory(directory) => directory.path().display().to_string(),
            Location::Snapshot(snapshot) => format!("hf://{}", snapshot.repository),
        }
    }

    /// The commit of a Hub repository.
    pub fn commit(&self) -> Option<&str> {
        match &self.place {
            Location::Directory(_) => None,
            Location::Snapshot(snapshot) => Some(&snapshot.commit),
        }
    }

    /// Names below it, with `/`, sorted; for a single-file reference only that file.
    pub fn names(&self) -> &[String] {
        match &self.place {
            Location::Directory(directory) => &directory.names,
            Location::Snapshot(snapshot) => &snapshot.names,
        }
    }

    /// The names of the files in the folder of a reference to one file, sorted; else those at the top.
    pub(crate) fn beside(&self) -> Result<Vec<String>> {
        match &self.place {
            Location::Directory(directory) => directory.beside(),
            Location::Snapshot(snapshot) => Ok(snapshot.beside()),
        }
    }

    /// The name of the folder of a reference to one file, and the names of the folders beside that one that hold a file of the same
    /// name: `mp_rank_00`, and `mp_rank_01`.
    pub(crate) fn folders(&self) -> Result<(String, Vec<String>)> {
        match &self.place {
            Location::Directory(directory) => directory.folders(),
            Location::Snapshot(snapshot) => Ok(snapshot.folders()),
        }
    }

    /// Whether the reference was to one file.
    pub fn is_single_file(&self) -> bool {
        match &self.place {
            Location::Directory(directory) => directory.single,
            Location::Snapshot(snapshot) => snapshot.single,
        }
    }

    /// Opens a file by name, fetching it into the cache where it is a Hub file that is not there yet.
    /// A name that leaves the source (`../x`, `/x`) is an error, and so is one where no file stands.
    pub fn file(&self, name: &str, progress: &dyn Progress) -> Result<Arc<dyn Bytes>> {
        match &self.place {
            Location::Directory(directory) => Ok(Arc::new(directory.file(name)?)),
            Location::Snapshot(snapshot) => Ok(Arc::new(snapshot.file(name, progress)?)),
        }
    }

    /// As above, for files of which perhaps only the fronts are read: of a large Hub file that is not in the cache, so much is fetched,
    /// unchecked, and the file is opened in its place once `file` has fetched it.
    pub fn fronts(&self, names: &[String], progress: &dyn Progress) -> Result<Vec<Arc<dyn Bytes>>> {
        match &self.place {
            Location::Directory(_) => names.iter().map(|name| self.file(name, progress)).collect(),
            Location::Snapshot(snapshot) => front::open(snapshot, names, progress),
        }
    }

    /// Fetches Hub files that are not in the cache, several at once; of this machine's there is nothing to fetch.
    pub fn fetch(&self, names: &[String], progress: &dyn Progress) -> Result<()> {
        match &self.place {
            Location::Directory(_) => Ok(()),
            Location::Snapshot(snapshot) => together::fetch(snapshot, names, progress),
        }
    }

    /// All bytes of a file of at most `limit` bytes, or an error with both numbers.
    pub fn read(&self, name: &str, limit: u64, progress: &dyn Progress) -> Result<Vec<u8>> {
        let file = self.file(name, progress)?;
        let too_long = || SourceError::TooLong { file: name.to_string(), limit, bytes: file.len() };
        let len = usize::try_from(file.len()).map_err(|_| too_long())?;
        if file.len() > limit {
            return Err(too_long().into());
        }
        let mut bytes = vec![0; len];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// `etag:…` of a Hub file that was opened; `None` for a local one, whose pin is the digest of its header.
    pub fn etag(&self, name: &str) -> Option<String> {
        match &self.place {
            Location::Directory(_) => None,
            Location::Snapshot(snapshot) => snapshot.etag(name),
        }
    }
}
