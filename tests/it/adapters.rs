//! Adapters as PEFT merges them, or refused by the key's name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::support::command::{Folder, Run, fixture, safetensors_file, tensors};
use serde_json::{Value as Json, json};

/// Name, shape and values.
type Owned = (String, Vec<usize>, Vec<f32>);
type Stored = BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>;

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn far(a: &[u8], b: &[u8]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = f32s(a).into_iter().zip(f32s(b)).map(|(a, b)| (a - b).abs());
    pairs.fold(0.0, |most, far| if far.is_nan() { f32::INFINITY } else { far.max(most) })
}

fn parsed(path: &str) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// `base` with its own config, and `arch` with the given one.
fn publish(folder: &Folder, of: &str, weights: &str, architecture: Option<&Json>) {
    let source = PathBuf::from(fixture(of));
    let runs = parsed(source.join("runs.json").to_str().unwrap());
    let run = runs.as_array().unwrap().iter().find(|run| run["weights"] == weights).unwrap();
    folder.write("base/config.json", run["config"].to_string());
    folder.write("base/model.safetensors", fs::read(source.join(weights)).unwrap());
    folder.write("arch/config.json", architecture.unwrap_or(&run["config"]).to_string());
}

fn merge(folder: &Folder, adapter: &str) -> Run {
    let adapter = format!("adapter={adapter}");
    folder.xfer(&["init", "--from", "base=base", "--from", &adapter, "--arch", "arch", "--out", "out"])
}

/// The variant `dora` and the like on a base, its config changed.
fn changed(folder: &Folder, variant: &str, change: impl Fn(&mut Json)) -> Run {
    let source = fixture("peft/variants") + "/" + variant;
    let mut config = parsed(&(source.clone() + "/adapter_config.json"));
    change(&mut config);
    folder.write("changed/adapter_config.json", config.to_string());
    folder.write("changed/adapter_model.safetensors", fs::read(source + "/adapter_model.safetensors").unwrap());
    merge(folder, "changed")
}

#[test]
fn every_variant_is_what_peft_merges() {
    let variants = parsed(&(fixture("peft") + "/variants.json"));
    assert!(variants.as_array().unwrap().len() >= 25);
    for variant in variants.as_array().unwrap() {
        let name = variant["name"].as_str().unwrap();
        let folder = Folder::new();
        let (of, weights) = (variant["folder"].as_str().unwrap(), variant["weights"].as_str().unwrap());
        publish(&folder, of, weights, Some(&variant["architecture"]));
        let own = fixture("peft/variants") + "/" + name;
        let run = merge(&folder, &own);
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
        folder.write("merged/model.safetensors", fs::read(own + "/merged.safetensors").unwrap());
        let (merged, base, out): (Stored, Stored, Stored) =
            (tensors(&folder.path("merged")), tensors(&folder.path("base")), tensors(&folder.path("out")));
        for (key, (_, shape, bytes)) in &out {
            match merged.get(key) {
                Some((_, expected, right)) => {
                    assert_eq!(shape, expected, "{name} {key}");
                    assert!(far(bytes, right) < 5e-6, "{name} {key}: {}", far(bytes, right));
                }
                None => assert_eq!(*bytes, base[key].2, "{name} {key} is not the base's"),
            }
        }
        for key in merged.keys() {
            assert!(out.contains_key(key), "{name} lacks {key}");
        }
        folder.xfer(&["verify", "out"]).exits(0);
    }
}

#[test]
fn a_pickled_adapter_is_the_same_adapter() {
    let folder = Folder::new();
    publish(&folder, "llama", "llama_untied.safetensors", None);
    let own = fixture("peft/variants/dora");
    folder.write("a.safetensors", fs::read(own.clone() + "/adapter_model.safetensors").unwrap());
    folder.write("pickled/adapter_config.json", fs::read(own.clone() + "/adapter_config.json").unwrap());
    folder.xfer(&["convert", "a.safetensors", "a.bin"]).exits(3).complains("is an adapter that was not merged");
    let torch = own + "/adapter_model.bin";
    if std::path::Path::new(&torch).exists() {
        folder.write("pickled/adapter_model.bin", fs::read(torch).unwrap());
        merge(&folder, "pickled").exits(0);
    }
}

