use std::path::PathBuf;

use super::{Exit, Fault, nearest};

/// A source cannot be found or fetched.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A bare word is neither an alias nor a path.
    #[error("`{name}` is neither a path nor a known short name of a checkpoint")]
    UnknownName {
        /// What was typed.
        name: String,
        /// The short names that are most like it, the best first.
        near: Vec<&'static str>,
    },
    /// A reference breaks the grammar.
    #[error("source `{text}`: expected {expected}")]
    Malformed {
        /// What was typed.
        text: String,
        /// What stands there in a correct one.
        expected: &'static str,
    },
    /// `none` was given where weights are read.
    #[error("source `none` holds no weights to read")]
    NoSource,
    /// Two revisions were asked for.
    #[error("two revisions of {repository}: `{written}` in the source and `{flag}` in --revision")]
    TwoRevisions {
        /// `org/name`.
        repository: String,
        /// After the `@`.
        written: String,
        /// After `--revision`.
        flag: String,
    },
    /// `HF_ENDPOINT` is no address.
    #[error("HF_ENDPOINT `{endpoint}` is no http:// or https:// address")]
    BadEndpoint {
        /// Its value.
        endpoint: String,
    },
    /// The token cannot be sent. Its value is not repeated.
    #[error("the Hugging Face token holds characters that cannot be sent")]
    BadToken,
    /// There is no place for downloads.
    #[error("no directory for the Hugging Face cache: neither HF_HOME nor HOME is set")]
    NoCache,
    /// Nothing stands at a path.
    #[error("{}: no such file or directory", path.display())]
    MissingPath {
        /// The path.
        path: PathBuf,
    },
    /// A link leads nowhere.
    #[error("{}: a link to a file that does not exist", path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// A path may not be read.
    #[error("read {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A pipe, a device, or a directory in the place of a file.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file's name is not UTF-8.
    #[error("{}: the name is not UTF-8", path.display())]
    NameNotText {
        /// The path.
        path: PathBuf,
    },
    /// A directory is no checkpoint's.
    #[error("{}: more than {limit} files", path.display())]
    TooManyFiles {
        /// The directory.
        path: PathBuf,
        /// How many a source may have.
        limit: usize,
    },
    /// A name leads out of its source.
    #[error("{label}: the file name `{name}` leads out of it")]
    Outside {
        /// The source's label.
        label: String,
        /// The name.
        name: String,
    },
    /// A source has no file of this name.
    #[error("{label}: no file `{name}`")]
    NoSuchFile {
        /// The source's label.
        label: String,
        /// The name.
        name: String,
        /// The name that is most like it.
        near: Option<String>,
    },
    /// A file ends before the bytes that were asked for.
    #[error("{file}: expected {wanted} bytes at offset {offset}, found the end of the file at {bytes}")]
    Short {
        /// The file's name.
        file: String,
        /// Where the read began.
        offset: u64,
        /// How many bytes were asked for.
        wanted: u64,
        /// How long the file is.
        bytes: u64,
    },
    /// A file that is read whole is too long for what it is.
    #[error("{file}: expected at most {limit} bytes, found {bytes}")]
    TooLong {
        /// The file's name.
        file: String,
        /// How many it may have.
        limit: u64,
        /// How many it has.
        bytes: u64,
    },
}

impl SourceError {
    /// A name that is not among `names`, with the one that is most like it.
    pub(crate) fn no_such_file(label: &str, name: &str, names: &[String]) -> SourceError {
        let near = nearest(name, names.iter().map(String::as_str)).map(str::to_string);
        SourceError::NoSuchFile { label: label.to_string(), name: name.to_string(), near }
    }
}

impl Fault for SourceError {
    fn exit(&self) -> Exit {
        use SourceError::*;
        match self {
            Malformed { .. } | NoSource | TwoRevisions { .. } | BadEndpoint { .. } | BadToken | NoCache => Exit::Usage,
            NotAFile { .. } | NameNotText { .. } | TooManyFiles { .. } => Exit::Input,
            Outside { .. } | Short { .. } | TooLong { .. } => Exit::Input,
            UnknownName { .. } | MissingPath { .. } | DanglingLink { .. } | Unreadable { .. } => Exit::Source,
            NoSuchFile { .. } => Exit::Source,
        }
    }

    fn hints(&self) -> Vec<String> {
        use SourceError::*;
        match self {
            UnknownName { near, .. } if near.is_empty() => vec![
                "write org/name for a repository of the Hub, or the path of a file or directory".into(),
                "xfer inspect --aliases lists the short names".into(),
            ],
            UnknownName { near, .. } => vec![format!("did you mean {}?", near.join(", "))],
            Malformed { .. } => {
                vec!["a source is org/name[@revision], hf://org/name[@revision][/path], a path, or none".into()]
            }
            NoSource => vec!["name a checkpoint, as in --from bert-base".into()],
            TwoRevisions { repository, written, flag } => {
                vec![format!("write {repository}@{written}, or {repository} with --revision {flag}")]
            }
            BadEndpoint { .. } => vec!["export HF_ENDPOINT=https://huggingface.co".into()],
            BadToken => vec![
                "hf auth login, or export HF_TOKEN with a token from https://huggingface.co/settings/tokens".into(),
            ],
            NoCache => vec!["pass --cache-dir DIR, or set HF_HOME".into()],
            NoSuchFile { near: Some(near), .. } => vec![format!("did you mean {near}?")],
            DanglingLink { .. } => vec!["fetch the file again, or remove the link".into()],
            Unreadable { path, .. } => vec![format!("check who may read {}", path.display())],
            Short { .. } => vec!["the file is truncated or still being written: fetch or copy it again".into()],
            MissingPath { .. } | NotAFile { .. } | NameNotText { .. } | TooManyFiles { .. } | Outside { .. } => {
                Vec::new()
            }
            NoSuchFile { near: None, .. } | TooLong { .. } => Vec::new(),
        }
    }
}
