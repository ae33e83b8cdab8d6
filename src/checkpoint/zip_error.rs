use crate::error::{Exit, Fault};

/// A zip archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("{file} is truncated: its {bytes} bytes do not end with the directory of a zip archive")]
    NoEnd { file: String, bytes: u64 },
    #[error("{file}: invalid zip archive at byte {offset}: {what}")]
    Directory { file: String, offset: u64, what: &'static str },
    #[error("{file}: the archive contains `{entry}` twice")]
    Duplicate { file: String, entry: String },
    #[error("{file}: the entries `{entry}` and `{other}` overlap")]
    Overlap { file: String, entry: String, other: String },
    #[error("{file}: entry `{entry}` at byte {offset}: {what}")]
    Entry { file: String, entry: String, offset: u64, what: &'static str },
    #[error("{file}: entry `{entry}` has {bytes} bytes at byte {offset}, the data of the archive end at {end}")]
    Beyond { file: String, entry: String, offset: u64, bytes: u64, end: u64 },
    #[error("{file}: entry `{entry}` is compressed by method {method}, only deflate (8) is read")]
    Method { file: String, entry: String, method: u16 },
    #[error("{file}: entry `{entry}` has a stated size of {stated} bytes, but unpacks to {found}")]
    Unpacked { file: String, entry: String, stated: u64, found: u64 },
    #[error("{file}: entry `{entry}` unpacks from {packed} to {stated} bytes, at most {limit} are read")]
    TooLarge { file: String, entry: String, packed: u64, stated: u64, limit: u64 },
}

impl Fault for ArchiveError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            ArchiveError::NoEnd { .. } | ArchiveError::Beyond { .. } => vec!["fetch or copy the file again".into()],
            _ => Vec::new(),
        }
    }
}
