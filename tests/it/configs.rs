//! Configs are true: what one does not state comes from the weights, and what is written loads strictly.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use serde_json::{Value, json};

use crate::support::command::{Folder, fixture, tensors};

fn config(path: &std::path::Path) -> serde_json::Map<String, Value> {
    serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap().as_object().unwrap().clone()
}

/// A checkpoint of zeros in every tensor of a config, as `init --from none` writes it, with the config changed.
fn checkpoint(folder: &Folder, name: &str, config: &Value, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let file = format!("{name}.json");
    folder.write(&file, config.to_string());
    folder.xfer(&["init", "--from", "none", "--arch", &file, "--out", name]).exits(0);
    let written = folder.path(name).join("config.json");
    let mut changed = self::config(&written);
    change(&mut changed);
    fs::write(&written, Value::Object(changed).to_string()).unwrap();
}

fn mixture(experts: u64) -> Value {
    json!({ "model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "vocab_size": 12, "hidden_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "moe_intermediate_size": 4,
        "num_experts": experts, "num_experts_per_tok": 2, "intermediate_size": 8, "max_position_embeddings": 8 })
}

#[test]
fn more_experts_than_the_default_stay_under_either_name_of_the_key_and_under_none() {
    let folder = Folder::new();
    checkpoint(&folder, "many", &mixture(160), |_| ());
    let original = tensors(&folder.path("many"));
    for (name, key) in [("new", Some("num_experts")), ("old", Some("num_local_experts")), ("none", None)] {
        let mut lacking = config(&folder.path("many/config.json"));
        lacking.shift_remove("num_experts");
        key.map(|key| lacking.insert(key.into(), json!(160)));
        folder.write(&format!("{name}.json"), Value::Object(lacking.clone()).to_string());
        let arch = format!("{name}.json");
        let run = folder.xfer(&["init", "--from", "many", "--arch", &arch, "--out", name]).exits(0).prints("(100 %)");
        assert_eq!(tensors(&folder.path(name)), original, "{name}");
        if key.is_none() {
            run.complains("`num_experts` is not stated: it is 160 as in many, where the default is 128");
            assert_eq!(config(&folder.path("none/config.json"))["num_experts"], 160);
        }
    }
}

#[test]
fn a_source_whose_own_config_lacks_a_key_is_read_by_its_weights() {
    let folder = Folder::new();
    checkpoint(&folder, "many", &mixture(131), |config| drop(config.shift_remove("num_experts")));
    let run = folder.xfer(&["init", "--from", "many", "--arch", "many", "--out", "out"]).exits(0).prints("(100 %)");
    run.complains("`num_experts` is not stated: it is 131 by");
    assert_eq!(tensors(&folder.path("out")), tensors(&folder.path("many")));
    // the number of heads decides which rows a projection has in another spelling
    let llama = json!({ "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 12, "hidden_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 8, "max_position_embeddings": 8 });
    checkpoint(&folder, "whole", &llama, |_| ());
    checkpoint(&folder, "lacking", &llama, |config| drop(config.shift_remove("num_key_value_heads")));
    for name in ["whole", "lacking"] {
        let out = format!("{name}_meta");
        folder.xfer(&["convert", name, &out, "--to", "meta"]).exits(0);
    }
    assert_eq!(tensors(&folder.path("whole_meta")), tensors(&folder.path("lacking_meta")));
}

#[test]
fn two_names_of_one_key_with_different_values_are_an_error() {
    let folder = Folder::new();
    let mut both = mixture(4);
    both["num_local_experts"] = json!(6);
    folder.write("arch.json", both.to_string());
    let run = folder.xfer(&["init", "--from", "none", "--arch", "arch.json", "--out", "out"]).exits(3);
    run.complains("num_local_experts is 6, but num_experts is 4");
    let rope = json!({ "model_type": "llama", "rope_theta": 500000.0, "rope_parameters": { "rope_theta": 10000.0 } });
    folder.write("rope.json", rope.to_string());
    folder.xfer(&["arch", "rope.json"]).exits(3).complains("rope_theta is 500000.0, but rope_parameters is 10000.0");
}

#[test]
fn an_unknown_key_is_an_error_in_set_and_a_warning_in_a_config() {
    let folder = Folder::new();
    let tiny = fixture("tiny-bert");
    let command = ["init", "--from", &tiny, "--arch", &tiny, "--out", "out", "--set"];
    folder
        .xfer(&[&command[..], &["num_atention_heads=2"]].concat())
        .exits(3)
        .complains("did you mean `num_attention_heads`?");
    let mut changed = config(&std::path::Path::new(&tiny).join("config.json"));
    changed.insert("hiden_act".into(), json!("relu"));
    changed.insert("unsloth_version".into(), json!("2025.1"));
    folder.write("arch.json", Value::Object(changed).to_string());
    let run = folder.xfer(&["init", "--from", &tiny, "--arch", "arch.json", "--out", "out"]).exits(0);
    run.complains("did you mean `hidden_act`?").complains("`unsloth_version`");
    assert_eq!(config(&folder.path("out/config.json"))["unsloth_version"], "2025.1");
}

/// The names in a file of PyTorch, as `inspect` lists them.
fn listed(folder: &Folder, file: &str) -> Vec<String> {
    let tensors = folder.xfer(&["inspect", file, "--json"]).exits(0).json()["tensors"].clone();
    tensors.as_array().unwrap().iter().map(|tensor| tensor["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_pt_of_a_tied_model_has_both_names_and_stores_one() {
    let folder = Folder::new();
    let t5 = json!({ "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "vocab_size": 12, "d_model": 8, "d_kv": 4,
        "num_heads": 2, "d_ff": 8, "num_layers": 1 });
    let gpt2 = json!({ "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 12, "n_embd": 8, "n_head": 2,
        "n_layer": 1, "n_positions": 6 });
    for (name, config, aliases) in [
        ("t5", t5, &["lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"][..]),
        ("gpt2", gpt2, &["lm_head.weight"][..]),
    ] {
        checkpoint(&folder, name, &config, |_| ());
        let (file, safetensors) = (format!("{name}.pt"), format!("{name}.safetensors"));
        folder.xfer(&["convert", name, &file]).exits(0);
        let names = listed(&folder, &file);
        assert!(aliases.iter().all(|alias| names.iter().any(|name| name == alias)), "{names:?}");
        let (whole, once) = (
            fs::metadata(folder.path(&file)).unwrap().len(),
            fs::metadata(folder.path(name).join("model.safetensors")).unwrap().len(),
        );
        assert!(whole < once + 8192, "{whole} bytes, {once} without the names");
        // a format that cannot share stores the owner alone
        folder.xfer(&["convert", name, &safetensors]).exits(0);
        assert!(!listed(&folder, &safetensors).iter().any(|name| aliases.contains(&name.as_str())));
        folder.xfer(&["convert", name, &file]).exits(0).prints("up to date");
    }
    let bert = fixture("tiny-bert");
    folder.xfer(&["convert", &bert, "bert.bin"]).exits(0);
    let names = listed(&folder, "bert.bin");
    for alias in ["cls.predictions.decoder.weight", "cls.predictions.decoder.bias"] {
        assert!(names.iter().any(|name| name == alias), "{names:?}");
    }
    // weights without a config tie nothing that anybody knows of
    folder.xfer(&["convert", &format!("{bert}/model.safetensors"), "plain.pt"]).exits(0);
}
