//! Fetching from the Hub: what is asked of whom, what is kept, and what every failure comes to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::hub::{Fault, Host, Hub, LARGE, etag, hash};
use xfer::error::{Error, Exit, Interrupted, Result};
use xfer::progress::{Progress, Silent};
use xfer::source::error::SourceError;
use xfer::source::{Access, Bytes, Reference, Source};

const CONFIG: &[u8] = b"{\"model_type\": \"bert\"}";

/// Enough for several chunks, and no two of its regions alike.
fn weights() -> Vec<u8> {
    (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A Hub with one repository, and an empty cache.
struct Stage {
    hub: Hub,
    folder: tempfile::TempDir,
    commit: String,
    weights: Vec<u8>,
}

impl Stage {
    fn new() -> Stage {
        let (hub, weights) = (Hub::start(), weights());
        let files: [(&str, &[u8]); 3] =
            [("config.json", CONFIG), ("model.safetensors", &weights), ("1_Pooling/config.json", b"{}")];
        let commit = hub.commit("acme/toy", "main", &files);
        Stage { hub, folder: tempfile::tempdir().unwrap(), commit, weights }
    }

    fn access(&self) -> Access {
        self.hub.access(self.folder.path())
    }

    fn open(&self, reference: &str) -> Result<Source> {
        Source::open(&Reference::parse(reference)?, &self.access(), &Silent)
    }

    fn offline(&self, reference: &str) -> Result<Source> {
        Source::open(&Reference::parse(reference)?, &Access { offline: true, ..self.access() }, &Silent)
    }

    /// Opens the repository and reads a file whole.
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.open("acme/toy")?.read(name, 1 << 30, &Silent)
    }

    fn cache(&self, path: &str) -> PathBuf {
        self.folder.path().join("hub/models--acme--toy").join(path)
    }

    fn blob(&self) -> PathBuf {
        self.cache("blobs").join(hash(&self.weights))
    }

    fn incomplete(&self) -> PathBuf {
        self.cache("blobs").join(format!("{}.incomplete", hash(&self.weights)))
    }

    /// The ranges that the second host was asked for.
    fn store_ranges(&self) -> Vec<Option<String>> {
        let seen = self.hub.seen();
        let store = seen.iter().filter(|seen| seen.host == Host::Store);
        store.map(|seen| seen.headers.get("range").cloned()).collect()
    }

    /// Opens the repository and the front of a file.
    fn front(&self, name: &str) -> Result<Arc<dyn Bytes>> {
        front_of(&self.open("acme/toy")?, name)
    }

    /// The error of reading the weights, and how often its request was made.
    fn failure(&self, host: Host, method: &'static str, fault: Fault) -> (Error, usize) {
        let path = if host == Host::Endpoint { "model.safetensors" } else { "" };
        self.hub.fail(host, method, path, usize::MAX, fault);
        let error = self.read("model.safetensors").expect_err("a failure");
        let asked =
            |seen: &&crate::support::hub::Seen| seen.host == host && seen.method == method && seen.path.contains(path);
        let times = self.hub.seen().iter().filter(asked).count();
        assert!(!self.blob().exists(), "a blob of {error}");
        assert!(!self.cache("snapshots").join(&self.commit).join("model.safetensors").exists());
        (error, times)
    }
}

fn front_of(source: &Source, name: &str) -> Result<Arc<dyn Bytes>> {
    Ok(source.fronts(&[name.to_string()], &Silent)?.remove(0))
}

fn source_error(error: Error) -> SourceError {
    error.downcast().unwrap_or_else(|other| panic!("not a source error: {other}"))
}

fn link(path: &Path) -> String {
    fs::read_link(path).unwrap().to_str().unwrap().to_string()
}

#[test]
fn a_repository_is_pinned_to_a_commit_and_laid_out_as_huggingface_hub_has_it() {
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    assert_eq!(source.label(), "acme/toy");
    assert_eq!(source.commit(), Some(stage.commit.as_str()));
    assert_eq!(source.names(), ["1_Pooling/config.json", "config.json", "model.safetensors"]);
    assert!(!source.is_single_file());
    assert_eq!(source.etag("model.safetensors"), None, "not yet fetched");
    assert!(!stage.cache("blobs").exists(), "opening fetches no file");

    assert_eq!(source.read("model.safetensors", 1 << 30, &Silent).unwrap(), stage.weights);
    assert_eq!(source.read("config.json", 100, &Silent).unwrap(), CONFIG);
    assert_eq!(source.read("1_Pooling/config.json", 100, &Silent).unwrap(), b"{}");
    assert_eq!(source.etag("model.safetensors"), Some(format!("etag:{}", hash(&stage.weights))));
    assert_eq!(source.etag("config.json"), Some(format!("etag:{}", etag(CONFIG))));

    assert_eq!(fs::read_to_string(stage.cache("refs/main")).unwrap(), stage.commit);
    let snapshot = stage.cache("snapshots").join(&stage.commit);
    assert_eq!(link(&snapshot.join("config.json")), format!("../../blobs/{}", etag(CONFIG)));
    assert_eq!(link(&snapshot.join("1_Pooling/config.json")), format!("../../../blobs/{}", etag(b"{}")));
    let mut blobs: Vec<_> = fs::read_dir(stage.cache("blobs")).unwrap().map(|e| e.unwrap().file_name()).collect();
    blobs.sort();
    let mut expected = [hash(&stage.weights), etag(CONFIG), etag(b"{}")].map(std::ffi::OsString::from);
    expected.sort();
    assert_eq!(blobs, expected, "no .incomplete is left");
    let lock = format!(".locks/models--acme--toy/{}.lock", hash(&stage.weights));
    assert!(stage.folder.path().join("hub").join(lock).exists());
}

#[test]
fn a_file_in_the_cache_is_not_asked_for_again() {
    let stage = Stage::new();
    stage.read("model.safetensors").unwrap();
    stage.hub.forget();
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
    let seen = stage.hub.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].path.starts_with("/api/models/acme/toy/revision/main"));
}

