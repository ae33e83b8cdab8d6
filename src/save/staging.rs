//! The staging folder: everything is written there, and nothing of it is seen before it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::StagedFile;
use super::lock::{self, Gate};
use super::place::{Occupant, OutputDirectory, RESERVED};
use super::publish::{self, Route};
use super::{Replace, Sync, part};
use crate::error::{Error, Result};
use crate::save::error::SaveError;
use crate::unfinished::Unfinished;

/// The name of the lock in a staging folder.
const LOCK: &str = ".xfer-lock";

/// The folder `.STEM.xfer-<first 16 hex digits of the plan hash>` beside DIR (inside it where DIR is a mount point), locked.
/// Dropped without `publish`, it removes itself. Opening reclaims debris of dead runs for the same DIR whose lock is free.
#[derive(Debug)]
pub(crate) struct Staging {
    place: OutputDirectory,
    folder: PathBuf,
    replace: Replace,
    unfinished: Unfinished,
    /// Held for life.
    _lock: File,
    /// Whether the folder is to stay when this is dropped: it is DIR by now, or the next run must finish the publication.
    keep: bool,
}

impl Staging {
    /// Checks DIR against `replace`, finishes or undoes an interrupted exchange, reclaims debris, creates and locks the folder;
    /// missing parents of DIR are created, and where DIR is a link, the output goes where it leads.
    /// Another live writer of the same DIR is an error with exit 75; a foreign DIR is exit 3 and nothing is touched.
    pub(crate) fn open(out: &Path, plan_hash: &str, replace: Replace) -> Result<Staging> {
        Staging::open_in(OutputDirectory::resolve(out)?, plan_hash, replace)
    }

    /// As above, for a single file in the place of DIR, which `publish_file` makes of a staged one.
    pub(crate) fn open_file(out: &Path, plan_hash: &str, replace: Replace) -> Result<Staging> {
        Staging::open_in(OutputDirectory::of_file(out)?, plan_hash, replace)
    }

