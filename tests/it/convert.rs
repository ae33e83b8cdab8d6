//! `xfer convert` as a user sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use crate::support::command::{Folder, contents, fixture, names, safetensors_file, tensors};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

fn tiny() -> String {
    fixture("tiny-bert")
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn a_directory_is_copied_with_its_config_and_tokenizer_and_verifies() {
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny(), "out"]).exits(0).prints("out is written");
    assert_eq!(tensors(&folder.path("out")), tensors(tiny().as_ref()));
    let (before, after) = (contents(tiny().as_ref()), contents(&folder.path("out")));
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    folder.xfer(&["verify", "out"]).exits(0);
    folder.xfer(&["diff", &tiny(), "out", "--values"]).exits(0);
    folder.xfer(&["convert", &tiny(), "out"]).exits(0).prints("already up to date");
    assert_eq!(folder.names(), ["out"]);
}

#[test]
fn floats_are_rounded_to_nearest_and_the_config_says_so() {
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny(), "out", "--dtype", "bf16"]).exits(0);
    let stored = tensors(tiny().as_ref());
    let written = tensors(&folder.path("out"));
    assert_eq!(written.len(), stored.len());
    for (name, (dtype, shape, bytes)) in &written {
        assert_eq!((dtype, shape), (&Dtype::BF16, &stored[name].1), "{name}");
        let rounded: Vec<u8> =
            f32s(&stored[name].2).iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect();
        assert_eq!(*bytes, rounded, "{name}");
    }
    let config: serde_json::Value = serde_json::from_slice(&contents(&folder.path("out"))["config.json"]).unwrap();
    assert_eq!(config["dtype"], "bfloat16");
    folder.xfer(&["verify", "out"]).exits(0);
}

#[test]
fn a_file_is_one_file_and_nothing_else() {
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny(), "new/one.safetensors"]).exits(0);
    assert_eq!(names(&folder.path("new")), ["one.safetensors"]);
    assert_eq!(tensors(&folder.path("new")), tensors(tiny().as_ref()));
    folder.xfer(&["convert", &tiny(), "new/one.safetensors"]).exits(0).prints("already up to date");
}

#[test]
fn a_file_that_is_another_is_replaced_by_force_alone() {
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny(), "one.safetensors"]).exits(0);
    let honest = fs::read(folder.path("one.safetensors")).unwrap();
    let mut bytes = honest.clone();
    *bytes.last_mut().unwrap() ^= 1;
    folder.write("one.safetensors", &bytes);
    folder.xfer(&["convert", &tiny(), "one.safetensors"]).exits(3).complains("--force");
    assert_eq!(fs::read(folder.path("one.safetensors")).unwrap(), bytes);
    folder.xfer(&["convert", &tiny(), "one.safetensors", "--force"]).exits(0);
    assert_eq!(fs::read(folder.path("one.safetensors")).unwrap(), honest);
    assert_eq!(folder.names(), ["one.safetensors"]);
}

#[test]
fn shards_come_together_again() {
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny(), "shards", "--max-shard-size", "20KB"]).exits(0);
    assert!(names(&folder.path("shards")).contains(&"model.safetensors.index.json".to_string()));
    assert!(names(&folder.path("shards")).iter().filter(|name| name.ends_with(".safetensors")).count() > 1);
    folder.xfer(&["convert", "shards", "whole"]).exits(0);
    assert_eq!(tensors(&folder.path("whole")), tensors(tiny().as_ref()));
    let file = ["convert", "shards", "one.safetensors", "--max-shard-size", "20KB"];
    folder.xfer(&file).exits(2).complains("--max-shard-size");
}

#[test]
fn integers_packed_types_and_their_scales_are_never_cast() {
    let folder = Folder::new();
    let (ids, packed) = (3i64.to_le_bytes(), [1u8, 2]);
    let (scale, plain) = (0.1f32.to_le_bytes(), 0.1f32.to_le_bytes());
    let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    let views = [
        ("ids", view(Dtype::I64, &[1], &ids[..])),
        ("a.weight", view(Dtype::F8_E4M3, &[2], &packed[..])),
        ("a.weight_scale", view(Dtype::F32, &[1], &scale[..])),
        ("b.weight", view(Dtype::F32, &[1], &plain[..])),
    ];
    folder.write("in.safetensors", safetensors::serialize(views, None).unwrap());
    let run = folder.xfer(&["convert", "in.safetensors", "out", "--dtype", "f16"]).exits(0);
    run.complains("3 tensors are not cast to f16").complains("ids (i64").complains("a.weight_scale (f32");
    let written = tensors(&folder.path("out"));
    let kinds: Vec<Dtype> = written.values().map(|(dtype, _, _)| *dtype).collect();
    assert_eq!(kinds, [Dtype::F8_E4M3, Dtype::F32, Dtype::F16, Dtype::I64], "a.weight, its scale, b.weight, ids");
    assert_eq!(written["a.weight_scale"].2, scale);
}

