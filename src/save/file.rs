//! A file of known length, written at offsets by several threads.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::handles::Handle;
use crate::save::error::SaveError;

/// A file being written at known offsets, by several threads at once; its space is allocated beforehand.
#[derive(Debug)]
pub(crate) struct StagedFile {
    file: Handle,
    bytes: u64,
    /// Where it will stand, for errors.
    target: PathBuf,
}

impl StagedFile {
    /// Creates `path`, which is not there yet, with room for `bytes`; errors mention `target`.
    pub(super) fn create(path: &Path, target: PathBuf, bytes: u64) -> Result<StagedFile> {
        let file = Handle::create(path).map_err(|error| Error::io("create", &target, error))?;
        let allocated = file.file().and_then(|file| allocate(&file, bytes));
        allocated.map_err(|error| Error::io("allocate", &target, error))?;
        Ok(StagedFile { file, bytes, target })
    }

    /// Opens `path`, which was created before; errors mention `target`.
    pub(super) fn open(path: &Path, target: PathBuf) -> Result<StagedFile> {
        let open = || {
            let file = Handle::write(path)?;
            let bytes = file.file()?.metadata()?.len();
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(|error| Error::io("open", &target, error))?;
        Ok(StagedFile { file, bytes, target })
    }

    /// Writes at an offset; a full disk is an `IoError` with the path of the output, not of the staging file.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check(offset, bytes.len())?;
        let written = self.file.file().and_then(|file| file.write_all_at(bytes, offset));
        written.map_err(|error| Error::io("write", &self.target, error))
    }

    /// Reads back, for passes over the staged output.
    pub(crate) fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.check(offset, out.len())?;
        let read = self.file.file().and_then(|file| file.read_exact_at(out, offset));
        read.map_err(|error| Error::io("read", &self.target, error))
    }

    fn check(&self, offset: u64, len: usize) -> Result<()> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.bytes => Ok(()),
            _ => {
                let (file, len, bytes) = (self.target.clone(), len as u64, self.bytes);
                Err(SaveError::BeyondEnd { file, offset, len, bytes }.into())
            }
        }
    }
}

/// Reserves the space, so that a full disk shows now; where the file system cannot, sets the length alone.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    // asked beforehand, since a failing allocation first takes all that there is
    if let Ok(system) = rustix::fs::fstatvfs(file)
        && system.f_blocks > 0
    {
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if bytes > free {
            return Err(no_space(bytes, free));
        }
    }
    loop {
        match reserve(file, bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return file.set_len(bytes),
            Err(Errno::NOSPC) => return Err(no_space(bytes, 0)),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> rustix::io::Result<()> {
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _bytes: u64) -> rustix::io::Result<()> {
    Err(Errno::OPNOTSUPP)
}

fn no_space(bytes: u64, free: u64) -> io::Error {
    io::Error::new(ErrorKind::StorageFull, format!("the file takes {bytes} bytes, the disk has {free} free"))
}
