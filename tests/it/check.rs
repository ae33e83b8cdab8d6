//! `xfer check` as a user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::command::{Folder, Run, fixture, safetensors_file, tensors};
use serde_json::{Value, json};

/// `depth` layers of one width behind one activation, and a head of 10 classes.
fn net(folder: &Folder, depth: usize, width: usize, activation: &str) {
    let layers = json!([
        { "repeat": depth, "name": "hidden", "layers": [
            { "type": "linear", "name": "fc", "out": width }, { "type": activation } ] },
        { "type": "linear", "name": "out", "out": 10, "role": "head" } ]);
    let file = json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 64] } }, "layers": layers });
    folder.write("net.json", file.to_string());
}

fn check(folder: &Folder, more: &[&str]) -> Run {
    folder.xfer(&[&["check", "net.json", "--json"], more].concat())
}

/// The kinds of the findings of this severity, each once, in order.
fn kinds(found: &Value, severity: &str) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for finding in found["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == severity) {
        let kind = finding["kind"].as_str().unwrap().to_string();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

#[test]
fn every_initialisation_that_cannot_learn_is_called_by_its_name() {
    let folder = Folder::new();
    let cases: [(&str, &str, &[&str]); 7] = [
        ("relu", "zeros", &["vanishing", "symmetric"]),
        ("relu", "constant(0.02)", &["symmetric"]),
        ("relu", "normal(std=0.01)", &["vanishing"]),
        ("relu", "normal(std=1)", &["exploding"]),
        ("relu", "xavier_normal", &["vanishing"]),
        ("relu", "orthogonal", &["vanishing"]),
        ("tanh", "normal(std=1)", &["exploding", "saturated"]),
    ];
    for (activation, scheme, expected) in cases {
        net(&folder, 30, 64, activation);
        let rule = format!("**.weight={scheme}");
        let found = check(&folder, &["--init", &rule]).exits(4).json();
        let failed = kinds(&found, "fail");
        for kind in expected {
            assert!(failed.iter().any(|failed| failed == kind), "{scheme} under {activation}: {failed:?}");
        }
    }
}

#[test]
fn initialisations_that_learn_pass() {
    let folder = Folder::new();
    for (depth, activation, scheme) in [
        (30, "relu", "he_normal"),
        (30, "relu", "lsuv"),
        (30, "tanh", "xavier_normal"),
        (30, "tanh", "lsuv"),
        (3, "relu", "xavier_normal"),
        (30, "gelu", "auto"),
    ] {
        net(&folder, depth, 64, activation);
        let found = check(&folder, &["--init", scheme]).exits(0).json();
        assert_eq!(kinds(&found, "fail"), [""; 0], "{scheme} under {depth} {activation}: {found}");
        assert!(found["forward"]["decades"].as_f64().unwrap().abs() < 1.0, "{scheme} under {depth} {activation}");
    }
}

#[test]
fn a_head_of_zeros_and_branches_that_end_in_zeros_raise_no_alarm() {
    let folder = Folder::new();
    let layers = json!([
        { "type": "linear", "name": "stem", "out": 32 },
        { "repeat": 6, "name": "block", "layers": [ { "type": "residual", "layers": [
            { "type": "linear", "name": "up", "out": 48 }, { "type": "relu" },
            { "type": "linear", "name": "down", "out": 32, "init": "zeros" } ] } ] },
        { "type": "linear", "name": "out", "out": 10, "role": "head" } ]);
    let file = json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 64] } }, "layers": layers });
    folder.write("net.json", file.to_string());
    for head in ["out.weight=zeros", "out.weight=he_normal"] {
        let found = check(&folder, &["--init", head]).exits(0).json();
        assert_eq!(found["verdict"], "ok", "{head}: {found}");
    }
}

