//! `xfer verify` as a user sees it: an output is proved, and whatever is changed in it is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use crate::support::command::{Folder, fixture};
use serde_json::{Value, json};

/// An output with copied, adapted, tied and new tensors, in `out`.
fn written() -> Folder {
    let folder = Folder::new();
    let tiny = fixture("tiny-bert");
    let class = "architectures=[\"BertForSequenceClassification\"]";
    let run = ["init", "--from", &tiny, "--arch", &tiny, "--set", class, "--labels", "a,b,c", "--out", "out"];
    folder.xfer(&run).exits(0);
    folder
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut report = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut report);
    fs::write(path, serde_json::to_vec_pretty(&report).unwrap()).unwrap();
}

fn tensor<'a>(report: &'a mut Value, name: &str) -> &'a mut Value {
    report["tensors"].as_array_mut().unwrap().iter_mut().find(|tensor| tensor["name"] == name).unwrap()
}

/// Changes the header of the weights, keeping its length.
fn respell(folder: &Folder, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let path = folder.path("out/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_untouched_output_is_what_its_report_says() {
    let folder = written();
    let found = folder.xfer(&["verify", "out", "--json"]).exits(0).json();
    assert_eq!(found["same"], true);
    assert_eq!(found["findings"], json!([]));
    let report: Value = serde_json::from_slice(&fs::read(folder.path("out/xfer.json")).unwrap()).unwrap();
    assert_eq!(found["drawn"], report["coverage"]["tensors"]["new"]);
    assert!(found["drawn"].as_u64().unwrap() > 0, "nothing new was proved");
    let files = fs::read_dir(folder.path("out")).unwrap().count() as u64;
    assert_eq!(found["files"].as_u64().unwrap(), files - 2, "all but the weights and the report");
    folder.xfer(&["verify", "out"]).exits(0).prints("everything matches the report");
}

#[test]
fn one_bit_of_the_weights_is_named_by_its_tensor() {
    let folder = written();
    let path = folder.path("out/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    let found = folder.xfer(&["verify", "out", "--json"]).exits(4).json();
    let findings = found["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["kind"], "bytes");
}

#[test]
fn a_renamed_tensor_is_missing_and_extra() {
    let folder = written();
    respell(&folder, "\"classifier.bias\"", "\"klassifier.bias\"");
    let run = folder.xfer(&["verify", "out"]).exits(4);
    run.prints("klassifier.bias").prints("not in the report").prints("missing");
}

#[test]
fn another_type_or_shape_is_named_with_both() {
    let folder = written();
    respell(&folder, "\"dtype\":\"F32\",\"shape\":[3]", "\"dtype\":\"I32\",\"shape\":[3]");
    folder.xfer(&["verify", "out"]).exits(4).prints("classifier.bias").prints("expected f32, found i32");
}

#[test]
fn weights_that_are_cut_or_gone_differ() {
    let folder = written();
    let path = folder.path("out/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    folder.xfer(&["verify", "out"]).exits(4).prints("model.safetensors");
    fs::remove_file(&path).unwrap();
    folder.xfer(&["verify", "out"]).exits(4).prints("weights");
}

#[test]
fn files_beside_the_weights_are_compared_too() {
    let folder = written();
    fs::remove_file(folder.path("out/vocab.txt")).unwrap();
    edit(&folder.path("out/config.json"), |config| config["hidden_act"] = "relu".into());
    let run = folder.xfer(&["verify", "out"]).exits(4);
    run.prints("vocab.txt").prints("missing").prints("config.json").prints("other bytes");
}

#[test]
fn a_report_that_contradicts_itself_is_named_where_it_does() {
    let folder = written();
    edit(&folder.path("out/xfer.json"), |report| report["coverage"]["tensors"]["copied"] = 99.into());
    folder.xfer(&["verify", "out"]).exits(4).prints("coverage.tensors.copied").prints("99");

    let folder = written();
    edit(&folder.path("out/xfer.json"), |report| tensor(report, "classifier.bias")["action"] = "copied".into());
    folder.xfer(&["verify", "out"]).exits(4).prints("classifier.bias");
}

#[test]
fn new_values_are_those_of_the_seed_whatever_digest_the_report_has() {
    let folder = written();
    edit(&folder.path("out/xfer.json"), |report| report["seed"] = 1.into());
    let found = folder.xfer(&["verify", "out", "--json"]).exits(4).json();
    let kinds: Vec<&str> = found["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == "drawn"), "{kinds:?}");
    let names: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|f| f["tensor"].as_str().unwrap()).collect();
    assert_eq!(names, ["bert.pooler.dense.weight", "classifier.weight"], "zeros are the same for every seed");
}

#[test]
fn what_is_no_output_is_another_exit_code_than_a_difference() {
    let folder = Folder::new();
    folder.write("plain/model.safetensors", "");
    folder.xfer(&["verify", "plain"]).exits(3).complains("no xfer.json");
    folder.xfer(&["verify", "nowhere"]).exits(5).complains("nowhere");
    folder.write("broken/xfer.json", "{}");
    folder.xfer(&["verify", "broken"]).exits(3).complains("xfer.json");
}