#[test]
fn a_commit_whose_files_are_in_the_cache_needs_no_request_at_all() {
    let stage = Stage::new();
    stage.read("config.json").unwrap();
    stage.hub.forget();
    let pinned = stage.open(&format!("acme/toy@{}", stage.commit)).unwrap();
    assert_eq!(pinned.names().len(), 3, "the listing is whole though one file is in the cache");
    assert_eq!(pinned.read("config.json", 100, &Silent).unwrap(), CONFIG);
    assert!(stage.hub.seen().is_empty(), "{:?}", stage.hub.seen());
    assert_eq!(pinned.read("model.safetensors", 1 << 30, &Silent).unwrap(), stage.weights);
    assert!(stage.hub.seen().iter().all(|seen| !seen.path.starts_with("/api")), "{:?}", stage.hub.seen());
}

#[test]
fn a_commit_is_asked_for_where_a_mirror_told_only_names() {
    let stage = Stage::new();
    stage.hub.list_names_only();
    stage.read("config.json").unwrap();
    let pinned = stage.open(&format!("acme/toy@{}", stage.commit)).unwrap();
    assert_eq!(pinned.names().len(), 3);
    assert_eq!(pinned.read("model.safetensors", 1 << 30, &Silent).unwrap(), stage.weights);
}

#[test]
fn a_branch_that_moved_is_read_at_its_new_commit() {
    let stage = Stage::new();
    stage.read("config.json").unwrap();
    let second = stage.hub.commit("acme/toy", "main", &[("config.json", b"{\"second\": 2}")]);
    let source = stage.open("acme/toy").unwrap();
    assert_eq!(source.commit(), Some(second.as_str()));
    assert_eq!(source.read("config.json", 100, &Silent).unwrap(), b"{\"second\": 2}");
    assert_eq!(fs::read_to_string(stage.cache("refs/main")).unwrap(), second);
    let first = stage.open(&format!("acme/toy@{}", stage.commit)).unwrap();
    assert_eq!(first.read("config.json", 100, &Silent).unwrap(), CONFIG);
}

#[test]
fn a_revision_is_taken_from_the_reference_or_from_the_flag_but_not_from_both() {
    let stage = Stage::new();
    let old = stage.hub.commit("acme/toy", "refs/pr/7", &[("config.json", b"{}")]);
    assert_eq!(stage.open("acme/toy@refs/pr/7").unwrap().commit(), Some(old.as_str()));
    assert_eq!(fs::read_to_string(stage.cache("refs/refs/pr/7")).unwrap(), old);
    let flag = Access { revision: Some("refs/pr/7".into()), ..stage.access() };
    let source = Source::open(&Reference::parse("acme/toy").unwrap(), &flag, &Silent).unwrap();
    assert_eq!(source.commit(), Some(old.as_str()));
    let both = Source::open(&Reference::parse("acme/toy@main").unwrap(), &flag, &Silent).err().unwrap();
    assert_eq!(both.exit(), Exit::Usage);
    assert!(matches!(source_error(both), SourceError::TwoRevisions { .. }));
    let bad = Access { revision: Some("../../x".into()), ..stage.access() };
    let error = Source::open(&Reference::parse("acme/toy").unwrap(), &bad, &Silent).err().unwrap();
    assert_eq!(error.exit(), Exit::Usage);
}

#[test]
fn a_reference_to_one_file_lists_it_and_reaches_its_siblings() {
    let stage = Stage::new();
    let source = stage.open("hf://acme/toy/1_Pooling/config.json").unwrap();
    assert!(source.is_single_file());
    assert_eq!(source.names(), ["config.json"]);
    assert_eq!(source.read("config.json", 100, &Silent).unwrap(), b"{}");
    assert_eq!(source.etag("config.json"), Some(format!("etag:{}", etag(b"{}"))));
    let folder = stage.open("hf://acme/toy@main/1_Pooling").unwrap();
    assert!(!folder.is_single_file());
    assert_eq!(folder.names(), ["config.json"]);
    let error = stage.open("hf://acme/toy/model.safetensor").err().unwrap();
    assert_eq!(error.exit(), Exit::Source);
    assert!(error.hints()[0].contains("model.safetensors"), "{:?}", error.hints());
}

#[test]
fn the_token_goes_to_the_endpoint_and_to_no_other_port_or_name() {
    for by_name in [false, true] {
        let stage = Stage::new();
        stage.hub.require_token("hf_secret");
        if by_name {
            stage.hub.use_store_by_name();
        }
        let access = Access { token: Some("hf_secret".into()), ..stage.access() };
        let source = Source::open(&Reference::parse("acme/toy").unwrap(), &access, &Silent).unwrap();
        assert_eq!(source.read("model.safetensors", 1 << 30, &Silent).unwrap(), stage.weights);
        let seen = stage.hub.seen();
        assert!(seen.iter().any(|seen| seen.host == Host::Store));
        for seen in &seen {
            let token = seen.headers.get("authorization").map(String::as_str);
            assert_eq!(token, (seen.host == Host::Endpoint).then_some("Bearer hf_secret"), "{seen:?}");
            assert!(!format!("{} {:?}", seen.path, seen.headers.get("referer")).contains("hf_secret"));
            assert_eq!(seen.headers.get("accept-encoding").map(String::as_str), Some("identity"));
        }
    }
}

