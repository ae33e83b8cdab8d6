//! A repository of the Hub at one commit. The commit is settled before anything else; then a file is either in the
//! cache or fetched into it. Without a transport (offline) the cache is all there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use ureq::http::Method;

use super::access::Access;
use super::cache::{Cache, Tree, TreeEntry, is_commit};
use super::download::Download;
use super::identity::{Identity, Other};
use super::local::{LocalFile, files_below};
use super::name::{percent_encoded, stays_inside};
use super::pace::{Broken, Slow, read_whole};
use super::transport::{ByteRange, Failure, Follow, Subject, Transport, network};
use crate::error::Result;
use crate::progress::{Progress, Silent};
use crate::source::error::SourceError;

/// The longest listing that is read.
const LONGEST_LISTING: u64 = 64 << 20;
/// The longest file of the cache that is hashed when it is opened: tokenizers and configs, no weights.
const LARGEST_VERIFIED: u64 = 32 << 20;
/// From here on the Hub may leave files out of a listing.
const LISTED_WHOLE: usize = 50_000;

/// A repository at one commit.
pub(super) struct Snapshot {
    pub(super) repository: String,
    pub(super) commit: String,
    /// Names below `folder`, sorted.
    pub(super) names: Vec<String>,
    pub(super) single: bool,
    /// The part of the repository that is meant: empty, or a path that ends with a slash.
    folder: String,
    files: BTreeMap<String, Listed>,
    cache: Cache,
    cache_root: String,
    transport: Option<Transport>,
    /// The etags of files that are not in the cache, as far as they were asked for.
    announced: Mutex<BTreeMap<String, String>>,
    /// Files of the cache whose bytes were compared with their hashes.
    verified: Mutex<BTreeSet<String>>,
}

/// What is known of a file before it is fetched.
#[derive(Clone, Debug, Default)]
struct Listed {
    bytes: Option<u64>,
    identity: Option<Identity>,
}

/// The answer of `/api/models/{repository}/revision/{revision}?blobs=true`.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

impl Snapshot {
    /// Settles the commit and lists its files: from the cache where the commit is given and its listing was recorded, or
    /// offline; else by one request.
    pub(super) fn open(
        repository: &str,
        revision: Option<&str>,
        file: Option<&str>,
        access: &Access,
        progress: &dyn Progress,
    ) -> Result<Snapshot> {
        if access.cache.as_os_str().is_empty() {
            return Err(SourceError::NoCache.into());
        }
        let revision = one_revision(repository, revision, access)?;
        let mut snapshot = Snapshot {
            repository: repository.to_string(),
            commit: String::new(),
            names: Vec::new(),
            single: false,
            folder: String::new(),
            files: BTreeMap::new(),
            cache: Cache::new(&access.cache, repository),
            cache_root: access.cache.display().to_string(),
            transport: if access.offline { None } else { Some(Transport::new(access)?) },
            announced: Mutex::default(),
            verified: Mutex::default(),
        };
        match &snapshot.transport {
            Some(transport) => {
                (snapshot.commit, snapshot.files) = ask(&snapshot.cache, transport, repository, &revision, progress)?;
            }
            None => (snapshot.commit, snapshot.files) = snapshot.held(&revision)?,
        }
        snapshot.narrow(file)?;
        Ok(snapshot)
    }

    /// The commit and the files that the cache holds of a revision.
    fn held(&self, revision: &str) -> Result<(String, BTreeMap<String, Listed>)> {
        let commit = if is_commit(revision) { Some(revision.to_string()) } else { self.cache.commit_of(revision) };
        let commit = commit.filter(|commit| self.cache.snapshot(commit).is_dir());
        let commit = commit.ok_or_else(|| SourceError::RevisionNotCached {
            repository: self.repository.clone(),
            revision: revision.to_string(),
            cache: self.cache_root.clone(),
        })?;
        let names = files_below(&self.cache.snapshot(&commit))?;
        let listed = self.cache.tree(&commit).map(|tree| listed(&tree)).unwrap_or_default();
        let files = names.into_iter().map(|name| (name.clone(), listed.get(&name).cloned().unwrap_or_default()));
        let files = files.collect();
        Ok((commit, files))
    }

    /// Settles which part of the repository is meant.
    fn narrow(&mut self, file: Option<&str>) -> Result<()> {
        match file {
            Some(file) if self.files.contains_key(file) => {
                let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
                self.folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
                self.names = vec![name.to_string()];
                self.single = true;
            }
            other => {
                self.folder = other.map(|folder| format!("{folder}/")).unwrap_or_default();
                let below = self.files.keys().filter_map(|name| name.strip_prefix(&self.folder));
                self.names = below.map(str::to_string).collect();
            }
        }
        match file {
            Some(file) if self.names.is_empty() => Err(self.missing(file)),
            _ => Ok(()),
        }
    }