#[test]
fn batch_norm_statistics_stay_wide() {
    let folder = Folder::new();
    let file = safetensors_file(&[("bn.running_var", &[1], vec![1e-30]), ("bn.weight", &[1], vec![1.0])]);
    folder.write("in.safetensors", file);
    folder.xfer(&["convert", "in.safetensors", "out", "--dtype", "f16"]).exits(0);
    let written = tensors(&folder.path("out"));
    assert_eq!((written["bn.running_var"].0, written["bn.weight"].0), (Dtype::F32, Dtype::F16));
}

#[test]
fn overflow_is_refused_unless_it_is_allowed() {
    let folder = Folder::new();
    folder.write("in.safetensors", safetensors_file(&[("w", &[2], vec![70_000.0, 1.0])]));
    let command = ["convert", "in.safetensors", "out", "--dtype", "f16"];
    folder.xfer(&command).exits(3).complains("tensor w: 1 finite");
    assert_eq!(folder.names(), ["in.safetensors"]);
    folder.xfer(&[&command[..], &["--allow-overflow"]].concat()).exits(0);
    assert!(half::f16::from_le_bytes(tensors(&folder.path("out"))["w"].2[..2].try_into().unwrap()).is_infinite());
}

#[test]
fn only_some_tensors_are_written_and_the_report_lists_the_others() {
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny(), "out", "--only", "bert.embeddings.**"]).exits(0);
    let all = tensors(tiny().as_ref());
    let expected: Vec<&String> = all.keys().filter(|name| name.starts_with("bert.embeddings.")).collect();
    let written = tensors(&folder.path("out"));
    assert_eq!(written.keys().collect::<Vec<_>>(), expected);
    let report: serde_json::Value = serde_json::from_slice(&contents(&folder.path("out"))["xfer.json"]).unwrap();
    assert_eq!(report["unused"].as_array().unwrap().len(), all.len() - written.len());
    folder.xfer(&["convert", &tiny(), "none", "--only", "bert.embedings.**"]).exits(3).complains("bert.embedings.**");
    let optional = ["convert", &tiny(), "bias", "--only", "?bert.embedings.**", "--only", "cls.predictions.bias"];
    folder.xfer(&optional).exits(0);
    assert_eq!(tensors(&folder.path("bias")).into_keys().collect::<Vec<_>>(), ["cls.predictions.bias"]);
    assert_eq!(folder.names(), ["bias", "out"]);
}

#[test]
fn a_format_that_is_not_written_is_said_to_be_so() {
    let folder = Folder::new();
    for name in ["x.gguf", "x.onnx", "x.h5", "x.zip"] {
        folder.xfer(&["convert", &tiny(), name]).exits(2).complains(name).complains("x.safetensors");
    }
    assert!(folder.names().is_empty());
    folder.xfer(&["convert", &tiny(), "tiny-1.5"]).exits(0);
    folder.xfer(&["convert", &tiny(), "odd.pt/"]).exits(0);
    assert_eq!(folder.names(), ["odd.pt", "tiny-1.5"]);
}

#[test]
fn nothing_scalars_and_empty_tensors_are_written_too() {
    let folder = Folder::new();
    folder.write("none.safetensors", safetensors_file(&[]));
    folder.xfer(&["convert", "none.safetensors", "none", "--dtype", "f16"]).exits(0).complains("no config.json");
    assert!(tensors(&folder.path("none")).is_empty());
    folder.write("some.safetensors", safetensors_file(&[("scalar", &[], vec![1.5]), ("empty", &[0, 4], Vec::new())]));
    folder.xfer(&["convert", "some.safetensors", "some", "--dtype", "f16"]).exits(0);
    let written = tensors(&folder.path("some"));
    assert_eq!(written["scalar"], (Dtype::F16, vec![], half::f16::from_f32(1.5).to_le_bytes().to_vec()));
    assert_eq!(written["empty"], (Dtype::F16, vec![0, 4], vec![]));
}