#[test]
fn the_token_does_not_follow_a_redirect_of_a_small_file_or_of_the_listing() {
    for (method, path) in [("GET", "config.json"), ("GET", "/api/")] {
        let stage = Stage::new();
        let address = format!("{}/acme/toy/{}", stage.hub.store_by_name(), hash(&stage.weights));
        stage.hub.fail(Host::Endpoint, method, path, 1, Fault::Redirect(address));
        let access = Access { token: Some("hf_secret".into()), ..stage.access() };
        let open = Source::open(&Reference::parse("acme/toy").unwrap(), &access, &Silent);
        let _ = open.and_then(|source| source.read("config.json", 100, &Silent));
        let store: Vec<_> = stage.hub.seen().into_iter().filter(|seen| seen.host == Host::Store).collect();
        assert!(!store.is_empty());
        assert!(store.iter().all(|seen| !seen.headers.contains_key("authorization")), "{store:?}");
    }
}

#[test]
fn a_renamed_repository_is_found_by_a_redirect_within_the_endpoint() {
    let stage = Stage::new();
    let to = |path: &str| Fault::Redirect(path.to_string());
    stage.hub.fail(Host::Endpoint, "GET", "/api/models/old/name", 9, to("/api/models/acme/toy/revision/main"));
    let resolve = format!("/acme/toy/resolve/{}/model.safetensors", stage.commit);
    stage.hub.fail(Host::Endpoint, "HEAD", "/old/name/resolve", 9, to(&resolve));
    stage.hub.fail(Host::Endpoint, "GET", "/old/name/resolve", 9, to(&resolve));
    let source = stage.open("old/name").unwrap();
    assert_eq!(source.read("model.safetensors", 1 << 30, &Silent).unwrap(), stage.weights);
}

#[test]
fn a_transfer_that_is_cut_goes_on_where_it_stopped() {
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::Cut(1_200_000));
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::Cut(1_100_000));
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
    assert_eq!(stage.store_ranges(), [None, Some("bytes=1200000-".into()), Some("bytes=2300000-".into())]);
}

#[test]
fn a_file_that_has_become_shorter_than_what_is_there_starts_again() {
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::Cut(1_200_000));
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::Short(1_100_000));
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
    assert_eq!(stage.store_ranges(), [None, Some("bytes=1200000-".into()), None], "416 in between");
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_stopped() {
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", 3, Fault::Cut(700_000));
    let error = stage.read("model.safetensors").unwrap_err();
    assert_eq!(error.exit(), Exit::Temporary);
    assert_eq!(fs::read(stage.incomplete()).unwrap(), stage.weights[..2_100_000], "three times 700000");
    stage.hub.forget();
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
    let ranges: Vec<_> = stage.hub.seen().iter().filter_map(|seen| seen.headers.get("range").cloned()).collect();
    assert_eq!(ranges, ["bytes=2100000-", "bytes=2100000-"], "of the endpoint and of the store");
}

#[test]
fn attempts_that_bring_the_transfer_on_do_not_count() {
    let stage = Stage::new();
    let access =
        Access { patience: xfer::source::Patience { attempts: 2, ..stage.access().patience }, ..stage.access() };
    let big: Vec<u8> = (0..4).flat_map(|_| stage.weights.clone()).collect();
    stage.hub.commit("acme/big", "main", &[("x.bin", &big)]);
    stage.hub.fail(Host::Store, "GET", "", 5, Fault::Cut(2_000_000));
    let source = Source::open(&Reference::parse("acme/big").unwrap(), &access, &Silent).unwrap();
    assert_eq!(source.read("x.bin", 1 << 30, &Silent).unwrap(), big);
}

#[test]
fn a_server_without_ranges_starts_again_from_the_beginning() {
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::Cut(1_200_000));
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::IgnoreRange);
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
}

#[test]
fn a_range_that_was_not_asked_for_is_not_written() {
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::Cut(1_200_000));
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::WrongRange);
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
}

#[test]
fn remains_of_another_file_are_found_out_and_replaced() {
    for remains in [vec![0; 1_000_000], vec![0; 3_000_000], vec![0; 4_000_000]] {
        let stage = Stage::new();
        fs::create_dir_all(stage.cache("blobs")).unwrap();
        fs::write(stage.incomplete(), &remains).unwrap();
        assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights, "{} bytes", remains.len());
        assert_eq!(fs::read(stage.blob()).unwrap(), stage.weights);
        assert!(!stage.incomplete().exists());
    }
}

#[test]
fn a_whole_file_left_incomplete_by_a_killed_run_is_only_checked() {
    let stage = Stage::new();
    fs::create_dir_all(stage.cache("blobs")).unwrap();
    fs::write(stage.incomplete(), &stage.weights).unwrap();
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
    assert!(stage.hub.seen().iter().all(|seen| seen.host == Host::Endpoint));
}