    /// The names of the files in the folder, without those of folders below it, sorted.
    pub(super) fn beside(&self) -> Vec<String> {
        let below = self.files.keys().filter_map(|name| name.strip_prefix(&self.folder));
        below.filter(|name| !name.contains('/')).map(str::to_string).collect()
    }

    /// The name of the folder of a single file, and of the folders beside it that hold a file of the same name.
    pub(super) fn folders(&self) -> (String, Vec<String>) {
        let (true, [file]) = (self.single, self.names.as_slice()) else { return Default::default() };
        let own = self.folder.trim_end_matches('/');
        let (parent, name) = own.rsplit_once('/').map_or(("", own), |(parent, name)| (parent, name));
        let prefix = if parent.is_empty() { String::new() } else { format!("{parent}/") };
        let folder = |path: &String| {
            let folder = path.strip_prefix(&prefix)?.strip_suffix(file)?.strip_suffix('/')?;
            (!folder.contains('/') && folder != name).then(|| folder.to_string())
        };
        (name.to_string(), self.files.keys().filter_map(folder).collect())
    }

    /// Opens a file by its name below the folder, after fetching it where the cache has it not.
    pub(super) fn file(&self, name: &str, progress: &dyn Progress) -> Result<LocalFile> {
        if let Some(file) = self.cached(name)? {
            return Ok(file);
        }
        let full = self.full(name);
        self.download(&full, progress)?.run()?;
        LocalFile::open(&self.cache.pointer(&self.commit, &full), name)
    }

    /// The length of a file as the repository lists it.
    pub(super) fn length(&self, full: &str) -> Option<u64> {
        self.files.get(full)?.bytes
    }

    /// Keeps the etag of a file that was asked about and not fetched.
    pub(super) fn announce(&self, full: String, etag: String) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).insert(full, etag);
    }

    /// Opens a file that is in the cache, or `None` where it is not; an error where the repository has no such file.
    pub(super) fn cached(&self, name: &str) -> Result<Option<LocalFile>> {
        if !stays_inside(name) {
            return Err(SourceError::Outside { label: self.repository.clone(), name: name.to_string() }.into());
        }
        let full = self.full(name);
        let Some(listed) = self.files.get(&full) else { return Err(self.missing(&full)) };
        let path = self.cache.pointer(&self.commit, &full);
        let is_there = std::fs::metadata(&path)
            .is_ok_and(|metadata| metadata.is_file() && listed.bytes.is_none_or(|length| length == metadata.len()));
        if !is_there || !self.is_sound(&full, listed, &path)? {
            return Ok(None);
        }
        LocalFile::open(&path, name).map(Some)
    }

    /// Whether a file of the cache has the bytes of its hash: clients that check nothing keep error pages and pointers. Large files were
    /// checked when they were fetched, and their length was compared. Offline, other bytes are an error.
    fn is_sound(&self, full: &str, listed: &Listed, path: &Path) -> Result<bool> {
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LARGEST_VERIFIED) {
            return Ok(true);
        }
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let of_blob = || self.cache.etag(&self.commit, full).and_then(|etag| Identity::of_etag(&etag));
        let Some(identity) = of_blob().or_else(|| listed.identity.clone()).filter(|_| !verified().contains(full))
        else {
            return Ok(true);
        };
        match identity.compare(path, &Silent)? {
            None => {
                verified().insert(full.to_string());
                Ok(true)
            }
            Some(_) if self.transport.is_some() => Ok(false),
            Some(Other { expected, found }) => {
                let hash = if expected.is_sha256() { "sha256" } else { "git blob id" };
                let expected = expected.digits().to_string();
                let (repository, name) = (self.repository.clone(), full.to_string());
                let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
                Err(SourceError::CorruptCache { repository, name, path, hash, expected, found }.into())
            }
        }
    }

    /// The way to a file, by its name in the repository.
    pub(super) fn download<'a>(&'a self, full: &'a str, progress: &'a dyn Progress) -> Result<Download<'a>> {
        let Some(transport) = &self.transport else { return Err(self.missing(full)) };
        let Snapshot { repository, commit, cache, .. } = self;
        let listed = self.files.get(full).and_then(|listed| listed.identity.as_ref());
        Ok(Download { transport, cache, repository, commit, name: full, listed, progress })
    }

    /// The name in the repository.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// `etag:…` of a file that is in the cache, or was asked for.
    pub(super) fn etag(&self, name: &str) -> Option<String> {
        let full = self.full(name);
        let cached = stays_inside(&full).then(|| self.cache.etag(&self.commit, &full)).flatten();
        let announced = || self.announced.lock().unwrap_or_else(PoisonError::into_inner).get(&full).cloned();
        Some(format!("etag:{}", cached.or_else(announced)?))
    }

    fn missing(&self, name: &str) -> crate::error::Error {
        let repository = self.repository.clone();
        if self.transport.is_none() {
            return SourceError::NotCached { repository, name: name.to_string(), cache: self.cache_root.clone() }
                .into();
        }
        let names: Vec<String> = self.files.keys().cloned().collect();
        SourceError::no_such_file(&repository, name, &names).into()
    }
}

