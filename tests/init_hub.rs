//! `xfer init --from bert-base` against the loopback Hub.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use support::command::{Folder, contents, fixture, tensors};
use support::hub::{Fault, Host, Hub};

const TOKEN: &str = "hf_secret";

/// The tiny BERT under the name that the alias `bert-base` stands for.
fn hub() -> (Hub, String) {
    let hub = Hub::start();
    let files = contents(fixture("tiny-bert").as_ref());
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let commit = hub.commit("google-bert/bert-base-uncased", "main", &files);
    (hub, commit)
}

fn arch(folder: &Folder) -> String {
    folder.write("my.json", std::fs::read(fixture("tiny-bert/config.json")).unwrap()).to_str().unwrap().to_string()
}

const INIT: [&str; 5] = ["init", "--from", "bert-base", "--arch", "my.json"];

#[test]
fn the_alias_is_fetched_transferred_and_pinned_to_its_commit() {
    let (folder, (hub, commit)) = (Folder::new(), hub());
    arch(&folder);
    let endpoint = hub.endpoint();
    let environment = [("HF_ENDPOINT", endpoint.as_str()), ("HF_TOKEN", TOKEN)];
    let run = folder.xfer_with(&[&INIT[..], &["--json"]].concat(), &environment).exits(0);
    assert_eq!(run.json()["sources"][0]["commit"], commit.as_str());
    assert_eq!(tensors(&folder.path("my")), tensors(fixture("tiny-bert").as_ref()));
    let seen = hub.seen();
    assert!(seen.iter().any(|request| request.host == Host::Endpoint && request.headers.contains_key("authorization")));
    assert!(
        seen.iter().filter(|request| request.host != Host::Endpoint).all(|r| !r.headers.contains_key("authorization"))
    );
    assert!(seen.iter().any(|request| request.host != Host::Endpoint), "nothing was redirected");
    assert!(!run.stderr.contains(TOKEN) && !run.stdout.contains(TOKEN));
}

#[test]
fn what_is_in_the_cache_needs_no_network() {
    let (folder, (hub, _)) = (Folder::new(), hub());
    arch(&folder);
    folder.xfer_with(&INIT, &[("HF_ENDPOINT", &hub.endpoint())]).exits(0);
    drop(hub);
    folder.xfer_with(&[&INIT[..], &["--out", "again"]].concat(), &[("HF_HUB_OFFLINE", "1")]).exits(0);
    folder.xfer(&[&INIT[..], &["--out", "flag", "--offline"]].concat()).exits(0);
    assert_eq!(contents(&folder.path("again")), contents(&folder.path("my")));
    assert_eq!(contents(&folder.path("flag")), contents(&folder.path("my")));
}

#[test]
fn each_refusal_has_its_exit_code_and_nothing_is_written() {
    for (status, code) in [(401, 5), (403, 5), (404, 5), (429, 75), (500, 75)] {
        let (folder, (hub, _)) = (Folder::new(), hub());
        arch(&folder);
        let again = ("Retry-After", "0".to_string());
        hub.fail(Host::Endpoint, "GET", "/api/models", usize::MAX, Fault::Status(status, vec![again]));
        let run = folder.xfer_with(&INIT, &[("HF_ENDPOINT", &hub.endpoint())]).exits(code);
        run.complains("google-bert/bert-base-uncased").complains("hint:");
        assert!(!folder.path("my").exists());
    }
}

#[test]
fn a_wrong_body_is_never_transferred() {
    let (folder, (hub, _)) = (Folder::new(), hub());
    arch(&folder);
    hub.fail(Host::Store, "GET", "", usize::MAX, Fault::WrongBytes);
    folder.xfer_with(&INIT, &[("HF_ENDPOINT", &hub.endpoint())]).exits(75).complains("model.safetensors");
    assert!(!folder.path("my").exists());
}
