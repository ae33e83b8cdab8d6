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
    /// `SSL_CERT_FILE` names no file of certificates.
    #[error("{}: no certificate in it", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
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
    /// A repository may not be read, or is hidden.
    #[error("{repository}: the Hub answered {status}: {}", no_entry(*status, *token_sent))]
    NoEntry {
        /// `org/name`.
        repository: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token went with the request.
        token_sent: bool,
        /// The repository's page.
        page: String,
        /// The repository of an alias that is most like it.
        near: Option<&'static str>,
    },
    /// The Hub has no such repository.
    #[error("{repository}: the Hub has no such repository")]
    NoRepository {
        /// `org/name`.
        repository: String,
        /// The repository of an alias that is most like it.
        near: Option<&'static str>,
    },
    /// A repository has no such branch, tag or commit.
    #[error("{repository}: no revision `{revision}`")]
    NoRevision {
        /// `org/name`.
        repository: String,
        /// What was asked for.
        revision: String,
    },
    /// A server answered with another status.
    #[error("{address}: answered {status} at attempt {attempts}")]
    Status {
        /// Where, without the query.
        address: String,
        /// The status of HTTP.
        status: u16,
        /// How often it was asked.
        attempts: u32,
        /// For how many seconds the server asks not to be asked again.
        after: Option<u64>,
    },
    /// A connection failed.
    #[error("{host}: no answer at attempt {attempts}: {source}")]
    Network {
        /// The host.
        host: String,
        /// How often it was tried.
        attempts: u32,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// A transfer ended before the file did.
    #[error("{file}: expected {expected} bytes, the transfer ended after {bytes} at attempt {attempts}")]
    Cut {
        /// The file.
        file: String,
        /// How many bytes arrived.
        bytes: u64,
        /// How many it has.
        expected: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// A transfer brings too little to come to an end.
    #[error("{file}: received {bytes} bytes in {seconds} seconds at attempt {attempts}")]
    Slow {
        /// The file.
        file: String,
        /// How many bytes arrived.
        bytes: u64,
        /// In which time.
        seconds: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// Offline, a file of the cache has other bytes than the Hub's.
    #[error("{repository}: {} in the cache is not file `{name}`: expected {hash} {expected}, found {found}", path.display())]
    CorruptCache {
        /// `org/name`.
        repository: String,
        /// The file.
        name: String,
        /// The file of the cache.
        path: PathBuf,
        /// Which hash.
        hash: &'static str,
        /// The hash that the Hub states.
        expected: String,
        /// The hash of the bytes in the cache.
        found: String,
    },
    /// A transfer brought another number of bytes than was announced.
    #[error("{file}: expected {expected} bytes, received at least {found}")]
    WrongLength {
        /// The file.
        file: String,
        /// How many were announced.
        expected: u64,
        /// How many arrived before it was given up.
        found: u64,
    },
    /// A transfer brought other bytes than were announced.
    #[error("{file}: expected sha256 {expected}, received {found}")]
    WrongBytes {
        /// The file.
        file: String,
        /// The announced hash.
        expected: String,
        /// The hash of what arrived.
        found: String,
    },
    /// The same of a file that git-lfs does not store.
    #[error("{file}: expected git blob id {expected}, received {found}")]
    WrongBlob {
        /// The file.
        file: String,
        /// The announced id.
        expected: String,
        /// The id of what arrived.
        found: String,
    },
    /// The first bytes of a file, asked for by themselves, were not those of the file.
    #[error("{file}: byte {offset} is not the one that was sent before, with the header alone")]
    OtherFront {
        /// The file.
        file: String,
        /// The first byte that differs.
        offset: usize,
    },
    /// A server does not answer as a Hub does.
    #[error("{address}: expected {expected} in the answer")]
    WrongAnswer {
        /// Where, without the query.
        address: String,
        /// What a Hub's answer has.
        expected: &'static str,
    },
    /// Offline, a revision is not in the cache.
    #[error("{repository}: revision `{revision}` is not in the cache {cache}, and this run is offline")]
    RevisionNotCached {
        /// `org/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
        /// The cache's `hub` directory.
        cache: String,
    },
    /// Offline, a file is not in the cache.
    #[error("{repository}: file `{name}` is not in the cache {cache}, and this run is offline")]
    NotCached {
        /// `org/name`.
        repository: String,
        /// The file.
        name: String,
        /// The cache's `hub` directory.
        cache: String,
    },
    /// The cache cannot be written.
    #[error("{action} {} in the Hugging Face cache: {source}", path.display())]
    Cache {
        /// The verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
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
