//! A part is not a model: its other parts are read too, or it is refused and named as a part.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::{Folder, fixture, names, safetensors_file, tensors};
use serde_json::{Value as Json, json};

type Stored = BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>;

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn publish(folder: &Folder, of: &str, weights: &str) -> Json {
    let source = PathBuf::from(fixture(of));
    let runs: Json = serde_json::from_slice(&fs::read(source.join("runs.json")).unwrap()).unwrap();
    let run = runs.as_array().unwrap().iter().find(|run| run["weights"] == weights).unwrap();
    folder.write("base/config.json", run["config"].to_string());
    folder.write("base/model.safetensors", fs::read(source.join(weights)).unwrap());
    run["config"].clone()
}

fn copy(folder: &Folder, from: &str, to: &str) {
    folder.write(to, fs::read(folder.path(from)).unwrap());
}

/// A matrix's piece of a rank: some of its rows, or of its columns.
fn piece(shape: &[usize], values: &[f32], axis: usize, rank: usize, ranks: usize) -> (Vec<usize>, Vec<f32>) {
    let (rows, columns) = (shape[0], shape[1]);
    if axis == 0 {
        let each = rows / ranks;
        return (vec![each, columns], values[rank * each * columns..(rank + 1) * each * columns].to_vec());
    }
    let each = columns / ranks;
    let of = |row: usize| values[row * columns + rank * each..row * columns + (rank + 1) * each].to_vec();
    (vec![rows, each], (0..rows).flat_map(of).collect())
}

/// Llama as Meta publishes it, in so many parts; `vocabulary` is the axis along which the embedding is split.
fn meta_parts(folder: &Folder, ranks: usize, vocabulary: usize, ending: &str, into: &str) -> Stored {
    let config = publish(folder, "llama", "llama_untied.safetensors");
    let (rows, heads, kv) =
        (32, config["num_attention_heads"].as_u64().unwrap(), config["num_key_value_heads"].as_u64().unwrap());
    // a vocabulary that divides by the parts
    let mut base = tensors(&folder.path("base"));
    for name in ["model.embed_tokens.weight", "lm_head.weight"] {
        let (_, shape, bytes) = base.get_mut(name).unwrap();
        bytes.extend((shape[0] * shape[1]..rows * shape[1]).flat_map(|i| (i as f32 * 0.01).to_le_bytes()));
        shape[0] = rows;
    }
    let all: Vec<(&str, &[usize], Vec<f32>)> =
        base.iter().map(|(name, (_, shape, bytes))| (name.as_str(), shape.as_slice(), f32s(bytes))).collect();
    folder.write("whole/model.safetensors", safetensors_file(&all));
    let mut whole = config.clone();
    whole["vocab_size"] = json!(rows);
    folder.write("whole/config.json", whole.to_string());
    folder.xfer(&["convert", "whole", "meta", "--to", "meta"]).exits(0);
    let meta = tensors(&folder.path("meta"));
    for rank in 0..ranks {
        let axis = |name: &str| match name {
            _ if name.contains("tok_embeddings") => vocabulary,
            _ if name.contains(".wo.") || name.contains(".w2.") => 1,
            _ => 0,
        };
        let pieces: Vec<(&str, Vec<usize>, Vec<f32>)> = meta
            .iter()
            .map(|(name, (_, shape, bytes))| match shape.as_slice() {
                [_, _] => {
                    let (shape, values) = piece(shape, &f32s(bytes), axis(name), rank, ranks);
                    (name.as_str(), shape, values)
                }
                _ => (name.as_str(), shape.clone(), f32s(bytes)),
            })
            .collect();
        let file: Vec<(&str, &[usize], Vec<f32>)> =
            pieces.iter().map(|(name, shape, values)| (*name, shape.as_slice(), values.clone())).collect();
        folder.write("piece.safetensors", safetensors_file(&file));
        let name = format!("{into}/consolidated.{rank:02}.{ending}");
        folder.write(&format!("{into}/empty"), "");
        match ending {
            "safetensors" => copy(folder, "piece.safetensors", &name),
            _ => drop(folder.xfer(&["convert", "piece.safetensors", &name]).exits(0)),
        }
    }
    let params = json!({ "dim": config["hidden_size"], "n_layers": config["num_hidden_layers"], "n_heads": heads, "n_kv_heads": kv,
        "head_dim": config["head_dim"], "vocab_size": rows, "norm_eps": 1e-5, "multiple_of": 1 });
    folder.write(&format!("{into}/params.json"), params.to_string());
    meta
}