#[test]
fn a_wrong_body_is_an_error_and_nothing_of_it_is_kept() {
    let stage = Stage::new();
    let (error, times) = stage.failure(Host::Store, "GET", Fault::WrongBytes);
    assert_eq!((error.exit(), times), (Exit::Temporary, 1));
    let SourceError::WrongBytes { file, expected, found } = source_error(error) else { panic!("another error") };
    assert_eq!((file.as_str(), expected), ("model.safetensors", hash(&stage.weights)));
    assert_eq!(found, hash(&stage.weights.iter().map(|byte| !byte).collect::<Vec<u8>>()));
    assert!(!stage.incomplete().exists());
}

#[test]
fn a_body_that_is_too_long_is_an_error_and_nothing_of_it_is_kept() {
    let stage = Stage::new();
    let (error, _) = stage.failure(Host::Store, "GET", Fault::TooLong(10));
    assert_eq!(error.exit(), Exit::Temporary);
    assert!(matches!(source_error(error), SourceError::WrongLength { expected: 3_000_000, .. }));
    assert!(!stage.incomplete().exists());
}

#[test]
fn a_small_file_of_another_length_is_an_error_and_nothing_of_it_is_kept() {
    for fault in [Fault::Short(5), Fault::Cut(5), Fault::TooLong(3)] {
        let stage = Stage::new();
        stage.hub.fail(Host::Endpoint, "GET", "resolve", usize::MAX, fault.clone());
        let error = stage.read("config.json").unwrap_err();
        assert_eq!(error.exit(), Exit::Temporary, "{fault:?}: {error}");
        assert_eq!(fs::read_dir(stage.cache("blobs")).unwrap().count(), 0, "{fault:?}");
    }
}

#[test]
fn an_error_page_that_another_client_cached_as_weights_is_replaced() {
    let stage = Stage::new();
    fs::create_dir_all(stage.cache("blobs")).unwrap();
    fs::write(stage.blob(), b"this is error 403").unwrap();
    let snapshot = stage.cache("snapshots").join(&stage.commit);
    fs::create_dir_all(&snapshot).unwrap();
    std::os::unix::fs::symlink(format!("../../blobs/{}", hash(&stage.weights)), snapshot.join("model.safetensors"))
        .unwrap();
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
}

#[test]
fn every_status_has_its_exit_code_and_only_some_are_tried_again() {
    for (status, exit, attempts) in [
        (401, Exit::Source, 1),
        (403, Exit::Source, 1),
        (404, Exit::Source, 1),
        (400, Exit::Source, 1),
        (408, Exit::Temporary, 3),
        (429, Exit::Temporary, 3),
        (500, Exit::Temporary, 3),
        (503, Exit::Temporary, 3),
    ] {
        for method in ["HEAD", "GET"] {
            let (error, times) = Stage::new().failure(Host::Endpoint, method, Fault::Status(status, Vec::new()));
            assert_eq!((error.exit(), times), (exit, attempts), "{method} {status}: {error}");
        }
        let stage = Stage::new();
        stage.hub.fail(Host::Endpoint, "GET", "/api/", usize::MAX, Fault::Status(status, Vec::new()));
        let error = stage.open("acme/toy").err().unwrap();
        assert_eq!(error.exit(), exit, "listing {status}: {error}");
        assert_eq!(stage.hub.seen().len(), attempts, "listing {status}");
        assert!(!stage.folder.path().join("hub").exists(), "a refusal leaves no trace in the cache");
    }
}

#[test]
fn a_refusal_of_the_second_host_is_asked_for_anew_at_the_endpoint() {
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::Status(403, Vec::new()));
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
    let (error, times) = Stage::new().failure(Host::Store, "GET", Fault::Status(403, Vec::new()));
    assert_eq!((error.exit(), times), (Exit::Source, 3));
    assert!(!error.to_string().contains("signature"), "a signed address is a secret: {error}");
}

#[test]
fn a_passing_failure_is_overcome() {
    for fault in [
        Fault::Status(429, vec![("Retry-After", "0".into())]),
        Fault::Status(500, Vec::new()),
        Fault::HangUp,
        Fault::Stall(Duration::from_millis(800)),
    ] {
        for (host, method) in [(Host::Endpoint, "HEAD"), (Host::Endpoint, "GET"), (Host::Store, "GET")] {
            let stage = Stage::new();
            stage.hub.fail(host, method, "", 1, fault.clone());
            let access = Access {
                patience: xfer::source::Patience {
                    answer: Duration::from_millis(300),
                    read: Duration::from_millis(300),
                    ..stage.access().patience
                },
                ..stage.access()
            };
            let source = Source::open(&Reference::parse("acme/toy").unwrap(), &access, &Silent).unwrap();
            assert_eq!(
                source.read("model.safetensors", 1 << 30, &Silent).unwrap(),
                stage.weights,
                "{fault:?} {host:?}"
            );
        }
    }
}

#[test]
fn the_server_says_how_long_to_wait_and_too_long_is_a_failure() {
    let stage = Stage::new();
    stage.hub.fail(Host::Endpoint, "HEAD", "", 1, Fault::Status(429, vec![("Retry-After", "1".into())]));
    let start = Instant::now();
    stage.read("config.json").unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    for header in [("Retry-After", "300".to_string()), ("RateLimit", "\"resolvers\";r=0;t=300".to_string())] {
        let (error, times) = Stage::new().failure(Host::Endpoint, "HEAD", Fault::Status(429, vec![header]));
        assert_eq!((error.exit(), times), (Exit::Temporary, 1));
        assert!(error.hints()[0].contains("300"), "{:?}", error.hints());
    }
}

