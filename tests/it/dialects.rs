//! The dialects of torchtune, litgpt and Megatron Core, against files that these packages' own converters wrote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::support::command::{Folder, contents, fixture, tensors};

type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// Every file of fixtures/dialects: its dialect, the folder and the run of its weights in transformers' names.
const FILES: &[(&str, &str, &str)] = &[
    ("torchtune", "llama", "llama_untied"),
    ("torchtune", "llama", "gemma"),
    ("torchtune", "llama", "qwen2"),
    ("torchtune", "llama", "phi3"),
    ("litgpt", "llama", "llama_untied"),
    ("litgpt_old", "llama", "llama_untied"),
    ("litgpt", "llama", "gemma"),
    ("litgpt", "llama", "phi3"),
    ("litgpt", "families", "gpt_neox"),
    ("megatron", "llama", "llama_untied"),
    ("megatron", "llama", "qwen2"),
];

fn serialized(tensors: &Tensors) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
}

/// The config of a run.
fn config(folder: &str, run: &str) -> serde_json::Value {
    let runs: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture(&format!("{folder}/runs.json"))).unwrap()).unwrap();
    let weights = format!("{run}.safetensors");
    runs.as_array().unwrap().iter().find(|one| one["weights"] == *weights).unwrap()["config"].clone()
}

/// `ours` in transformers' names and `theirs` in the dialect's, each with the config.
fn both(dialect: &str, source: &str, run: &str) -> Folder {
    let folder = Folder::new();
    let file = fixture(&format!("dialects/{dialect}.{run}.safetensors"));
    for (name, file) in [("ours", fixture(&format!("{source}/{run}.safetensors"))), ("theirs", file)] {
        folder.write(&format!("{name}/config.json"), config(source, run).to_string());
        folder.write(&format!("{name}/model.safetensors"), fs::read(file).unwrap());
    }
    folder
}

/// The tensors of `theirs`, which `change` changes.
fn change(folder: &Folder, change: impl FnOnce(Tensors) -> Tensors) {
    let changed = change(tensors(&folder.path("theirs")));
    folder.write("theirs/model.safetensors", serialized(&changed));
}

#[test]
fn what_the_packages_write_is_read_and_written_bit_for_bit() {
    for (dialect, source, run) in FILES {
        let folder = both(dialect, source, run);
        let (ours, theirs) = (tensors(&folder.path("ours")), tensors(&folder.path("theirs")));
        folder.xfer(&["convert", "theirs", "hf", "--to", "hf", "--no-sync"]).exits(0);
        assert_eq!(tensors(&folder.path("hf")), ours, "{dialect} of {run}, read");
        folder.xfer(&["init", "--from", "theirs", "--arch", "ours", "--out", "filled", "--no-sync"]).exits(0);
        assert_eq!(tensors(&folder.path("filled")), ours, "{dialect} of {run}, as a source");
        let (to, is_old) = (dialect.trim_end_matches("_old"), dialect.ends_with("_old"));
        folder.xfer(&["convert", "ours", "written", "--to", to, "--no-sync"]).exits(0);
        assert_eq!(tensors(&folder.path("written")) == theirs, !is_old, "{dialect} of {run}, written");
        folder.xfer(&["inspect", "theirs"]).exits(0).prints(&format!("({to})"));
    }
}

#[test]
fn what_training_wraps_around_names_is_taken_off_and_state_of_layers_is_dropped() {
    for (dialect, wrapper) in [("megatron", "model"), ("megatron", "module.module"), ("torchtune", "_orig_mod")] {
        let folder = both(dialect, "llama", "llama_untied");
        change(&folder, |tensors| {
            let mut wrapped: Tensors =
                tensors.into_iter().map(|(name, tensor)| (format!("{wrapper}.{name}"), tensor)).collect();
            if dialect == "megatron" {
                let name = format!("{wrapper}.decoder.layers.0.self_attention.linear_qkv._extra_state");
                wrapped.insert(name, (Dtype::U8, vec![3], vec![1, 2, 3]));
            }
            wrapped
        });
        folder.xfer(&["convert", "theirs", "hf", "--to", "hf"]).exits(0);
        assert_eq!(tensors(&folder.path("hf")), tensors(&folder.path("ours")), "{dialect} below {wrapper}");
        let init = ["init", "--from", "theirs", "--arch", "ours", "--out", "filled", "--strict"];
        folder.xfer(&init).exits(0);
        assert_eq!(tensors(&folder.path("filled")), tensors(&folder.path("ours")), "{dialect} below {wrapper}");
    }
}

