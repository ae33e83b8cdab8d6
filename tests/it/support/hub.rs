//! A small Hugging Face Hub on the loopback. Like the real one it resolves revisions to commits, answers for small files
//! itself, and redirects to a second host for large ones; it remembers every request, and it can be told to fail.
//!
//! Point a library call at it by `access`, and a command by `HF_ENDPOINT` and `HF_HOME` from `environment`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use xfer::source::{Access, Patience};

/// Files from this length on lie on the second host, as if git-lfs had them.
pub const LARGE: usize = 1000;

/// Which of the two hosts was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The one that `HF_ENDPOINT` names.
    Endpoint,
    /// The one that large files are redirected to.
    Store,
}

/// A request as it came in; the names of its headers are in lower case.
#[derive(Clone, Debug)]
pub struct Seen {
    pub host: Host,
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with these further headers and a short body.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The body is only so many bytes long, and its length says so.
    Short(usize),
    /// The right number of wrong bytes.
    WrongBytes,
    /// More bytes than announced before.
    TooLong(usize),
    /// The whole body with 200, whatever range was asked for.
    IgnoreRange,
    /// A range that was not asked for.
    WrongRange,
    /// The connection ends without an answer.
    HangUp,
    /// No answer for so long.
    Stall(Duration),
    /// A redirect to this address.
    Redirect(String),
    /// These bytes, as if they were the file's.
    Instead(Vec<u8>),
    /// The whole body with 200, whatever range was asked for, and an end of the connection after so many bytes.
    IgnoreRangeAndCut(usize),
    /// One byte of the body after the other, with a pause between them.
    Trickle(Duration),
    /// The etag of the head of the answer; `None` for none.
    Etag(Option<String>),
}

struct Rule {
    host: Host,
    method: &'static str,
    path: String,
    fault: Fault,
    times: usize,
}

struct Repository {
    revisions: BTreeMap<String, String>,
    commits: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

#[derive(Default)]
struct State {
    repositories: Mutex<BTreeMap<String, Repository>>,
    seen: Mutex<Vec<Seen>>,
    rules: Mutex<Vec<Rule>>,
    token: Mutex<Option<String>>,
    store: Mutex<String>,
    /// Requests that are being answered, and the most that ever were at once.
    open: Mutex<(usize, usize)>,
    /// Whether the listing tells lengths and hashes when it is asked to.
    tells_blobs: Mutex<bool>,
}

/// The two hosts; they stop with the process.
pub struct Hub {
    state: Arc<State>,
    port: u16,
    store_port: u16,
}

impl Hub {
    /// Starts both hosts on free ports.
    pub fn start() -> Hub {
        let state = Arc::new(State::default());
        let port = serve(Host::Endpoint, state.clone());
        let store_port = serve(Host::Store, state.clone());
        *state.store.lock().unwrap() = format!("http://127.0.0.1:{store_port}");
        *state.tells_blobs.lock().unwrap() = true;
        Hub { state, port, store_port }
    }

    /// The value of `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The second host under another name, so that its name differs from the endpoint's and not only its port.
    pub fn store_by_name(&self) -> String {
        format!("http://localhost:{}", self.store_port)
    }

    /// Sends large files to the second host by the name `localhost`.
    pub fn use_store_by_name(&self) {
        *self.state.store.lock().unwrap() = self.store_by_name();
    }

    /// From now on a listing tells names only, as old mirrors do.
    pub fn list_names_only(&self) {
        *self.state.tells_blobs.lock().unwrap() = false;
    }

    /// From now on every request to the endpoint needs this token.
    pub fn require_token(&self, token: &str) {
        *self.state.token.lock().unwrap() = Some(token.to_string());
    }

    /// Adds a commit and moves `revision` to it; gives the commit's hash.
    pub fn commit(&self, repository: &str, revision: &str, files: &[(&str, &[u8])]) -> String {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
        let contents: Vec<_> = files.iter().map(|(name, bytes)| (name, hash(bytes))).collect();
        let commit = hash(format!("{repository} {contents:?}").as_bytes())[..40].to_string();
        let mut repositories = self.state.repositories.lock().unwrap();
        let entry = repositories
            .entry(repository.to_string())
            .or_insert_with(|| Repository { revisions: BTreeMap::new(), commits: BTreeMap::new() });
        entry.revisions.insert(revision.to_string(), commit.clone());
        entry.commits.insert(commit.clone(), files);
        commit
    }

    /// The SHA-256 of the files of a repository's newest commits whose names begin so, by name.
    pub fn digests(&self, repository: &str, beginning: &str) -> Vec<String> {
        let repositories = self.state.repositories.lock().unwrap();
        let files = repositories[repository].commits.values().flatten();
        files.filter(|(name, _)| name.starts_with(beginning)).map(|(_, bytes)| hash(bytes)).collect()
    }

