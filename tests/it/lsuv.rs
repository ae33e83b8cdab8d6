//! `--init lsuv` as a user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use crate::support::command::{Folder, contents, fixture, safetensors_file, tensors};
use serde_json::{Value, json};

/// Numbers that look random and are the same everywhere.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 88_172_645_463_325_252u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    (0..count).map(|_| ((0..12).map(|_| uniform()).sum::<f64>() - 6.0) as f32).collect()
}

/// `depth` ReLU layers of one width and a head, and a batch of 96 examples.
fn mlp(folder: &Folder, depth: usize, width: usize) {
    let layers = json!([
        { "repeat": depth, "name": "hidden", "layers": [
            { "type": "linear", "name": "fc", "out": width }, { "type": "relu" } ] },
        { "type": "linear", "name": "out", "out": 3, "role": "head" } ]);
    let file = json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 20] } }, "layers": layers });
    folder.write("net.json", file.to_string());
    folder.write("data.safetensors", safetensors_file(&[("x", &[96, 20], noise(96 * 20))]));
}

const MLP: [&str; 9] = ["init", "--from", "none", "--arch", "net.json", "--init", "lsuv", "--data", "data.safetensors"];

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&contents(folder)["xfer.json"]).unwrap()
}

/// The reported tensors that were scaled, by name.
fn visited(folder: &Path) -> Vec<(String, Value)> {
    let report = report(folder);
    let tensors = report["tensors"].as_array().unwrap();
    let scaled = tensors.iter().filter(|tensor| !tensor["lsuv"].is_null());
    scaled.map(|tensor| (tensor["name"].as_str().unwrap().to_string(), tensor["lsuv"].clone())).collect()
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
}

/// `x Wᵀ` in f64, row by row: nothing of the executor takes part.
fn product(x: &[f64], weight: &[f64], width: usize) -> Vec<f64> {
    let dot = |row: &[f64], weights: &[f64]| row.iter().zip(weights).map(|(a, b)| a * b).sum::<f64>();
    x.chunks(width).flat_map(|row| weight.chunks(width).map(move |weights| dot(row, weights))).collect()
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64
}

#[test]
fn every_layer_of_a_deep_relu_net_has_unit_variance_when_measured_again() {
    let folder = Folder::new();
    mlp(&folder, 30, 48);
    folder.xfer(&MLP).exits(0).prints("target 1");
    let written = tensors(&folder.path("net"));
    let mut x: Vec<f64> = noise(96 * 20).into_iter().map(f64::from).collect();
    let mut width = 20;
    for layer in 0..30 {
        let weight = floats(&written[&format!("hidden.{layer}.fc.weight")].2);
        x = product(&x, &weight, width);
        width = 48;
        let found = variance(&x);
        assert!((found - 1.0).abs() < 1e-3, "layer {layer}: {found}");
        x.iter_mut().for_each(|value| *value = value.max(0.0));
    }
    let names: Vec<String> = visited(&folder.path("net")).into_iter().map(|(name, _)| name).collect();
    let expected: Vec<String> = (0..30).map(|layer| format!("hidden.{layer}.fc.weight")).collect();
    assert_eq!(names, expected, "the head and the biases are not touched");
}

#[test]
fn new_layers_of_a_bert_reach_their_siblings_and_what_was_transferred_keeps_its_bits() {
    let folder = Folder::new();
    let tiny = fixture("tiny-bert");
    let more = ["init", "--from", &tiny, "--arch", &tiny, "--set", "num_hidden_layers=5", "--out", "out"];
    let depth = ["--depth", "bert.encoder.layer=0,1,new,1,new", "--init", "lsuv", "--data", "batch.safetensors"];
    folder.write("batch.safetensors", batch_of_ids());
    folder.xfer(&with(&more, &depth)).exits(0);
    let (out, source) = (tensors(&folder.path("out")), tensors(tiny.as_ref()));
    for (to, from) in [(0, 0), (1, 1), (3, 1)] {
        let prefix = format!("bert.encoder.layer.{from}.");
        let mut compared = 0;
        for (name, tensor) in source.iter().filter(|(name, _)| name.starts_with(&prefix)) {
            let target = name.replacen(&format!("layer.{from}."), &format!("layer.{to}."), 1);
            assert_eq!(&out[&target], tensor, "{target}");
            compared += 1;
        }
        assert_eq!(compared, 16);
    }
    let visits = visited(&folder.path("out"));
    assert_eq!(visits.len(), 12, "six weights in each of two layers");
    for (name, visit) in visits {
        let (target, after) = (visit["target"].as_f64().unwrap(), visit["after"].as_f64().unwrap());
        assert!((after - target).abs() < 0.001 * target, "{name}: {visit}");
        assert!((target - 1.0).abs() > 1e-6, "{name}: its siblings were measured: {visit}");
    }
}