#[test]
fn units_that_stand_twice_as_net2wider_leaves_them_raise_no_alarm() {
    let folder = Folder::new();
    net(&folder, 2, 16, "relu");
    folder.xfer(&["init", "--from", "none", "--arch", "net.json", "--out", "narrow"]).exits(0);
    let narrow = tensors(&folder.path("narrow"));
    let values = |name: &str| -> Vec<f32> {
        let bytes = &narrow[name].2;
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    // each row twice; each column twice and halved
    let rows = |name: &str| [values(name), values(name)].concat();
    let columns = |matrix: &[f32]| -> Vec<f32> {
        let half = |row: &[f32]| row.iter().map(|value| value / 2.0).collect::<Vec<f32>>();
        matrix.chunks(16).flat_map(|row| [half(row), half(row)].concat()).collect()
    };
    let wide = [
        ("hidden.0.fc.weight", vec![32, 64], rows("hidden.0.fc.weight")),
        ("hidden.0.fc.bias", vec![32], rows("hidden.0.fc.bias")),
        ("hidden.1.fc.weight", vec![32, 32], columns(&rows("hidden.1.fc.weight"))),
        ("hidden.1.fc.bias", vec![32], rows("hidden.1.fc.bias")),
        ("out.weight", vec![10, 32], columns(&values("out.weight"))),
        ("out.bias", vec![10], values("out.bias")),
    ];
    let views: Vec<(&str, &[usize], Vec<f32>)> = wide.iter().map(|(n, s, v)| (*n, s.as_slice(), v.clone())).collect();
    folder.write("wide/model.safetensors", safetensors_file(&views));
    net(&folder, 2, 32, "relu");
    std::fs::rename(folder.path("net.json"), folder.path("wide/arch.json")).unwrap();
    let found = folder.xfer(&["check", "wide", "--json"]).exits(0).json();
    assert_eq!(found["verdict"], "ok", "{found}");
    let cosine = found["layers"][0]["max_cosine"].as_f64().unwrap();
    assert!(cosine > 0.9999, "the copies were seen: {cosine}");
}

#[test]
fn a_trained_transformer_passes() {
    let folder = Folder::new();
    let found = folder.xfer(&["check", &fixture("tiny-bert"), "--json"]).exits(0).json();
    assert_ne!(found["verdict"], "fail");
    assert!(found["layers"].as_array().unwrap().len() >= 12);
}

#[test]
fn findings_say_where_how_much_and_what_to_do() {
    let folder = Folder::new();
    net(&folder, 30, 64, "relu");
    let run = folder.xfer(&["check", "net.json", "--init", "xavier_normal"]).exits(4);
    let run = run.prints("net.json: fail").prints("fail  vanishing forward: -").prints("hint: --init he_normal");
    run.prints("hidden.29.fc.weight");
}

#[test]
fn a_loss_above_that_of_chance_is_noted_and_labels_are_checked() {
    let folder = Folder::new();
    net(&folder, 2, 32, "relu");
    folder.write("data.safetensors", data(&[3; 48]));
    let with = |more: &[&str]| check(&folder, &[&["--data", "data.safetensors"], more].concat());
    let found = with(&["--init", "out.weight=normal(std=3)"]).exits(0).json();
    assert_eq!(kinds(&found, "warn"), ["initial_loss"], "{found}");
    let found = with(&["--init", "out.weight=zeros"]).exits(0).json();
    assert!((found["loss"].as_f64().unwrap() - std::f64::consts::LN_10).abs() < 1e-5, "{found}");
    folder.write("data.safetensors", data(&[10; 48]));
    with(&[]).exits(3).complains("array labels: element 0 is 10; the model has 10 classes");
    folder.write("data.safetensors", data(&[1; 47]));
    with(&[]).exits(3).complains("47 answers for 48 examples");
    folder.write("data.safetensors", data(&[-100; 48]));
    with(&[]).exits(3).complains("every label is -100");
}

/// 48 examples for `x`, and labels.
fn data(labels: &[i64]) -> Vec<u8> {
    let x: Vec<u8> = (0..48 * 64).flat_map(|i| (((i * 37 % 101) as f32 - 50.0) / 29.0).to_le_bytes()).collect();
    let labels: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    let count = labels.len() / 8;
    let view = |dtype, shape, bytes| safetensors::tensor::TensorView::new(dtype, shape, bytes).unwrap();
    let tensors = [
        ("x", view(safetensors::Dtype::F32, vec![48, 64], x.as_slice())),
        ("labels", view(safetensors::Dtype::I64, vec![count], labels.as_slice())),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

#[test]
fn what_cannot_run_says_so() {
    let folder = Folder::new();
    folder
        .write("listing.json", r#"{ "xfer": 1, "tensors": { "a.weight": { "shape": [2, 3], "module": "Linear" } } }"#);
    folder.xfer(&["check", "listing.json"]).exits(3).complains("has no graph");
    net(&folder, 2, 8, "relu");
    folder.xfer(&["check", "net.json", "--data", "nothing.npz"]).exits(5).complains("nothing.npz");
    folder.xfer(&["check", "nowhere.json"]).exits(5);
}