#[test]
fn a_source_is_needed() {
    let folder = Folder::new();
    folder.xfer(&["convert", "none", "out"]).exits(2);
    folder.xfer(&["convert", "./nowhere", "out"]).exits(5).complains("nowhere");
}

#[test]
fn a_dialect_is_written_and_read_back_the_same() {
    let folder = Folder::new();
    let (old, new) = (fixture("tiny-bert-old"), tiny());
    folder.xfer(&["convert", &new, "old", "--to", "gamma_beta"]).exits(0);
    let (written, stored) = (tensors(&folder.path("old")), tensors(new.as_ref()));
    let named = |name: &str| {
        let (path, last) = name.rsplit_once('.').unwrap();
        let is_norm = path.ends_with("LayerNorm");
        let last = if is_norm { last.replace("weight", "gamma").replace("bias", "beta") } else { last.into() };
        format!("{path}.{last}")
    };
    assert_eq!(written.keys().cloned().collect::<Vec<_>>(), {
        let mut names: Vec<String> = stored.keys().map(|name| named(name)).collect();
        names.sort();
        names
    });
    assert!(stored.iter().all(|(name, tensor)| written[&named(name)] == *tensor));
    folder.xfer(&["inspect", "old"]).exits(0).prints("gamma_beta");
    folder.xfer(&["convert", "old", "back", "--to", "hf"]).exits(0);
    assert_eq!(tensors(&folder.path("back")), stored);
    folder.xfer(&["convert", &old, "same", "--to", "gamma_beta"]).exits(0);
    assert_eq!(tensors(&folder.path("same")), tensors(old.as_ref()));
    folder.xfer(&["convert", &new, "none", "--to", "gammabeta"]).exits(3).complains("hf, gamma_beta");
}

#[test]
fn a_dialect_needs_a_family() {
    let folder = Folder::new();
    folder.write("w.safetensors", safetensors_file(&[("w", &[1], vec![1.0])]));
    folder.xfer(&["convert", "w.safetensors", "out", "--to", "hf"]).exits(3).complains("no family");
}

/// A directory of a fixture's weights with the config of one of its runs.
fn model(folder: &Folder, name: &str, family: &str, weights: &str, run: &str) {
    let runs: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture(&format!("{family}/runs.json"))).unwrap()).unwrap();
    let run = runs.as_array().unwrap().iter().find(|one| one["name"] == run).unwrap();
    folder.write(&format!("{name}/config.json"), run["config"].to_string());
    folder.write(&format!("{name}/model.safetensors"), fs::read(fixture(&format!("{family}/{weights}"))).unwrap());
}

#[test]
fn llama_goes_to_metas_spelling_and_back() {
    let folder = Folder::new();
    model(&folder, "ours", "llama", "llama_untied.safetensors", "llama_untied");
    model(&folder, "theirs", "llama", "meta.safetensors", "llama_untied");
    folder.xfer(&["convert", "ours", "to-meta", "--to", "meta"]).exits(0);
    assert_eq!(tensors(&folder.path("to-meta")), tensors(&folder.path("theirs")));
    folder.xfer(&["convert", "theirs", "to-hf", "--to", "hf"]).exits(0);
    assert_eq!(tensors(&folder.path("to-hf")), tensors(&folder.path("ours")));
    folder.xfer(&["verify", "to-meta"]).exits(0);
}

#[test]
fn gpt2_goes_to_nanogpts_layout_and_back() {
    let folder = Folder::new();
    model(&folder, "ours", "gpt2", "language_model.safetensors", "language_model");
    model(&folder, "theirs", "gpt2", "nanogpt.safetensors", "language_model");
    folder.xfer(&["convert", "ours", "to-nano", "--to", "nanogpt"]).exits(0);
    let theirs = tensors(&folder.path("theirs"));
    for (name, tensor) in tensors(&folder.path("to-nano")) {
        assert_eq!(tensor, theirs[&format!("_orig_mod.{name}")], "{name}");
    }
    folder.xfer(&["convert", "theirs", "to-hf", "--to", "hf"]).exits(0);
    let back = tensors(&folder.path("to-hf"));
    for (name, tensor) in tensors(&folder.path("ours")) {
        assert_eq!(back[&format!("_orig_mod.{name}")], tensor, "{name}");
    }
    folder.xfer(&["convert", "theirs", "as-it-is", "--to", "nanogpt"]).exits(0);
    assert_eq!(tensors(&folder.path("as-it-is")), theirs);
}

