//! A Hub that serves other bytes, never ends, or never comes on.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use xfer::error::{Exit, Result};
use xfer::progress::{Progress, Silent};
use xfer::source::error::SourceError;
use xfer::source::{Access, Patience, Reference, Source};

use crate::support::command::{Folder, contents, fixture};
use crate::support::hub::{Fault, Host, Hub, blob_id, hash};

const VOCABULARY: &[u8] = b"[PAD]\n[UNK]\nhello\nworld\n";

fn weights() -> Vec<u8> {
    (0..6_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

struct Stage {
    hub: Hub,
    folder: tempfile::TempDir,
    weights: Vec<u8>,
}

impl Stage {
    fn new() -> Stage {
        let (hub, weights) = (Hub::start(), weights());
        hub.commit("acme/toy", "main", &[("vocab.txt", VOCABULARY), ("model.safetensors", &weights)]);
        Stage { hub, folder: tempfile::tempdir().unwrap(), weights }
    }

    fn access(&self) -> Access {
        self.hub.access(self.folder.path())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.read_by(name, &self.access(), &Silent)
    }

    fn read_by(&self, name: &str, access: &Access, progress: &dyn Progress) -> Result<Vec<u8>> {
        Source::open(&Reference::parse("acme/toy")?, access, progress)?.read(name, 1 << 30, progress)
    }

    fn blob(&self, id: &str) -> PathBuf {
        self.folder.path().join("hub/models--acme--toy/blobs").join(id)
    }

    fn gets(&self, path: &str) -> usize {
        self.hub.seen().iter().filter(|seen| seen.method == "GET" && seen.path.contains(path)).count()
    }
}

fn flipped() -> Vec<u8> {
    let mut bytes = VOCABULARY.to_vec();
    bytes[3] ^= 1;
    bytes
}

/// What is served in place of a small file: of another length and of the same.
fn wrong_bodies() -> Vec<Vec<u8>> {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 24\n".to_vec();
    vec![b"<!doctype html><html>log in</html>".to_vec(), pointer, flipped(), vec![0; VOCABULARY.len()], Vec::new()]
}

#[test]
fn other_bytes_than_those_of_the_blob_id_are_never_kept() {
    for names_only in [false, true] {
        for body in wrong_bodies() {
            let stage = Stage::new();
            if names_only {
                stage.hub.list_names_only();
            }
            stage.hub.fail(Host::Endpoint, "GET", "vocab.txt", 1, Fault::Instead(body.clone()));
            match stage.read("vocab.txt") {
                // a body that is too short is asked for again
                Ok(bytes) => assert!(bytes == VOCABULARY && body.len() < VOCABULARY.len()),
                Err(error) => {
                    assert_eq!(error.exit(), Exit::Temporary, "{error}");
                    assert_eq!(fs::read_dir(stage.blob("x").parent().unwrap()).unwrap().count(), 0, "{error}");
                }
            }
            assert_eq!(stage.read("vocab.txt").unwrap(), VOCABULARY, "the next run");
            assert!(stage.blob(&blob_id(VOCABULARY)).exists());
        }
    }
}

#[test]
fn what_another_client_left_in_the_cache_is_compared_with_its_name() {
    for body in wrong_bodies() {
        let stage = Stage::new();
        stage.read("vocab.txt").unwrap();
        fs::write(stage.blob(&blob_id(VOCABULARY)), &body).unwrap();
        let offline = Access { offline: true, ..stage.access() };
        let error = stage.read_by("vocab.txt", &offline, &Silent).unwrap_err();
        assert!([Exit::Input, Exit::Source].contains(&error.exit()), "{error}");
        assert!(error.to_string().contains("vocab.txt"), "{error}");
        assert_eq!(stage.read("vocab.txt").unwrap(), VOCABULARY, "fetched again");
        assert_eq!(stage.read_by("vocab.txt", &offline, &Silent).unwrap(), VOCABULARY);
    }
}

#[test]
fn weak_etags_are_etags_and_others_leave_the_listing_to_compare_with() {
    let id = blob_id(VOCABULARY);
    for etag in [Some(format!("W/\"{id}\"")), Some(id.clone()), Some("\"0123456789abcdef\"".into()), None] {
        let stage = Stage::new();
        stage.hub.fail(Host::Endpoint, "HEAD", "vocab.txt", usize::MAX, Fault::Etag(etag.clone()));
        stage.hub.fail(Host::Endpoint, "GET", "resolve", 1, Fault::Instead(flipped()));
        assert!(
            matches!(stage.read("vocab.txt").unwrap_err().downcast_ref(), Some(SourceError::WrongBlob { .. })),
            "{etag:?}"
        );
        assert_eq!(stage.read("vocab.txt").unwrap(), VOCABULARY, "{etag:?}");
        stage.hub.forget();
        assert_eq!(stage.read("vocab.txt").unwrap(), VOCABULARY);
        assert_eq!(stage.gets("resolve"), 0, "{etag:?}: it was in the cache");
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Warned(std::sync::Mutex<Vec<String>>);

impl Progress for Warned {
    fn start(&self, _phase: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn warn(&self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
    fn interrupted(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_whose_hash_nobody_states_is_said_to_be_unverified() {
    let stage = Stage::new();
    stage.hub.list_names_only();
    stage.hub.fail(Host::Endpoint, "HEAD", "vocab.txt", 1, Fault::Etag(Some("\"of-a-mirror\"".into())));
    let warned = Warned::default();
    assert_eq!(stage.read_by("vocab.txt", &stage.access(), &warned).unwrap(), VOCABULARY);
    let warnings = warned.0.into_inner().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("vocab.txt") && warnings[0].contains("not verified"), "{warnings:?}");
}

#[test]
fn without_a_sha256_a_transfer_that_was_cut_starts_at_the_first_byte() {
    let stage = Stage::new();
    stage.hub.fail(Host::Endpoint, "GET", "vocab.txt", 2, Fault::Cut(9));
    assert_eq!(stage.read("vocab.txt").unwrap(), VOCABULARY);
    let seen = stage.hub.seen();
    let gets = seen.iter().filter(|seen| seen.method == "GET" && seen.path.contains("vocab.txt"));
    assert_eq!(gets.map(|seen| seen.headers.get("range")).collect::<Vec<_>>(), [None, None, None]);
}

#[test]
fn a_server_that_always_stops_at_the_same_place_is_given_up() {
    for (fault, most) in [
        (Fault::IgnoreRangeAndCut(4_000_000), 5),
        (Fault::IgnoreRangeAndCut(900_000), 5),
        (Fault::Cut(1), 5),
        (Fault::Cut(0), 5),
        (Fault::HangUp, 5),
        (Fault::Status(416, Vec::new()), 5),
        (Fault::Status(429, vec![("Retry-After", "0".into())]), 5),
        (Fault::Status(429, vec![("Retry-After", "99999999999999999999".into())]), 5),
        (Fault::Status(503, vec![("Retry-After", "4000000000".into())]), 1),
    ] {
        let stage = Stage::new();
        // so that a range is asked for
        stage.hub.fail(Host::Store, "GET", "", 1, Fault::Cut(2_000_000));
        stage.hub.fail(Host::Store, "GET", "", usize::MAX, fault.clone());
        let start = Instant::now();
        let error = stage.read("model.safetensors").map(|bytes| bytes.len()).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", start.elapsed());
        assert_eq!(error.exit(), Exit::Temporary, "{fault:?}: {error}");
        let store = stage.hub.seen().iter().filter(|seen| seen.host == Host::Store).count();
        assert!(store <= 1 + most, "{fault:?}: {store} requests");
    }
}

#[test]
fn a_server_without_ranges_that_comes_further_each_time_is_asked_until_it_is_done() {
    let stage = Stage::new();
    for bytes in [2_000_000, 3_100_000, 4_200_000, 5_300_000] {
        stage.hub.fail(Host::Store, "GET", "", 1, Fault::IgnoreRangeAndCut(bytes));
    }
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::IgnoreRange);
    assert!(stage.read("model.safetensors").unwrap() == stage.weights);
    assert_eq!(hash(&stage.weights), hash(&fs::read(stage.blob(&hash(&stage.weights))).unwrap()));
}

#[test]
fn a_server_that_sends_a_byte_now_and_then_is_given_up() {
    for (host, path, method) in
        [(Host::Store, "", "GET"), (Host::Endpoint, "/api/", "GET"), (Host::Endpoint, "vocab", "GET")]
    {
        let stage = Stage::new();
        stage.hub.fail(host, method, path, usize::MAX, Fault::Trickle(Duration::from_millis(100)));
        let patience = Patience { read: Duration::from_millis(400), attempts: 2, ..stage.access().patience };
        let access = Access { patience, ..stage.access() };
        let start = Instant::now();
        let name = if host == Host::Store { "model.safetensors" } else { "vocab.txt" };
        let error = stage.read_by(name, &access, &Silent);
        match error {
            // a file of 24 bytes comes to its end
            Ok(bytes) => assert_eq!(bytes, VOCABULARY),
            Err(error) => assert_eq!(error.exit(), Exit::Temporary, "{error}"),
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{host:?} {path}: {:?}", start.elapsed());
    }
}

#[test]
fn a_wrong_tokenizer_reaches_no_output() {
    let hub = Hub::start();
    let files = contents(fixture("tiny-bert").as_ref());
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    hub.commit("acme/tiny", "main", &files);
    let folder = Folder::new();
    folder.write("my.json", fs::read(fixture("tiny-bert/config.json")).unwrap());
    let vocabulary = fs::read(fixture("tiny-bert/vocab.txt")).unwrap();
    let mut flipped = vocabulary.clone();
    flipped[7] ^= 1;
    hub.fail(Host::Endpoint, "GET", "vocab.txt", 1, Fault::Instead(flipped.clone()));
    hub.fail(Host::Store, "GET", &hash(&vocabulary), 1, Fault::Instead(flipped));
    let endpoint = hub.endpoint();
    let init = ["init", "--from", "acme/tiny", "--arch", "my.json"];
    folder.xfer_with(&init, &[("HF_ENDPOINT", &endpoint)]).exits(75).complains("vocab.txt");
    assert!(!folder.path("my").exists());
    folder.xfer_with(&init, &[("HF_ENDPOINT", &endpoint)]).exits(0);
    assert_eq!(fs::read(folder.path("my/vocab.txt")).unwrap(), vocabulary);
}