fn one_revision(repository: &str, written: Option<&str>, access: &Access) -> Result<String> {
    let repository = repository.to_string();
    match (written, access.revision.as_deref()) {
        (Some(written), Some(flag)) => {
            Err(SourceError::TwoRevisions { repository, written: written.to_string(), flag: flag.to_string() }.into())
        }
        (Some(revision), None) | (None, Some(revision)) if super::reference::is_revision(revision) => {
            Ok(revision.to_string())
        }
        (Some(text), None) | (None, Some(text)) => {
            let expected = "a branch, a tag or a commit";
            Err(SourceError::Malformed { text: format!("{repository}@{text}"), expected }.into())
        }
        (None, None) => Ok("main".to_string()),
    }
}

/// The commit and the files of a revision, as the Hub says, or as it once said of a commit.
fn ask(
    cache: &Cache,
    transport: &Transport,
    repository: &str,
    revision: &str,
    progress: &dyn Progress,
) -> Result<(String, BTreeMap<String, Listed>)> {
    if is_commit(revision)
        && let Some(tree) = cache.tree(revision)
    {
        return Ok((revision.to_string(), listed(&tree)));
    }
    let answer = transport.retry(progress, |attempt| request(transport, repository, revision, attempt, progress))?;
    if let Some(name) = answer.siblings.iter().map(|file| &file.rfilename).find(|name| !stays_inside(name)) {
        return Err(SourceError::Outside { label: repository.to_string(), name: name.clone() }.into());
    }
    cache.record_commit(revision, &answer.sha)?;
    if let Some(tree) = tree(&answer.siblings) {
        cache.record_tree(&answer.sha, &tree)?;
    }
    let listed = |file: &Sibling| Listed {
        bytes: file.lfs.as_ref().map(|large| large.size).or(file.size),
        identity: identity(file.lfs.as_ref().map(|large| large.sha256.as_str()), file.blob_id.as_deref()),
    };
    let files = answer.siblings.iter().map(|file| (file.rfilename.clone(), listed(file))).collect();
    Ok((answer.sha, files))
}

fn request(
    transport: &Transport,
    repository: &str,
    revision: &str,
    attempt: u32,
    progress: &dyn Progress,
) -> std::result::Result<Answer, Failure> {
    let path = format!("/api/models/{repository}/revision/{}?blobs=true", percent_encoded(revision, false));
    let address = transport.address(&path)?;
    let subject = Subject { repository, revision, file: None };
    let mut response =
        transport.request(&Method::GET, &address, ByteRange::All, Follow::Everywhere, subject, attempt)?;
    let mut body = response.body_mut().as_reader();
    let text =
        read_whole(&mut body, LONGEST_LISTING, &transport.patience(), progress)?.map_err(|broken| match broken {
            Broken::Connection(error) => network(address.host(), attempt, error.into()),
            Broken::Slow(Slow { bytes, seconds }) => {
                let file = "the list of files".to_string();
                Failure::temporary(SourceError::Slow { file, bytes, seconds, attempts: attempt })
            }
        })?;
    let text = String::from_utf8_lossy(&text);
    let answer: Answer = serde_json::from_str(&text).map_err(|_| address.wrong("a commit and a list of files"))?;
    let is_asked = is_commit(&answer.sha) && (!is_commit(revision) || answer.sha == revision);
    if is_asked { Ok(answer) } else { Err(address.wrong("the commit that was asked for").into()) }
}

/// What the cache records of a commit, where the Hub told everything about every file.
fn tree(siblings: &[Sibling]) -> Option<Tree> {
    let entry = |file: &Sibling| {
        let entry = TreeEntry {
            size: file.size?,
            blob_id: file.blob_id.clone()?,
            lfs_sha256: file.lfs.as_ref().map(|large| large.sha256.clone()),
            lfs_size: file.lfs.as_ref().map(|large| large.size),
            xet_hash: None,
        };
        Some((file.rfilename.clone(), entry))
    };
    let whole = siblings.len() < LISTED_WHOLE;
    siblings.iter().map(entry).collect::<Option<BTreeMap<_, _>>>().filter(|_| whole).map(Tree::new)
}

fn listed(tree: &Tree) -> BTreeMap<String, Listed> {
    let listed = |entry: &TreeEntry| Listed {
        bytes: Some(entry.lfs_size.unwrap_or(entry.size)),
        identity: identity(entry.lfs_sha256.as_deref(), Some(&entry.blob_id)),
    };
    tree.files.iter().map(|(name, entry)| (name.clone(), listed(entry))).collect()
}

/// What a listing says that a file hashes to. The blob id of a file that git-lfs stores is that of a pointer to it.
fn identity(sha256: Option<&str>, blob: Option<&str>) -> Option<Identity> {
    match sha256 {
        Some(sha256) => Identity::of_etag(sha256).filter(Identity::is_sha256),
        None => blob.and_then(Identity::of_etag).filter(|identity| !identity.is_sha256()),
    }
}