#[test]
fn a_layout_is_not_guessed_without_the_config_that_it_follows_from() {
    let folder = Folder::new();
    let file = fixture("llama/llama_untied.safetensors");
    let run = folder.xfer(&["convert", &file, "out", "--to", "meta"]).exits(3);
    run.complains("llama follows from its config, and the source has none");
}

#[test]
fn a_pickle_becomes_safetensors_with_the_same_values() {
    let folder = Folder::new();
    let pickle = fixture("torch/plain.pt");
    folder.xfer(&["convert", &pickle, "out"]).exits(0);
    assert!(!tensors(&folder.path("out")).is_empty());
    folder.xfer(&["diff", &pickle, "out", "--values"]).exits(0);
}

/// Every fixture that is a whole model: its folder and what its `runs.json` says of it.
fn models() -> Vec<(std::path::PathBuf, serde_json::Value)> {
    let mut models = Vec::new();
    for folder in ["families", "llama", "gpt2", "bert"] {
        let folder = std::path::PathBuf::from(fixture(folder));
        let runs: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("runs.json")).unwrap()).unwrap();
        models.extend(runs.as_array().unwrap().iter().map(|run| (folder.clone(), run.clone())));
    }
    models
}

#[test]
fn every_dialect_of_every_family_and_back_is_the_identity() {
    let mut taken = std::collections::BTreeSet::new();
    for (source, run) in models() {
        let model_type = run["config"]["model_type"].as_str().unwrap();
        let family = xfer::family::by_model_type(model_type).unwrap();
        // the encoder stands at the root here, and OpenAI publishes no such model
        let is_audio = run["config"]["architectures"][0] == "WhisperForAudioClassification";
        for dialect in family.dialects().iter().filter(|_| !is_audio) {
            let folder = Folder::new();
            folder.write("model/config.json", run["config"].to_string());
            let weights = fs::read(source.join(run["weights"].as_str().unwrap())).unwrap();
            folder.write("model/model.safetensors", weights);
            folder.xfer(&["convert", "model", "theirs", "--to", dialect.name, "--no-sync"]).exits(0);
            folder.xfer(&["convert", "theirs", "back", "--to", "hf", "--no-sync"]).exits(0);
            let (before, theirs, after) =
                (tensors(&folder.path("model")), tensors(&folder.path("theirs")), tensors(&folder.path("back")));
            assert_eq!(
                before.keys().collect::<Vec<_>>(),
                after.keys().collect::<Vec<_>>(),
                "{model_type} {}",
                dialect.name
            );
            for (name, (dtype, shape, bytes)) in &before {
                assert_eq!((dtype, shape), (&after[name].0, &after[name].1), "{name}");
                // one way and back a norm around 0 is rounded twice
                let is_shifted = dialect.name == "gguf" && model_type.starts_with("gemma") && name.contains("norm");
                let far = f32s(bytes).iter().zip(f32s(&after[name].2)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(if is_shifted { far < 3e-7 } else { *bytes == after[name].2 }, "{name} of {model_type}: {far}");
            }
            // and as a source of its own it fills what it came from
            folder.xfer(&["init", "--from", "theirs", "--arch", "model", "--out", "filled", "--no-sync"]).exits(0);
            let filled = tensors(&folder.path("filled"));
            for (name, tensor) in &filled {
                assert!(*tensor == after[name], "{name} of {model_type} by way of {}", dialect.name);
            }
            assert!(before.len() - filled.len() <= 1, "{model_type}");
            // a class may have none of the names that differ
            if before != theirs {
                taken.insert((family.name(), dialect.name));
            }
        }
    }
    let all =
        xfer::family::FAMILIES.iter().flat_map(|family| family.dialects().iter().map(|d| (family.name(), d.name)));
    assert_eq!(taken, all.collect());
}

#[test]
fn a_gguf_becomes_a_directory_of_hugging_face_with_a_config() {
    for name in ["llama_untied", "qwen3", "phi3", "gemma", "gemma3"] {
        let folder = Folder::new();
        let file = fixture("gguf") + &format!("/{name}.gguf");
        folder.xfer(&["convert", &file, "out", "--to", "hf"]).exits(0);
        let config: serde_json::Value = serde_json::from_slice(&contents(&folder.path("out"))["config.json"]).unwrap();
        folder
            .write("expected/model.safetensors", fs::read(fixture("llama") + &format!("/{name}.safetensors")).unwrap());
        let (expected, found) = (tensors(&folder.path("expected")), tensors(&folder.path("out")));
        let mut expected = expected;
        expected.retain(|key, _| !key.starts_with("score."));
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
        for (key, (_, _, bytes)) in &expected {
            let far = f32s(bytes).iter().zip(f32s(&found[key].2)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far <= if name.starts_with("gemma") { 3e-7 } else { 0.0 }, "{name} {key}: {far}");
        }
        assert_eq!((&config["hidden_size"], &config["num_key_value_heads"]), (&16.into(), &2.into()), "{name}");
        // and it is a source like any other
        folder.xfer(&["init", "--from", &file, "--arch", "out/config.json", "--out", "again"]).exits(0);
        assert_eq!(tensors(&folder.path("again")), found, "{name}");
    }
}

/// A file with every element type that PyTorch and NumPy have in common, a scalar, and tensors without elements.
fn all_types() -> Vec<u8> {
    let types = [
        ("bool", Dtype::BOOL, 1),
        ("u8", Dtype::U8, 1),
        ("i8", Dtype::I8, 1),
        ("i16", Dtype::I16, 2),
        ("i32", Dtype::I32, 4),
        ("i64", Dtype::I64, 8),
        ("f16", Dtype::F16, 2),
        ("f32", Dtype::F32, 4),
        ("f64", Dtype::F64, 8),
        ("c64", Dtype::C64, 8),
    ];
    let mut stored: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, dtype, size) in types {
        // bytes that are possible in every type: a bool is 0 or 1
        let bytes: Vec<u8> = (0..6 * size).map(|i| if name == "bool" { i as u8 % 2 } else { i as u8 * 3 }).collect();
        stored.push((format!("layers.0.{name}"), dtype, vec![2, 3], bytes));
        stored.push((format!("scalar.{name}"), dtype, vec![], vec![1; size]));
        stored.push((format!("empty.{name}"), dtype, vec![3, 0], Vec::new()));
    }
    let views = stored
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
}

