//! `xfer init --from bert-base` against the loopback Hub.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::command::{Folder, contents, fixture, safetensors_file, tensors};
use crate::support::hub::{Fault, Host, Hub};

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

/// Two shards of 2 MB, with one tensor each.
fn two_shards() -> Hub {
    let hub = Hub::start();
    let values = |first: u32| (first..first + 500_000).map(|i| i as f32).collect::<Vec<_>>();
    let first = safetensors_file(&[("first.weight", &[1000, 500], values(0))]);
    let second = safetensors_file(&[("second.weight", &[1000, 500], values(1))]);
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index =
        serde_json::json!({ "metadata": {}, "weight_map": { "first.weight": names[0], "second.weight": names[1] } });
    let index = index.to_string();
    let files = [(names[0], &first[..]), (names[1], &second[..]), ("model.safetensors.index.json", index.as_bytes())];
    hub.commit("acme/two", "main", &files);
    hub
}

/// What the second host gave of the weights: the fronts, then the files, each by the shard's number.
fn given(hub: &Hub) -> Vec<(bool, bool)> {
    let store = hub.seen().into_iter().filter(|seen| seen.host == Host::Store && seen.method == "GET");
    let is_part = |range: Option<&String>| range.is_some_and(|range| !range.ends_with('-'));
    let shards: Vec<String> = hub.digests("acme/two", "model-0000");
    let mut given: Vec<(bool, bool)> =
        store.map(|seen| (seen.path.contains(&shards[1]), is_part(seen.headers.get("range")))).collect();
    given.sort_by_key(|(shard, is_part)| (!is_part, *shard));
    given
}

const FIRST: &str = r#"{ "first.weight": { "dtype": "F32", "shape": [1000, 500] } }"#;
/// The front of each shard.
const FRONTS: [(bool, bool); 2] = [(false, true), (true, true)];

#[test]
fn looking_at_a_checkpoint_fetches_its_headers() {
    let (folder, hub) = (Folder::new(), two_shards());
    let endpoint = hub.endpoint();
    let on_hub = [("HF_ENDPOINT", endpoint.as_str())];
    let run = folder.xfer_with(&["inspect", "acme/two", "--json"], &on_hub).exits(0);
    assert_eq!(run.json()["parameters"], 1_000_000);
    assert_eq!(given(&hub), FRONTS);
    hub.forget();
    folder.xfer_with(&["diff", "acme/two", "acme/two"], &on_hub).exits(0);
    assert_eq!(given(&hub), [FRONTS[0], FRONTS[0], FRONTS[1], FRONTS[1]]);
    hub.forget();
    folder.xfer_with(&["inspect", "acme/two", "--stats"], &on_hub).exits(0).prints("first.weight");
    assert_eq!(given(&hub), [(false, false), (true, false)]);
    // what is there by now is not asked for again
    hub.forget();
    folder.xfer_with(&["inspect", "acme/two"], &on_hub).exits(0);
    assert_eq!(given(&hub), []);
}

#[test]
fn a_plan_is_made_of_headers_and_carried_out_with_the_files_that_it_reads() {
    let (folder, hub) = (Folder::new(), two_shards());
    folder.write("first.json", FIRST);
    let endpoint = hub.endpoint();
    let on_hub = [("HF_ENDPOINT", endpoint.as_str())];
    let init = ["init", "--from", "acme/two", "--arch", "first.json", "--unused", "second.weight"];
    folder.xfer_with(&[&init[..], &["--dry-run", "--plan", "plan.json"]].concat(), &on_hub).exits(0);
    assert_eq!(given(&hub), FRONTS);
    hub.forget();
    folder.xfer_with(&[&init[..], &["--out", "at-once"]].concat(), &on_hub).exits(0);
    assert_eq!(given(&hub), [FRONTS[0], FRONTS[1], (false, false)]);
    folder.xfer_with(&["run", "plan.json", "--out", "later"], &on_hub).exits(0);
    assert_eq!(contents(&folder.path("later")), contents(&folder.path("at-once")));
    assert_eq!(tensors(&folder.path("later")).len(), 1);
    // with everything at hand the same bytes
    folder.xfer_with(&["inspect", "acme/two", "--stats"], &on_hub).exits(0);
    folder.xfer_with(&[&init[..], &["--out", "offline", "--offline"]].concat(), &[]).exits(0);
    assert_eq!(contents(&folder.path("offline")), contents(&folder.path("at-once")));
}

#[test]
fn a_conversion_of_some_tensors_fetches_their_files() {
    let (folder, hub) = (Folder::new(), two_shards());
    let endpoint = hub.endpoint();
    let convert = ["convert", "acme/two", "second.npz", "--only", "second.weight"];
    folder.xfer_with(&convert, &[("HF_ENDPOINT", endpoint.as_str())]).exits(0);
    assert_eq!(given(&hub), [FRONTS[0], FRONTS[1], (true, false)]);
}