#[test]
fn a_key_that_is_not_at_its_default_and_not_merged_is_refused_by_its_name() {
    let keys: &[(&str, Json)] = &[
        ("peft_type", json!("IA3")),
        ("peft_type", json!("LOHA")),
        ("peft_type", json!("ADALORA")),
        ("peft_type", json!("VERA")),
        ("peft_type", json!("PROMPT_TUNING")),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("pissa_niter_16")),
        ("init_lora_weights", json!("olora")),
        ("init_lora_weights", json!("OLoRA")),
        ("init_lora_weights", json!("corda")),
        ("init_lora_weights", json!("loftq")),
        ("init_lora_weights", json!("lora_ga")),
        ("init_lora_weights", json!("something_new")),
        ("alora_invocation_tokens", json!([1, 2])),
        ("layer_replication", json!([[0, 1], [0, 2]])),
        ("target_parameters", json!(["mlp.experts.gate_up_proj"])),
        ("use_qalora", json!(true)),
        ("use_bdlora", json!({ "nblocks": 2 })),
        ("megatron_config", json!({ "a": 1 })),
        ("arrow_config", json!({ "top_k": 3 })),
        ("kasa_config", json!({ "beta": 0.1 })),
        ("monteclora_config", json!({ "num_samples": 8 })),
        ("velora_config", json!({ "num_groups": 8 })),
        ("bias", json!("some")),
        ("a_key_of_tomorrow", json!(1)),
        ("a_key_of_tomorrow", json!("on")),
    ];
    let folder = Folder::new();
    publish(&folder, "llama", "llama_untied.safetensors", None);
    for (key, value) in keys {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let run = changed(&folder, "rslora", |config| config[*key] = value.clone());
        let refused = format!("{key} `{shown}` is not supported");
        run.exits(3).complains(&refused).complains("merge_and_unload");
        assert!(!folder.names().contains(&"out".to_string()), "{key}");
    }
    for (key, value) in [("a_key_of_tomorrow", json!(null)), ("another", json!(false)), ("third", json!([]))] {
        changed(&folder, "rslora", |config| config[key] = value.clone()).exits(0);
    }
}

#[test]
fn a_pattern_that_matches_nothing_or_cannot_be_read_is_an_error() {
    let folder = Folder::new();
    publish(&folder, "llama", "llama_untied.safetensors", None);
    for key in ["alpha_pattern", "rank_pattern"] {
        for pattern in ["k_proj", r"model\.layers\.9\..*", "proj", "layers.0", "q_proj.lora_A"] {
            let run = changed(&folder, "rslora", |config| config[key] = json!({ pattern: 2 }));
            run.exits(3).complains(&format!("{key}: `{pattern}` matches none of the adapted modules"));
        }
        let run = changed(&folder, "rslora", |config| config[key] = json!({ "q_proj(": 2 }));
        run.exits(3).complains(key).complains("not a regular expression");
    }
}

#[test]
fn a_rank_that_the_tensors_do_not_have_is_an_error() {
    let folder = Folder::new();
    publish(&folder, "llama", "llama_untied.safetensors", None);
    changed(&folder, "rslora", |config| config["r"] = json!(3))
        .exits(3)
        .complains("lora_A.weight has 2 rows, the rank in its config is: 3");
    let pattern = json!({ "v_proj": 7 });
    changed(&folder, "rslora", |config| config["rank_pattern"] = pattern.clone()).exits(3).complains("v_proj.lora_A");
    changed(&folder, "dora", |config| config["use_dora"] = json!(false)).exits(3).complains("use_dora");
    changed(&folder, "rslora", |config| config["use_dora"] = json!(true)).exits(3).complains("lora_magnitude_vector");
    changed(&folder, "tokens", |config| config["trainable_token_indices"] = json!([1, 2]))
        .exits(3)
        .complains("has 4 rows");
    changed(&folder, "tokens", |config| config["trainable_token_indices"] = json!([1, 2, 3, 99])).exits(3);
    changed(&folder, "lora_bias", |config| config["lora_bias"] = json!(false)).exits(3).complains("lora_bias");
    changed(&folder, "saved_modules", |config| {
        config["modules_to_save"] = json!(["lm_head", "embed_tokens", "norm", "mlp"])
    })
    .exits(3)
    .complains("modules_to_save names mlp");
}

/// An adapter of rank 1 with these tensors.
fn adapter(folder: &Folder, tensors: &[(&str, &[usize], Vec<f32>)], config: Json) {
    let mut all = json!({ "peft_type": "LORA", "r": 1, "lora_alpha": 2, "target_modules": ["q_proj"] });
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    folder.write("adapter/adapter_config.json", all.to_string());
    folder.write("adapter/adapter_model.safetensors", safetensors_file(tensors));
}

