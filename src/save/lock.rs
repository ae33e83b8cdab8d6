//! Who may write: a lock for the life of a staging folder, and a gate that lets one process at a time look around and publish.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::unfinished::Unfinished;

/// How long the gate may be closed before this process gives up.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// Opens or creates a file and locks it, or `None` where another process holds it. A file system without locks counts as free: there
/// two writers are not kept apart.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    Ok(try_lock(&file)?.then_some(file))
}

/// Whether another process holds the lock at `path`; no file is not a lock.
pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(!try_lock(&file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Held while a process looks at the staging folders of one DIR or publishes there. A file that removes itself; what a killed
/// process leaves of it, the next one uses and removes.
pub(super) struct Gate {
    path: PathBuf,
    _unfinished: Unfinished,
    _file: File,
}

impl Gate {
    /// Waits for the gate, or `None` where it stays closed.
    pub(super) fn pass(path: PathBuf) -> io::Result<Option<Gate>> {
        let unfinished = Unfinished::register(&path);
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            match lock(&path)? {
                // the one before may have removed the very file that was just locked
                Some(file) if is_same(&file, &path)? => {
                    return Ok(Some(Gate { path, _unfinished: unfinished, _file: file }));
                }
                Some(_) => {}
                None => std::thread::sleep(PAUSE),
            }
        }
        Ok(None)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // left behind it does no harm
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