#[test]
fn no_server_is_a_temporary_failure() {
    let stage = Stage::new();
    // a port that no other test can be given, as one that was free a moment ago can
    let access = Access { endpoint: "http://127.0.0.1:9".into(), ..stage.access() };
    let error = Source::open(&Reference::parse("acme/toy").unwrap(), &access, &Silent).err().unwrap();
    assert_eq!(error.exit(), Exit::Temporary);
    assert!(matches!(source_error(error), SourceError::Network { attempts: 3, .. }));
}

#[test]
fn a_repository_that_does_not_exist_names_the_nearest_and_one_that_is_hidden_the_login() {
    let stage = Stage::new();
    let error = stage.open("google-bert/bert-base-uncasd").err().unwrap();
    assert_eq!(error.exit(), Exit::Source);
    assert!(error.to_string().contains("google-bert/bert-base-uncasd"), "{error}");
    assert!(error.hints()[0].contains("google-bert/bert-base-uncased"), "{:?}", error.hints());
    assert!(matches!(source_error(error), SourceError::NoRepository { .. }));

    let error = stage.open("acme/toy@v9").err().unwrap();
    assert_eq!(error.exit(), Exit::Source);
    assert!(matches!(source_error(error), SourceError::NoRevision { revision, .. } if revision == "v9"));

    stage.hub.require_token("hf_secret");
    let error = stage.open("acme/toy").err().unwrap();
    assert_eq!(error.exit(), Exit::Source);
    assert!(error.hints()[0].contains("HF_TOKEN"), "{:?}", error.hints());
    let access = Access { token: Some("hf_wrong".into()), ..stage.access() };
    let error = Source::open(&Reference::parse("acme/toy").unwrap(), &access, &Silent).err().unwrap();
    assert!(error.hints()[0].contains("acme/toy"), "{:?}", error.hints());
    assert!(!format!("{error} {error:?} {:?}", error.hints()).contains("hf_wrong"));
}

#[test]
fn a_name_that_is_not_listed_is_not_asked_for() {
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    stage.hub.forget();
    for name in ["../secret", "/etc/passwd", "", "a//b"] {
        let error = source.file(name, &Silent).err().unwrap();
        assert_eq!(error.exit(), Exit::Input, "{name:?}");
    }
    let error = source.file("tokenizer.json", &Silent).err().unwrap();
    assert_eq!(error.exit(), Exit::Source);
    assert!(stage.hub.seen().is_empty());
}

#[test]
fn a_server_that_lies_about_names_or_etags_cannot_write_outside_the_cache() {
    let stage = Stage::new();
    stage.hub.commit("acme/evil", "main", &[("../../../escaped", b"x"), ("config.json", b"{}")]);
    let error = stage.open("acme/evil").err().unwrap();
    assert!(matches!(source_error(error), SourceError::Outside { .. }));
    let evil = ["../../../escaped", "a/b", "", ".."];
    for etag in evil {
        let stage = Stage::new();
        let headers = vec![("ETag", format!("\"{etag}\"")), ("X-Linked-Etag", format!("\"{etag}\""))];
        stage.hub.fail(Host::Endpoint, "HEAD", "", 1, Fault::Redirect("/elsewhere".into()));
        stage.hub.fail(Host::Endpoint, "HEAD", "/elsewhere", 9, Fault::Status(200, headers));
        let error = stage.read("model.safetensors").unwrap_err();
        assert!(matches!(source_error(error), SourceError::WrongAnswer { .. }), "{etag}");
        assert!(!stage.cache("blobs").exists(), "{etag}");
    }
}

#[test]
fn a_server_that_is_no_hub_is_told_apart() {
    let stage = Stage::new();
    let page = |status| Fault::Status(status, vec![("Content-Type", "text/html".into())]);
    stage.hub.fail(Host::Endpoint, "GET", "/api/", 9, page(200));
    let error = stage.open("acme/toy").err().unwrap();
    assert_eq!(error.exit(), Exit::Source);
    assert!(error.hints()[0].contains("HF_ENDPOINT"));
    assert!(matches!(source_error(error), SourceError::WrongAnswer { .. }));
    let stage = Stage::new();
    stage.hub.fail(Host::Endpoint, "GET", "/api/", usize::MAX, Fault::Redirect("/api/again".into()));
    let error = stage.open("acme/toy").err().unwrap();
    assert!(matches!(source_error(error), SourceError::WrongAnswer { .. }), "a circle of redirects");
    let stage = Stage::new();
    stage.hub.fail(Host::Endpoint, "HEAD", "", 9, Fault::Status(200, vec![("X-Repo-Commit", "0".repeat(40))]));
    let error = stage.read("config.json").unwrap_err();
    assert!(matches!(source_error(error), SourceError::WrongAnswer { .. }), "another commit than asked for");
}

#[test]
fn offline_reads_what_the_cache_holds_and_asks_nobody() {
    let stage = Stage::new();
    stage.read("config.json").unwrap();
    stage.hub.forget();
    for reference in ["acme/toy".to_string(), "acme/toy@main".into(), format!("acme/toy@{}", stage.commit)] {
        let source = stage.offline(&reference).unwrap();
        assert_eq!(source.commit(), Some(stage.commit.as_str()));
        assert_eq!(source.names(), ["config.json"], "what can be opened");
        assert_eq!(source.read("config.json", 100, &Silent).unwrap(), CONFIG);
        assert_eq!(source.etag("config.json"), Some(format!("etag:{}", etag(CONFIG))));
        let error = source.file("model.safetensors", &Silent).err().unwrap();
        assert_eq!(error.exit(), Exit::Source);
        assert!(error.to_string().contains("model.safetensors") && error.to_string().contains("hub"), "{error}");
        assert!(error.hints()[0].contains("--offline"));
    }
    for reference in ["acme/other", "acme/toy@v2", &format!("acme/toy@{}", "0".repeat(40))] {
        let error = stage.offline(reference).err().unwrap();
        assert_eq!(error.exit(), Exit::Source, "{reference}");
        assert!(matches!(source_error(error), SourceError::RevisionNotCached { .. }), "{reference}");
    }
    assert!(stage.hub.seen().is_empty());
}

