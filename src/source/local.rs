//! Files and directories of this machine.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::bytes::Bytes;
use super::name::stays_inside;
use crate::error::{Error, Result};
use crate::handles::Handle;
use crate::source::error::SourceError;

/// Folders below folders that are listed; checkpoints nest one or two deep.
const DEEPEST: usize = 6;
/// Files that a source may hold, so that a home directory given by mistake ends in an error and not in a long wait.
const MOST_FILES: usize = 100_000;

/// A file of this machine, read at offsets.
pub(super) struct LocalFile {
    file: Handle,
    name: String,
    len: u64,
}

impl LocalFile {
    /// Opens a regular file (a pipe would block), following symlinks; `name` is what errors mention.
    pub(super) fn open(path: &Path, name: &str) -> Result<LocalFile> {
        let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
        if !metadata.is_file() {
            return Err(SourceError::NotAFile { path: path.to_path_buf() }.into());
        }
        let file = Handle::read(path).map_err(|e| unreadable(path, e))?;
        let len = file.file().and_then(|file| file.metadata()).map_err(|e| unreadable(path, e))?.len();
        Ok(LocalFile { file, name: name.to_string(), len })
    }
}

/// Opens a regular file of this machine.
pub(crate) fn local_file(path: &Path) -> Result<impl Bytes> {
    LocalFile::open(path, &path.display().to_string())
}

/// All bytes of a regular file of this machine, of at most `limit`. A pipe or a device, which may never end, is an error.
pub(crate) fn read_local(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = LocalFile::open(path, &path.display().to_string())?;
    if file.len > limit {
        return Err(SourceError::TooLong { file: file.name, limit, bytes: file.len }.into());
    }
    let mut bytes = vec![0; file.len as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

impl Bytes for LocalFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        end(self, offset, out.len())?;
        match self.file.file().and_then(|file| file.read_exact_at(out, offset)) {
            Ok(()) => Ok(()),
            // another process has cut it since it was opened
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                let bytes =
                    self.file.file().and_then(|file| file.metadata()).map_or(self.len, |metadata| metadata.len());
                Err(SourceError::Short { file: self.name.clone(), offset, wanted: out.len() as u64, bytes }.into())
            }
            Err(e) => Err(Error::io("read", &self.name, e)),
        }
    }
}

/// Where a read of so many bytes ends, or an error where the file ends before.
pub(super) fn end(file: &dyn Bytes, offset: u64, wanted: usize) -> Result<u64> {
    let wanted = wanted as u64;
    let end = offset.checked_add(wanted).filter(|end| *end <= file.len());
    end.ok_or_else(|| SourceError::Short { file: file.name().to_string(), offset, wanted, bytes: file.len() }.into())
}

/// A directory, or one file with the directory around it.
pub(super) struct Directory {
    root: PathBuf,
    pub(super) label: String,
    pub(super) names: Vec<String>,
    pub(super) single: bool,
}

impl Directory {
    /// Lists a directory, or takes a file as the only name; a path where nothing stands is an error.
    pub(super) fn open(path: &Path) -> Result<Directory> {
        let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
        let label = label(path);
        if metadata.is_dir() {
            return Ok(Directory { root: path.to_path_buf(), label, names: files_below(path)?, single: false });
        }
        if !metadata.is_file() {
            return Err(SourceError::NotAFile { path: path.to_path_buf() }.into());
        }
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_string);
        let name = name.ok_or_else(|| SourceError::NameNotText { path: path.to_path_buf() })?;
        let root = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Directory { root, label, names: vec![name], single: true })
    }

    /// The path that was opened: of the directory, or of the one file.
    pub(super) fn path(&self) -> PathBuf {
        match self.names.as_slice() {
            [name] if self.single => self.root.join(name),
            _ => self.root.clone(),
        }
    }

    /// The names of the files at the top of the directory, sorted.
    pub(super) fn beside(&self) -> Result<Vec<String>> {
        if !self.single {
            return Ok(self.names.iter().filter(|name| !name.contains('/')).cloned().collect());
        }
        let mut names = Vec::new();
        let folder = here(&self.root);
        for entry in std::fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
            let entry = entry.map_err(|e| unreadable(folder, e))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.path().is_file() {
                names.push(name);
            }
            if names.len() > MOST_FILES {
                return Err(SourceError::TooManyFiles { path: folder.to_path_buf(), limit: MOST_FILES }.into());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The name of the directory of a single file, and of the directories beside it that hold a file of the same name.
    pub(super) fn folders(&self) -> Result<(String, Vec<String>)> {
        let none = || Ok((String::new(), Vec::new()));
        let (true, [file]) = (self.single, self.names.as_slice()) else { return none() };
        let Ok(root) = std::fs::canonicalize(here(&self.root)) else { return none() };
        let Some(parent) = root.parent() else { return none() };
        let Ok(entries) = std::fs::read_dir(parent) else { return Ok((label(&root), Vec::new())) };
        let paths = entries.take(MOST_FILES).filter_map(|entry| Some(entry.ok()?.path()));
        let holds = |path: &PathBuf| *path != root && path.join(file).is_file();
        let mut folders: Vec<String> = paths.filter(holds).map(|path| label(&path)).collect();
        folders.sort_unstable();
        Ok((label(&root), folders))
    }

    /// Opens a file by its name below the directory; one that leaves the directory is an error.
    pub(super) fn file(&self, name: &str) -> Result<LocalFile> {
        if !stays_inside(name) {
            return Err(SourceError::Outside { label: self.label.clone(), name: name.to_string() }.into());
        }
        let path = self.root.join(name);
        if path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            return Err(SourceError::no_such_file(&self.label, name, &self.names).into());
        }
        LocalFile::open(&path, name)
    }
}

/// The directory of a file that was named without one is the working directory.
fn here(root: &Path) -> &Path {
    if root.as_os_str().is_empty() { Path::new(".") } else { root }
}

fn label(path: &Path) -> String {
    let last = path.file_name().map(|name| name.to_string_lossy().into_owned());
    // `.` and `..` have no last component of their own
    let real = || std::fs::canonicalize(path).ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
    last.or_else(real).unwrap_or_else(|| path.display().to_string())
}

/// The regular files below `root`, with `/`, sorted. Links to files are followed and links to folders are not (they
/// may turn in a circle); folders whose names begin with a dot are version control and caches, and passed over.
pub(super) fn files_below(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| unreadable(&folder, e))? {
            let entry = entry.map_err(|e| unreadable(&folder, e))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(|e| unreadable(&entry.path(), e))?;
            if kind.is_dir() && !name.starts_with('.') && depth < DEEPEST {
                folders.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
            } else if kind.is_file() || (kind.is_symlink() && entry.path().is_file()) {
                names.push(format!("{prefix}{name}"));
            }
            if names.len() > MOST_FILES {
                return Err(SourceError::TooManyFiles { path: root.to_path_buf(), limit: MOST_FILES }.into());
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What is not there or may not be read is the source's fault; the rest is the machine's.
fn unreadable(path: &Path, source: std::io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::NotFound if path.is_symlink() => SourceError::DanglingLink { path }.into(),
        ErrorKind::NotFound | ErrorKind::NotADirectory => SourceError::MissingPath { path }.into(),
        ErrorKind::PermissionDenied => SourceError::Unreadable { path, source }.into(),
        _ => Error::io("read", path, source),
    }
}