#[test]
fn metas_parts_are_concatenated_along_the_axis_that_each_matrix_was_split_over() {
    for (ranks, vocabulary, ending) in [(2, 0, "pth"), (2, 1, "safetensors"), (2, 0, "safetensors"), (2, 0, "pt")] {
        let folder = Folder::new();
        let meta = meta_parts(&folder, ranks, vocabulary, ending, "parts");
        for source in ["parts".to_string(), format!("parts/consolidated.01.{ending}")] {
            folder.xfer(&["convert", &source, "joined", "--force"]).exits(0).complains("2 model-parallel parts");
            assert_eq!(tensors(&folder.path("joined")), meta, "{ranks} {vocabulary} {source}");
            fs::remove_dir_all(folder.path("joined")).unwrap();
        }
        folder.xfer(&["convert", "parts", "hf", "--to", "hf"]).exits(0);
        assert_eq!(tensors(&folder.path("hf")), tensors(&folder.path("whole")), "{ranks} {vocabulary}");
        folder.xfer(&["init", "--from", "parts", "--arch", "whole/config.json", "--out", "out"]).exits(0);
        assert_eq!(tensors(&folder.path("out")), tensors(&folder.path("whole")));
    }
}

#[test]
fn one_of_metas_parts_alone_is_refused_and_shown() {
    for (vocabulary, ending) in [(0, "pth"), (1, "safetensors")] {
        let folder = Folder::new();
        let (one, two) = (format!("consolidated.00.{ending}"), format!("consolidated.01.{ending}"));
        meta_parts(&folder, 2, vocabulary, ending, "parts");
        copy(&folder, &format!("parts/{two}"), &format!("alone/{one}"));
        copy(&folder, "parts/params.json", "alone/params.json");
        for source in ["alone".to_string(), format!("alone/{one}")] {
            folder.xfer(&["convert", &source, "out"]).exits(3).complains("one of 2 model-parallel parts");
            folder.xfer(&["init", "--from", &source, "--arch", "whole/config.json", "--out", "out"]).exits(3);
            folder.xfer(&["inspect", &source]).exits(0).complains(&format!("warning: {one} is one of 2"));
        }
        // also under another name
        let other = format!("llama.{ending}");
        fs::rename(folder.path(&format!("alone/{one}")), folder.path(&format!("alone/{other}"))).unwrap();
        folder.xfer(&["convert", "alone", "out"]).exits(3).complains(&format!("{other} is one of 2"));
        // a part between others
        copy(&folder, &format!("parts/{one}"), &format!("gap/{one}"));
        copy(&folder, &format!("parts/{two}"), &format!("gap/consolidated.02.{ending}"));
        folder.xfer(&["convert", "gap", "out"]).exits(3).complains(&format!("{two} is missing"));
        assert!(!folder.names().contains(&"out".to_string()));
    }
}