    /// Makes the next `times` requests of `method` to `host` whose path contains `path` go wrong.
    pub fn fail(&self, host: Host, method: &'static str, path: &str, times: usize, fault: Fault) {
        self.state.rules.lock().unwrap().push(Rule { host, method, path: path.to_string(), fault, times });
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The most requests that were answered at once.
    pub fn most_at_once(&self) -> usize {
        self.state.open.lock().unwrap().1
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }

    /// Access with the cache in `folder`, without a token, and with little patience.
    pub fn access(&self, folder: &Path) -> Access {
        let patience = Patience {
            answer: Duration::from_secs(2),
            read: Duration::from_secs(2),
            attempts: 3,
            pause: Duration::from_millis(5),
            longest_pause: Duration::from_secs(2),
        };
        Access {
            endpoint: self.endpoint(),
            token: None,
            cache: folder.join("hub"),
            offline: false,
            revision: None,
            certificates: None,
            patience,
        }
    }

    /// Environment variables for a command, with the cache in `folder`; the caller clears the others of Hugging Face.
    pub fn environment(&self, folder: &Path) -> Vec<(&'static str, String)> {
        vec![("HF_ENDPOINT", self.endpoint()), ("HF_HOME", folder.display().to_string())]
    }
}

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The etag of a file: SHA-256 for a large one, git's blob id for a small one.
pub fn etag(bytes: &[u8]) -> String {
    if bytes.len() >= LARGE { hash(bytes) } else { blob_id(bytes) }
}

/// What `git hash-object` gives.
pub fn blob_id(bytes: &[u8]) -> String {
    let mut hash = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serve(host: Host, state: Arc<State>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = state.clone();
            std::thread::spawn(move || {
                state.begins();
                // a client that goes away is none of the server's business
                let _ = answer(host, &state, stream);
                state.open.lock().unwrap().0 -= 1;
            });
        }
    });
    port
}

fn answer(host: Host, state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    let Some(request) = read_request(host, &stream)? else { return Ok(()) };
    state.seen.lock().unwrap().push(request.clone());
    let fault = state.next_fault(&request);
    match &fault {
        Some(Fault::HangUp) => return Ok(()),
        Some(Fault::Stall(wait)) => std::thread::sleep(*wait),
        _ => {}
    }
    let reply = match &fault {
        Some(Fault::Status(status, headers)) => Reply::status(*status, headers),
        Some(Fault::Redirect(to)) => Reply::status(302, &[("Location", to.clone())]),
        _ if host == Host::Endpoint => state.endpoint(&request),
        _ => state.file_from_store(&request),
    };
    reply.send(&request, fault.as_ref(), &mut stream)
}

fn read_request(host: Host, stream: &TcpStream) -> std::io::Result<Option<Seen>> {
    let mut lines = BufReader::new(stream).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_string);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    Ok(Some(Seen { host, method, path, headers }))
}

/// An answer before anything goes wrong with it.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn status(status: u16, headers: &[(&'static str, String)]) -> Reply {
        Reply { status, headers: headers.to_vec(), body: format!("this is error {status}").into_bytes() }
    }

    fn error(status: u16, code: &str) -> Reply {
        Reply::status(status, &[("X-Error-Code", code.to_string())])
    }

    fn send(mut self, request: &Seen, fault: Option<&Fault>, stream: &mut TcpStream) -> std::io::Result<()> {
        match fault {
            Some(Fault::WrongBytes) => self.body.iter_mut().for_each(|byte| *byte = !*byte),
            Some(Fault::Short(bytes)) => self.body.truncate(*bytes),
            Some(Fault::TooLong(bytes)) => self.body.extend(vec![7; *bytes]),
            _ => {}
        }
        match fault {
            Some(Fault::Instead(bytes)) => self.body = bytes.clone(),
            Some(Fault::Etag(etag)) => {
                self.headers.retain(|(name, _)| !name.to_ascii_lowercase().ends_with("etag"));
                self.headers.extend(etag.iter().map(|etag| ("ETag", etag.clone())));
            }
            _ => {}
        }
        let range = request.headers.get("range").filter(|_| self.status == 200);
        let ignores = matches!(fault, Some(Fault::IgnoreRange | Fault::IgnoreRangeAndCut(_)));
        if let Some(range) = range.filter(|_| !ignores) {
            self.cut_to(range, matches!(fault, Some(Fault::WrongRange)));
        }
        let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", self.status);
        head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method != "HEAD" {
            if let Some(Fault::Trickle(pause)) = fault {
                for byte in &self.body {
                    stream.write_all(&[*byte])?;
                    std::thread::sleep(*pause);
                }
            }
            let end = match fault {
                Some(Fault::Cut(bytes) | Fault::IgnoreRangeAndCut(bytes)) => self.body.len().min(*bytes),
                _ => self.body.len(),
            };
            stream.write_all(&self.body[..end])?;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        // an unread request would make the system reset the connection and lose the answer
        stream.read_to_end(&mut Vec::new()).map(drop)
    }

    fn cut_to(&mut self, range: &str, wrong: bool) {
        let total = self.body.len();
        let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let first: usize = first.parse().unwrap();
        let end = last.parse().map_or(total, |last: usize| total.min(last + 1));
        if first >= total {
            *self = Reply::status(416, &[("Content-Range", format!("bytes */{total}"))]);
            return;
        }
        self.status = 206;
        self.body.truncate(end);
        self.body.drain(..first);
        let said = if wrong { first + 1 } else { first };
        self.headers.push(("Content-Range", format!("bytes {said}-{}/{total}", end - 1)));
    }
}