#[test]
fn a_file_of_pytorch_or_numpy_and_back_is_the_identity() {
    let folder = Folder::new();
    folder.write("all/all.safetensors", all_types());
    for archive in ["one.pt", "one.pth", "one.bin", "one.ckpt", "one.npz"] {
        folder.xfer(&["convert", "all/all.safetensors", archive]).exits(0);
        folder.xfer(&["convert", archive, "back/back.safetensors", "--force"]).exits(0);
        assert_eq!(tensors(&folder.path("back")), tensors(&folder.path("all")), "{archive}");
        folder.xfer(&["convert", "all/all.safetensors", archive]).exits(0).prints("already up to date");
        folder.xfer(&["convert", &tiny(), archive]).exits(3);
        folder.xfer(&["convert", &tiny(), archive, "--force"]).exits(0);
        folder.xfer(&["diff", &tiny(), archive, "--values"]).exits(0);
    }
}

#[test]
fn a_type_that_a_format_lacks_is_named_with_the_tensor() {
    let folder = Folder::new();
    folder.xfer(&["convert", &tiny(), "half", "--dtype", "bf16"]).exits(0);
    let run = folder.xfer(&["convert", "half", "half.npz"]).exits(3);
    run.complains("NumPy's format has no bf16: tensor bert.").complains("hint: --dtype f32");
    folder.xfer(&["convert", "half", "half.npz", "--dtype", "f32"]).exits(0);
    folder.xfer(&["convert", "half", "half.pt"]).exits(0);
    assert!(!folder.names().contains(&"half.npz.xfer".to_string()));
}

