//! Weights that were taken apart: adapters, numbers of 8 bits, weight norm, as a user puts them together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;

use crate::support::command::{Folder, contents, fixture, safetensors_file, tensors};
use safetensors::Dtype;

type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn far(a: &[u8], b: &[u8]) -> f32 {
    assert_eq!(a.len(), b.len());
    f32s(a)
        .iter()
        .zip(f32s(b))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most, far| if far.is_nan() { f32::INFINITY } else { far.max(most) })
}

/// A run of a folder of fixtures as a directory that anyone could have published.
fn publish(folder: &Folder, of: &str, weights: &str) -> serde_json::Value {
    let source = std::path::PathBuf::from(fixture(of));
    let runs: serde_json::Value = serde_json::from_slice(&fs::read(source.join("runs.json")).unwrap()).unwrap();
    let run = runs.as_array().unwrap().iter().find(|run| run["weights"] == weights).unwrap();
    folder.write("base/config.json", run["config"].to_string());
    folder.write("base/model.safetensors", fs::read(source.join(weights)).unwrap());
    run["config"].clone()
}

fn merged(folder: &Folder, name: &str) -> Stored {
    folder
        .write("merged/model.safetensors", fs::read(fixture("peft") + &format!("/{name}.merged.safetensors")).unwrap());
    tensors(&folder.path("merged"))
}

#[test]
fn an_adapter_on_its_base_is_what_peft_merges() {
    for (name, of, weights) in
        [("llama", "llama", "llama_untied.safetensors"), ("gpt2", "gpt2", "language_model.safetensors")]
    {
        let folder = Folder::new();
        publish(&folder, of, weights);
        let adapter = format!("adapter={}/{name}", fixture("peft"));
        let run = folder.xfer(&["init", "--from", "base=base", "--from", &adapter, "--arch", "base", "--out", "out"]);
        run.exits(0).prints("low_rank");
        let (expected, found) = (merged(&folder, name), tensors(&folder.path("out")));
        let base = tensors(&folder.path("base"));
        let mut changed = 0;
        for (key, (_, shape, bytes)) in &found {
            assert_eq!(shape, &expected[key].1, "{key}");
            assert!(far(bytes, &expected[key].2) < 2e-6, "{name} {key}: {}", far(bytes, &expected[key].2));
            changed += usize::from(base[key].2 != *bytes);
        }
        // two layers of three matrices and the head; two layers of one and the embedding
        assert_eq!(changed, if name == "llama" { 7 } else { 3 });
        folder.xfer(&["verify", "out"]).exits(0);
    }
}

#[test]
fn an_adapter_of_another_model_is_refused_by_name() {
    let folder = Folder::new();
    publish(&folder, "bert", "weights.safetensors");
    let adapter = format!("adapter={}/llama", fixture("peft"));
    let run = folder.xfer(&["init", "--from", "base=base", "--from", &adapter, "--arch", "base", "--out", "out"]);
    run.exits(3).complains("source adapter: base_model.model.").complains("which the base does not have");
    assert!(!folder.names().contains(&"out".to_string()));
}

#[test]
fn an_adapter_alone_is_refused_with_what_to_do() {
    let folder = Folder::new();
    publish(&folder, "llama", "llama_untied.safetensors");
    let alone =
        folder.xfer(&["init", "--from", &format!("{}/llama", fixture("peft")), "--arch", "base", "--out", "out"]);
    alone.exits(3).complains("is an adapter that was not merged").complains("--from base=BASE --from adapter=ADAPTER");
}

#[test]
fn weights_of_8_bits_are_the_numbers_that_they_stand_for_where_the_config_says_so() {
    let folder = Folder::new();
    folder.write("packed/model.safetensors", fs::read(fixture("peft") + "/fp8.safetensors").unwrap());
    let config = serde_json::json!({ "model_type": "unknown", "dtype": "float32",
        "quantization_config": { "quant_method": "fp8", "weight_block_size": [3, 3] } });
    folder.write("packed/config.json", config.to_string());
    folder.xfer(&["convert", "packed", "out"]).exits(0);
    folder.write("expected/model.safetensors", fs::read(fixture("peft") + "/fp8.expected.safetensors").unwrap());
    let (expected, found) = (tensors(&folder.path("expected")), tensors(&folder.path("out")));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a.weight", "b.weight", "c.weight"]);
    for (key, (_, _, bytes)) in &expected {
        assert_eq!(*bytes, found[key].2, "{key}");
    }
    let written: serde_json::Value = serde_json::from_slice(&contents(&folder.path("out"))["config.json"]).unwrap();
    assert!(written.get("quantization_config").is_none(), "{written}");
    // without a word of it they are carried as they are, scales and all
    folder.write("packed/config.json", "{}");
    folder.xfer(&["convert", "packed", "carried"]).exits(0);
    assert_eq!(tensors(&folder.path("carried")), tensors(&folder.path("packed")));
}