fn ones(count: usize) -> Vec<f32> {
    (0..count).map(|i| 0.25 + i as f32 / 16.0).collect()
}

#[test]
fn half_a_pair_a_layer_without_one_and_a_tensor_without_a_base_are_errors_that_name_them() {
    let folder = Folder::new();
    publish(&folder, "llama", "llama_untied.safetensors", None);
    let layer = |i: usize, kind: &str| format!("base_model.model.model.layers.{i}.self_attn.q_proj.lora_{kind}.weight");
    let (a0, b0, a1, b1) = (layer(0, "A"), layer(0, "B"), layer(1, "A"), layer(1, "B"));
    let down: (&[usize], Vec<f32>) = (&[1, 16], ones(16));
    let rows = tensors(&folder.path("base"))["model.layers.0.self_attn.q_proj.weight"].1[0];
    let up_shape = [rows, 1];
    let up: (&[usize], Vec<f32>) = (&up_shape, ones(rows));
    let file = |names: &[(&str, bool)]| {
        let of = |is_down: bool| if is_down { down.clone() } else { up.clone() };
        let all: Vec<(&str, &[usize], Vec<f32>)> =
            names.iter().map(|(name, is_down)| (*name, of(*is_down).0, of(*is_down).1)).collect();
        adapter(&folder, &all, json!({}));
        merge(&folder, "adapter")
    };
    file(&[(&a0, true), (&b0, false), (&a1, true)]).exits(3).complains(&a1).complains(&b1);
    file(&[(&a0, true), (&b0, false), (&b1, false)]).exits(3).complains(&b1).complains(&a1);
    file(&[(&a0, true), (&b0, false)]).exits(3).complains("model.layers.1.self_attn.q_proj");
    let other = "base_model.model.model.layers.0.self_attn.z_proj.weight";
    file(&[(&a0, true), (&b0, false), (&a1, true), (&b1, false), (other, true)]).exits(3).complains(other);
    let unknown = "base_model.model.model.layers.0.self_attn.q_proj.lora_E.weight";
    file(&[(&a0, true), (&b0, false), (&a1, true), (&b1, false), (unknown, true)]).exits(3).complains(unknown);
    let second = a0.replace("lora_A", "lora_A.other");
    file(&[(&a0, true), (&b0, false), (&second, true)]).exits(3).complains("more than one adapter");
    file(&[(&a0, true), (&b0, false), (&a1, true), (&b1, false)]).exits(0);
}

#[test]
fn the_names_of_a_multimodal_class_and_of_a_text_model_mean_the_same_layers() {
    for (stored, named) in [
        ("model.layers", "model.language_model.layers"),
        ("language_model.model.layers", "model.language_model.layers"),
        ("model.language_model.layers", "model.layers"),
        ("layers", "model.layers"),
    ] {
        let folder = Folder::new();
        let weight = |i: usize| format!("{stored}.{i}.self_attn.q_proj.weight");
        let vision = "vision_tower.layers.0.self_attn.q_proj.weight";
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let (w0, w1) = (weight(0), weight(1));
        let base = [
            (w0.as_str(), &[3usize, 4][..], values.clone()),
            (&w1, &[3, 4], values.clone()),
            (vision, &[3, 4], values.clone()),
        ];
        folder.write("base.safetensors", safetensors_file(&base));
        let listing: BTreeMap<&str, Json> =
            base.iter().map(|(name, _, _)| (*name, json!({ "dtype": "F32", "shape": [3, 4] }))).collect();
        folder.write("net.json", serde_json::to_string(&listing).unwrap());
        let names: Vec<[String; 2]> = (0..2)
            .map(|i| ["A", "B"].map(|kind| format!("base_model.model.{named}.{i}.self_attn.q_proj.lora_{kind}.weight")))
            .collect();
        let down: &[usize] = &[1, 4];
        let up: &[usize] = &[3, 1];
        let all: Vec<(&str, &[usize], Vec<f32>)> = names
            .iter()
            .flat_map(|[a, b]| [(a.as_str(), down, vec![1.0, 0.0, 0.0, 0.5]), (b.as_str(), up, vec![1.0, 2.0, 4.0])])
            .collect();
        adapter(&folder, &all, json!({ "layers_to_transform": [0, 1] }));
        let run = folder.xfer(&[
            "init", "--from", "base=base.safetensors", "--from", "adapter=adapter", "--arch", "net.json", "--out",
            "out",
        ]);
        assert_eq!(run.code, 0, "{stored} {named}: {}", run.stderr);
        let out = tensors(&folder.path("out"));
        // scale 2
        let right = vec![2.0, 1.0, 2.0, 4.0, 8.0, 5.0, 6.0, 9.0, 16.0, 9.0, 10.0, 15.0];
        assert_eq!((f32s(&out[&w0].2), f32s(&out[&w1].2), f32s(&out[vision].2)), (right.clone(), right, values));
    }
}

