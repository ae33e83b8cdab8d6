//! What can go wrong with a source.

use std::path::PathBuf;

use crate::error::{Exit, Fault, nearest};

/// A source cannot be found or fetched.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the text of each variant documents it")]
pub enum SourceError {
    #[error("`{name}` is neither a path nor a known short name of a checkpoint")]
    UnknownName { name: String, near: Vec<&'static str> },
    #[error("source `{text}`: expected {expected}")]
    Malformed { text: String, expected: &'static str },
    #[error("source `none` contains no weights to read")]
    NoSource,
    #[error("two revisions of {repository}: `{written}` in the source and `{flag}` in --revision")]
    TwoRevisions { repository: String, written: String, flag: String },
    #[error("HF_ENDPOINT `{endpoint}` is not a http:// or https:// address")]
    BadEndpoint { endpoint: String },
    #[error("the Hugging Face token contains characters that cannot be sent")]
    BadToken,
    #[error("{}: no certificate in it", path.display())]
    NoCertificate { path: PathBuf },
    #[error("no directory for the Hugging Face cache: neither HF_HOME nor HOME is set")]
    NoCache,
    #[error("{}: no such file or directory", path.display())]
    MissingPath { path: PathBuf },
    #[error("{}: a link to a file that does not exist", path.display())]
    DanglingLink { path: PathBuf },
    #[error("read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// A pipe, a device, or a directory in the place of a file.
    #[error("{}: not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{}: the name is not UTF-8", path.display())]
    NameNotText { path: PathBuf },
    #[error("{}: more than {limit} files", path.display())]
    TooManyFiles { path: PathBuf, limit: usize },
    #[error("{label}: the file name `{name}` points outside of it")]
    Outside { label: String, name: String },
    #[error("{label}: no file `{name}`")]
    NoSuchFile { label: String, name: String, near: Option<String> },
    #[error("{file}: expected {wanted} bytes at offset {offset}, found the end of the file at {bytes}")]
    Short { file: String, offset: u64, wanted: u64, bytes: u64 },
    #[error("{file}: expected at most {limit} bytes, found {bytes}")]
    TooLong { file: String, limit: u64, bytes: u64 },
    /// A repository may not be read, or is hidden.
    #[error("{repository}: the Hub answered {status}: {}", no_entry(*status, *token_sent))]
    NoEntry { repository: String, status: u16, token_sent: bool, page: String, near: Option<&'static str> },
    #[error("{repository}: the Hub has no such repository")]
    NoRepository { repository: String, near: Option<&'static str> },
    /// A repository has no such branch, tag or commit.
    #[error("{repository}: no revision `{revision}`")]
    NoRevision { repository: String, revision: String },
    #[error("{address}: answered {status} at attempt {attempts}")]
    Status { address: String, status: u16, attempts: u32, after: Option<u64> },
    #[error("{host}: no answer at attempt {attempts}: {source}")]
    Network { host: String, attempts: u32, source: Box<ureq::Error> },
    #[error("{file}: expected {expected} bytes, the transfer ended after {bytes} at attempt {attempts}")]
    Cut { file: String, bytes: u64, expected: u64, attempts: u32 },
    #[error("{file}: received {bytes} bytes in {seconds} seconds at attempt {attempts}")]
    Slow { file: String, bytes: u64, seconds: u64, attempts: u32 },
    /// Offline, a file of the cache has other bytes than the Hub's.
    #[error("{repository}: {} in the cache is not file `{name}`: expected {hash} {expected}, found {found}", path.display())]
    CorruptCache {
        repository: String,
        name: String,
        path: PathBuf,
        hash: &'static str,
        expected: String,
        found: String,
    },
    #[error("{file}: expected {expected} bytes, received at least {found}")]
    WrongLength { file: String, expected: u64, found: u64 },
    #[error("{file}: expected sha256 {expected}, received {found}")]
    WrongBytes { file: String, expected: String, found: String },
    #[error("{file}: expected git blob id {expected}, received {found}")]
    WrongBlob { file: String, expected: String, found: String },
    /// The first bytes of a file, asked for by themselves, were not those of the file.
    #[error("{file}: byte {offset} is not the one that was sent before, with the header alone")]
    OtherFront { file: String, offset: usize },
    #[error("{address}: expected {expected} in the answer")]
    WrongAnswer { address: String, expected: &'static str },
    /// Offline, a revision is not in the cache.
    #[error("{repository}: revision `{revision}` is not in the cache {cache}, and this run is offline")]
    RevisionNotCached { repository: String, revision: String, cache: String },
    /// Offline, a file is not in the cache.
    #[error("{repository}: file `{name}` is not in the cache {cache}, and this run is offline")]
    NotCached { repository: String, name: String, cache: String },
    #[error("{action} {} in the Hugging Face cache: {source}", path.display())]
    Cache { action: &'static str, path: PathBuf, source: std::io::Error },
}

fn no_entry(status: u16, token_sent: bool) -> &'static str {
    match (status, token_sent) {
        (401, false) => "it does not exist, or may not be read without a login",
        (401, true) => "it does not exist, or the token is not valid",
        (_, false) => "it may not be read without a login",
        (_, true) => "the token may not read it",
    }
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
            NoCertificate { .. } => Exit::Usage,
            NotAFile { .. } | NameNotText { .. } | TooManyFiles { .. } => Exit::Input,
            Outside { .. } | Short { .. } | TooLong { .. } => Exit::Input,
            UnknownName { .. } | MissingPath { .. } | DanglingLink { .. } | Unreadable { .. } => Exit::Source,
            NoSuchFile { .. } | NoEntry { .. } | NoRepository { .. } | NoRevision { .. } => Exit::Source,
            WrongAnswer { .. } | RevisionNotCached { .. } | NotCached { .. } => Exit::Source,
            Status { status: 408 | 416 | 429 | 500..=599, .. } | Network { .. } => Exit::Temporary,
            CorruptCache { .. } => Exit::Input,
            Slow { .. } | WrongBlob { .. } => Exit::Temporary,
            Cut { .. } | WrongLength { .. } | WrongBytes { .. } | OtherFront { .. } => Exit::Temporary,
            Status { .. } => Exit::Source,
            Cache { .. } => Exit::Machine,
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
            NoCertificate { .. } => vec!["unset SSL_CERT_FILE, or name a PEM file".into()],
            NoCache => vec!["pass --cache-dir DIR, or set HF_HOME".into()],
            NoSuchFile { near: Some(near), .. } => vec![format!("did you mean {near}?")],
            DanglingLink { .. } => vec!["fetch the file again, or remove the link".into()],
            Unreadable { path, .. } => vec![format!("check who may read {}", path.display())],
            Short { .. } => vec!["the file is truncated or still being written: fetch or copy it again".into()],
            NotAFile { path } if !path.is_dir() => {
                vec!["files are read at offsets, which a pipe or a device has not: write it to a file first".into()]
            }
            MissingPath { .. } | NotAFile { .. } | NameNotText { .. } | TooManyFiles { .. } | Outside { .. } => {
                Vec::new()
            }
            NoSuchFile { near: None, .. } | TooLong { .. } => Vec::new(),
            NoEntry { token_sent, page, near, .. } => entry_hints(*token_sent, page, *near),
            NoRepository { near: Some(near), .. } => vec![format!("did you mean {near}?")],
            NoRepository { near: None, .. } => {
                vec!["check the name: it is org/name, as on the page of the model".into()]
            }
            NoRevision { .. } => vec!["leave the revision out for the branch main".into()],
            Status { after: Some(seconds), .. } => vec![format!("the server asks to wait {seconds} seconds")],
            Network { source, .. } if is_distrust(source) => {
                vec!["set SSL_CERT_FILE to the certificates of the proxy or mirror in between".into()]
            }
            Status { after: None, .. } | Network { .. } => {
                vec!["try again later, or pass --offline to use what the cache holds".into()]
            }
            CorruptCache { path, .. } => {
                vec![format!("rm {}, then run once without --offline (and without HF_HUB_OFFLINE)", path.display())]
            }
            Slow { .. } => vec!["run the same command again, or set HF_HUB_DOWNLOAD_TIMEOUT to more seconds".into()],
            Cut { .. } => vec!["run the same command again: it goes on where the transfer stopped".into()],
            WrongLength { .. } | WrongBytes { .. } | WrongBlob { .. } => {
                vec!["nothing was kept: run the same command again, and check proxies and HF_ENDPOINT".into()]
            }
            OtherFront { .. } => {
                vec!["run the same command again: the file is in the cache now, and was checked".into()]
            }
            WrongAnswer { .. } => vec!["check that HF_ENDPOINT is the address of a Hugging Face Hub".into()],
            RevisionNotCached { .. } | NotCached { .. } => {
                vec!["run once without --offline (and without HF_HUB_OFFLINE) to fetch it".into()]
            }
            Cache { .. } => {
                vec!["pass --cache-dir DIR, or set HF_HOME, for a directory with space that may be written".into()]
            }
        }
    }
}

fn entry_hints(token_sent: bool, page: &str, near: Option<&'static str>) -> Vec<String> {
    let login = if token_sent {
        format!("ask for access at {page}, or set HF_TOKEN to a token that has it")
    } else {
        "log in with `hf auth login`, or set HF_TOKEN".into()
    };
    let name = near.map(|near| format!("did you mean {near}?"));
    [Some(login), name].into_iter().flatten().collect()
}

/// Whether a connection failed because nobody vouches for the host.
fn is_distrust(error: &ureq::Error) -> bool {
    error.to_string().contains("certificate")
}
