//! The source of an architecture, and the files beside it.

use std::path::{Path, PathBuf};

use super::json::{Document, MOST_BYTES};
use crate::error::Result;
use crate::progress::Progress;
use crate::source::error::SourceError;
use crate::source::{Access, Reference, Source};

/// The source of an architecture, and the files beside it.
pub(super) struct Beside<'a> {
    /// The folder that relative paths start from, where it is one of this machine.
    folder: Option<PathBuf>,
    pub(super) source: Source,
    access: Access,
    pub(super) progress: &'a dyn Progress,
}

fn folder(reference: &Reference) -> Option<PathBuf> {
    match reference {
        Reference::Path(path) if path.is_dir() => Some(path.clone()),
        Reference::Path(path) => Some(path.parent().unwrap_or(Path::new("")).to_path_buf()),
        Reference::Hub { .. } | Reference::None => None,
    }
}

/// What a directory is asked for, first: an `arch.json` is xfer's own and says more than the config beside it.
const DESCRIPTIONS: [&str; 2] = ["arch.json", "config.json"];

impl<'a> Beside<'a> {
    /// Opens what was typed after `--arch`.
    pub(super) fn open(reference: &Reference, access: Access, progress: &'a dyn Progress) -> Result<Beside<'a>> {
        let source = Source::open(reference, &access, progress)?;
        Ok(Beside { folder: folder(reference), source, access, progress })
    }

    /// The JSON that describes the architecture, or `None` where weights do.
    pub(super) fn document(&self) -> Result<Option<Document>> {
        let names = self.source.names();
        let name = if self.source.is_single_file() {
            match names.first() {
                Some(name) if self.is_json(name)? => name.as_str(),
                _ => return Ok(None),
            }
        } else {
            match DESCRIPTIONS.into_iter().find(|name| names.iter().any(|known| known == name)) {
                Some(name) => name,
                None => return Ok(None),
            }
        };
        let document = Document::parse(name, self.source.read(name, MOST_BYTES, self.progress)?)?;
        let index = document.root.get("weight_map").is_some();
        Ok((!index).then_some(document))
    }

    /// JSON begins with a brace and text; a safetensors file of 123 header bytes begins with a brace and zeros.
    fn is_json(&self, name: &str) -> Result<bool> {
        let file = self.source.file(name, self.progress)?;
        let mut start = vec![0; usize::try_from(file.len().min(64)).unwrap_or(0)];
        file.read_at(0, &mut start)?;
        let text = start.trim_ascii_start();
        let brace = text.first().is_some_and(|byte| *byte == b'{') && text.get(1) != Some(&0);
        Ok(brace || name.ends_with(".json"))
    }

    /// Whether it is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.folder.is_some()
    }

    /// The label for reports and messages.
    pub(super) fn label(&self) -> &str {
        self.source.label()
    }

    /// Whether a relative path in the file names a folder.
    pub(super) fn is_folder(&self, path: &str) -> bool {
        match &self.folder {
            Some(folder) => folder.join(path).is_dir(),
            None => {
                let below = format!("{path}/");
                self.source.names().iter().any(|name| path.is_empty() || path == "." || name.starts_with(&below))
            }
        }
    }

    /// What a relative path in the file names, from the working directory; in a repository, the path as it stands.
    pub(super) fn path_of(&self, path: &str) -> String {
        self.folder.as_ref().map_or(path.to_string(), |folder| folder.join(path).display().to_string())
    }

    /// Reads a file that a relative path in the file names. In a repository of the Hub it must stand in the repository.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let Some(folder) = &self.folder else { return self.source.read(path, limit, self.progress) };
        let file = Source::open(&Reference::Path(folder.join(path)), &self.access, self.progress)?;
        match file.names() {
            [only] if file.is_single_file() => file.read(only, limit, self.progress),
            _ => Err(SourceError::NotAFile { path: folder.join(path) }.into()),
        }
    }
}