/// 6 rows of 12 ids, the last 5 of which are padding in half of them.
fn batch_of_ids() -> Vec<u8> {
    let ids: Vec<u8> = (0..72i64).flat_map(|i| (i * 7 % 40).to_le_bytes()).collect();
    let mask: Vec<u8> = (0..72i64).flat_map(|i| i64::from(i % 24 < 19).to_le_bytes()).collect();
    let view = |bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![6, 12], bytes).unwrap();
    safetensors::serialize([("input_ids", view(&ids)), ("attention_mask", view(&mask))], None).unwrap()
}

#[test]
fn padding_is_not_measured() {
    let folder = Folder::new();
    let tiny = fixture("tiny-bert");
    let ids = |padding: i64| {
        let ids: Vec<u8> =
            (0..72i64).flat_map(|i| if i % 24 < 19 { i * 7 % 40 } else { padding }.to_le_bytes()).collect();
        let mask: Vec<u8> = (0..72i64).flat_map(|i| i64::from(i % 24 < 19).to_le_bytes()).collect();
        let view = |bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![6, 12], bytes).unwrap();
        safetensors::serialize([("input_ids", view(&ids)), ("attention_mask", view(&mask))], None).unwrap()
    };
    for (out, padding) in [("a", 0), ("b", 33)] {
        folder.write("batch.safetensors", ids(padding));
        let arguments = ["init", "--from", "none", "--arch", &tiny, "--out", out];
        folder.xfer(&with(&arguments, &["--init", "lsuv", "--data", "batch.safetensors"])).exits(0);
    }
    let layers = |out: &str| {
        let mut visits = visited(&folder.path(out));
        visits.retain(|(name, _)| name.contains("encoder"));
        assert!(!visits.is_empty());
        visits
    };
    assert_eq!(layers("a"), layers("b"));
}

#[test]
fn any_number_of_threads_and_the_plan_written_before_give_the_same_directory() {
    let folder = Folder::new();
    mlp(&folder, 6, 300);
    for (out, threads) in [("one", "1"), ("two", "2"), ("five", "5")] {
        let more = ["--out", out, "--threads", threads];
        folder.xfer_with(&with(&MLP, &more), &[("RAYON_NUM_THREADS", threads)]).exits(0);
    }
    let one = contents(&folder.path("one"));
    assert!(one == contents(&folder.path("two")), "two threads");
    assert!(one == contents(&folder.path("five")), "five threads");
    folder.xfer(&with(&MLP, &["--dry-run", "--plan", "plan.json"])).exits(0);
    folder.xfer(&["run", "plan.json", "--out", "ran"]).exits(0);
    assert!(one == contents(&folder.path("ran")), "run");
}

#[test]
fn digests_are_of_the_scaled_bytes_so_a_second_run_is_up_to_date_and_other_data_is_not() {
    let folder = Folder::new();
    mlp(&folder, 3, 16);
    folder.xfer(&MLP).exits(0);
    let written = tensors(&folder.path("net"));
    for tensor in report(&folder.path("net"))["tensors"].as_array().unwrap() {
        let bytes = &written[tensor["name"].as_str().unwrap()].2;
        assert_eq!(tensor["digest"], format!("blake3:{}", blake3::hash(bytes).to_hex()));
    }
    folder.xfer(&MLP).exits(0).prints("already up to date");
    let twice = noise(96 * 20).into_iter().map(|x| 2.0 * x).collect();
    folder.write("data.safetensors", safetensors_file(&[("x", &[96, 20], twice)]));
    folder.xfer(&MLP).exits(3).complains("--force");
    folder.xfer(&with(&MLP, &["--force"])).exits(0).prints("ready");
}

