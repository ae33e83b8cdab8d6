//! One file of the Hub into a blob of the cache: asked about, fetched from where the last attempt stopped, checked, and
//! only then given its name.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, ETAG};
use ureq::http::{Method, Response, StatusCode};

use super::address::Address;
use super::cache::{Cache, cache_error, create_folder_of, is_full};
use super::headers::{content_range, is_blob_name, is_rest, text};
use super::identity::{Identity, Other, hexadecimal};
use super::name::percent_encoded;
use super::pace::{Broken, Pace, Slow, read_whole};
use super::transport::{ByteRange, Failure, Follow, Subject, Transport, network};
use crate::error::Result;
use crate::progress::Progress;
use crate::source::error::SourceError;
use crate::unfinished::Unfinished;

/// Bytes between two looks at the progress and at the wish to stop.
const CHUNK: usize = 256 * 1024;
/// An attempt that brings at least this much does not count against the number of attempts.
const MOVED: u64 = 1 << 20;

/// A file of a commit, and the ways to it.
pub(super) struct Download<'a> {
    pub(super) transport: &'a Transport,
    pub(super) cache: &'a Cache,
    pub(super) repository: &'a str,
    pub(super) commit: &'a str,
    pub(super) name: &'a str,
    /// What the listing of the commit says that it hashes to.
    pub(super) listed: Option<&'a Identity>,
    pub(super) progress: &'a dyn Progress,
}

/// What the Hub says about a file before it is fetched.
pub(super) struct Announced {
    pub(super) etag: String,
    pub(super) bytes: Option<u64>,
    /// What it hashes to; `None` where nothing says it.
    pub(super) identity: Option<Identity>,
}

impl Announced {
    /// Whether the content has a SHA-256 to be compared with.
    fn has_sha256(&self) -> bool {
        self.identity.as_ref().is_some_and(Identity::is_sha256)
    }
}

