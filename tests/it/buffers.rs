//! Buffers that a model computes are computed, or an error names them: never zeros, never another window's.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use serde_json::{Map, Value, json};

use crate::support::command::{Folder, fixture, tensors};

fn cases() -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(fixture("buffers/buffers.json")).unwrap()).unwrap()
}

/// A safetensors file of zeros.
fn zeros<'a>(tensors: impl Iterator<Item = (&'a String, &'a Value)>) -> Vec<u8> {
    let (mut header, mut end) = (Map::new(), 0);
    for (name, tensor) in tensors {
        let elements: u64 = tensor["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).product();
        let (dtype, width) = match tensor["dtype"].as_str().unwrap_or("f32") {
            "i64" => ("I64", 8),
            "bool" => ("BOOL", 1),
            _ => ("F32", 4),
        };
        let begin = end;
        end += elements * width;
        let entry = json!({ "dtype": dtype, "shape": tensor["shape"], "data_offsets": [begin, end] });
        header.insert(name.clone(), entry);
    }
    let text = Value::Object(header).to_string();
    let text = format!("{text:width$}", width = text.len().next_multiple_of(8));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &vec![0; end as usize]].concat()
}

fn listing(tensors: &Map<String, Value>, config: &Value) -> String {
    let mut listing = json!({ "xfer": 1, "tensors": tensors });
    if !config.is_null() {
        listing["config"] = config.clone();
    }
    for (name, tensor) in listing["tensors"].as_object_mut().unwrap() {
        if name.ends_with("c_attn.weight") {
            tensor["module"] = json!("Conv1D");
        }
    }
    listing.to_string()
}

fn numbers(dtype: &str, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        "i64" => bytes.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        "bool" => bytes.iter().map(|b| f64::from(*b)).collect(),
        _ => bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
    }
}

fn init(folder: &Folder, extra: &[&str]) -> crate::support::command::Run {
    let command =
        ["init", "--from", "source.safetensors", "--arch", "arch.json", "--out", "out", "--min-coverage", "0"];
    folder.xfer(&[&command[..], extra].concat())
}

#[test]
fn every_buffer_without_a_source_is_what_the_reference_library_computes() {
    for case in cases() {
        let folder = Folder::new();
        let (all, buffers) = (case["tensors"].as_object().unwrap(), case["buffers"].as_object().unwrap());
        let learned = all.iter().filter(|(name, _)| !buffers.contains_key(*name));
        let anything = json!({ "shape": [1] });
        let name = "unrelated".to_string();
        folder.write("source.safetensors", zeros(learned.chain([(&name, &anything)])));
        folder.write("arch.json", listing(all, &case["config"]));
        init(&folder, &[]).exits(0);
        let written = tensors(&folder.path("out"));
        for (name, expected) in buffers {
            let found = numbers(all[name]["dtype"].as_str().unwrap(), &written[name].2);
            let sum: f64 = found.iter().sum();
            let weighted: f64 = found.iter().enumerate().map(|(place, value)| value * (place % 97) as f64).sum();
            let near = |found: f64, key: &str| {
                let expected = expected[key].as_f64().unwrap();
                (found - expected).abs() <= 1e-6 * expected.abs().max(found.abs()).max(100.0)
            };
            assert!(
                near(sum, "sum") && near(weighted, "weighted"),
                "{} {name}: {sum} {weighted} {expected}",
                case["name"]
            );
        }
    }
}

