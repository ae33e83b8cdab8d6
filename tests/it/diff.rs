//! `xfer diff` as a user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::command::{Folder, fixture, safetensors_file};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

/// A file of one tensor of any type.
fn one(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    safetensors::serialize([("w", view)], None).unwrap()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    one(Dtype::F32, &[values.len()], &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
}

/// What `--values` says of two files of one tensor `w`.
fn values(a: Vec<u8>, b: Vec<u8>, code: i32) -> serde_json::Value {
    let folder = Folder::new();
    folder.write("a.safetensors", a);
    folder.write("b.safetensors", b);
    folder.xfer(&["diff", "a.safetensors", "b.safetensors", "--values", "--json"]).exits(code).json()
}

#[test]
fn a_checkpoint_does_not_differ_from_itself() {
    let folder = Folder::new();
    let tiny = fixture("tiny-bert");
    folder.xfer(&["diff", &tiny, &tiny]).exits(0).prints("agree in name, shape and type\n");
    folder.xfer(&["diff", &tiny, &tiny, "--values"]).exits(0).prints("and values");
}

#[test]
fn names_shapes_and_types_that_differ_are_listed_and_layers_collapse() {
    let folder = Folder::new();
    let layer = |i: usize| format!("layer.{i}.w");
    let (zero, one, two) = (layer(0), layer(1), layer(2));
    let a = [(zero.as_str(), &[2, 2][..], vec![0.0; 4]), (&one, &[2, 2], vec![0.0; 4]), (&two, &[2, 2], vec![0.0; 4])];
    let b = [(zero.as_str(), &[4][..], vec![0.0; 4]), (&one, &[4], vec![0.0; 4]), ("head", &[1], vec![0.0])];
    folder.write("a.safetensors", safetensors_file(&a));
    folder.write("b.safetensors", safetensors_file(&b));
    let run = folder.xfer(&["diff", "a.safetensors", "b.safetensors"]).exits(4);
    let run = run.prints("only in a.safetensors\n  layer.2.w").prints("only in b.safetensors\n  head");
    run.prints("reshaped\n  layer.{0-1}.w  [2, 2] in a.safetensors, [4] in b.safetensors × 2");
    let found = folder.xfer(&["diff", "a.safetensors", "b.safetensors", "--json"]).exits(4).json();
    assert_eq!(found["added"], json!([{"name": "head", "dtype": "F32", "shape": [1]}]));
    assert_eq!(found["changed"], json!(null), "values were not asked for");
}

#[test]
fn the_largest_differences_are_found_absolute_and_relative() {
    let found = values(f32s(&[1.0, 100.0, 0.5, 3.0]), f32s(&[2.0, 110.0, 0.5, 3.0]), 4);
    let expected = json!([{"name": "w", "elements": 2, "absolute": 10.0, "relative": 0.5, "non_finite": 0}]);
    assert_eq!(found["changed"], expected);
}

#[test]
fn nan_equals_nan_and_no_number_and_the_zeros_are_equal() {
    let nan = f32::NAN;
    assert_eq!(values(f32s(&[nan, 0.0, f32::INFINITY]), f32s(&[-nan, -0.0, f32::INFINITY]), 0)["same"], true);
    let found = values(f32s(&[nan, f32::INFINITY, 1.0]), f32s(&[1.0, f32::NEG_INFINITY, 1.0]), 4);
    let expected = json!([{"name": "w", "elements": 2, "absolute": 0.0, "relative": 0.0, "non_finite": 2}]);
    assert_eq!(found["changed"], expected);
}

#[test]
fn values_are_compared_across_types() {
    let halves: Vec<u8> = [1.0, -2.5].iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect();
    let found = values(f32s(&[1.0, -2.5]), one(Dtype::BF16, &[2], &halves), 4);
    assert_eq!(found["retyped"], json!([{"name": "w", "a": "F32", "b": "BF16"}]));
    assert_eq!(found["changed"], json!([]), "the numbers are the same");
}

#[test]
fn large_integers_differ_by_one() {
    let int = |x: i64| one(Dtype::I64, &[1], &x.to_le_bytes());
    let found = values(int(i64::MAX), int(i64::MAX - 1), 4);
    assert_eq!(found["changed"][0]["absolute"], 1.0);
    let found = values(int(i64::MIN), int(i64::MAX), 4);
    assert_eq!(found["changed"][0]["absolute"], 18_446_744_073_709_551_616.0);
}

#[test]
fn packed_types_are_compared_as_bytes_and_with_floats_not_at_all() {
    let packed = |bytes: &[u8]| one(Dtype::F8_E4M3, &[bytes.len()], bytes);
    assert_eq!(values(packed(&[1, 2, 3]), packed(&[1, 9, 3]), 4)["changed"][0]["elements"], 1);
    let found = values(packed(&[1, 2]), f32s(&[1.0, 2.0]), 4);
    assert_eq!(found["incomparable"], json!(["w"]));
}

#[test]
fn empty_tensors_scalars_and_more_elements_than_one_piece_are_compared() {
    assert_eq!(values(f32s(&[]), f32s(&[]), 0)["same"], true);
    let scalar = |x: f32| one(Dtype::F32, &[], &x.to_le_bytes());
    assert_eq!(values(scalar(1.0), scalar(3.0), 4)["changed"][0]["absolute"], 2.0);
    let mut many = vec![0f32; 300_000];
    let plain = f32s(&many);
    many[299_999] = 7.0;
    many[0] = 1.0;
    let found = values(plain, f32s(&many), 4);
    assert_eq!(found["changed"][0]["elements"], 2);
    assert_eq!(found["changed"][0]["absolute"], 7.0);
}

/// A folder `name` with weights of the fixtures and, where it is said, the config of one of their runs.
fn model(folder: &Folder, name: &str, weights: &str, config: Option<(&str, &str)>) {
    folder.write(&format!("{name}/model.safetensors"), std::fs::read(fixture(weights)).unwrap());
    if let Some((family, run)) = config {
        let runs = std::fs::read(fixture(&format!("{family}/runs.json"))).unwrap();
        let runs: serde_json::Value = serde_json::from_slice(&runs).unwrap();
        let run = runs.as_array().unwrap().iter().find(|one| one["name"] == run).unwrap();
        folder.write(&format!("{name}/config.json"), run["config"].to_string());
    }
}

#[test]
fn two_dialects_of_one_model_do_not_differ_and_the_config_may_lie_beside_either() {
    let llama = Some(("llama", "llama_untied"));
    for (ours, theirs) in [(llama, llama), (llama, None), (None, llama)] {
        let folder = Folder::new();
        model(&folder, "ours", "llama/llama_untied.safetensors", ours);
        model(&folder, "theirs", "llama/meta.safetensors", theirs);
        let run = folder.xfer(&["diff", "ours", "theirs", "--values"]).exits(0);
        run.prints("dialects of llama: hf and meta; both are compared in the naming and layout of hf")
            .prints("and values");
    }
}

#[test]
fn a_gguf_is_compared_with_the_model_that_it_was_made_of() {
    let folder = Folder::new();
    let file = fixture("gguf/llama_untied.gguf");
    folder.xfer(&["convert", &file, "out", "--to", "hf"]).exits(0);
    folder.xfer(&["diff", &file, "out", "--values"]).exits(0).prints("gguf and hf").prints("and values");
    folder.xfer(&["convert", "out", "half", "--dtype", "f16"]).exits(0);
    let found = folder.xfer(&["diff", &file, "half", "--values", "--json"]).exits(4).json();
    assert_eq!((&found["added"], &found["removed"], &found["reshaped"]), (&json!([]), &json!([]), &json!([])));
    let absolute = found["changed"][0]["absolute"].as_f64().unwrap();
    assert!(absolute > 0.0 && absolute < 1e-3, "{absolute}: one rounding");
}

#[test]
fn square_matrices_of_nanogpt_and_hugging_face_are_compared_in_one_layout() {
    let folder = Folder::new();
    let gpt2 = Some(("gpt2", "language_model"));
    model(&folder, "ours", "gpt2/language_model.safetensors", gpt2);
    model(&folder, "theirs", "gpt2/nanogpt.safetensors", gpt2);
    let found = folder.xfer(&["diff", "ours", "theirs", "--values", "--json"]).exits(4).json();
    assert_eq!((&found["common"], &found["changed"], &found["removed"]), (&json!(28), &json!([]), &json!([])));
    assert_eq!(found["added"][0]["name"], "lm_head.weight", "nanoGPT stores the tied head too");
}

#[test]
fn dialects_without_any_config_are_compared_as_they_are_and_that_is_said() {
    let folder = Folder::new();
    model(&folder, "ours", "llama/llama_untied.safetensors", None);
    model(&folder, "theirs", "llama/meta.safetensors", None);
    folder.xfer(&["diff", "ours", "theirs"]).exits(4).prints("compared as they are stored").prints("config");
}