#[test]
fn a_random_batch_comes_from_the_declared_inputs_and_the_seed() {
    let folder = Folder::new();
    mlp(&folder, 3, 16);
    let random = ["init", "--from", "none", "--arch", "net.json", "--init", "lsuv", "--data", "random:64"];
    folder.xfer(&with(&random, &["--out", "a"])).exits(0);
    folder.xfer(&with(&random, &["--out", "b"])).exits(0);
    folder.xfer(&with(&random, &["--out", "c", "--seed", "1"])).exits(0);
    assert_eq!(contents(&folder.path("a")), contents(&folder.path("b")));
    assert_ne!(visited(&folder.path("a")), visited(&folder.path("c")));
    let tiny = fixture("tiny-bert");
    let ids = ["init", "--from", "none", "--arch", &tiny, "--init", "lsuv", "--data", "random:4", "--out", "d"];
    folder.xfer(&ids).exits(0);
}

#[test]
fn without_a_batch_or_a_graph_the_error_says_what_to_pass() {
    let folder = Folder::new();
    mlp(&folder, 2, 8);
    folder.xfer(&MLP[..7]).exits(2).complains("--data").complains("hidden.0.fc.weight").complains("random:64");
    folder.write("list.json", r#"{"xfer": 1, "tensors": {"fc.weight": {"shape": [4, 4], "module": "Linear"}}}"#);
    let listing = ["init", "--from", "none", "--arch", "list.json", "--init", "lsuv", "--data", "random:4"];
    folder.xfer(&listing).exits(2).complains("graph").complains("--arch");
    folder.xfer(&with(&MLP[..5], &["--init", "lsuv", "--data", "random:0"])).exits(2).complains("random:64");
    let names = folder.names();
    assert_eq!(names, ["data.safetensors", "list.json", "net.json"]);
}

#[test]
fn a_dead_layer_is_named_and_nothing_is_published_unless_it_is_allowed() {
    let folder = Folder::new();
    mlp(&folder, 3, 8);
    folder.write("zero.safetensors", safetensors_file(&[("x", &[4, 20], vec![0.0; 80])]));
    let command = ["init", "--from", "none", "--arch", "net.json", "--init", "lsuv", "--data", "zero.safetensors"];
    folder.xfer(&command).exits(4).complains("hidden.0.fc.weight").complains("dead").complains("--allow-dead");
    assert_eq!(folder.names(), ["data.safetensors", "net.json", "zero.safetensors"]);
    folder.xfer(&with(&command, &["--allow-dead", "hiden.**"])).exits(3).complains("hiden");
    let allowed = folder.xfer(&with(&command, &["--allow-dead", "hidden.**"])).exits(0);
    allowed.complains("hidden.0.fc.weight: dead");
    assert!(visited(&folder.path("net")).iter().all(|(_, visit)| visit["factor"] == 1.0));
}

#[test]
fn a_batch_that_does_not_fit_is_refused_before_anything_is_written() {
    let folder = Folder::new();
    mlp(&folder, 2, 8);
    type Arrays<'a> = Vec<(&'a str, &'a [usize], Vec<f32>)>;
    let cases: &[(Arrays, &[&str])] = &[
        (vec![("y", &[4, 20], noise(80))], &["array y", "not an input"]),
        (vec![("x", &[4, 19], noise(76))], &["x", "[4, 19]", "[4, 20]"]),
        (vec![("x", &[0, 20], vec![])], &["x", "no example"]),
        (vec![("x", &[1, 20], [vec![f32::NAN], noise(19)].concat())], &["x", "1 elements are NaN"]),
        (vec![("labels", &[4], noise(4))], &["no `x`"]),
    ];
    for (arrays, said) in cases {
        folder.write("data.safetensors", safetensors_file(arrays));
        let run = folder.xfer(&MLP).exits(3);
        said.iter().fold(run, |run, text| run.complains(text));
    }
    folder.xfer(&with(&MLP[..7], &["--data", "nowhere.safetensors"])).exits(5).complains("nowhere.safetensors");
    assert_eq!(folder.names(), ["data.safetensors", "net.json"]);
}

#[test]
fn targets_and_tolerance_can_be_said_and_a_pattern_reaches_weights_alone() {
    let folder = Folder::new();
    mlp(&folder, 3, 16);
    let base = ["init", "--from", "none", "--arch", "net.json", "--data", "data.safetensors"];
    folder.xfer(&with(&base, &["--init", "hidden.1.**=lsuv(target=0.25, tol=0.01)"])).exits(0);
    let visits = visited(&folder.path("net"));
    assert_eq!(visits.len(), 1);
    assert_eq!((visits[0].0.as_str(), &visits[0].1["target"]), ("hidden.1.fc.weight", &json!(0.25)));
    assert!((visits[0].1["after"].as_f64().unwrap() - 0.25).abs() < 1e-4);
    let head = with(&base, &["--init", "out.weight=lsuv", "--out", "o"]);
    folder.xfer(&head).exits(2).complains("out.weight").complains("heads");
}

#[test]
fn half_precision_is_scaled_within_its_rounding() {
    let folder = Folder::new();
    mlp(&folder, 4, 64);
    folder.xfer(&with(&MLP, &["--dtype", "bf16"])).exits(0);
    for (name, visit) in visited(&folder.path("net")) {
        assert!((visit["after"].as_f64().unwrap() - 1.0).abs() < 0.02, "{name}: {visit}");
    }
}

#[test]
fn branches_share_the_variance_and_new_batch_norms_normalise_by_the_batch() {
    let folder = Folder::new();
    let branch = |last: Value| {
        json!({ "type": "residual", "layers": [
            { "type": "conv2d", "name": "a", "out": 4, "kernel": 3, "padding": 1 }, { "type": "relu" },
            { "type": "conv2d", "name": "b", "out": 4, "kernel": 3, "padding": 1 }, last ] })
    };
    let blocks: Vec<Value> = (0..3)
        .map(|i| match i {
            2 => json!({ "name": "2", "layers": [branch(json!({ "type": "batch_norm", "name": "n" }))] }),
            _ => json!({ "name": i.to_string(), "layers": [branch(json!({ "type": "dropout" }))] }),
        })
        .collect();
    let stem = json!({ "type": "conv2d", "name": "stem", "out": 4, "kernel": 3, "padding": 1 });
    let pool = [json!({ "type": "global_avg_pool" }), json!({ "type": "linear", "name": "fc", "out": 5 })];
    let layers: Vec<Value> = [vec![stem], blocks, pool.to_vec()].concat();
    let file = json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 2, 6, 6] } }, "layers": layers });
    folder.write("net.json", file.to_string());
    let command = ["init", "--from", "none", "--arch", "net.json", "--init", "lsuv", "--data", "random:32"];
    folder.xfer(&command).exits(0);
    let targets: Vec<(String, f64)> =
        visited(&folder.path("net")).into_iter().map(|(name, v)| (name, v["target"].as_f64().unwrap())).collect();
    let third = 1.0 / 3.0;
    let of = |name: &str| targets.iter().find(|(found, _)| found == name).unwrap().1;
    assert_eq!([of("stem.weight"), of("0.a.weight"), of("2.b.weight"), of("fc.weight")], [1.0; 4]);
    assert_eq!([of("0.b.weight"), of("1.b.weight")], [third; 2]);
    assert_eq!(targets.len(), 8);
}

#[test]
fn the_pass_counts_for_the_memory_that_is_promised_and_allowed() {
    let folder = Folder::new();
    mlp(&folder, 2, 2048);
    let data = ["--init", "lsuv", "--data", "random:1024"];
    let command = ["init", "--from", "none", "--arch", "net.json"];
    // a layer of 2048 x 2048 and three activations of 1024 x 2048, in f32
    let promised = folder.xfer(&[&command[..], &data, &["--dry-run"]].concat()).exits(0).stdout;
    let line = promised.lines().find(|line| line.starts_with("memory: at most")).unwrap();
    let megabytes: u64 = line.split(['t', 'M']).nth(2).unwrap().trim().parse().unwrap();
    assert!((40..60).contains(&megabytes), "{line}");
    let run = folder.xfer(&[&command[..], &data, &["--max-memory", "30MB"]].concat());
    run.exits(4).complains("--max-memory allows 30000000");
    assert!(!folder.names().iter().any(|name| name == "net" || name.starts_with('.')), "{:?}", folder.names());
}
