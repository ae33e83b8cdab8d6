//! Open files of a process that may only have few (`ulimit -n`): a model of many shards has more. A file is opened when it is used; of
//! those that nobody uses at the moment the one that was used longest ago is closed when there are too many.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Files that are left to everything else: the three standard ones, locks, folders that are listed, connections.
const RESERVED: u64 = 10;
/// More are never kept open.
const MOST: u64 = 4096;

/// A file that is open while it is used.
#[derive(Debug)]
pub(crate) struct Handle(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    is_written: bool,
    /// Device and number, so that another file in its place is found out.
    identity: (u64, u64),
    file: RwLock<Option<Arc<File>>>,
    used: AtomicU64,
}

/// Everything that may be open.
static KEPT: Mutex<Vec<Weak<Kept>>> = Mutex::new(Vec::new());
/// A clock that counts uses.
static USES: AtomicU64 = AtomicU64::new(0);

impl Handle {
    /// Opens a file to read it.
    pub(crate) fn read(path: &Path) -> io::Result<Handle> {
        Handle::open(path, OpenOptions::new().read(true), false)
    }

    /// Opens a file to read and to write it.
    pub(crate) fn write(path: &Path) -> io::Result<Handle> {
        Handle::open(path, OpenOptions::new().read(true).write(true), true)
    }

    /// Creates a file, which must not be there yet.
    pub(crate) fn create(path: &Path) -> io::Result<Handle> {
        Handle::open(path, OpenOptions::new().read(true).write(true).create_new(true), true)
    }

    fn open(path: &Path, options: &OpenOptions, is_written: bool) -> io::Result<Handle> {
        let file = open(path, options)?;
        let metadata = file.metadata()?;
        let kept = Arc::new(Kept {
            path: path.to_path_buf(),
            is_written,
            identity: (metadata.dev(), metadata.ino()),
            file: RwLock::new(Some(Arc::new(file))),
            used: AtomicU64::new(USES.fetch_add(1, Ordering::Relaxed)),
        });
        lock().push(Arc::downgrade(&kept));
        Ok(Handle(kept))
    }

    /// The file, opened again where it was closed.
    pub(crate) fn file(&self) -> io::Result<Arc<File>> {
        self.0.used.store(USES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        if let Some(file) = self.0.file.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return Ok(file.clone());
        }
        let file = open(&self.0.path, OpenOptions::new().read(true).write(self.0.is_written))?;
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) != self.0.identity {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "the file was replaced by another one while it was in use",
            ));
        }
        let mut slot = self.0.file.write().unwrap_or_else(PoisonError::into_inner);
        // another thread may have been first
        Ok(slot.get_or_insert_with(|| Arc::new(file)).clone())
    }
}

/// Opens a file. Where threads use all that may be open at the moment, waits for one of them, which closes what it read.
fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    const TRIES: u32 = 2_000;
    const PAUSE: Duration = Duration::from_millis(1);
    for _ in 0..TRIES {
        make_room();
        match options.open(path) {
            Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    options.open(path)
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Weak<Kept>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many files may be open here.
fn most() -> usize {
    static MAY_BE_OPEN: OnceLock<usize> = OnceLock::new();
    *MAY_BE_OPEN.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST);
        limit.saturating_sub(RESERVED).clamp(2, MOST) as usize
    })
}

/// How many transfers may be under way at once, each with a connection, a file and a lock.
pub(crate) fn transfers(wanted: usize) -> usize {
    wanted.min(most() / 4).max(1)
}

/// Closes files until one more may be opened.
fn make_room() {
    let mut kept = lock();
    if kept.len() < most() {
        return;
    }
    kept.retain(|kept| kept.strong_count() > 0);
    let mut open: Vec<Arc<Kept>> = kept.iter().filter_map(Weak::upgrade).collect();
    open.retain(|kept| kept.file.try_read().is_ok_and(|file| file.is_some()));
    open.sort_by_key(|kept| kept.used.load(Ordering::Relaxed));
    let excess = (open.len() + 1).saturating_sub(most());
    for kept in open.iter().take(excess) {
        if let Ok(mut file) = kept.file.try_write() {
            *file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_file_that_was_closed_is_opened_again_unless_another_stands_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let handle = Handle::create(&path).unwrap();
        handle.file().unwrap().write_all_at(b"abc", 0).unwrap();
        *handle.0.file.write().unwrap() = None;
        handle.file().unwrap().write_all_at(b"d", 3).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcd");
        *handle.0.file.write().unwrap() = None;
        std::fs::write(folder.path().join("b"), b"other").unwrap();
        std::fs::rename(folder.path().join("b"), &path).unwrap();
        assert!(handle.file().is_err());
    }
}
