//! Files that the user names for reports, pages and plans: whole, or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use xfer::error::{Error, Result};
use xfer::unfinished::Unfinished;

use super::error::OutputError;

/// Refuses a path whose folder is missing, and one of a folder.
pub fn check(flag: &'static str, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() || !folder.is_dir() || path.file_name().is_none() {
        return Err(OutputError::NoFolder { flag, path: path.to_path_buf() }.into());
    }
    Ok(())
}

/// Writes a text.
pub fn write(path: &Path, text: &str) -> Result<()> {
    write_by(path, |out| out.write_all(text.as_bytes()))
}

/// Writes what is made while it is written: beside a regular file, which is then replaced; into a pipe or a device directly.
pub fn write_by(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
        return File::options().write(true).open(&target).and_then(|file| fill(file, content)).map_err(failed);
    }
    let beside = beside(&target);
    let unfinished = Unfinished::register(&beside);
    let written = File::create(&beside).and_then(|file| fill(file, content));
    match unfinished.finish(|| written.and_then(|()| fs::rename(&beside, &target))) {
        Ok(()) => Ok(()),
        Err(error) => {
            // what cannot be removed was not written either
            let _ = fs::remove_file(&beside);
            Err(failed(error))
        }
    }
}

fn fill(file: File, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    content(&mut out)?;
    out.flush()
}

/// A name in the same folder that nobody else uses.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}