impl Download<'_> {
    /// Brings the file into the cache; afterwards the snapshot has a link to it.
    pub(super) fn run(&self) -> Result<()> {
        let (address, announced) = (self.address()?, self.announced()?);
        let lock = self.cache.lock(&announced.etag, self.progress)?;
        if !self.has_blob(&announced)? {
            self.fetch(&address, &announced)?;
        }
        if announced.identity.is_none() {
            let Download { name, repository, .. } = self;
            self.progress.warn(&format!("{name}: {repository} states no hash of it, its bytes were not verified"));
        }
        self.cache.link(self.commit, self.name, &announced.etag)?;
        drop(lock);
        Ok(())
    }

    /// Whether the cache has the blob. A file without a SHA-256 is small, and clients that check nothing keep what they were sent.
    fn has_blob(&self, announced: &Announced) -> Result<bool> {
        if !self.cache.has_blob(&announced.etag, announced.bytes) {
            return Ok(false);
        }
        match &announced.identity {
            Some(identity) if !identity.is_sha256() => {
                Ok(identity.compare(&self.cache.blob(&announced.etag), self.progress)?.is_none())
            }
            Some(_) | None => Ok(true),
        }
    }

    /// What the Hub says about the file.
    pub(super) fn announced(&self) -> Result<Announced> {
        let address = self.address()?;
        self.transport.retry(self.progress, |attempt| self.ask(&address, attempt))
    }

    /// The bytes from `first` to before `end` of a file of `total`; `None` from a server that gives others.
    pub(super) fn between(&self, first: u64, end: u64, total: u64) -> Result<Option<Vec<u8>>> {
        let address = self.address()?;
        self.transport.retry(self.progress, |attempt| {
            let (wanted, subject) = (ByteRange::Between(first, end), self.subject());
            let mut response =
                self.transport.request(&Method::GET, &address, wanted, Follow::Everywhere, subject, attempt)?;
            let is_cut = response.status() == StatusCode::PARTIAL_CONTENT;
            if !is_cut || content_range(response.headers()) != Some((first, end.saturating_sub(1), total)) {
                return Ok(None);
            }
            let (mut body, limit) = (response.body_mut().as_reader(), end.saturating_sub(first));
            let read = read_whole(&mut body, limit, &self.transport.patience(), self.progress)?;
            let bytes = read.map_err(|broken| self.broken(broken, &address, attempt))?;
            match first.saturating_add(bytes.len() as u64) {
                found if found < end => {
                    let file = self.name.to_string();
                    Err(Failure::temporary(SourceError::Cut { file, bytes: found, expected: end, attempts: attempt }))
                }
                _ => Ok(Some(bytes)),
            }
        })
    }

    fn address(&self) -> Result<Address> {
        let path = format!("/{}/resolve/{}/{}", self.repository, self.commit, percent_encoded(self.name, true));
        self.transport.address(&path)
    }

    fn subject(&self) -> Subject<'_> {
        Subject { repository: self.repository, revision: self.commit, file: Some(self.name) }
    }

    fn ask(&self, address: &Address, attempt: u32) -> std::result::Result<Announced, Failure> {
        let head = self.transport.request(
            &Method::HEAD,
            address,
            ByteRange::All,
            Follow::Endpoint,
            self.subject(),
            attempt,
        )?;
        let headers = head.headers();
        if text(headers, "x-repo-commit").is_some_and(|commit| commit != self.commit) {
            return Err(address.wrong("the commit that was asked for").into());
        }
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str()));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_string());
        let listed = || self.listed.map(|listed| listed.digits().to_string());
        let Some(etag) = etag.or_else(listed).filter(|etag| is_blob_name(etag)) else {
            return Err(address.wrong("an etag").into());
        };
        let stated = Identity::of_etag(&etag);
        let identity = match (&stated, self.listed) {
            (Some(Identity::Blob(_)) | None, Some(Identity::Sha256(_))) | (None, _) => self.listed.cloned(),
            (Some(_), _) => stated,
        };
        // the length of a redirect is that of its own page
        let own = if head.status().is_redirection() { None } else { text(headers, CONTENT_LENGTH.as_str()) };
        let bytes = text(headers, "x-linked-size").or(own).and_then(|bytes| bytes.parse().ok());
        Ok(Announced { etag, bytes, identity })
    }

    fn fetch(&self, address: &Address, announced: &Announced) -> Result<()> {
        let mut part = Part::open(self.cache, announced)?;
        self.begin(announced);
        let fetched = part.take_up(self.progress).and_then(|()| {
            self.transport.retry(self.progress, |attempt| self.attempt(address, announced, &mut part, attempt))
        });
        self.progress.finish();
        match fetched {
            Ok(()) => part.publish(self.cache, announced),
            Err(error) => {
                part.leave(is_full(&error));
                Err(error)
            }
        }
    }

    fn begin(&self, announced: &Announced) {
        self.progress.start(&format!("fetch {}", self.name), announced.bytes);
    }

    fn attempt(
        &self,
        address: &Address,
        announced: &Announced,
        part: &mut Part,
        attempt: u32,
    ) -> std::result::Result<(), Failure> {
        if part.len > 0 && !announced.has_sha256() {
            // no hash of the content would say that the rest belongs to what is there
            self.restart(announced, part)?;
        }
        let resumed = part.len > 0;
        if Some(part.len) != announced.bytes || !resumed {
            self.transfer(address, announced, part, attempt)?;
        }
        self.check(announced, part, resumed)
    }

    fn transfer(
        &self,
        address: &Address,
        announced: &Announced,
        part: &mut Part,
        attempt: u32,
    ) -> std::result::Result<(), Failure> {
        if announced.bytes.is_some_and(|bytes| part.len > bytes) {
            self.restart(announced, part)?;
        }
        let (subject, offset) = (self.subject(), part.len);
        let wanted = ByteRange::From(offset);
        let answer = self.transport.request(&Method::GET, address, wanted, Follow::Everywhere, subject, attempt);
        let mut response = match answer {
            // the last attempt's bytes are not of this file
            Err(failure) if offset > 0 && failure.is_bad_range() => return self.again(announced, part, failure),
            other => other?,
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT if is_rest(&response, offset, announced.bytes) => {}
            StatusCode::OK if offset == 0 => {}
            StatusCode::OK => self.restart(announced, part)?,
            _ => {
                let failure = address.wrong("the range that was asked for").into();
                return self.again(announced, part, failure);
            }
        }
        self.receive(&mut response, address, announced, part, attempt)
    }

    /// Reads the body into the part, and one byte more than announced at most.
    fn receive(
        &self,
        response: &mut Response<Body>,
        address: &Address,
        announced: &Announced,
        part: &mut Part,
        attempt: u32,
    ) -> std::result::Result<(), Failure> {
        let start = part.furthest;
        let mut body = response.body_mut().as_reader();
        let (mut chunk, mut pace) = (vec![0; CHUNK], Pace::new(&self.transport.patience()));
        loop {
            self.progress.interrupted()?;
            let moved = part.len >= start.saturating_add(MOVED);
            match body.read(&mut chunk) {
                Ok(0) if announced.bytes.is_some_and(|bytes| part.len < bytes) => {
                    let error = SourceError::Cut {
                        file: self.name.to_string(),
                        bytes: part.len,
                        expected: announced.bytes.unwrap_or_default(),
                        attempts: attempt,
                    };
                    return Err(Failure::Temporary { error: error.into(), after: None, moved });
                }
                Ok(0) => return Ok(()),
                Ok(count) => {
                    part.append(&chunk[..count])?;
                    self.progress.advance(count as u64);
                    pace.advance(count as u64).map_err(|slow| {
                        let error = self.slow(slow, attempt).into();
                        Failure::Temporary { error, after: None, moved }
                    })?;
                    if announced.bytes.is_some_and(|bytes| part.len > bytes) {
                        return self.check(announced, part, false);
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    let failure = network(address.host(), attempt, e.into());
                    return Err(match failure {
                        Failure::Temporary { error, after, .. } => Failure::Temporary { error, after, moved },
                        other => other,
                    });
                }
            }
        }
    }

    /// Compares what arrived with what was announced. After a resumption the fault may lie in the older bytes, so that
    /// one attempt from the start is worth it; a whole transfer that is wrong is final.
    fn check(&self, announced: &Announced, part: &mut Part, resumed: bool) -> std::result::Result<(), Failure> {
        let file = || self.name.to_string();
        let error = match (announced.bytes, &announced.identity) {
            (Some(expected), _) if expected != part.len => {
                SourceError::WrongLength { file: file(), expected, found: part.len }
            }
            (_, Some(identity)) => match part.differs(identity, self.progress)? {
                Some(other) => other.received(file()),
                None => return Ok(()),
            },
            (_, None) => return Ok(()),
        };
        self.restart(announced, part)?;
        Err(if resumed { Failure::temporary(error) } else { error.into() })
    }

    fn again(&self, announced: &Announced, part: &mut Part, failure: Failure) -> std::result::Result<(), Failure> {
        self.restart(announced, part)?;
        Err(match failure {
            Failure::Final(error) => Failure::temporary(error),
            temporary => temporary,
        })
    }

    fn slow(&self, slow: Slow, attempt: u32) -> SourceError {
        let Slow { bytes, seconds } = slow;
        SourceError::Slow { file: self.name.to_string(), bytes, seconds, attempts: attempt }
    }

    fn broken(&self, broken: Broken, address: &Address, attempt: u32) -> Failure {
        match broken {
            Broken::Connection(error) => network(address.host(), attempt, error.into()),
            Broken::Slow(slow) => Failure::temporary(self.slow(slow, attempt)),
        }
    }

    fn restart(&self, announced: &Announced, part: &mut Part) -> Result<()> {
        part.clear()?;
        self.begin(announced);
        Ok(())
    }
}