#[test]
fn a_missing_tensor_of_a_known_dialect_is_an_error_and_nothing_is_paired_by_shape() {
    for dialect in ["torchtune", "litgpt", "megatron"] {
        let names: Vec<String> = tensors(&both(dialect, "llama", "llama_untied").path("theirs")).into_keys().collect();
        for missing in names.iter().filter(|name| name.contains(".0.") || name.contains(".1.")) {
            let folder = both(dialect, "llama", "llama_untied");
            change(&folder, |mut tensors| {
                tensors.remove(missing).unwrap();
                tensors
            });
            let run = folder.xfer(&["init", "--from", "theirs", "--arch", "ours", "--out", "out"]);
            assert_eq!(run.code, 4, "{dialect} without {missing}: {}", run.stderr);
            assert!(!run.stderr.contains("--map"), "{dialect} without {missing}: {}", run.stderr);
            let run = folder.xfer(&["init", "--from", "theirs", "--arch", "ours", "--out", "out", "--dry-run"]);
            assert!(!run.stdout.contains("--map"), "{dialect} without {missing}: {}", run.stdout);
        }
    }
}

#[test]
fn heads_that_contradict_the_rows_are_an_error_that_names_the_tensor() {
    for dialect in ["torchtune", "litgpt", "litgpt_old", "megatron"] {
        for (key, value) in [("num_key_value_heads", 4), ("num_key_value_heads", 1), ("head_dim", 4)] {
            let folder = both(dialect, "llama", "llama_untied");
            let mut config = config("llama", "llama_untied");
            config[key] = value.into();
            folder.write("theirs/config.json", config.to_string());
            let run = folder.xfer(&["convert", "theirs", "hf", "--to", "hf"]).exits(3);
            run.complains(".0.").complains("rows of the heads").complains("hint: correct num_attention_heads");
        }
        let folder = both(dialect, "llama", "llama_untied");
        fs::remove_file(folder.path("theirs/config.json")).unwrap();
        folder.xfer(&["init", "--from", "theirs", "--arch", "ours", "--out", "out"]).exits(3).complains("config");
    }
}

#[test]
fn megatron_before_megatron_core_is_refused_by_name() {
    let folder = both("megatron", "llama", "llama_untied");
    change(&folder, |tensors| {
        let old = |name: String| {
            name.replace("decoder.layers", "language_model.encoder.layers")
                .replace("self_attention.linear_qkv.weight", "self_attention.query_key_value.weight")
        };
        tensors.into_iter().map(|(name, tensor)| (old(name), tensor)).collect()
    });
    for command in [
        ["convert", "theirs", "hf", "--to", "hf"].as_slice(),
        &["init", "--from", "theirs", "--arch", "ours", "--out", "out"],
    ] {
        folder.xfer(command).exits(3).complains("query_key_value.weight").complains("checkpoint_version");
    }
}

#[test]
fn a_padded_vocabulary_is_reported_and_the_config_states_it() {
    let folder = both("megatron", "llama", "llama_untied");
    change(&folder, |mut tensors| {
        for name in ["embedding.word_embeddings.weight", "output_layer.weight"] {
            let (_, shape, bytes) = tensors.get_mut(name).unwrap();
            shape[0] += 2;
            bytes.resize(bytes.len() + 2 * shape[1] * 4, 0);
        }
        tensors
    });
    folder.xfer(&["convert", "theirs", "hf", "--to", "hf"]).exits(0).complains("32 rows").complains("vocabulary of 30");
    let written: serde_json::Value = serde_json::from_slice(&contents(&folder.path("hf"))["config.json"]).unwrap();
    assert_eq!(written["vocab_size"], 32);
    assert_eq!(tensors(&folder.path("hf"))["model.embed_tokens.weight"].1, [32, 16]);
}

