//! `xfer inspect` as a user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::command::{Folder, fixture, safetensors_file, tensors};
use serde_json::{Value, json};

fn stats_of(values: Vec<f32>) -> Value {
    let folder = Folder::new();
    let count = values.len();
    folder.write("w.safetensors", safetensors_file(&[("w", &[count], values)]));
    folder.xfer(&["inspect", "w.safetensors", "--stats", "--json"]).exits(0).json()["tensors"][0]["stats"].clone()
}

#[test]
fn headers_alone_have_no_statistics() {
    let folder = Folder::new();
    let found = folder.xfer(&["inspect", &fixture("tiny-bert"), "--json"]).exits(0).json();
    assert_eq!(found["family"], "bert");
    assert!(found["tensors"].as_array().unwrap().iter().all(|tensor| tensor.get("stats").is_none()));
}

#[test]
fn the_dialect_is_recognised_where_it_is_not_todays() {
    let folder = Folder::new();
    let found = folder.xfer(&["inspect", &fixture("tiny-bert-old"), "--json"]).exits(0).json();
    assert_eq!((&found["family"], &found["dialect"]), (&json!("bert"), &json!("gamma_beta")));
    folder.xfer(&["inspect", &fixture("tiny-bert-old")]).exits(0).prints("family bert (gamma_beta)");
    let found = folder.xfer(&["inspect", &fixture("tiny-bert"), "--json"]).exits(0).json();
    assert_eq!(found["dialect"], json!(null));
}

#[test]
fn statistics_are_those_of_two_passes_over_all_values() {
    let folder = Folder::new();
    let tiny = fixture("tiny-bert");
    let stored = tensors(tiny.as_ref());
    let found = folder.xfer(&["inspect", &tiny, "--stats", "--json"]).exits(0).json();
    for tensor in found["tensors"].as_array().unwrap() {
        let (dtype, _, bytes) = &stored[tensor["name"].as_str().unwrap()];
        assert_eq!(*dtype, safetensors::Dtype::F32);
        let values: Vec<f64> = bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
        let stat = |name: &str| tensor["stats"][name].as_f64().unwrap();
        assert!((stat("mean") - mean).abs() < 1e-12 && (stat("std") - std).abs() < 1e-12, "{tensor}");
        assert_eq!(stat("min"), values.iter().copied().fold(f64::INFINITY, f64::min));
        assert_eq!(stat("max"), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }
}

#[test]
fn a_large_mean_does_not_drown_a_small_deviation() {
    let values: Vec<f32> = (0..300_000).map(|i| if i % 2 == 0 { 8_388_608.0 } else { 8_388_609.0 }).collect();
    let stats = stats_of(values);
    assert_eq!(stats["mean"].as_f64().unwrap(), 8_388_608.5);
    assert!((stats["std"].as_f64().unwrap() - 0.5).abs() < 1e-9, "{stats}");
}

#[test]
fn what_is_not_finite_is_counted_and_left_out_of_the_rest() {
    let stats = stats_of(vec![f32::NAN, 1.0, f32::INFINITY, 3.0, f32::NEG_INFINITY]);
    assert_eq!(stats, json!({"mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0, "nan": 1, "infinite": 2}));
}

#[test]
fn a_tensor_without_finite_values_has_no_moments() {
    let nothing = json!({"mean": null, "std": null, "min": null, "max": null, "nan": 0, "infinite": 0});
    assert_eq!(stats_of(Vec::new()), nothing);
    assert_eq!(stats_of(vec![f32::NAN])["mean"], json!(null));
    assert_eq!(stats_of(vec![5.0])["std"], 0.0);
}

#[test]
fn statistics_stand_in_the_text() {
    let folder = Folder::new();
    folder.write("w.safetensors", safetensors_file(&[("w", &[2], vec![1.0, f32::NAN])]));
    let run = folder.xfer(&["inspect", "w.safetensors", "--stats"]).exits(0);
    run.prints("mean 1, std 0, min 1, max 1, 1 NaN");
}

#[test]
fn a_long_text_of_the_header_is_cut_for_people_and_whole_as_json() {
    let folder = Folder::new();
    let alphabet = "é".repeat(1000);
    let metadata = std::collections::HashMap::from([("alphabet".to_string(), alphabet.clone())]);
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    folder.write("w.safetensors", safetensors::serialize([("w", view)], Some(metadata)).unwrap());
    let run = folder.xfer(&["inspect", "w.safetensors"]).exits(0).prints("… (1002 characters; --json has them)");
    assert!(run.stdout.lines().all(|line| line.chars().count() < 300), "{}", run.stdout);
    assert_eq!(folder.xfer(&["inspect", "w.safetensors", "--json"]).json()["metadata"]["alphabet"], alphabet);
}
