//! What the bytes of a Hub file must hash to: the SHA-256 of a file that git-lfs stores, git's blob id of any other.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::cache::cache_error;
use crate::error::Result;
use crate::progress::Progress;
use crate::source::error::SourceError;

/// Bytes between two looks at the wish to stop.
const CHUNK: usize = 256 * 1024;

/// The hash of a file, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Sha256(String),
    /// Git's id of the content as a blob. Some mirrors answer with the plain SHA-1 of the content, which is as good.
    Blob(String),
}

/// The hash that was found in place of the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) expected: Identity,
    pub(super) found: String,
}

impl Other {
    /// The error of a transfer.
    pub(super) fn received(self, file: String) -> SourceError {
        match self.expected {
            Identity::Sha256(expected) => SourceError::WrongBytes { file, expected, found: self.found },
            Identity::Blob(expected) => SourceError::WrongBlob { file, expected, found: self.found },
        }
    }
}

impl Identity {
    /// The hash that an etag is; `None` of an etag of another kind.
    pub(super) fn of_etag(etag: &str) -> Option<Identity> {
        let is_hexadecimal = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if is_hexadecimal => Some(Identity::Sha256(etag.to_ascii_lowercase())),
            40 if is_hexadecimal => Some(Identity::Blob(etag.to_ascii_lowercase())),
            _ => None,
        }
    }

    pub(super) fn digits(&self) -> &str {
        let (Identity::Sha256(digits) | Identity::Blob(digits)) = self;
        digits
    }

    pub(super) fn is_sha256(&self) -> bool {
        matches!(self, Identity::Sha256(_))
    }

    /// Reads a file of the cache; `None` where it has this identity.
    pub(super) fn compare(&self, path: &Path, progress: &dyn Progress) -> Result<Option<Other>> {
        let failed = |error| cache_error("read", path, error);
        let mut file = File::open(path).map_err(failed)?;
        let mut hashes = Hashes::new(file.metadata().map_err(failed)?.len());
        let mut chunk = vec![0; CHUNK];
        loop {
            progress.interrupted()?;
            match file.read(&mut chunk) {
                Ok(0) => return Ok(self.differs(hashes)),
                Ok(count) => hashes.update(self, &chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn differs(&self, hashes: Hashes) -> Option<Other> {
        let Hashes { sha256, blob, plain } = hashes;
        match self {
            Identity::Sha256(expected) => {
                let found = hexadecimal(&sha256.finalize());
                (found != *expected).then(|| Other { expected: self.clone(), found })
            }
            Identity::Blob(expected) => {
                let (found, plain) = (hexadecimal(&blob.finalize()), hexadecimal(&plain.finalize()));
                let is_same = [&found, &plain].contains(&expected);
                (!is_same).then(|| Other { expected: self.clone(), found })
            }
        }
    }
}

/// The hashes of a content of known length.
struct Hashes {
    sha256: Sha256,
    blob: Sha1,
    plain: Sha1,
}

impl Hashes {
    fn new(len: u64) -> Hashes {
        Hashes { sha256: Sha256::new(), blob: Sha1::new_with_prefix(format!("blob {len}\0")), plain: Sha1::new() }
    }

    fn update(&mut self, identity: &Identity, bytes: &[u8]) {
        match identity {
            Identity::Sha256(_) => self.sha256.update(bytes),
            Identity::Blob(_) => {
                self.blob.update(bytes);
                self.plain.update(bytes);
            }
        }
    }
}

/// The digits of a hash.
pub(super) fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn compare(etag: &str, content: &[u8]) -> Option<Other> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Identity::of_etag(etag).unwrap().compare(file.path(), &Silent).unwrap()
    }

    /// The ids are those of `printf hello | git hash-object --stdin`, `sha1sum` and `sha256sum`.
    #[test]
    fn an_etag_is_compared_as_the_hash_that_it_is() {
        let blob = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        assert_eq!(compare(blob, b"hello"), None);
        assert_eq!(compare(&blob.to_uppercase(), b"hello"), None);
        assert_eq!(compare("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", b"hello"), None);
        assert_eq!(compare("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b""), None);
        assert_eq!(compare(&hexadecimal(&Sha256::digest(b"hello")), b"hello"), None);
        let other = compare(blob, b"hellO").unwrap();
        assert_eq!(other.expected, Identity::Blob(blob.into()));
        assert!(compare(&"0".repeat(64), b"hello").is_some());
    }

    #[test]
    fn other_etags_are_no_hash() {
        for etag in ["", "abc", &"g".repeat(40), &"0".repeat(41), &"0".repeat(32), "5d41402abc4b2a76b9719d911017c592-3"]
        {
            assert_eq!(Identity::of_etag(etag), None, "{etag}");
        }
    }
}
