//! The releases of Meta and Mistral AI with their `params.json`, and files of GGUF, as directories of transformers whose config is true.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use serde_json::{Value, json};

use crate::support::command::{Folder, contents, fixture, names, safetensors_file, tensors};

/// Meta's weights of two layers with four heads of six, two of keys and values, beside these keys.
fn release(params: &Value) -> Folder {
    let folder = Folder::new();
    folder.write("meta/params.json", params.to_string());
    folder.write("meta/consolidated.safetensors", fs::read(fixture("llama/meta.safetensors")).unwrap());
    folder.write("meta/tokenizer.model", b"tokens");
    folder
}

/// The numbers of the fixture, and these.
fn params(more: Value) -> Value {
    let mut params =
        json!({ "dim": 16, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 6, "norm_eps": 1e-5 });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

fn config(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&contents(&folder.path(name))["config.json"]).unwrap()
}

#[test]
fn params_become_the_config_of_the_release_that_they_are_of() {
    let scaled = json!({ "rope_theta": 500_000.0, "use_scaled_rope": true, "vocab_size": 128_256, "multiple_of": 256 });
    let cases = [
        // (params, family, positions, base, kind of rotary embedding)
        (json!({ "norm_eps": 1e-6, "vocab_size": -1, "multiple_of": 256 }), "llama", 2048, 10_000.0, "default"),
        (json!({ "vocab_size": -1, "multiple_of": 256 }), "llama", 4096, 10_000.0, "default"),
        (json!({ "rope_theta": 1_000_000.0, "multiple_of": 16 }), "llama", 16_384, 1_000_000.0, "default"),
        (
            json!({ "rope_theta": 500_000.0, "ffn_dim_multiplier": 1.3, "multiple_of": 1024 }),
            "llama",
            8192,
            500_000.0,
            "default",
        ),
        (scaled, "llama", 131_072, 500_000.0, "llama3"),
        (json!({ "hidden_dim": 20, "sliding_window": 4096, "vocab_size": 30 }), "mistral", 32_768, 10_000.0, "default"),
        (json!({ "hidden_dim": 20, "rope_theta": 1e6, "vocab_size": 30 }), "mistral", 32_768, 1_000_000.0, "default"),
        (
            json!({ "hidden_dim": 20, "vocab_size": 30, "max_seq_len": 77, "model_type": "transformer" }),
            "mistral",
            77,
            1_000_000.0,
            "default",
        ),
    ];
    for (more, model_type, positions, theta, kind) in cases {
        let folder = release(&params(more.clone()));
        folder.xfer(&["convert", "meta", "hf", "--to", "hf", "--no-sync"]).exits(0);
        let written = config(&folder, "hf");
        let expected = json!({
            "model_type": model_type, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 6, "intermediate_size": 20, "vocab_size": 30, "max_position_embeddings": positions, "rope_theta": theta,
            "tie_word_embeddings": false, "dtype": "float32", "torch_dtype": "float32",
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(written[key], *value, "{key} of {more}");
        }
        let window = more.get("sliding_window").cloned().unwrap_or_default();
        assert_eq!(written["sliding_window"], window, "{more}");
        assert_eq!(
            (&written["rope_parameters"]["rope_type"], &written["rope_parameters"]["rope_theta"]),
            (&json!(kind), &json!(theta))
        );
        if kind == "llama3" {
            assert_eq!(written["rope_parameters"]["factor"], 8.0);
            assert_eq!(written["rope_scaling"]["original_max_position_embeddings"], 8192);
        }
        assert!(names(&folder.path("hf")).contains(&"tokenizer.model".to_string()));
        // the config is that of the weights: they fill it whole
        folder
            .xfer(&["init", "--from", "meta", "--arch", "hf", "--out", "filled", "--no-sync"])
            .exits(0)
            .prints("(100 %)");
        assert_eq!(tensors(&folder.path("filled")), tensors(&folder.path("hf")), "{more}");
        let ours = Folder::new();
        ours.write("ours/model.safetensors", fs::read(fixture("llama/llama_untied.safetensors")).unwrap());
        assert_eq!(tensors(&folder.path("hf")), tensors(&ours.path("ours")), "{more}");
    }
}

#[test]
fn llama_3_2_is_tied_whether_its_head_is_stored_or_not() {
    let scaled =
        params(json!({ "rope_theta": 500_000.0, "use_scaled_rope": true, "vocab_size": 30, "multiple_of": 4 }));
    for is_stored in [true, false] {
        let folder = release(&scaled);
        let mut stored = tensors(&folder.path("meta"));
        let table = stored["tok_embeddings.weight"].clone();
        stored.remove("output.weight");
        if is_stored {
            stored.insert("output.weight".into(), table);
        }
        let floats =
            |bytes: &[u8]| bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>();
        let views: Vec<(&str, &[usize], Vec<f32>)> =
            stored.iter().map(|(name, (_, shape, bytes))| (name.as_str(), shape.as_slice(), floats(bytes))).collect();
        folder.write("meta/consolidated.safetensors", safetensors_file(&views));
        folder.xfer(&["convert", "meta", "hf", "--to", "hf"]).exits(0);
        let written = config(&folder, "hf");
        assert_eq!(written["tie_word_embeddings"], true);
        assert_eq!(written["rope_parameters"]["factor"], 32.0);
        assert!(!tensors(&folder.path("hf")).contains_key("lm_head.weight"));
    }
}

#[test]
fn params_stay_params_where_the_names_stay() {
    let folder = release(&params(json!({ "vocab_size": -1, "multiple_of": 256 })));
    folder.xfer(&["convert", "meta", "copy"]).exits(0);
    let copy = contents(&folder.path("copy"));
    assert!(!copy.contains_key("config.json"));
    assert_eq!(copy["params.json"], contents(&folder.path("meta"))["params.json"]);
    folder.xfer(&["convert", "copy", "hf", "--to", "hf"]).exits(0);
    assert_eq!(config(&folder, "hf")["model_type"], "llama");
}

#[test]
fn a_key_that_no_config_carries_is_refused_by_name() {
    let folder = release(&params(json!({ "hidden_dim": 20, "vision_encoder": { "hidden_size": 8 } })));
    folder.xfer(&["convert", "meta", "hf", "--to", "hf"]).exits(3).complains("vision_encoder");
    // what says nothing is not a reason
    let folder = release(&params(json!({ "hidden_dim": 20, "vision_encoder": null, "quantization": false })));
    folder.xfer(&["convert", "meta", "hf", "--to", "hf"]).exits(0);
}

#[test]
fn params_that_contradict_the_weights_are_an_error_that_names_the_tensor() {
    let folder = release(&params(json!({ "vocab_size": 30, "multiple_of": 4, "n_layers": 3 })));
    folder.xfer(&["convert", "meta", "hf", "--to", "hf"]).exits(3).complains("model.layers.2.");
    let folder = release(&params(json!({ "vocab_size": 30, "multiple_of": 4, "dim": 24, "head_dim": 6 })));
    folder
        .xfer(&["convert", "meta", "hf", "--to", "hf"])
        .exits(3)
        .complains("expected [30, 24]")
        .complains("found [30, 16]");
}

#[test]
fn factors_of_frequencies_in_a_gguf_become_the_rotary_embedding_of_the_config() {
    let converted = |name: &str| {
        let folder = Folder::new();
        folder.xfer(&["convert", &fixture(&format!("gguf/{name}.gguf")), "hf", "--to", "hf"]).exits(0);
        assert!(!tensors(&folder.path("hf")).keys().any(|name| name.contains("rope")), "{name}");
        config(&folder, "hf")
    };
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_theta": 500_000.0,
    });
    assert_eq!(converted("llama3")["rope_parameters"], llama3);
    // factors of no known kind are stated one by one, which is the same function
    let factors = converted("llama_factors");
    let expected = json!({
        "rope_type": "longrope", "long_factor": [1.0, 2.5, 3.25], "short_factor": [1.0, 2.5, 3.25], "attention_factor": 1.0,
        "original_max_position_embeddings": 131_072, "rope_theta": 10_000.0,
    });
    assert_eq!(factors["rope_parameters"], expected);
    assert_eq!((&factors["rope_theta"], &factors["torch_dtype"]), (&json!(10_000.0), &json!("float32")));
    let phi3 = converted("phi3_long");
    assert_eq!(phi3["rope_parameters"]["rope_type"], "longrope");
    assert_eq!(phi3["rope_parameters"]["long_factor"].as_array().unwrap().len(), 2);
    assert_eq!(phi3["original_max_position_embeddings"], 6);
    assert_eq!((phi3["partial_rotary_factor"].as_f64().unwrap() * 6.0) as u64, 4);
}

