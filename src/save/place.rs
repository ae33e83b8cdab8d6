//! Where DIR is, what stands there, and where its staging folders go.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Replace;
use crate::error::{Error, Result};
use crate::save::error::SaveError;
use crate::source::read_local;

/// Names that begin so belong to the machinery of a staging folder and are never published.
pub(super) const RESERVED: &str = ".xfer-";
/// The report, by which an output of xfer is recognised.
const REPORT: &str = "xfer.json";
/// The longest report.
const LONGEST_REPORT: u64 = 1 << 30;

/// DIR and its surroundings.
#[derive(Clone, Debug)]
pub(super) struct OutputDirectory {
    pub(super) typed: PathBuf,
    /// With links followed.
    pub(super) out: PathBuf,
    /// Holds the staging folders: the parent, or DIR itself where that cannot be renamed.
    pub(super) home: PathBuf,
    /// The last component of DIR.
    pub(super) stem: OsString,
    /// Whether one file is written, and no directory.
    pub(super) is_file: bool,
}

/// What stands at DIR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    Absent,
    Empty,
    Own,
    Foreign,
}

impl OutputDirectory {
    /// Follows links; a file in the place of DIR, or a link to nothing, is an error.
    pub(super) fn resolve(typed: &Path) -> Result<OutputDirectory> {
        let exists = match fs::symlink_metadata(typed) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                let path = typed.parent().unwrap_or(typed).to_path_buf();
                return Err(SaveError::NotADirectory { path }.into());
            }
            Err(error) => return Err(Error::io("look at", typed, error)),
        };
        let out = if exists { existing(typed)? } else { typed.to_path_buf() };
        let stem = match out.file_name() {
            Some(stem) => stem.to_os_string(),
            None if exists => OsString::from("root"),
            None => return Err(SaveError::NoName { path: typed.to_path_buf() }.into()),
        };
        let parent = match out.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_path_buf(),
            None => out.clone(),
        };
        let inside = exists && (is_mount_point(&out, &parent) || !is_writable(&parent));
        let home = if inside { out.clone() } else { parent };
        Ok(OutputDirectory { typed: typed.to_path_buf(), out, home, stem, is_file: false })
    }

    /// The place of one file. Links are followed; a path without a name is an error.
    pub(super) fn of_file(typed: &Path) -> Result<OutputDirectory> {
        let out = fs::canonicalize(typed).unwrap_or_else(|_| typed.to_path_buf());
        let no_name = || SaveError::NoName { path: typed.to_path_buf() };
        let stem = out.file_name().ok_or_else(no_name)?.to_os_string();
        let home = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
        Ok(OutputDirectory { typed: typed.to_path_buf(), out, home, stem, is_file: true })
    }

    /// Whether the staging folder stands inside DIR.
    pub(super) fn is_mounted(&self) -> bool {
        self.home == self.out
    }

    fn prefix(&self) -> OsString {
        let mut prefix = OsString::from(".");
        prefix.push(&self.stem);
        prefix.push(".xfer-");
        prefix
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.prefix();
        name.push(suffix);
        self.home.join(name)
    }

    /// The staging folder of a plan.
    pub(super) fn staging(&self, plan_hash: &str) -> PathBuf {
        let digits: String = plan_hash.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        self.beside(if digits.is_empty() { "0" } else { &digits })
    }

    /// Where an old output stands for a moment on systems that cannot exchange two directories.
    pub(super) fn aside(&self) -> PathBuf {
        self.beside("old")
    }

    pub(super) fn gate(&self) -> PathBuf {
        self.beside("gate")
    }

    /// The staging folders of DIR, of any plan, sorted.
    pub(super) fn stagings(&self) -> Result<Vec<PathBuf>> {
        let prefix = self.prefix();
        let is_staging = |name: &OsStr| {
            let tag = name.as_bytes().strip_prefix(prefix.as_bytes()).unwrap_or_default();
            (1..=16).contains(&tag.len()) && tag.iter().all(u8::is_ascii_hexdigit)
        };
        let names = entries(&self.home)?;
        let folders = names.into_iter().filter(|name| is_staging(name)).map(|name| self.home.join(name));
        Ok(folders.filter(|path| path.is_dir()).collect())
    }

    /// What of DIR is its content: staging folders inside a mount point and the folder that some file systems keep are not.
    pub(super) fn content(&self) -> Result<Vec<OsString>> {
        let (prefix, mounted) = (self.prefix(), self.is_mounted());
        let is_ours = |name: &OsString| {
            let name = name.as_bytes();
            name.starts_with(prefix.as_bytes()) || name.starts_with(RESERVED.as_bytes()) || name == b"lost+found"
        };
        Ok(entries(&self.out)?.into_iter().filter(|name| !(mounted && is_ours(name))).collect())
    }

    /// What stands at DIR now.
    pub(super) fn occupant(&self) -> Result<Occupant> {
        if !self.out.try_exists().map_err(|error| Error::io("look at", &self.typed, error))? {
            return Ok(Occupant::Absent);
        }
        if self.is_file {
            // a file says nothing of who wrote it: --force is enough
            return Ok(if self.out.is_file() { Occupant::Own } else { Occupant::Foreign });
        }
        Ok(match self.content()?.as_slice() {
            [] => Occupant::Empty,
            _ if is_report(&self.out.join(REPORT)) => Occupant::Own,
            _ => Occupant::Foreign,
        })
    }

    /// Refuses what may not be replaced; the answer says what will be.
    pub(super) fn admit(&self, replace: Replace) -> Result<Occupant> {
        let out = self.typed.clone();
        match (self.occupant()?, replace) {
            (Occupant::Own, Replace::Refuse) => Err(SaveError::Exists { out }.into()),
            (Occupant::Foreign, Replace::Refuse | Replace::OwnOutput) => {
                let content = if self.is_file { Vec::new() } else { self.content()? };
                let example = content.first().map(|name| name.to_string_lossy().into_owned());
                Err(SaveError::Foreign { out, example: example.unwrap_or_default() }.into())
            }
            (occupant, _) => Ok(occupant),
        }
    }
}

fn existing(typed: &Path) -> Result<PathBuf> {
    let path = typed.to_path_buf();
    match fs::canonicalize(typed) {
        Ok(out) if out.is_dir() => Ok(out),
        Ok(_) => Err(SaveError::NotADirectory { path }.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(SaveError::DanglingLink { path }.into()),
        Err(error) => Err(Error::io("look at", typed, error)),
    }
}

/// Whether another file system begins here, or the same one once more (a bind mount): such a directory cannot be renamed.
fn is_mount_point(out: &Path, parent: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    out == parent || device(out) != device(parent) || is_mount_root(out)
}

/// Whether names can be made and removed in a directory.
fn is_writable(directory: &Path) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(target_os = "linux")]
fn is_mount_root(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(CWD, path, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(target_os = "linux"))]
fn is_mount_root(_path: &Path) -> bool {
    false
}

/// The names in a directory, sorted.
pub(super) fn entries(directory: &Path) -> Result<Vec<OsString>> {
    let read =
        || -> std::io::Result<Vec<OsString>> { fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect() };
    let mut names = read().map_err(|error| Error::io("list", directory, error))?;
    names.sort_unstable();
    Ok(names)
}

/// Whether a file is a report of xfer: an object with the key `xfer`.
fn is_report(path: &Path) -> bool {
    #[derive(Deserialize)]
    struct Report {
        #[serde(rename = "xfer")]
        _version: IgnoredAny,
    }
    read_local(path, LONGEST_REPORT).is_ok_and(|text| serde_json::from_slice::<Report>(&text).is_ok())
}