#[test]
fn litgpt_stores_both_of_what_is_tied() {
    let folder = both("litgpt", "llama", "gemma");
    let (table, head) = ("model.embed_tokens.weight", "lm_head.weight");
    assert!(!tensors(&folder.path("ours")).contains_key(head));
    folder.xfer(&["convert", "ours", "written", "--to", "litgpt"]).exits(0);
    let written = tensors(&folder.path("written"));
    assert_eq!(written[head], written["transformer.wte.weight"]);
    // litgpt trains the two apart: then the config of what is written no longer ties them
    change(&folder, |mut tensors| {
        tensors.get_mut(head).unwrap().2[3] ^= 1;
        tensors
    });
    folder.xfer(&["convert", "theirs", "hf", "--to", "hf"]).exits(0).complains("tie_word_embeddings false");
    let hf = tensors(&folder.path("hf"));
    assert_ne!(hf[head], hf[table]);
    let config: serde_json::Value = serde_json::from_slice(&contents(&folder.path("hf"))["config.json"]).unwrap();
    assert_eq!(config["tie_word_embeddings"], false);
    folder.xfer(&["init", "--from", "theirs", "--arch", "ours", "--out", "out"]).exits(4).complains(head);
}

#[test]
fn no_model_of_another_spelling_is_taken_for_one_of_these() {
    for folder in ["families", "llama", "gpt2", "bert"] {
        let runs: serde_json::Value =
            serde_json::from_slice(&fs::read(fixture(&format!("{folder}/runs.json"))).unwrap()).unwrap();
        for run in runs.as_array().unwrap() {
            let out = Folder::new();
            let file = fixture(&format!("{folder}/{}", run["weights"].as_str().unwrap()));
            let found = out.xfer(&["inspect", &file, "--json"]).exits(0).json();
            for dialect in ["torchtune", "litgpt", "megatron"] {
                assert!(!found["dialect"].to_string().contains(dialect), "{} is {}", run["weights"], found["dialect"]);
            }
        }
    }
}

#[test]
fn a_model_config_of_litgpt_becomes_one_of_transformers() {
    for (run, expected) in [
        (
            "llama_untied",
            serde_json::json!({
                "model_type": "llama", "rope_theta": 500_000.0, "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 20,
                "tie_word_embeddings": false, "max_position_embeddings": 18, "attention_bias": false, "dtype": "float32",
            }),
        ),
        (
            "gemma",
            serde_json::json!({
                "model_type": "gemma", "rope_theta": 10_000.0, "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": true,
            }),
        ),
    ] {
        let folder = both("litgpt", "llama", run);
        fs::remove_file(folder.path("theirs/config.json")).unwrap();
        folder.write("theirs/model_config.yaml", fs::read(fixture(&format!("dialects/litgpt.{run}.yaml"))).unwrap());
        folder.xfer(&["convert", "theirs", "hf", "--to", "hf"]).exits(0);
        assert_eq!(tensors(&folder.path("hf")), tensors(&folder.path("ours")), "{run}");
        let written: serde_json::Value = serde_json::from_slice(&contents(&folder.path("hf"))["config.json"]).unwrap();
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(written[key], *value, "{key} of {run}");
        }
        folder.xfer(&["init", "--from", "theirs", "--arch", "ours", "--out", "filled"]).exits(0);
        assert_eq!(tensors(&folder.path("filled")), tensors(&folder.path("ours")), "{run}");
    }
    let folder = both("litgpt", "llama", "llama_untied");
    fs::remove_file(folder.path("theirs/config.json")).unwrap();
    let stated = fs::read_to_string(fixture("dialects/litgpt.llama_untied.yaml")).unwrap();
    folder.write(
        "theirs/model_config.yaml",
        stated.replace("final_logit_softcapping: null", "final_logit_softcapping: 30.0"),
    );
    folder.xfer(&["convert", "theirs", "hf", "--to", "hf"]).exits(3).complains("final_logit_softcapping");
}

#[test]
fn every_dialect_into_every_other_is_what_it_is_from_transformers() {
    let folder = both("litgpt", "llama", "llama_untied");
    let family = xfer::family::by_model_type("llama").unwrap();
    let names: Vec<&str> = family.dialects().iter().map(|dialect| dialect.name).collect();
    for name in &names {
        folder
            .xfer(&["convert", "ours", name, "--to", name, "--no-sync"])
            .exits(0)
            .complains("transformers does not load");
    }
    for (from, to) in names.iter().flat_map(|from| names.iter().map(move |to| (from, to))) {
        folder.xfer(&["convert", from, "out", "--to", to, "--no-sync", "--force"]).exits(0);
        assert_eq!(tensors(&folder.path("out")), tensors(&folder.path(to)), "{from} to {to}");
    }
}
