//! One cache, shared with Python's huggingface_hub in both directions. Needs a Python that has it:
//!
//! ```text
//! PYTHON=/path/to/python cargo nextest run --test it hub_python:: --run-ignored only
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Command;

use crate::support::hub::{Host, Hub};
use xfer::progress::Silent;
use xfer::source::{Access, Reference, Source};

const CONFIG: &[u8] = b"{\"model_type\": \"bert\"}";

fn python(hub: &Hub, folder: &Path, offline: bool, script: &str) -> String {
    let mut command = Command::new(std::env::var("PYTHON").unwrap_or_else(|_| "python3".into()));
    command.args(["-c", script]).env("HF_HUB_DISABLE_XET", "1").env("HF_HUB_DISABLE_TELEMETRY", "1");
    command.env("HF_HUB_OFFLINE", if offline { "1" } else { "0" }).envs(hub.environment(folder));
    let output = command.output().expect("python runs");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.trim().to_string()
}

fn stage() -> (Hub, tempfile::TempDir, String, Vec<u8>) {
    let (hub, weights) = (Hub::start(), vec![7; 100_000]);
    let files: [(&str, &[u8]); 3] =
        [("config.json", CONFIG), ("model.safetensors", &weights), ("1_Pooling/config.json", b"{}")];
    let commit = hub.commit("acme/toy", "main", &files);
    (hub, tempfile::tempdir().unwrap(), commit, weights)
}

fn fetch_all(access: &Access, reference: &str) {
    let source = Source::open(&Reference::parse(reference).unwrap(), access, &Silent).unwrap();
    for name in source.names() {
        source.file(name, &Silent).unwrap();
    }
}

#[test]
#[ignore = "needs a Python with huggingface_hub"]
fn python_finds_offline_what_was_fetched_here() {
    let (hub, folder, commit, _) = stage();
    fetch_all(&hub.access(folder.path()), "acme/toy");
    hub.forget();
    for revision in ["main", &commit] {
        let script = format!(
            "from huggingface_hub import hf_hub_download, snapshot_download\n\
             for name in ['config.json', 'model.safetensors', '1_Pooling/config.json']:\n\
             \x20   path = hf_hub_download('acme/toy', name, revision='{revision}', local_files_only=True)\n\
             \x20   print(len(open(path, 'rb').read()))\n\
             print(snapshot_download('acme/toy', revision='{revision}', local_files_only=True)[-40:])"
        );
        let expected = format!("{}\n100000\n2\n{commit}", CONFIG.len());
        assert_eq!(python(&hub, folder.path(), true, &script), expected);
    }
    assert!(hub.seen().is_empty());
}

#[test]
#[ignore = "needs a Python with huggingface_hub"]
fn python_fetches_nothing_again_that_was_fetched_here() {
    let (hub, folder, commit, _) = stage();
    fetch_all(&hub.access(folder.path()), "acme/toy");
    hub.forget();
    let script = "from huggingface_hub import snapshot_download, scan_cache_dir\n\
                  print(snapshot_download('acme/toy')[-40:])\n\
                  scan = scan_cache_dir()\n\
                  print(len(scan.warnings), [repo.repo_id for repo in scan.repos])";
    assert_eq!(python(&hub, folder.path(), false, script), format!("{commit}\n0 ['acme/toy']"));
    let seen = hub.seen();
    assert!(seen.iter().all(|seen| seen.host == Host::Endpoint), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.method == "HEAD" || !seen.path.contains("resolve")), "{seen:?}");
}

#[test]
#[ignore = "needs a Python with huggingface_hub"]
fn what_python_fetched_is_read_here_without_a_request() {
    let (hub, folder, commit, weights) = stage();
    let script = "from huggingface_hub import hf_hub_download\n\
                  for name in ['config.json', 'model.safetensors']: hf_hub_download('acme/toy', name)";
    python(&hub, folder.path(), false, script);
    hub.forget();
    let access = Access { offline: true, ..hub.access(folder.path()) };
    for reference in ["acme/toy", &format!("acme/toy@{commit}")] {
        let source = Source::open(&Reference::parse(reference).unwrap(), &access, &Silent).unwrap();
        assert_eq!(source.names(), ["config.json", "model.safetensors"]);
        assert_eq!(source.read("model.safetensors", 1 << 30, &Silent).unwrap(), weights);
        assert!(source.etag("model.safetensors").is_some());
    }
    assert!(hub.seen().is_empty());
    let online = Source::open(&Reference::parse("acme/toy").unwrap(), &hub.access(folder.path()), &Silent).unwrap();
    online.read("model.safetensors", 1 << 30, &Silent).unwrap();
    assert_eq!(hub.seen().len(), 1, "the branch, and nothing else");
}
