//! Files and folders that must not outlive the process unfinished. Whoever makes one registers it; where a signal ends the process while
//! its threads compute or wait, they are removed by whoever ends it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Something unfinished; dropped, it is no longer registered.
#[derive(Debug)]
pub struct Unfinished(PathBuf);

impl Unfinished {
    /// Registers a file or folder, which need not be there yet.
    pub fn register(path: &Path) -> Unfinished {
        lock().insert(path.to_path_buf());
        Unfinished(path.to_path_buf())
    }

    /// Does what makes it finished, or removes it; nobody else removes it meanwhile.
    pub fn finish<T>(&self, publish: impl FnOnce() -> T) -> T {
        let mut unfinished = lock();
        let result = publish();
        unfinished.remove(&self.0);
        result
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        lock().remove(&self.0);
    }
}

fn lock() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes everything that is registered, before the process ends at once. Gives up where something is just being published: what that
/// leaves, the next run finishes.
pub fn remove_all() {
    const TRIES: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..TRIES {
        let Ok(unfinished) = UNFINISHED.try_lock() else {
            std::thread::sleep(PAUSE);
            continue;
        };
        // threads that still run may make another file in a folder while it is removed
        let is_left = |path: &&PathBuf| remove(path).is_err();
        if unfinished.iter().filter(is_left).count() == 0 {
            return;
        }
        drop(unfinished);
        std::thread::sleep(PAUSE);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