#[test]
fn parts_of_two_models_are_not_joined() {
    let folder = Folder::new();
    meta_parts(&folder, 2, 0, "safetensors", "parts");
    let path = folder.path("parts/consolidated.01.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let entries: Json = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let begin = entries["norm.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[8 + header + begin] ^= 1;
    fs::write(&path, bytes).unwrap();
    let run = folder.xfer(&["convert", "parts", "out"]);
    run.exits(3).complains("norm.weight").complains("consolidated.00").complains("consolidated.01");
    assert!(!folder.names().contains(&"out".to_string()));
}

/// The base in shards with an index; the names of the shards.
fn shards(folder: &Folder) -> Vec<String> {
    publish(folder, "llama", "llama_untied.safetensors");
    folder.xfer(&["convert", "base", "sharded", "--max-shard-size", "6kB"]).exits(0);
    let is_shard = |name: &String| name.ends_with(".safetensors");
    let found: Vec<String> = names(&folder.path("sharded")).into_iter().filter(is_shard).collect();
    assert!(found.len() >= 3, "{found:?}");
    found
}

const INDEX: &str = "sharded/model.safetensors.index.json";

#[test]
fn one_shard_that_is_named_is_followed_to_all_of_them_with_and_without_the_index() {
    let folder = Folder::new();
    let files = shards(&folder);
    let base = tensors(&folder.path("base"));
    let all_of = |source: &str| {
        folder.xfer(&["convert", source, "out.safetensors"]).exits(0).complains("all its");
        folder.write("found/model.safetensors", fs::read(folder.path("out.safetensors")).unwrap());
        assert_eq!(tensors(&folder.path("found")), base, "{source}");
        fs::remove_file(folder.path("out.safetensors")).unwrap();
        folder.xfer(&["init", "--from", source, "--arch", "base/config.json", "--out", "out"]).exits(0);
        assert_eq!(tensors(&folder.path("out")), base, "{source}");
        fs::remove_dir_all(folder.path("out")).unwrap();
    };
    let sources: Vec<String> = files.iter().map(|file| format!("sharded/{file}")).collect();
    sources.iter().for_each(|source| all_of(source));
    let index = fs::read(folder.path(INDEX)).unwrap();
    fs::remove_file(folder.path(INDEX)).unwrap();
    sources.iter().for_each(|source| all_of(source));
    // one shown is one shown
    let shown = folder.xfer(&["inspect", &sources[1], "--json"]).exits(0).complains("is a part of a model");
    assert!(shown.json()["tensors"].as_array().unwrap().len() < base.len());
    folder.xfer(&["diff", &sources[0], "base"]).exits(4).complains("is a part of a model");
    // without one of the others each is refused, and names it
    fs::remove_file(folder.path(&sources[1])).unwrap();
    for (place, source) in sources.iter().enumerate().filter(|(place, _)| *place != 1) {
        folder.xfer(&["convert", source, "out.safetensors"]).exits(3).complains(&files[1]);
        folder.xfer(&["inspect", source]).exits(0).complains(&files[1]);
        fs::write(folder.path(INDEX), &index).unwrap();
        folder.xfer(&["convert", source, "out.safetensors"]).exits(3).complains(&files[1]);
        folder.xfer(&["convert", "sharded", "out.safetensors"]).exits(3).complains(&files[1]);
        folder.xfer(&["convert", INDEX, "out.safetensors"]).exits(3).complains(&files[1]);
        fs::remove_file(folder.path(INDEX)).unwrap();
        assert!(!folder.names().contains(&"out.safetensors".to_string()), "{place}");
    }
}

#[test]
fn a_shard_under_another_name_is_refused_by_the_index_the_config_or_its_layers() {
    let folder = Folder::new();
    let files = shards(&folder);
    for (place, file) in files.iter().enumerate() {
        let shard = format!("sharded/{file}");
        // beside the index
        copy(&folder, &shard, "indexed/weights.safetensors");
        copy(&folder, INDEX, "indexed/model.safetensors.index.json");
        let run = folder.xfer(&["convert", "indexed/weights.safetensors", "out.safetensors"]);
        run.exits(3).complains("weights.safetensors contains").complains("model.safetensors.index.json");
        copy(&folder, &shard, "single/model.safetensors");
        copy(&folder, INDEX, "single/model.safetensors.index.json");
        folder.xfer(&["convert", "single", "out.safetensors"]).exits(3).complains("model.safetensors.index.json");
        // with nothing but the config
        copy(&folder, &shard, "config/model.safetensors");
        copy(&folder, "base/config.json", "config/config.json");
        let held: Vec<String> = {
            folder.write("held/model.safetensors", fs::read(folder.path(&shard)).unwrap());
            tensors(&folder.path("held")).into_keys().collect()
        };
        let has_layers = held.iter().any(|name| name.contains(".layers."));
        let run = folder.xfer(&["convert", "config", "out.safetensors"]);
        if has_layers {
            run.exits(3).complains("its config has 2").complains("--only '**'");
            folder.xfer(&["convert", "config", "some.safetensors", "--only", "**"]).exits(0);
            fs::remove_file(folder.path("some.safetensors")).unwrap();
        }
        folder.xfer(&["init", "--from", "config", "--arch", "base/config.json", "--out", "out"]).exits(4);
        assert!(!folder.names().contains(&"out.safetensors".to_string()) || !has_layers, "{place}");
        let _ = fs::remove_file(folder.path("out.safetensors"));
    }
}

#[test]
fn layers_that_do_not_begin_at_0_are_a_part_where_nothing_else_tells() {
    let folder = Folder::new();
    let layer = |i: usize, end: &str| format!("model.layers.{i}.{end}.weight");
    let all: Vec<String> = (4..7).flat_map(|i| ["self_attn.q_proj", "mlp.up_proj"].map(|end| layer(i, end))).collect();
    let file: Vec<(&str, &[usize], Vec<f32>)> =
        all.iter().map(|name| (name.as_str(), &[2usize, 2][..], vec![1.0; 4])).collect();
    folder.write("weights.safetensors", safetensors_file(&file));
    folder.xfer(&["convert", "weights.safetensors", "out.npz"]).exits(3).complains("layers 4-6 of model.layers");
    folder.xfer(&["convert", "weights.safetensors", "out.npz", "--only", "**"]).exits(0);
    // a sequence of other things may begin anywhere
    let sequence: &[(&str, &[usize], Vec<f32>)] =
        &[("classifier.1.weight", &[2, 2], vec![1.0; 4]), ("classifier.2.weight", &[2, 2], vec![1.0; 4])];
    folder.write("sequence.safetensors", safetensors_file(sequence));
    folder.xfer(&["convert", "sequence.safetensors", "sequence.npz"]).exits(0);
}

#[test]
fn an_index_that_does_not_fit_its_shards_is_refused() {
    let folder = Folder::new();
    let files = shards(&folder);
    let read = || -> Json { serde_json::from_slice(&fs::read(folder.path(INDEX)).unwrap()).unwrap() };
    let right = read();
    let with = |change: &dyn Fn(&mut Json)| {
        let mut index = right.clone();
        change(&mut index);
        fs::write(folder.path(INDEX), index.to_string()).unwrap();
        let run = folder.xfer(&["convert", "sharded", "out.safetensors"]);
        let _ = fs::remove_file(folder.path("out.safetensors"));
        run
    };
    with(&|_| {}).exits(0);
    // the index forgets a shard whole, which the numbers in the names tell
    let last = files.last().unwrap().clone();
    let forget = |index: &mut Json| {
        index["weight_map"].as_object_mut().unwrap().retain(|_, shard| shard.as_str() != Some(&last));
    };
    with(&forget).exits(3).complains(&last).complains("is not among them");
    // and the bytes that it states
    let more = |index: &mut Json| {
        let total = index["metadata"]["total_size"].as_u64().unwrap();
        index["metadata"]["total_size"] = json!(total + 4100);
    };
    with(&more).exits(3).complains("total_size");
    // the same tensors counted at another width, or one of them twice
    let wider = |index: &mut Json| {
        index["metadata"]["total_size"] = json!(index["metadata"]["total_size"].as_u64().unwrap() * 2)
    };
    with(&wider).exits(0);
    // a tensor that it maps twice
    let text = right.to_string();
    let first = right["weight_map"].as_object().unwrap().iter().next().unwrap();
    let twice = text
        .replace("\"weight_map\":{", &format!("\"weight_map\":{{\"{}\":\"{}\",", first.0, first.1.as_str().unwrap()));
    assert_ne!(text, twice);
    fs::write(folder.path(INDEX), twice).unwrap();
    folder.xfer(&["convert", "sharded", "out.safetensors"]).exits(3).complains("occurs twice");
}

#[test]
fn what_one_process_of_several_wrote_is_refused_by_its_name() {
    let whole = safetensors_file(&[("w.weight", &[2, 2], vec![1.0; 4])]);
    // files of a folder, the one that is given, and what is said
    let cases: &[(&[&str], &str, &str)] = &[
        (&["model_world_size_8_rank_3.pt"], "model_world_size_8_rank_3.pt", "FSDP checkpoint (8 files)"),
        (&["mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"], "mp_rank_01_model_states.pt", "DeepSpeed"),
        (&["zero_pp_rank_0_mp_rank_00_optim_states.pt"], "zero_pp_rank_0_mp_rank_00_optim_states.pt", "ZeRO"),
        (&["zero_pp_rank_3_mp_rank_00_model_states.pt"], "zero_pp_rank_3_mp_rank_00_model_states.pt", "ZeRO"),
        (&["layer_03-model_00-model_states.pt"], "layer_03-model_00-model_states.pt", "DeepSpeed"),
        (&["pytorch_model_fsdp_rank2.bin"], "pytorch_model_fsdp_rank2.bin", "FSDP"),
        (&["pytorch_model_fsdp_0/__0_0.distcp"], "pytorch_model_fsdp_0/__0_0.distcp", "DCP"),
        (&["__1_0.distcp", ".metadata"], ".metadata", "DCP"),
        (&["shard-00001-model-00001-of-00001.safetensors"], "shard-00001-model-00001-of-00001.safetensors", "DCP"),
        (
            &["mp_rank_00/model_optim_rng.pt", "mp_rank_01/model_optim_rng.pt"],
            "mp_rank_00/model_optim_rng.pt",
            "Megatron",
        ),
        (
            &["mp_rank_00_000/model_optim_rng.pt", "mp_rank_00_001/model_optim_rng.pt"],
            "mp_rank_00_001/model_optim_rng.pt",
            "Megatron",
        ),
        (&["model_tp0.safetensors"], "model_tp0.safetensors", "split over several files"),
        (&["model-pp-1.safetensors"], "model-pp-1.safetensors", "split over several files"),
        (&["rank_0.safetensors", "rank_1.safetensors"], "rank_1.safetensors", "split over several files"),
        (&["checkpoint-shard0.pt"], "checkpoint-shard0.pt", "split over several files"),
    ];
    for (files, given, words) in cases {
        let folder = Folder::new();
        for file in *files {
            folder.write("whole.safetensors", &whole);
            if file.ends_with(".pt") || file.ends_with(".bin") {
                folder.write(&format!("source/{file}.part"), "");
                folder.xfer(&["convert", "whole.safetensors", "whole.pt", "--force"]).exits(0);
                copy(&folder, "whole.pt", &format!("source/{file}"));
                fs::remove_file(folder.path("whole.pt")).unwrap();
            } else {
                copy(&folder, "whole.safetensors", &format!("source/{file}"));
            }
        }
        let run = folder.xfer(&["convert", &format!("source/{given}"), "out"]);
        run.exits(3).complains(words);
        folder.xfer(&["convert", "source", "out"]).exits(3);
        let init = ["init", "--from", &format!("source/{given}"), "--arch", "whole.safetensors", "--out", "out"];
        folder.xfer(&init).exits(3).complains(words);
        assert!(!folder.names().contains(&"out".to_string()), "{given}");
    }
}

#[test]
fn a_whole_file_with_a_number_in_its_name_is_no_part() {
    let whole = safetensors_file(&[("w.weight", &[2, 2], vec![1.0; 4])]);
    let cases: &[&[&str]] = &[
        &["epoch_1.safetensors", "epoch_2.safetensors"],
        &["model_rank64.safetensors", "model_rank8.safetensors"],
        &["model-00001-of-00001.safetensors"],
        &["llama-3-8b.safetensors"],
        &["checkpoint-1000.safetensors", "checkpoint-2000.safetensors"],
        &["model.fp16.safetensors", "model.safetensors"],
        &["rank0.safetensors"],
        &["mp_rank_00_model_states.safetensors"],
    ];
    for files in cases {
        let folder = Folder::new();
        files.iter().for_each(|file| drop(folder.write(&format!("source/{file}"), &whole)));
        for file in *files {
            let run = folder.xfer(&["convert", &format!("source/{file}"), "out"]);
            assert_eq!(run.code, 0, "{file}: {}", run.stderr);
            fs::remove_dir_all(folder.path("out")).unwrap();
        }
    }
}

#[test]
fn a_header_that_states_a_part_is_believed_whatever_the_file_is_called() {
    let folder = Folder::new();
    let data = [1.0f32; 4].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 2], &data).unwrap();
    let stated = [("DCP_SHARDING_INFO".to_string(), "{\"w\":{\"saved_offsets\":[0,0]}}".to_string())];
    let bytes = safetensors::serialize([("w", view)], Some(stated.into_iter().collect())).unwrap();
    folder.write("source/model.safetensors", bytes);
    for source in ["source", "source/model.safetensors"] {
        folder.xfer(&["convert", source, "out"]).exits(3).complains("DCP_SHARDING_INFO");
        folder.xfer(&["inspect", source]).exits(0).complains("DCP_SHARDING_INFO");
    }
}