#[test]
fn tokenizers_of_any_name_and_remote_code_go_along() {
    let folder = release(&params(json!({ "vocab_size": -1, "multiple_of": 256 })));
    let along = [
        "tekken.json", "qwen.tiktoken", "tiktoken.model", "tokenizer.model.v3", "vocab.bpe", "modeling_own.py",
        "configuration_own.py", "blocks.py", "additional_chat_templates/tool.jinja",
    ];
    for name in along {
        folder.write(&format!("meta/{name}"), format!("of {name}"));
    }
    folder.write("meta/README.md", "no");
    folder.xfer(&["convert", "meta", "hf", "--to", "hf"]).exits(0);
    let written = contents(&folder.path("hf"));
    for name in along {
        assert_eq!(written[name], format!("of {name}").into_bytes());
    }
    assert!(!written.contains_key("README.md"));
    // a target that has no use for the code leaves it behind by name
    let init = ["init", "--from", "hf", "--arch", "hf/config.json", "--out", "own"];
    folder.xfer(&init).exits(0).complains("left behind").complains("modeling_own.py");
    assert!(contents(&folder.path("own")).contains_key("qwen.tiktoken"));
    let mut config = config(&folder, "hf");
    config["auto_map"] = json!({ "AutoModelForCausalLM": "modeling_own.Own" });
    folder.write("remote.json", config.to_string());
    folder.xfer(&["init", "--from", "hf", "--arch", "remote.json", "--out", "remote"]).exits(0);
    assert_eq!(contents(&folder.path("remote"))["modeling_own.py"], b"of modeling_own.py");
}

#[test]
fn keys_that_other_software_reads_stand_beside_those_of_transformers_5() {
    let folder = Folder::new();
    let rope = json!({ "rope_type": "linear", "factor": 2.0, "rope_theta": 77.0 });
    let cases = [
        (
            json!({ "model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1,
                 "vocab_size": 9, "rope_parameters": rope }),
            json!({ "rope_theta": 77.0, "rope_scaling": { "rope_type": "linear", "factor": 2.0 }, "torch_dtype": "float32" }),
        ),
        (
            json!({ "model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 9, "n_positions": 12 }),
            json!({ "n_ctx": 12, "torch_dtype": "float32" }),
        ),
        (
            json!({ "model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1,
                 "vocab_size": 9 }),
            json!({ "rope_theta": null, "rope_scaling": null, "n_ctx": null, "torch_dtype": "float32" }),
        ),
    ];
    for (arch, expected) in cases {
        folder.write("arch.json", arch.to_string());
        folder.xfer(&["init", "--from", "none", "--arch", "arch.json", "--out", "out", "--force"]).exits(0);
        let written = config(&folder, "out");
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(written.get(key).unwrap_or(&Value::Null), value, "{key} of {}", arch["model_type"]);
        }
    }
}