    fn open_in(place: OutputDirectory, plan_hash: &str, replace: Replace) -> Result<Staging> {
        fs::create_dir_all(&place.home).map_err(|error| match error.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                SaveError::NotADirectory { path: place.home.clone() }.into()
            }
            _ => Error::io("create", &place.home, error),
        })?;
        Staging::open_at(place, plan_hash, replace)
    }

    pub(super) fn open_at(place: OutputDirectory, plan_hash: &str, replace: Replace) -> Result<Staging> {
        let gate = gate(&place)?;
        refuse_busy(&place)?;
        publish::recover(&place)?;
        place.admit(replace)?;
        reclaim(&place)?;
        let folder = place.staging(plan_hash);
        let failed = |error| Error::io("create", &folder, error);
        let unfinished = Unfinished::register(&folder);
        fs::create_dir(&folder).map_err(failed)?;
        let lock = lock::lock(&folder.join(LOCK)).map_err(failed)?;
        let lock = lock.ok_or_else(|| busy(&place, folder.clone()))?;
        drop(gate);
        Ok(Staging { place, folder, replace, unfinished, _lock: lock, keep: false })
    }

    /// Creates a file of this length (`fallocate`; an error there before anything is written if the disk is too full).
    pub(crate) fn create(&self, name: &str, bytes: u64) -> Result<Arc<StagedFile>> {
        let path = self.prepare(name)?;
        Ok(Arc::new(StagedFile::create(&path, self.place.typed.join(name), bytes)?))
    }

    /// Opens a file that was created here, to read it and to change it in place.
    pub(crate) fn reopen(&self, name: &str) -> Result<Arc<StagedFile>> {
        Ok(Arc::new(StagedFile::open(&self.folder.join(name), self.place.typed.join(name))?))
    }

    /// Writes a small file whole; its name may contain `/`.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write_by(name, |out| out.write_all(bytes))
    }

    /// Writes a file whose content is made while it is written.
    pub(crate) fn write_by(&self, name: &str, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let path = self.prepare(name)?;
        let write = || {
            let mut out = BufWriter::with_capacity(1 << 16, File::create_new(&path)?);
            content(&mut out)?;
            out.flush()
        };
        write().map_err(|error| Error::io("write", self.place.typed.join(name), error))
    }

    /// The path of a file that is to be made, with the folders above it.
    fn prepare(&self, name: &str) -> Result<PathBuf> {
        let is_plain = |part: Component| matches!(part, Component::Normal(_));
        if name.is_empty()
            || name.contains('\0')
            || !Path::new(name).components().all(is_plain)
            || name.starts_with(RESERVED)
        {
            return Err(SaveError::UnsafeName { name: name.into() }.into());
        }
        let path = self.folder.join(name);
        match path.parent() {
            Some(parent) => {
                fs::create_dir_all(parent).map_err(|error| Error::io("create", self.place.typed.join(name), error))?
            }
            None => return Err(SaveError::UnsafeName { name: name.into() }.into()),
        }
        Ok(path)
    }

    /// The folder, for readers of the staged output.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes DIR the staged content, by rename or atomic exchange; weights first, index and config last in a mount point.
    pub(crate) fn publish(self, sync: Sync) -> Result<()> {
        self.publish_by(sync, None)
    }

    /// Makes the single file the staged file of this name, by one rename.
    pub(crate) fn publish_file(self, name: &str, sync: Sync) -> Result<()> {
        if sync == Sync::Wait {
            publish::flush(&self.folder)?;
        }
        let _gate = gate(&self.place)?;
        self.place.admit(self.replace)?;
        self.unfinished.finish(|| publish::publish_file(&self.place, &self.folder.join(name), sync))
    }

    /// `route` is what the situation asks for, unless it is given.
    pub(super) fn publish_by(mut self, sync: Sync, route: Option<Route>) -> Result<()> {
        if sync == Sync::Wait {
            publish::flush(&self.folder)?;
        }
        let _gate = gate(&self.place)?;
        let occupant = self.place.admit(self.replace)?;
        if self.replace == Replace::Part {
            part::check(&self.place, &self.folder)?;
        }
        let route = route.unwrap_or(match occupant {
            _ if self.place.is_mounted() => Route::InPlace,
            Occupant::Absent | Occupant::Empty => Route::Rename,
            Occupant::Own | Occupant::Foreign => Route::Exchange,
        });
        if route != Route::InPlace {
            let lock = self.folder.join(LOCK);
            fs::remove_file(&lock).map_err(|error| Error::io("remove", &lock, error))?;
        }
        let result = self.unfinished.finish(|| publish::publish(&self.place, &self.folder, route, sync));
        self.keep = result.is_ok() || publish::is_unfinished(&self.folder);
        result
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.keep {
            // what cannot be removed is debris, which the next run reclaims
            let _ = publish::remove(&self.folder);
        }
    }
}

/// Finishes or undoes what a dead run left of DIR and removes its debris, for a run that may find DIR up to date and then opens no
/// staging. Where nothing was left it writes nothing, so that a finished output may lie in a read-only place.
pub(crate) fn settle(out: &Path) -> Result<()> {
    let place = OutputDirectory::resolve(out)?;
    if !place.home.is_dir() || place.stagings()?.is_empty() && !place.aside().exists() {
        return Ok(());
    }
    let _gate = gate(&place)?;
    refuse_busy(&place)?;
    publish::recover(&place)?;
    reclaim(&place)
}

/// Refuses a DIR that `replace` does not allow to be replaced, as `Staging::open` will. Changes nothing.
pub(crate) fn admit(out: &Path, replace: Replace) -> Result<()> {
    OutputDirectory::resolve(out)?.admit(replace).map(drop)
}

fn reclaim(place: &OutputDirectory) -> Result<()> {
    place.stagings()?.iter().try_for_each(|debris| publish::remove(debris))
}

fn gate(place: &OutputDirectory) -> Result<Gate> {
    let path = place.gate();
    let gate = Gate::pass(path.clone()).map_err(|error| Error::io("write to", &place.home, error))?;
    gate.ok_or_else(|| busy(place, path))
}

fn busy(place: &OutputDirectory, folder: PathBuf) -> Error {
    SaveError::Busy { out: place.typed.clone(), folder }.into()
}

fn refuse_busy(place: &OutputDirectory) -> Result<()> {
    for folder in place.stagings()? {
        let lock = folder.join(LOCK);
        if lock::is_held(&lock).map_err(|error| Error::io("open", &lock, error))? {
            return Err(busy(place, folder));
        }
    }
    Ok(())
}