#[test]
fn a_buffer_whose_source_is_of_another_window_is_computed_and_an_equal_one_is_copied() {
    let of = |name: &str| cases().into_iter().find(|case| case["name"] == name).unwrap();
    let (small, large) = (of("timm swin (2, 2)"), of("timm swin (7, 7)"));
    let (wide, tall) = (of("timm swin (2, 7)"), of("timm swin (7, 2)"));
    let index = "layers.0.blocks.0.attn.relative_position_index";
    for (from, to, is_copy) in [(&small, &large, false), (&wide, &tall, false), (&large, &large, true)] {
        let folder = Folder::new();
        folder.write("source.safetensors", zeros(from["tensors"].as_object().unwrap().iter()));
        folder.write("arch.json", listing(to["tensors"].as_object().unwrap(), &to["config"]));
        init(&folder, &["--new", "?**.relative_position_bias_table"]).exits(0);
        let sum: f64 = numbers("i64", &tensors(&folder.path("out"))[index].2).iter().sum();
        let expected = if is_copy { 0.0 } else { to["buffers"][index]["sum"].as_f64().unwrap() };
        assert_eq!(sum, expected, "{} to {}", from["name"], to["name"]);
    }
}

#[test]
fn a_buffer_that_nothing_says_how_to_compute_is_an_error_that_names_it() {
    let window = cases().into_iter().find(|case| case["name"] == "timm swin (4, 8)").unwrap();
    let folder = Folder::new();
    let index = "layers.0.blocks.0.attn.relative_position_index";
    let all = window["tensors"].as_object().unwrap();
    folder.write("source.safetensors", zeros(all.iter().filter(|(name, _)| *name != index)));
    folder.write("arch.json", listing(all, &Value::Null));
    init(&folder, &[]).exits(4).complains(index).complains("\"window_size\": [HEIGHT, WIDTH]");
    init(&folder, &["--new", index]).exits(0);

    let folder = Folder::new();
    let shift =
        json!({ "fc.weight": { "shape": [4, 4], "module": "Linear" }, "shift": { "shape": [4], "buffer": true } });
    let shift = shift.as_object().unwrap();
    folder.write("source.safetensors", zeros(shift.iter().filter(|(name, _)| *name != "shift")));
    folder.write("arch.json", listing(shift, &Value::Null));
    init(&folder, &[]).exits(4).complains("buffer shift is in no source");
    init(&folder, &["--new", "shift"]).exits(0).complains("it is all zeros");
    // of another size it is not a better
    let longer = json!({ "fc.weight": { "shape": [4, 4] }, "shift": { "shape": [6] } });
    folder.write("source.safetensors", zeros(longer.as_object().unwrap().iter()));
    folder.path("out").is_dir().then(|| fs::remove_dir_all(folder.path("out")).unwrap());
    init(&folder, &[]).exits(4).complains("buffer shift: expected [4], found [6]");
}

#[test]
fn statistics_are_new_only_with_their_batch_norm() {
    let folder = Folder::new();
    let norm = json!({
        "bn.weight": { "shape": [4], "module": "BatchNorm2d" }, "bn.bias": { "shape": [4], "module": "BatchNorm2d" },
        "bn.running_mean": { "shape": [4], "buffer": true }, "bn.running_var": { "shape": [4], "buffer": true },
        "bn.num_batches_tracked": { "shape": [], "buffer": true, "dtype": "i64" }, "fc.weight": { "shape": [4, 4], "module": "Linear" } });
    let norm = norm.as_object().unwrap();
    folder.write("arch.json", listing(norm, &Value::Null));
    let without =
        |left_out: &'static [&'static str]| norm.iter().filter(move |(name, _)| !left_out.contains(&name.as_str()));
    folder.write("source.safetensors", zeros(without(&["bn.running_mean"])));
    init(&folder, &[]).exits(4).complains("buffer bn.running_mean is in no source");
    folder.write("source.safetensors", zeros(without(&["bn.num_batches_tracked"])));
    init(&folder, &[]).exits(0);
    let folder = Folder::new();
    folder.write("arch.json", listing(norm, &Value::Null));
    folder.write("source.safetensors", zeros(norm.iter().filter(|(name, _)| !name.starts_with("bn."))));
    init(&folder, &[]).exits(0);
    let written = tensors(&folder.path("out"));
    assert_eq!(numbers("f32", &written["bn.running_mean"].2), [0.0; 4]);
    assert_eq!(numbers("f32", &written["bn.running_var"].2), [1.0; 4]);
}