/// The bytes that have arrived so far, on disk.
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    /// The most bytes that were ever here: only what goes beyond is progress.
    furthest: u64,
    hash: Sha256,
    /// Whether a later run may go on from here: only where a hash will tell that it was right to.
    keeps: bool,
    /// Where nothing may stay of it.
    _unfinished: Option<Unfinished>,
}

impl Part {
    fn open(cache: &Cache, announced: &Announced) -> Result<Part> {
        let keeps = announced.has_sha256();
        let mut name = announced.etag.clone();
        if !keeps {
            name.push_str(&format!(".{}", std::process::id()));
        }
        let path = cache.blob(&format!("{name}.incomplete"));
        create_folder_of(&path)?;
        let unfinished = (!keeps).then(|| Unfinished::register(&path));
        let options = File::options().read(true).write(true).create(true).truncate(!keeps).open(&path);
        let file = options.map_err(|e| cache_error("create", &path, e))?;
        Ok(Part { path, file, len: 0, furthest: 0, hash: Sha256::new(), keeps, _unfinished: unfinished })
    }

    /// Hashes what an earlier run left, and counts it as done.
    fn take_up(&mut self, progress: &dyn Progress) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            progress.interrupted()?;
            let count = self.file.read(&mut chunk).map_err(|e| cache_error("read", &self.path, e))?;
            if count == 0 {
                return Ok(());
            }
            self.hash.update(&chunk[..count]);
            self.len += count as u64;
            self.furthest = self.len;
            progress.advance(count as u64);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| cache_error("write", &self.path, e))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        self.furthest = self.furthest.max(self.len);
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map_err(|e| cache_error("clear", &self.path, e))?;
        self.len = 0;
        self.hash.reset();
        Ok(())
    }

    /// Compares what has arrived.
    fn differs(&self, identity: &Identity, progress: &dyn Progress) -> Result<Option<Other>> {
        match identity {
            Identity::Sha256(expected) => {
                let found = hexadecimal(&self.hash.clone().finalize());
                Ok((found != *expected).then(|| Other { expected: identity.clone(), found }))
            }
            Identity::Blob(_) => identity.compare(&self.path, progress),
        }
    }

    fn publish(self, cache: &Cache, announced: &Announced) -> Result<()> {
        fs::rename(&self.path, cache.blob(&announced.etag)).map_err(|e| cache_error("rename", &self.path, e))
    }

    /// Keeps what a later run can use, and removes the rest; everything where there is no space for it.
    fn leave(self, is_full: bool) {
        if !self.keeps || self.len == 0 || is_full {
            let _ = fs::remove_file(&self.path);
        }
    }
}