/// Counts, and stops after so many bytes.
#[derive(Default)]
struct Watcher {
    phases: Mutex<Vec<(String, Option<u64>)>>,
    bytes: AtomicU64,
    finished: AtomicU64,
    stop_after: Option<u64>,
}

impl Progress for Watcher {
    fn start(&self, phase: &str, total: Option<u64>) {
        self.bytes.store(0, Ordering::Relaxed);
        self.phases.lock().unwrap().push((phase.to_string(), total));
    }
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    fn finish(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }
    fn interrupted(&self) -> Result<()> {
        match self.stop_after {
            Some(limit) if self.bytes.load(Ordering::Relaxed) >= limit => Err(Interrupted(2).into()),
            _ => Ok(()),
        }
    }
}

#[test]
fn progress_counts_every_byte_of_the_file_also_after_a_resumption() {
    let stage = Stage::new();
    fs::create_dir_all(stage.cache("blobs")).unwrap();
    fs::write(stage.incomplete(), &stage.weights[..1_000_000]).unwrap();
    let watcher = Watcher::default();
    stage.open("acme/toy").unwrap().file("model.safetensors", &watcher).unwrap();
    assert_eq!(*watcher.phases.lock().unwrap(), [("fetch model.safetensors".to_string(), Some(3_000_000))]);
    assert_eq!(watcher.bytes.load(Ordering::Relaxed), 3_000_000);
    assert_eq!(watcher.finished.load(Ordering::Relaxed), 1);
    stage.open("acme/toy").unwrap().file("model.safetensors", &watcher).unwrap();
    assert_eq!(watcher.finished.load(Ordering::Relaxed), 1, "nothing to fetch");
}

#[test]
fn an_interrupted_transfer_keeps_what_arrived() {
    let stage = Stage::new();
    let watcher = Watcher { stop_after: Some(1_500_000), ..Watcher::default() };
    let error = stage.open("acme/toy").unwrap().file("model.safetensors", &watcher).err().unwrap();
    assert_eq!(error.exit(), Exit::Interrupted);
    let kept = fs::read(stage.incomplete()).unwrap();
    assert!(kept.len() >= 1_500_000 && kept.len() < 3_000_000);
    assert_eq!(kept, stage.weights[..kept.len()]);
    assert!(!stage.blob().exists());
    assert_eq!(stage.read("model.safetensors").unwrap(), stage.weights);
}

#[test]
fn several_threads_that_want_one_file_fetch_it_once() {
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(source.read("model.safetensors", 1 << 30, &Silent).unwrap(), stage.weights);
            });
        }
    });
    assert_eq!(stage.hub.seen().iter().filter(|seen| seen.host == Host::Store).count(), 1);
}

#[test]
fn a_fetch_waits_for_the_process_that_holds_the_lock_and_can_be_interrupted_meanwhile() {
    let stage = Stage::new();
    let locks = stage.folder.path().join("hub/.locks/models--acme--toy");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(format!("{}.lock", hash(&stage.weights)))).unwrap();
    lock.lock().unwrap();
    let source = stage.open("acme/toy").unwrap();
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| source.read("model.safetensors", 1 << 30, &Silent).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!fetch.is_finished());
        assert!(stage.store_ranges().is_empty(), "nothing is fetched while another process may be at it");
        lock.unlock().unwrap();
        assert_eq!(fetch.join().unwrap(), stage.weights);
    });
    let lock = fs::File::create(locks.join(format!("{}.lock", etag(CONFIG)))).unwrap();
    lock.lock().unwrap();
    // asked between the steps, and every tenth of a second while it waits
    let watcher = Impatient { asked: AtomicU64::new(0) };
    assert_eq!(source.file("config.json", &watcher).err().unwrap().exit(), Exit::Interrupted);
}

/// Wants to stop when it is asked for the fifth time.
struct Impatient {
    asked: AtomicU64,
}

impl Progress for Impatient {
    fn start(&self, _phase: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn interrupted(&self) -> Result<()> {
        if self.asked.fetch_add(1, Ordering::Relaxed) < 4 { Ok(()) } else { Err(Interrupted(2).into()) }
    }
}

#[test]
fn files_in_the_cache_have_the_mode_of_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    stage.read("model.safetensors").unwrap();
    let ordinary = stage.folder.path().join("ordinary");
    fs::write(&ordinary, b"x").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&stage.blob()), mode(&ordinary));
    assert_eq!(mode(&stage.cache("refs/main")), mode(&ordinary));
}

#[test]
fn awkward_file_names_reach_the_server_encoded() {
    let stage = Stage::new();
    let name = "a b/ü#1?.json";
    stage.hub.commit("acme/awkward", "main", &[(name, b"{}"), ("empty", b"")]);
    let source = stage.open("acme/awkward").unwrap();
    assert_eq!(source.read(name, 10, &Silent).unwrap(), b"{}");
    assert_eq!(source.read("empty", 10, &Silent).unwrap(), b"");
}