impl State {
    fn begins(&self) {
        let mut open = self.open.lock().unwrap();
        open.0 += 1;
        open.1 = open.1.max(open.0);
    }

    fn next_fault(&self, request: &Seen) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| {
            rule.times > 0
                && rule.host == request.host
                && rule.method == request.method
                && request.path.contains(&rule.path)
        })?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    fn endpoint(&self, request: &Seen) -> Reply {
        let expected = self.token.lock().unwrap().as_ref().map(|token| format!("Bearer {token}"));
        if expected.is_some() && expected.as_ref() != request.headers.get("authorization") {
            return Reply::error(401, "RepoNotFound");
        }
        let path = request.path.split('?').next().unwrap();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["api", "models", org, name, "revision", revision] => {
                self.listing(&format!("{org}/{name}"), revision, request.path.contains("blobs=true"))
            }
            [org, name, "resolve", revision, file @ ..] => {
                self.file(&format!("{org}/{name}"), revision, &decoded(&file.join("/")))
            }
            _ => Reply::status(404, &[]),
        }
    }

    fn listing(&self, repository: &str, revision: &str, blobs: bool) -> Reply {
        let repositories = self.repositories.lock().unwrap();
        let Some(repository) = repositories.get(repository) else { return Reply::error(404, "RepoNotFound") };
        let Some((commit, files)) = repository.at(&decoded(revision)) else {
            return Reply::error(404, "RevisionNotFound");
        };
        let blobs = blobs && *self.tells_blobs.lock().unwrap();
        let siblings: Vec<_> = files.iter().map(|(name, bytes)| sibling(name, bytes, blobs)).collect();
        let body = serde_json::json!({ "id": "x", "sha": commit, "siblings": siblings }).to_string().into_bytes();
        Reply { status: 200, headers: vec![("Content-Type", "application/json".into())], body }
    }

    fn file(&self, repository: &str, revision: &str, file: &str) -> Reply {
        let repositories = self.repositories.lock().unwrap();
        let Some(entry) = repositories.get(repository) else { return Reply::error(404, "RepoNotFound") };
        let Some((commit, files)) = entry.at(&decoded(revision)) else { return Reply::error(404, "RevisionNotFound") };
        let Some(bytes) = files.get(file) else { return Reply::error(404, "EntryNotFound") };
        let commit = ("X-Repo-Commit", commit.to_string());
        if bytes.len() < LARGE {
            let headers = vec![commit, ("ETag", format!("\"{}\"", etag(bytes)))];
            return Reply { status: 200, headers, body: bytes.clone() };
        }
        let address = format!("{}/{repository}/{}?signature=secret", self.store.lock().unwrap(), hash(bytes));
        let headers = [
            commit,
            ("X-Linked-Etag", format!("\"{}\"", etag(bytes))),
            ("X-Linked-Size", bytes.len().to_string()),
            ("Location", address),
        ];
        Reply::status(302, &headers)
    }

    fn file_from_store(&self, request: &Seen) -> Reply {
        let wanted = request.path.split('?').next().unwrap().rsplit('/').next().unwrap();
        let repositories = self.repositories.lock().unwrap();
        let files = repositories.values().flat_map(|repository| repository.commits.values()).flat_map(BTreeMap::values);
        match files.into_iter().find(|bytes| hash(bytes) == wanted) {
            Some(bytes) => {
                Reply { status: 200, headers: vec![("ETag", "\"of the store\"".into())], body: bytes.clone() }
            }
            None => Reply::status(404, &[]),
        }
    }
}

impl Repository {
    fn at(&self, revision: &str) -> Option<(&str, &BTreeMap<String, Vec<u8>>)> {
        let commit = self.revisions.get(revision).map_or(revision, String::as_str);
        self.commits.get_key_value(commit).map(|(commit, files)| (commit.as_str(), files))
    }
}

fn sibling(name: &str, bytes: &[u8], blobs: bool) -> serde_json::Value {
    let mut sibling = serde_json::json!({ "rfilename": name });
    if blobs {
        sibling["size"] = bytes.len().into();
        sibling["blobId"] = blob_id(bytes).into();
        if bytes.len() >= LARGE {
            sibling["lfs"] = serde_json::json!({ "sha256": hash(bytes), "size": bytes.len(), "pointerSize": 134 });
        }
    }
    sibling
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next().unwrap()).to_digit(16).unwrap() as u8;
        out.push(if byte == b'%' { digit() * 16 + digit() } else { byte });
    }
    String::from_utf8(out).unwrap()
}