#[test]
fn a_map_rule_puts_weight_norm_and_a_scale_together() {
    let folder = Folder::new();
    let v: Vec<f32> = (0..12).map(|i| i as f32 - 4.5).collect();
    let g = vec![2.0f32, 3.0, 0.5];
    folder.write(
        "source.safetensors",
        safetensors_file(&[("conv.weight_g", &[3, 1], g.clone()), ("conv.weight_v", &[3, 4], v.clone())]),
    );
    folder.write("net.json", r#"{ "conv.weight": { "dtype": "F32", "shape": [3, 4] } }"#);
    let rule = "conv.weight=conv.weight_g,conv.weight_v|weight_norm(0)";
    folder
        .xfer(&["init", "--from", "source.safetensors", "--arch", "net.json", "--out", "out", "--map", rule])
        .exits(0);
    let found = f32s(&tensors(&folder.path("out"))["conv.weight"].2);
    for (row, g) in g.iter().enumerate() {
        let of = &v[row * 4..row * 4 + 4];
        let norm = of.iter().map(|x| x * x).sum::<f32>().sqrt();
        for (found, v) in found[row * 4..].iter().zip(of) {
            assert!((found - g * v / norm).abs() < 1e-6);
        }
    }
}

#[test]
fn q_k_and_v_of_each_head_together_and_apart_are_the_same_matrices() {
    let folder = Folder::new();
    publish(&folder, "families", "gpt_neox.safetensors");
    let fused = "gpt_neox.layers.0.attention.query_key_value.weight";
    let listing = serde_json::json!({
        "q": { "dtype": "F32", "shape": [24, 24] }, "k": { "dtype": "F32", "shape": [24, 24] },
        "v": { "dtype": "F32", "shape": [24, 24] } });
    folder.write("apart.json", listing.to_string());
    let piece =
        |name: &str, at: usize| format!("{name}={fused}|reshape(4, 3, 6, 24)|narrow(1, {at}, 1)|reshape(24, 24)");
    let (q, k, v) = (piece("q", 0), piece("k", 1), piece("v", 2));
    let apart =
        ["init", "--from", "base", "--arch", "apart.json", "--out", "apart", "--map", &q, "--map", &k, "--map", &v];
    folder.xfer(&apart).exits(0);
    let (base, found) = (tensors(&folder.path("base")), tensors(&folder.path("apart")));
    let row = |of: &Stored, name: &str, row: usize| of[name].2[row * 24 * 4..(row + 1) * 24 * 4].to_vec();
    for head in 0..4 {
        for at in 0..6 {
            for (place, name) in ["q", "k", "v"].into_iter().enumerate() {
                assert_eq!(row(&found, name, head * 6 + at), row(&base, fused, (head * 3 + place) * 6 + at));
            }
        }
    }
    folder.write("together.json", r#"{ "qkv": { "dtype": "F32", "shape": [72, 24] } }"#);
    let join = "qkv=q,k,v|concat(0)|reshape(3, 4, 6, 24)|permute(1, 0, 2, 3)|reshape(72, 24)";
    folder.xfer(&["init", "--from", "apart", "--arch", "together.json", "--out", "together", "--map", join]).exits(0);
    assert_eq!(tensors(&folder.path("together"))["qkv"].2, base[fused].2);
}

#[test]
fn a_tied_head_goes_into_an_untied_one_as_a_copy() {
    let folder = Folder::new();
    let mut config = publish(&folder, "llama", "llama.safetensors");
    assert_eq!(config["tie_word_embeddings"], true);
    config["tie_word_embeddings"] = false.into();
    folder.write("untied.json", config.to_string());
    folder.xfer(&["init", "--from", "base", "--arch", "untied.json", "--out", "out"]).exits(0);
    let found = tensors(&folder.path("out"));
    assert_eq!(found["lm_head.weight"].2, found["model.embed_tokens.weight"].2);
    assert_eq!(found["lm_head.weight"].2, tensors(&folder.path("base"))["model.embed_tokens.weight"].2);
}