#[test]
fn a_cache_that_may_only_be_read_serves_what_it_holds() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    stage.read("config.json").unwrap();
    fs::remove_file(stage.cache("refs/main")).unwrap();
    let refs = stage.cache("refs");
    fs::set_permissions(&refs, fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(stage.read("config.json").unwrap(), CONFIG);
    fs::set_permissions(&refs, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn of_a_front_so_much_is_fetched_as_is_read_and_nothing_is_kept() {
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    let front = front_of(&source, "model.safetensors").unwrap();
    assert_eq!((front.len(), front.name()), (stage.weights.len() as u64, "model.safetensors"));
    assert_eq!(source.etag("model.safetensors"), Some(format!("etag:{}", hash(&stage.weights))));
    for (offset, length) in [(0, 16), (131_060, 12), (131_060, 13), (100, 5), (2_999_990, 10)] {
        let mut found = vec![0; length];
        front.read_at(offset as u64, &mut found).unwrap();
        assert_eq!(found, stage.weights[offset..offset + length], "{offset}");
    }
    let ranges = ["bytes=0-131071", "bytes=131072-262143", "bytes=262144-2999999"];
    assert_eq!(stage.store_ranges(), ranges.map(|range| Some(range.to_string())));
    assert!(matches!(source_error(front.read_at(2_999_990, &mut [0; 11]).unwrap_err()), SourceError::Short { .. }));
    assert!(!stage.blob().exists() && !stage.incomplete().exists());
}

#[test]
fn once_a_file_is_fetched_it_stands_in_for_its_front() {
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    let front = front_of(&source, "model.safetensors").unwrap();
    source.file("model.safetensors", &Silent).unwrap();
    stage.hub.forget();
    let mut found = vec![0; 1000];
    for offset in [0, 2_000_000] {
        front.read_at(offset as u64, &mut found).unwrap();
        assert_eq!(found, stage.weights[offset..offset + 1000]);
        front_of(&source, "model.safetensors").unwrap().read_at(offset as u64, &mut found).unwrap();
        assert_eq!(found, stage.weights[offset..offset + 1000]);
    }
    assert!(stage.hub.seen().is_empty());
}

#[test]
fn a_front_that_is_not_the_files_is_found_out() {
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::WrongBytes);
    let source = stage.open("acme/toy").unwrap();
    let front = front_of(&source, "model.safetensors").unwrap();
    front.read_at(0, &mut [0; 1000]).unwrap();
    source.file("model.safetensors", &Silent).unwrap();
    let error = front.read_at(2_000_000, &mut [0; 1000]).unwrap_err();
    assert_eq!(error.exit(), Exit::Temporary);
    assert!(matches!(source_error(error), SourceError::OtherFront { .. }));
}

#[test]
fn a_server_that_gives_no_parts_or_others_is_asked_for_the_file() {
    for fault in [Fault::IgnoreRange, Fault::WrongRange] {
        let stage = Stage::new();
        stage.hub.fail(Host::Store, "GET", "", 1, fault);
        let source = stage.open("acme/toy").unwrap();
        let front = front_of(&source, "model.safetensors").unwrap();
        let mut found = vec![0; 10];
        front.read_at(2_000_000, &mut found).unwrap();
        assert_eq!(found, stage.weights[2_000_000..2_000_010]);
        assert!(stage.blob().exists());
        assert_eq!(stage.store_ranges(), [Some("bytes=0-131071".to_string()), None]);
    }
    for status in [400, 416, 501] {
        let stage = Stage::new();
        stage.hub.fail(Host::Store, "GET", "", 3, Fault::Status(status, Vec::new()));
        stage.front("model.safetensors").unwrap();
        assert!(stage.blob().exists(), "{status}");
    }
    // also when it stops to give them half-way
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    let front = front_of(&source, "model.safetensors").unwrap();
    stage.hub.fail(Host::Store, "GET", "", 1, Fault::IgnoreRange);
    let mut found = vec![0; 10];
    front.read_at(2_000_000, &mut found).unwrap();
    assert_eq!(found, stage.weights[2_000_000..2_000_010]);
    assert!(stage.blob().exists());
}

#[test]
fn a_front_that_is_cut_or_refused_for_a_moment_is_asked_for_again() {
    for fault in [Fault::Cut(1000), Fault::Short(1000), Fault::HangUp, Fault::Status(500, Vec::new())] {
        let stage = Stage::new();
        stage.hub.fail(Host::Store, "GET", "", 1, fault.clone());
        let front = stage.front("model.safetensors").unwrap();
        let mut found = vec![0; 131_072];
        front.read_at(0, &mut found).unwrap();
        assert_eq!(found, stage.weights[..131_072], "{fault:?}");
    }
    let stage = Stage::new();
    stage.hub.fail(Host::Store, "GET", "", usize::MAX, Fault::Cut(1000));
    let error = stage.front("model.safetensors").err().unwrap();
    assert_eq!(error.exit(), Exit::Temporary, "{error}");
}

#[test]
fn the_front_of_a_small_file_or_of_one_whose_length_is_not_told_is_the_file() {
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    let mut found = vec![0; CONFIG.len()];
    front_of(&source, "config.json").unwrap().read_at(0, &mut found).unwrap();
    assert_eq!(found, CONFIG);
    assert!(stage.cache("blobs").join(etag(CONFIG)).exists());
    stage.hub.list_names_only();
    let other = Stage { folder: tempfile::tempdir().unwrap(), ..stage };
    other.front("model.safetensors").unwrap();
    assert!(other.blob().exists());
}

/// A Hub with six large files, and their names and contents.
fn six() -> (Hub, Vec<String>, Vec<Vec<u8>>) {
    let hub = Hub::start();
    let names: Vec<String> = (0..6).map(|shard| format!("model-{shard}.bin")).collect();
    let contents: Vec<Vec<u8>> = (0..6u8).map(|shard| vec![shard; 1_000_000 + usize::from(shard)]).collect();
    let files: Vec<(&str, &[u8])> = names.iter().zip(&contents).map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    hub.commit("acme/six", "main", &files);
    (hub, names, contents)
}

#[test]
fn several_files_are_fetched_at_once_and_their_bytes_counted_together() {
    let ((hub, names, contents), folder) = (six(), tempfile::tempdir().unwrap());
    // one of them is cut and goes on, one begins anew
    for (shard, fault) in [(2, Fault::Cut(400_000)), (4, Fault::Cut(500_000)), (4, Fault::IgnoreRange)] {
        hub.fail(Host::Store, "GET", &hash(&contents[shard]), 1, fault);
    }
    hub.fail(Host::Store, "GET", "", 6, Fault::Stall(Duration::from_millis(200)));
    let source = Source::open(&Reference::parse("acme/six").unwrap(), &hub.access(folder.path()), &Silent).unwrap();
    let watcher = Watcher::default();
    source.fetch(&names, &watcher).unwrap();
    assert!(hub.most_at_once() > 1, "one after the other");
    let total: u64 = contents.iter().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(*watcher.phases.lock().unwrap(), [("fetch 6 files".to_string(), Some(total))]);
    assert_eq!((watcher.bytes.load(Ordering::Relaxed), watcher.finished.load(Ordering::Relaxed)), (total, 1));
    hub.forget();
    for (name, content) in names.iter().zip(&contents) {
        assert!(source.read(name, 1 << 30, &Silent).unwrap() == *content);
    }
    source.fetch(&names, &Silent).unwrap();
    assert!(hub.seen().is_empty());
}

#[test]
fn where_one_of_several_files_fails_that_failure_is_told() {
    let ((hub, names, _), folder) = (six(), tempfile::tempdir().unwrap());
    hub.fail(Host::Endpoint, "HEAD", &names[3], 9, Fault::Status(403, Vec::new()));
    hub.fail(Host::Store, "GET", "", 9, Fault::Stall(Duration::from_millis(300)));
    let source = Source::open(&Reference::parse("acme/six").unwrap(), &hub.access(folder.path()), &Silent).unwrap();
    let error = source.fetch(&names, &Silent).unwrap_err();
    assert!(matches!(source_error(error), SourceError::NoEntry { status: 403, .. }));
    let stopped = Watcher { stop_after: Some(0), ..Watcher::default() };
    assert!(matches!(source.fetch(&names, &stopped).unwrap_err().signal(), Ok(2)));
    assert!(matches!(
        source_error(source.fetch(&["none".into()], &Silent).unwrap_err()),
        SourceError::NoSuchFile { .. }
    ));
}

#[test]
fn many_fronts_come_in_the_order_of_their_names_and_the_first_error_is_told() {
    let hub = Hub::start();
    let names: Vec<String> = (0..20).map(|shard| format!("model-{shard:02}.safetensors")).collect();
    let content = |shard: usize| vec![shard as u8; if shard == 7 { 500 } else { 1_100_000 + shard }];
    let contents: Vec<Vec<u8>> = (0..20).map(content).collect();
    let files: Vec<(&str, &[u8])> = names.iter().zip(&contents).map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    hub.commit("acme/many", "main", &files);
    let folder = tempfile::tempdir().unwrap();
    let open = || Source::open(&Reference::parse("acme/many").unwrap(), &hub.access(folder.path()), &Silent).unwrap();
    let fronts = open().fronts(&names, &Silent).unwrap();
    for (shard, front) in fronts.iter().enumerate() {
        let mut found = [0; 10];
        front.read_at(100, &mut found).unwrap();
        assert_eq!(
            (front.name(), front.len(), found),
            (&names[shard][..], contents[shard].len() as u64, [shard as u8; 10])
        );
    }
    for (shard, status) in [(15, 404), (12, 403)] {
        hub.fail(Host::Endpoint, "HEAD", &names[shard], 9, Fault::Status(status, Vec::new()));
    }
    let error = open().fronts(&names, &Silent).err().unwrap();
    assert!(matches!(source_error(error), SourceError::NoEntry { status: 403, .. }));
    let stopped = Watcher { stop_after: Some(0), ..Watcher::default() };
    assert!(open().fronts(&names, &stopped).err().unwrap().is_interruption());
}

#[test]
fn the_front_of_a_file_that_is_not_there_is_an_error_as_the_file_is() {
    let stage = Stage::new();
    let source = stage.open("acme/toy").unwrap();
    for name in ["model.gguf", "../x", "/x"] {
        let (front, file) = (front_of(&source, name).err().unwrap(), source.file(name, &Silent).err().unwrap());
        assert_eq!(front.to_string(), file.to_string());
    }
    source.file("config.json", &Silent).unwrap();
    let offline = front_of(&stage.offline("acme/toy").unwrap(), "model.safetensors").err().unwrap();
    assert!(matches!(source_error(offline), SourceError::NotCached { .. } | SourceError::NoSuchFile { .. }));
}

#[test]
fn large_is_what_the_tests_take_it_for() {
    assert!(CONFIG.len() < LARGE && weights().len() > LARGE);
}
