use super::{Exit, Fault};

/// A zip archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The end of the archive is missing.
    #[error("{file} is truncated: its {bytes} bytes do not end with the directory of a zip archive")]
    NoEnd {
        /// The file.
        file: String,
        /// Its length.
        bytes: u64,
    },
    /// The directory is wrong.
    #[error("{file}: invalid zip archive at byte {offset}: {what}")]
    Directory {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Two entries have one name.
    #[error("{file}: the archive holds `{entry}` twice")]
    Duplicate {
        /// The file.
        file: String,
        /// The entry.
        entry: String,
    },
    /// Two entries share bytes.
    #[error("{file}: the entries `{entry}` and `{other}` overlap")]
    Overlap {
        /// The file.
        file: String,
        /// The entry that begins first.
        entry: String,
        /// The other.
        other: String,
    },
    /// An entry is wrong.
    #[error("{file}: entry `{entry}` at byte {offset}: {what}")]
    Entry {
        /// The file.
        file: String,
        /// The entry.
        entry: String,
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An entry reaches over the end of the data.
    #[error("{file}: entry `{entry}` has {bytes} bytes at byte {offset}, the data of the archive end at {end}")]
    Beyond {
        /// The file.
        file: String,
        /// The entry.
        entry: String,
        /// Where it begins.
        offset: u64,
        /// How many bytes it should have.
        bytes: u64,
        /// Where the directory begins.
        end: u64,
    },
    /// An entry is compressed by another method than deflate.
    #[error("{file}: entry `{entry}` is compressed by method {method}, only deflate (8) is read")]
    Method {
        /// The file.
        file: String,
        /// The entry.
        entry: String,
        /// The number of the method.
        method: u16,
    },
    /// An entry unpacks to something else than it says.
    #[error("{file}: entry `{entry}` is said to unpack to {stated} bytes, it gives {found}")]
    Unpacked {
        /// The file.
        file: String,
        /// The entry.
        entry: String,
        /// What the directory says.
        stated: u64,
        /// What came out; unpacking stops at one byte more than stated.
        found: u64,
    },
    /// An entry unpacks to more than is read at once.
    #[error("{file}: entry `{entry}` unpacks from {packed} to {stated} bytes, at most {limit} are read")]
    TooLarge {
        /// The file.
        file: String,
        /// The entry.
        entry: String,
        /// Its compressed size.
        packed: u64,
        /// What it unpacks to.
        stated: u64,
        /// The most that is read.
        limit: u64,
    },
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