#[test]
fn experts_that_are_stored_one_by_one_are_merged_one_by_one() {
    let folder = Folder::new();
    publish(&folder, "families", "mixtral.safetensors", None);
    let base = tensors(&folder.path("base"));
    let targets: Vec<&String> = base.keys().filter(|name| name.ends_with(".w2.weight")).collect();
    assert!(targets.len() >= 4, "{targets:?}");
    let files: Vec<[Owned; 2]> = targets
        .iter()
        .map(|name| {
            let shape = &base[*name].1;
            let module = format!("base_model.model.{}", name.strip_suffix(".weight").unwrap());
            [
                (format!("{module}.lora_A.weight"), vec![1, shape[1]], ones(shape[1])),
                (format!("{module}.lora_B.weight"), vec![shape[0], 1], ones(shape[0])),
            ]
        })
        .collect();
    let all: Vec<(&str, &[usize], Vec<f32>)> =
        files.iter().flatten().map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone())).collect();
    adapter(&folder, &all, json!({ "target_modules": ["w2"] }));
    merge(&folder, "adapter").exits(0);
    let out = tensors(&folder.path("out"));
    for (name, (_, shape, bytes)) in &out {
        let before = f32s(&base[name].2);
        let is_target = targets.contains(&name);
        for (at, (found, before)) in f32s(bytes).into_iter().zip(before).enumerate() {
            let change =
                if is_target { 2.0 * ones(shape[0])[at / shape[1]] * ones(shape[1])[at % shape[1]] } else { 0.0 };
            assert!((found - before - change).abs() < 1e-5, "{name} {at}");
        }
    }
}

#[test]
fn a_head_that_was_trained_apart_from_its_embedding_does_not_go_into_a_tied_model() {
    let folder = Folder::new();
    publish(&folder, "llama", "llama.safetensors", None);
    let base = tensors(&folder.path("base"));
    let shape = base["model.embed_tokens.weight"].1.clone();
    let values = vec![0.5; shape.iter().product()];
    for (key, module) in [("lm_head", "lm_head"), ("embed_tokens", "model.embed_tokens")] {
        let name = format!("base_model.model.{module}.weight");
        adapter(&folder, &[(&name, &shape, values.clone())], json!({ "modules_to_save": [key] }));
        merge(&folder, "adapter").exits(4).complains("lm_head.weight");
        // an untied model has a place for both
        let mut config = parsed(folder.path("base/config.json").to_str().unwrap());
        config["tie_word_embeddings"] = json!(false);
        folder.write("untied/config.json", config.to_string());
        let out = format!("out_{key}");
        let run = folder
            .xfer(&["init", "--from", "base=base", "--from", "adapter=adapter", "--arch", "untied", "--out", &out]);
        run.exits(0);
        let found = tensors(&folder.path(&out));
        let (own, other) =
            if key == "lm_head" { ("lm_head", "model.embed_tokens") } else { ("model.embed_tokens", "lm_head") };
        assert_eq!(f32s(&found[&format!("{own}.weight")].2), values);
        assert_eq!(found[&format!("{other}.weight")].2, base["model.embed_tokens.weight"].2);
    }
}

#[test]
fn two_adapters_on_one_base_are_refused() {
    let folder = Folder::new();
    publish(&folder, "llama", "llama_untied.safetensors", None);
    let (a, b) = (format!("a={}", fixture("peft/variants/dora")), format!("b={}", fixture("peft/variants/rslora")));
    let run =
        folder.xfer(&["init", "--from", "base=base", "--from", &a, "--from", &b, "--arch", "arch", "--out", "out"]);
    run.exits(3).complains("it takes one base and one adapter");
}
