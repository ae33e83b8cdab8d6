//! `xfer diff` as a user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use support::command::{Folder, fixture, safetensors_file};

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