#[test]
fn an_archive_has_the_same_bytes_on_any_number_of_threads() {
    let folder = Folder::new();
    for threads in ["1", "3"] {
        folder.xfer(&["convert", &tiny(), &format!("{threads}.pt"), "--threads", threads]).exits(0);
        folder.xfer(&["convert", &tiny(), &format!("{threads}.npz"), "--threads", threads]).exits(0);
    }
    let all = contents(&folder.path("."));
    assert_eq!(all["1.pt"], all["3.pt"]);
    assert_eq!(all["1.npz"], all["3.npz"]);
}

#[test]
fn fused_projections_are_not_cut_without_the_heads_that_they_follow_from() {
    let folder = Folder::new();
    let (source, run) = models().into_iter().find(|(_, run)| run["weights"] == "phi3.safetensors").unwrap();
    folder.write("phi/model.safetensors", fs::read(source.join("phi3.safetensors")).unwrap());
    let mut llama = run["config"].clone();
    llama["model_type"] = "llama".into();
    llama["architectures"] = serde_json::json!(["LlamaForCausalLM"]);
    folder.write("llama.json", llama.to_string());
    let init = ["init", "--from", "phi", "--arch", "llama.json", "--out", "out"];
    folder.xfer(&init).exits(3).complains("heads");
    // with its config it is the same network under other names
    folder.write("phi/config.json", run["config"].to_string());
    folder.xfer(&init).exits(0);
    let (before, after) = (tensors(&folder.path("phi")), tensors(&folder.path("out")));
    let rows = |name: &str, from: usize, to: usize| before[name].2[from * 16 * 4..to * 16 * 4].to_vec();
    let qkv = "model.layers.1.self_attn.qkv_proj.weight";
    // four heads of six, two of keys and values
    assert_eq!(after["model.layers.1.self_attn.q_proj.weight"].2, rows(qkv, 0, 24));
    assert_eq!(after["model.layers.1.self_attn.k_proj.weight"].2, rows(qkv, 24, 36));
    assert_eq!(after["model.layers.1.self_attn.v_proj.weight"].2, rows(qkv, 36, 48));
    assert_eq!(after["model.layers.1.mlp.up_proj.weight"].2, rows("model.layers.1.mlp.gate_up_proj.weight", 20, 40));
}

#[test]
fn token_types_that_fairseq_does_without_are_zeros() {
    let folder = Folder::new();
    let all = models();
    let (source, run) = all.iter().find(|(_, run)| run["config"]["model_type"] == "roberta").unwrap();
    let mut config = run["config"].clone();
    config["type_vocab_size"] = 1.into();
    folder.write("model/config.json", config.to_string());
    folder.write("model/model.safetensors", fs::read(source.join(run["weights"].as_str().unwrap())).unwrap());
    let without = ["--only", "**.{p}", "--to", "fairseq"];
    folder.xfer(&[&["convert", "model", "theirs"][..], &without].concat()).exits(0);
    // fairseq has no such table
    let lean = ["convert", "theirs", "lean", "--only", "decoder.**"];
    folder.xfer(&lean).exits(0);
    folder.write("lean/config.json", config.to_string());
    let name = "roberta.embeddings.token_type_embeddings.weight";
    assert!(!tensors(&folder.path("lean")).contains_key(name));
    folder.xfer(&["convert", "lean", "hf", "--to", "hf"]).exits(0);
    folder.xfer(&["init", "--from", "lean", "--arch", "lean/config.json", "--out", "init", "--new", "**"]).exits(0);
    for out in ["hf", "init"] {
        let (_, shape, bytes) = &tensors(&folder.path(out))[name];
        assert_eq!((shape.as_slice(), bytes.iter().all(|byte| *byte == 0)), (&[1, 24][..], true), "{out}");
    }
    folder.xfer(&["diff", "lean", "hf", "--values"]).exits(0).prints("and values");
}

#[test]
fn openais_gpt2_needs_no_config_beside_it_to_be_a_source() {
    let folder = Folder::new();
    model(&folder, "ours", "gpt2", "language_model.safetensors", "language_model");
    folder.xfer(&["convert", "ours", "theirs.safetensors", "--to", "openai"]).exits(0);
    folder.xfer(&["inspect", "theirs.safetensors"]).exits(0).prints("family gpt2 (openai)");
    folder
        .xfer(&["init", "--from", "theirs.safetensors", "--arch", "ours", "--out", "back"])
        .exits(0)
        .prints("(100 %)");
    let (before, back) = (tensors(&folder.path("ours")), tensors(&folder.path("back")));
    assert_eq!(back, before);
}
