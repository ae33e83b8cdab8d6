//! Staged content becomes DIR: whatever kills the process, a reader sees the old, the new, or nothing, and the next run
//! finishes or undoes what was begun.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::Sync;
use super::place::{Occupant, OutputDirectory, RESERVED, entries};
use crate::error::{Error, Result};

/// The ways to publish, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// DIR is absent or empty: one rename.
    Rename,
    /// DIR is an old output: both change places at once, then the old one goes.
    Exchange,
    /// As above, where the system cannot exchange: the old one steps aside first.
    Aside,
    /// DIR cannot be renamed (a mount point): its content is cleared, then the new files are moved in, weights first.
    InPlace,
}

/// Says that the old content of DIR is being cleared: all of the new is still in the staging folder.
const CLEARING: &str = ".xfer-clear";
/// Says that the new content is being moved: some of it may stand in DIR.
const MOVING: &str = ".xfer-move";

/// Publishes the folder by a route; one that the system refuses leads to the next.
pub(super) fn publish(place: &OutputDirectory, folder: &Path, route: Route, sync: Sync) -> Result<()> {
    let failed = |error: Errno| Error::io("publish", &place.typed, error.into());
    match route {
        Route::Rename => match rustix::fs::rename(folder, &place.out) {
            Ok(()) => sync_directory(&place.home, sync),
            Err(Errno::XDEV | Errno::BUSY) if place.out.is_dir() => publish(place, folder, Route::InPlace, sync),
            Err(error) => Err(failed(error)),
        },
        Route::Exchange => match renameat_with(CWD, folder, CWD, &place.out, RenameFlags::EXCHANGE) {
            Ok(()) => {
                sync_directory(&place.home, sync)?;
                // the new output stands; what is left of the old is debris for the next run
                let _ = remove(folder);
                Ok(())
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => publish(place, folder, Route::Aside, sync),
            Err(Errno::XDEV | Errno::BUSY) => publish(place, folder, Route::InPlace, sync),
            Err(error) => Err(failed(error)),
        },
        Route::Aside => {
            let aside = place.aside();
            rustix::fs::rename(&place.out, &aside).map_err(failed)?;
            if let Err(error) = rustix::fs::rename(folder, &place.out) {
                rustix::fs::rename(&aside, &place.out).map_err(failed)?;
                return Err(failed(error));
            }
            sync_directory(&place.home, sync)?;
            let _ = remove(&aside);
            Ok(())
        }
        Route::InPlace => move_in(place, folder, sync),
    }
}

/// Publishes one file by a rename.
pub(super) fn publish_file(place: &OutputDirectory, staged: &Path, sync: Sync) -> Result<()> {
    fs::rename(staged, &place.out).map_err(|error| Error::io("publish", &place.typed, error))?;
    sync_directory(&place.home, sync)
}

/// Whether a publication in place was begun with this folder, so that it must stay.
pub(super) fn is_unfinished(folder: &Path) -> bool {
    folder.join(CLEARING).exists() || folder.join(MOVING).exists()
}

/// Finishes or undoes what a killed run began; called when no writer lives.
pub(super) fn recover(place: &OutputDirectory) -> Result<()> {
    for folder in place.stagings()? {
        if is_unfinished(&folder) {
            move_in(place, &folder, Sync::Wait)?;
        }
    }
    let aside = place.aside();
    if !aside.is_dir() {
        return Ok(());
    }
    match place.occupant()? {
        Occupant::Absent | Occupant::Empty => {
            fs::rename(&aside, &place.out).map_err(|error| Error::io("restore", &place.typed, error))
        }
        Occupant::Own | Occupant::Foreign => remove(&aside),
    }
}

/// Clears DIR and moves the new files in; begins where a killed run stopped.
fn move_in(place: &OutputDirectory, folder: &Path, sync: Sync) -> Result<()> {
    let failed = |error| Error::io("publish", &place.typed, error);
    let (clearing, moving) = (folder.join(CLEARING), folder.join(MOVING));
    if !moving.exists() {
        File::create(&clearing).map_err(failed)?;
        probe(&clearing, &place.out.join(CLEARING))
            .inspect_err(|_| drop(fs::remove_file(&clearing)))
            .map_err(failed)?;
        sync_directory(folder, sync)?;
        clear(place)?;
        sync_directory(&place.out, sync)?;
        fs::rename(&clearing, &moving).map_err(failed)?;
        sync_directory(folder, sync)?;
    }
    let mut names = entries(folder)?;
    names.retain(|name| !name.as_bytes().starts_with(RESERVED.as_bytes()));
    names.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    // what index and config speak of must be there before them
    let announcing = names.iter().position(|name| rank(name) >= Rank::Index);
    for (number, name) in names.iter().enumerate() {
        if Some(number) == announcing {
            sync_directory(&place.out, sync)?;
        }
        fs::rename(folder.join(name), place.out.join(name)).map_err(failed)?;
    }
    sync_directory(&place.out, sync)?;
    remove(folder)
}

/// Whether files can be moved from the folder to DIR at all, found out before anything is cleared.
fn probe(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    fs::rename(to, from)
}

/// Removes the content of DIR, what announces it first.
fn clear(place: &OutputDirectory) -> Result<()> {
    let mut names = place.content()?;
    names.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.cmp(b)));
    names.iter().try_for_each(|name| remove(&place.out.join(name)))
}

/// The order in which files appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Weights,
    Companion,
    Index,
    Config,
    Report,
}

fn rank(name: &OsStr) -> Rank {
    match name.as_bytes() {
        b"xfer.json" => Rank::Report,
        b"config.json" => Rank::Config,
        name if name.ends_with(b".index.json") => Rank::Index,
        name if name.ends_with(b".safetensors") => Rank::Weights,
        _ => Rank::Companion,
    }
}

/// Removes a file or a whole directory; what is gone already is not an error.
pub(super) fn remove(path: &Path) -> Result<()> {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Waits until every file and directory below `folder` is on the disk.
pub(super) fn flush(folder: &Path) -> Result<()> {
    for name in entries(folder)? {
        let path = folder.join(name);
        if path.is_dir() {
            flush(&path)?;
        } else {
            let flush = || File::open(&path)?.sync_all();
            flush().map_err(|error| Error::io("flush", &path, error))?;
        }
    }
    sync_directory(folder, Sync::Wait)
}

fn sync_directory(path: &Path, sync: Sync) -> Result<()> {
    if sync == Sync::Skip {
        return Ok(());
    }
    match File::open(path).and_then(|directory| directory.sync_all()) {
        // some file systems have nothing to wait for
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(Error::io("flush", path, error)),
        _ => Ok(()),
    }
}