/// A GGUF file of these tensors, `[4]` each, that states to be a part.
fn gguf(names: &[&str], part: Option<(u16, u16, i32)>) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut pairs: Vec<Vec<u8>> =
        vec![[text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("other")].concat()];
    if let Some((number, count, tensors)) = part {
        pairs.push([text("split.no"), 2u32.to_le_bytes().to_vec(), number.to_le_bytes().to_vec()].concat());
        pairs.push([text("split.count"), 2u32.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat());
        pairs.push([text("split.tensors.count"), 5u32.to_le_bytes().to_vec(), tensors.to_le_bytes().to_vec()].concat());
    }
    let mut bytes =
        [&b"GGUF"[..], &3u32.to_le_bytes(), &(names.len() as u64).to_le_bytes(), &(pairs.len() as u64).to_le_bytes()]
            .concat();
    bytes.extend(pairs.concat());
    for (place, name) in names.iter().enumerate() {
        bytes.extend(text(name));
        bytes.extend(
            [&1u32.to_le_bytes()[..], &4u64.to_le_bytes(), &0u32.to_le_bytes(), &(place as u64 * 32).to_le_bytes()]
                .concat(),
        );
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    for place in 0..names.len() {
        bytes.extend([place as f32; 4].iter().flat_map(|x| x.to_le_bytes()));
        bytes.resize(bytes.len().next_multiple_of(32), 0);
    }
    bytes
}

#[test]
fn a_split_gguf_file_is_followed_by_its_names_or_by_its_headers_or_refused() {
    let part = |number: u16| gguf([&["a", "b"][..], &["c"], &["d", "e"]][usize::from(number)], Some((number, 3, 5)));
    let write = |folder: &Folder, names: [&str; 3]| {
        (0..3).for_each(|number| drop(folder.write(&format!("source/{}", names[usize::from(number)]), part(number))));
    };
    let whole = |folder: &Folder, source: &str| {
        let run = folder.xfer(&["convert", source, "out"]);
        assert_eq!(run.code, 0, "{source}: {}", run.stderr);
        assert_eq!(tensors(&folder.path("out")).into_keys().collect::<String>(), "abcde", "{source}");
        fs::remove_dir_all(folder.path("out")).unwrap();
    };
    for names in [
        ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"],
        // renamed: the headers tell the order
        ["z.gguf", "first.gguf", "m.gguf"],
    ] {
        let folder = Folder::new();
        write(&folder, names);
        whole(&folder, "source");
        names.iter().for_each(|name| whole(&folder, &format!("source/{name}")));
        folder.xfer(&["inspect", &format!("source/{}", names[1])]).exits(0).complains("part");
        fs::remove_file(folder.path(&format!("source/{}", names[2]))).unwrap();
        for source in ["source".to_string(), format!("source/{}", names[0])] {
            folder.xfer(&["convert", &source, "out"]).exits(3);
            assert!(!folder.names().contains(&"out".to_string()));
        }
    }
    let folder = Folder::new();
    // a part in the place of another, and parts that hold fewer tensors than they state
    folder.write("swapped/m-00001-of-00003.gguf", part(1));
    folder.write("swapped/m-00002-of-00003.gguf", part(0));
    folder.write("swapped/m-00003-of-00003.gguf", part(2));
    folder.xfer(&["convert", "swapped", "out"]).exits(3).complains("split.no");
    folder.write("fewer/m-00001-of-00002.gguf", gguf(&["a"], Some((0, 2, 3))));
    folder.write("fewer/m-00002-of-00002.gguf", gguf(&["b"], Some((1, 2, 3))));
    folder.xfer(&["convert", "fewer", "out"]).exits(3).complains("split.tensors.count");
    folder.write("one/model.gguf", part(2));
    folder.xfer(&["convert", "one", "out"]).exits(3).complains("part 3 of 3");
}

#[test]
fn an_architecture_that_is_a_shard_stands_for_the_whole_listing() {
    let folder = Folder::new();
    let files = shards(&folder);
    let arch = format!("sharded/{}", files[1]);
    folder.xfer(&["init", "--from", "base", "--arch", &arch, "--out", "out"]).exits(0);
    assert_eq!(tensors(&folder.path("out")).len(), tensors(&folder.path("base")).len());
    assert!(Path::new(&folder.path("out")).exists());
}