#[test]
fn a_header_that_makes_no_sense_is_judged_by_the_file() {
    // wrong on the way
    let (folder, hub) = (Folder::new(), two_shards());
    hub.fail(Host::Store, "GET", "", usize::MAX, Fault::WrongBytes);
    let endpoint = hub.endpoint();
    let run = folder.xfer_with(&["inspect", "acme/two"], &[("HF_ENDPOINT", endpoint.as_str())]).exits(75);
    run.complains("model-0000").complains("sha256");
    // wrong as it stands there
    let hub = Hub::start();
    hub.commit("acme/two", "main", &[("model.safetensors", &[7; 2_000_000])]);
    let endpoint = hub.endpoint();
    folder.xfer_with(&["inspect", "acme/two"], &[("HF_ENDPOINT", endpoint.as_str())]).exits(3).complains("model.safet");
    // wrong for a moment
    let (folder, hub) = (Folder::new(), two_shards());
    hub.fail(Host::Store, "GET", "", 1, Fault::WrongBytes);
    let endpoint = hub.endpoint();
    folder
        .xfer_with(&["inspect", "acme/two"], &[("HF_ENDPOINT", endpoint.as_str())])
        .exits(0)
        .prints("1.00 M parameters");
}

#[test]
fn a_model_that_is_run_is_fetched_before() {
    let (folder, hub) = (Folder::new(), Hub::start());
    folder.write(
        "net.json",
        r#"{ "xfer": 1, "inputs": { "x": { "shape": ["batch", 600] } },
             "layers": [{ "type": "linear", "name": "fc", "out": 600 }, { "type": "relu" }, { "type": "linear", "name": "out", "out": 10 }] }"#,
    );
    folder.xfer(&["init", "--from", "none", "--arch", "net.json", "--out", "net"]).exits(0);
    let files = contents(&folder.path("net"));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    hub.commit("acme/two", "main", &files);
    let endpoint = hub.endpoint();
    let here = folder.xfer(&["check", "net", "--json"]).exits(0).json();
    let there = folder.xfer_with(&["check", "acme/two", "--json"], &[("HF_ENDPOINT", endpoint.as_str())]).exits(0);
    assert_eq!(there.json()["layers"], here["layers"]);
    let ranges = hub
        .seen()
        .into_iter()
        .filter(|seen| seen.host == Host::Store && seen.path.contains(&hub.digests("acme/two", "model")[0]));
    let ranges: Vec<Option<String>> = ranges.map(|seen| seen.headers.get("range").cloned()).collect();
    assert_eq!(ranges, [Some("bytes=0-131071".to_string()), None]);
}

#[test]
fn an_output_that_may_not_be_replaced_is_refused_before_anything_is_fetched() {
    let (folder, hub) = (Folder::new(), two_shards());
    folder.write("first.json", FIRST);
    folder.write("first/precious.txt", "mine");
    let endpoint = hub.endpoint();
    let init = ["init", "--from", "acme/two", "--arch", "first.json"];
    folder.xfer_with(&init, &[("HF_ENDPOINT", endpoint.as_str())]).exits(3).complains("first exists");
    assert_eq!(given(&hub), FRONTS);
}

#[test]
fn of_a_gguf_file_the_header_is_fetched_and_then_the_file() {
    let (folder, hub) = (Folder::new(), Hub::start());
    let mut bytes = std::fs::read(fixture("gguf/tiny.gguf")).unwrap();
    // what stands behind the last tensor makes it large
    bytes.resize(2_000_000, 0);
    folder.write("model.gguf", &bytes);
    hub.commit("acme/gguf", "main", &[("model.gguf", &bytes)]);
    let endpoint = hub.endpoint();
    let on_hub = [("HF_ENDPOINT", endpoint.as_str())];
    let ranges = || -> Vec<Option<String>> {
        let store = hub.seen().into_iter().filter(|seen| seen.host == Host::Store && seen.method == "GET");
        store.map(|seen| seen.headers.get("range").cloned()).collect()
    };
    let here = folder.xfer(&["inspect", "model.gguf", "--json"]).exits(0).json();
    let there = folder.xfer_with(&["inspect", "acme/gguf", "--json"], &on_hub).exits(0).json();
    assert_eq!(there["tensors"], here["tensors"]);
    assert_eq!(ranges(), [Some("bytes=0-131071".to_string())]);
    folder.xfer(&["convert", "model.gguf", "here.safetensors"]).exits(0);
    folder.xfer_with(&["convert", "acme/gguf", "there.safetensors"], &on_hub).exits(0);
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert!(read("here.safetensors") == read("there.safetensors"));
    assert_eq!(ranges().last(), Some(&None));
}
