//! The standard Hugging Face cache, laid out as Python's huggingface_hub has it, which shares it:
//!
//! ```text
//! models--org--name/blobs/<etag>                         the bytes; `<etag>.incomplete` while they arrive
//! models--org--name/snapshots/<commit>/<file>            a relative link to a blob
//! models--org--name/refs/<revision>                      the commit, without a line's end
//! models--org--name/trees/<commit>.json                  what files the commit has
//! .locks/models--org--name/<etag>.lock                   held while a blob is written
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{CacheRepo, Repo};
use serde::{Deserialize, Serialize};

use super::local::read_local;
use super::name::stays_inside;
use super::reference::is_revision;
use super::transport::sleep;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::error::SourceError;

/// The longest record of a commit, and of its files.
const LONGEST_REFERENCE: u64 = 1 << 16;
const LONGEST_TREE: u64 = 256 << 20;

/// The part of the cache that belongs to one repository.
pub(super) struct Cache {
    repository: CacheRepo,
    folder: PathBuf,
    locks: PathBuf,
}

/// What huggingface_hub's `_tree_cache.py` stores about a commit, in its format 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tree {
    format_version: u32,
    pub(super) files: BTreeMap<String, TreeEntry>,
}

/// One file of a commit.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TreeEntry {
    pub(super) size: u64,
    pub(super) blob_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lfs_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lfs_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) xet_hash: Option<String>,
}

impl Tree {
    pub(super) fn new(files: BTreeMap<String, TreeEntry>) -> Tree {
        Tree { format_version: 1, files }
    }
}

impl Cache {
    /// The place of `org/name` below the cache's `hub` directory, which need not exist.
    pub(super) fn new(hub: &Path, repository: &str) -> Cache {
        let repository = Repo::model(repository.to_string());
        let name = repository.folder_name();
        let locks = hub.join(".locks").join(&name);
        Cache { repository: hf_hub::Cache::new(hub.to_path_buf()).repo(repository), folder: hub.join(name), locks }
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.repository.pointer_path(commit)
    }

    /// The link to a file, whether or not it is there; `name` stays inside.
    pub(super) fn pointer(&self, commit: &str, name: &str) -> PathBuf {
        self.snapshot(commit).join(name)
    }

    /// The etag of a file that is in the cache: the name of its blob.
    pub(super) fn etag(&self, commit: &str, name: &str) -> Option<String> {
        let blob = fs::read_link(self.pointer(commit, name)).ok()?;
        Some(blob.file_name()?.to_str()?.to_string())
    }

    /// The commit that a branch or tag had when it was last asked for.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        let text = String::from_utf8(read_local(&self.reference(revision)?, LONGEST_REFERENCE).ok()?).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_string())
    }

    /// Records the commit of a branch or tag. A cache that may only be read stays as it is: the record serves later
    /// runs without network, and this one has what it needs.
    pub(super) fn record_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        match self.reference(revision) {
            Some(path) => tolerated(replace(&path, commit.as_bytes())),
            None => Ok(()),
        }
    }

    fn reference(&self, revision: &str) -> Option<PathBuf> {
        is_revision(revision).then(|| self.folder.join("refs").join(revision))
    }

    /// What files a commit has, where that was recorded.
    pub(super) fn tree(&self, commit: &str) -> Option<Tree> {
        let text = read_local(&self.tree_path(commit), LONGEST_TREE).ok()?;
        let tree: Tree = serde_json::from_slice(&text).ok()?;
        (tree.format_version == 1 && tree.files.keys().all(|name| stays_inside(name))).then_some(tree)
    }

    /// Records what files a commit has, which never changes.
    pub(super) fn record_tree(&self, commit: &str, tree: &Tree) -> Result<()> {
        let path = self.tree_path(commit);
        match serde_json::to_vec_pretty(tree) {
            Ok(text) if !path.exists() => tolerated(replace(&path, &text)),
            _ => Ok(()),
        }
    }

    fn tree_path(&self, commit: &str) -> PathBuf {
        self.folder.join("trees").join(format!("{commit}.json"))
    }

    /// Whether the blob is there with the length that it should have. A blob of another length is what clients that do
    /// not check leave behind.
    pub(super) fn has_blob(&self, etag: &str, bytes: Option<u64>) -> bool {
        let metadata = fs::metadata(self.blob(etag));
        metadata.is_ok_and(|metadata| metadata.is_file() && bytes.is_none_or(|bytes| metadata.len() == bytes))
    }

    /// Waits until no other process writes this blob; Python takes the same lock. `None` where the file system has no
    /// locks.
    pub(super) fn lock(&self, etag: &str, progress: &dyn Progress) -> Result<Option<File>> {
        let path = self.locks.join(format!("{etag}.lock"));
        create_folder_of(&path)?;
        loop {
            let options = File::options().create(true).truncate(false).write(true).open(&path);
            let file = options.map_err(|e| cache_error("create", &path, e))?;
            match file.try_lock() {
                // a lock on a file that its last holder has removed keeps nobody out
                Ok(()) if is_at(&file, &path) => return Ok(Some(file)),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(100), progress)?,
                Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(cache_error("lock", &path, e)),
            }
        }
    }

    /// Makes the snapshot's file a relative link to the blob.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> Result<()> {
        let pointer = self.pointer(commit, name);
        create_folder_of(&pointer)?;
        let target = format!("{}blobs/{etag}", "../".repeat(2 + name.matches('/').count()));
        if fs::read_link(&pointer).is_ok_and(|link| link == Path::new(&target)) {
            return Ok(());
        }
        match fs::remove_file(&pointer) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(cache_error("replace", &pointer, e)),
            _ => {}
        }
        std::os::unix::fs::symlink(&target, &pointer).map_err(|e| cache_error("link", &pointer, e))
    }
}

/// Whether this is a whole commit hash.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Creates the folders above `path`.
pub(super) fn create_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|e| cache_error("create", folder, e))
}

/// A fault of the cache's file system.
pub(super) fn cache_error(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    SourceError::Cache { action, path: path.to_path_buf(), source }.into()
}

/// Writes beside and renames, so that no reader sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    create_folder_of(path)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    fs::write(&beside, bytes).map_err(|e| cache_error("write", &beside, e))?;
    fs::rename(&beside, path).map_err(|e| cache_error("rename", &beside, e))
}

/// Whether a disk, a quota or a limit on the length of files is exhausted.
pub(super) fn is_full(error: &Error) -> bool {
    let Some(SourceError::Cache { source, .. }) = error.downcast_ref() else { return false };
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded)
}

/// Lets a cache be read-only.
fn tolerated(result: Result<()>) -> Result<()> {
    result.or_else(|error| match error.downcast_ref() {
        Some(SourceError::Cache { source, .. })
            if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            Ok(())
        }
        _ => Err(error),
    })
}

fn is_at(file: &File, path: &Path) -> bool {
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (held, there) = (file.metadata().map(id), fs::metadata(path).map(id));
    held.is_ok_and(|held| there.is_ok_and(|there| held == there))
}
