//! `xfer init` as a user sees it, on the small checkpoint of `fixtures/tiny-bert`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use crate::support::command::{Folder, contents, fixture, names, tensors};

fn tiny() -> String {
    fixture("tiny-bert")
}

#[test]
fn a_checkpoint_into_its_own_config_is_copied_byte_for_byte() {
    let folder = Folder::new();
    folder.xfer(&["init", "--from", &tiny(), "--arch", &tiny(), "--out", "same"]).exits(0).prints("(100 %)");
    assert_eq!(tensors(&folder.path("same")), tensors(tiny().as_ref()));
    let report: serde_json::Value = serde_json::from_slice(&contents(&folder.path("same"))["xfer.json"]).unwrap();
    assert_eq!(report["coverage"]["tensors"]["new"], 0);
    assert_eq!(report["coverage"]["tensors"]["adapted"], 0);
}

#[test]
fn the_same_command_gives_the_same_directory_on_any_number_of_threads() {
    let folder = Folder::new();
    for (out, threads) in [("one", "1"), ("two", "2"), ("five", "5")] {
        let labels = ["init", "--from", &tiny(), "--arch", &tiny(), "--labels", "a,b,c", "--threads", threads];
        let class = ["--set", "architectures=[\"BertForSequenceClassification\"]", "--out", out];
        folder.xfer(&[&labels[..], &class[..]].concat()).exits(0);
    }
    assert_eq!(contents(&folder.path("one")), contents(&folder.path("two")));
    assert_eq!(contents(&folder.path("one")), contents(&folder.path("five")));
}

#[test]
fn where_the_system_starts_no_thread_the_same_directory_is_written() {
    let folder = Folder::new();
    let deeper = ["--set", "num_hidden_layers=5", "--depth", "bert.encoder.layer=stack"];
    let run = |out, environment: &[_]| {
        let command = ["init", "--from", &tiny(), "--arch", &tiny(), "--out", out];
        folder.xfer_with(&[&command[..], &deeper].concat(), environment).exits(0);
    };
    run("many", &[]);
    // no stack of this size can be had, so none of the threads starts
    run("single", &[("RUST_MIN_STACK", "1000000000000000000")]);
    assert_eq!(contents(&folder.path("many")), contents(&folder.path("single")));
}

#[test]
fn a_second_run_is_up_to_date_and_writes_nothing() {
    let folder = Folder::new();
    let command = ["init", "--from", &tiny(), "--arch", &tiny(), "--out", "out"];
    folder.xfer(&command).exits(0);
    let weights = folder.path("out/model.safetensors");
    let before = fs::metadata(&weights).unwrap().modified().unwrap();
    folder.xfer(&command).exits(0).prints("already up to date");
    assert_eq!(fs::metadata(&weights).unwrap().modified().unwrap(), before);
}

#[test]
fn an_output_that_was_changed_is_not_up_to_date() {
    let folder = Folder::new();
    let command = ["init", "--from", &tiny(), "--arch", &tiny(), "--out", "out"];
    folder.xfer(&command).exits(0);
    let weights = folder.path("out/model.safetensors");
    let honest = fs::read(&weights).unwrap();
    let mut bytes = honest.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    folder.xfer(&command).exits(3).complains("--force");
    folder.xfer(&[&command[..], &["--force"]].concat()).exits(0);
    assert_eq!(fs::read(&weights).unwrap(), honest);
}

#[test]
fn a_dry_run_writes_nothing_but_the_plan_and_running_the_plan_gives_what_init_gives() {
    let folder = Folder::new();
    let arguments = ["init", "--from", &tiny(), "--arch", &tiny(), "--set", "num_hidden_layers=1"];
    folder.xfer(&[&arguments[..], &["--dry-run", "--plan", "plan.json"]].concat()).exits(0).prints("--strict");
    assert_eq!(folder.names(), ["plan.json"]);
    folder.xfer(&["run", "plan.json", "--out", "ran"]).exits(0);
    folder.xfer(&[&arguments[..], &["--out", "direct"]].concat()).exits(0);
    assert_eq!(contents(&folder.path("ran")), contents(&folder.path("direct")));
}

#[test]
fn nothing_is_left_beside_the_output() {
    let folder = Folder::new();
    folder.xfer(&["init", "--from", &tiny(), "--arch", &tiny(), "--out", "out"]).exits(0);
    assert_eq!(folder.names(), ["out"]);
    assert!(names(&folder.path("out")).iter().all(|name| !name.starts_with('.')));
}

#[test]
fn a_foreign_directory_is_left_alone_even_with_force() {
    let folder = Folder::new();
    folder.write("out/precious.txt", "mine");
    let command = ["init", "--from", &tiny(), "--arch", &tiny(), "--out", "out", "--force"];
    folder.xfer(&command).exits(3).complains("out exists and is not an output of xfer: it contains precious.txt");
    assert_eq!(folder.names(), ["out"]);
    assert_eq!(names(&folder.path("out")), ["precious.txt"]);
}

#[test]
fn explain_says_where_a_tensor_came_from() {
    let folder = Folder::new();
    folder.xfer(&["init", "--from", &tiny(), "--arch", &tiny(), "--out", "out"]).exits(0);
    let name = "bert.encoder.layer.0.output.dense.weight";
    folder.xfer(&["explain", "out", name]).exits(0).prints("copied").prints("blake3:");
    folder.xfer(&["explain", "out", "bert.encoder.layer.0.output.dense.wait"]).exits(3).complains(name);
}

#[test]
fn mistakes_have_names_and_exit_codes() {
    let folder = Folder::new();
    folder.xfer(&["init", "--arch", &tiny()]).exits(2).complains("--from");
    folder.xfer(&["init", "--from", "./nowhere", "--arch", &tiny(), "--out", "o"]).exits(5).complains("nowhere");
    folder.xfer(&["init", "--from", "bert-bose", "--arch", &tiny(), "--out", "o"]).exits(5).complains("bert-base");
    folder.xfer(&["init", "--from", &tiny(), "--arch", &tiny()]).exits(2).complains("--out");
    folder.write("broken.json", "{\n  \"xfer\": 1,\n  \"layerz\": []\n}");
    let broken = folder.xfer(&["init", "--from", &tiny(), "--arch", "broken.json"]).exits(3);
    broken.complains("broken.json:3:3").complains("layers");
    let pattern = ["init", "--from", &tiny(), "--arch", &tiny(), "--out", "o", "--new", "clasifier.**"];
    folder.xfer(&pattern).exits(3).complains("clasifier.**");
    assert_eq!(folder.names(), ["broken.json"]);
}

/// The tiny BERT's own config with another vocabulary, whose rows are matched by token.
fn with_vocabulary(folder: &Folder, tokens: &[&str]) {
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture("tiny-bert/config.json")).unwrap()).unwrap();
    config["vocab_size"] = tokens.len().into();
    config["xfer"] = serde_json::json!({ "vocab": { "tokenizer": "tokenizer/" } });
    folder.write("my.json", config.to_string());
    folder.write("tokenizer/vocab.txt", tokens.iter().map(|token| format!("{token}\n")).collect::<String>());
}

#[test]
fn another_vocabulary_takes_every_shared_tokens_row_wherever_it_stands() {
    let folder = Folder::new();
    let old = fs::read_to_string(fixture("tiny-bert/vocab.txt")).unwrap();
    let old: Vec<&str> = old.lines().collect();
    let mut new: Vec<&str> = old.iter().copied().filter(|token| *token != old[20]).collect();
    new[5..].reverse();
    new.push("neverseen");
    with_vocabulary(&folder, &new);
    folder.xfer(&["init", "--from", &tiny(), "--arch", "my.json"]).exits(0).prints("1 new rows");
    let (before, after) = (tensors(tiny().as_ref()), tensors(&folder.path("my")));
    for name in ["bert.embeddings.word_embeddings.weight", "cls.predictions.bias"] {
        let row = |tensor: &(safetensors::Dtype, Vec<usize>, Vec<u8>), r: usize| {
            let width = tensor.2.len() / tensor.1[0];
            tensor.2[r * width..(r + 1) * width].to_vec()
        };
        for (r, token) in new.iter().enumerate() {
            if let Some(source) = old.iter().position(|known| known == token) {
                assert_eq!(row(&after[name], r), row(&before[name], source), "{name}: {token}");
            }
        }
    }
    assert_eq!(fs::read_to_string(folder.path("my/vocab.txt")).unwrap().lines().count(), new.len());
    assert!(!folder.path("my/tokenizer.json").exists(), "the source's tokenizer was carried along");
}

#[test]
fn a_new_word_is_the_mean_of_the_pieces_that_spell_it() {
    let folder = Folder::new();
    let old = fs::read_to_string(fixture("tiny-bert/vocab.txt")).unwrap();
    let old: Vec<&str> = old.lines().collect();
    let mut new = old.clone();
    new.extend(["ordering", "Refunded", "cards"]);
    with_vocabulary(&folder, &new);
    let rules = fs::read_to_string(folder.path("my.json")).unwrap();
    folder.write("my.json", rules.replace("\"tokenizer/\"", "\"tokenizer/\",\"new_tokens\":\"subwords\""));
    let run = folder.xfer(&["init", "--from", &tiny(), "--arch", "my.json"]).exits(0);
    run.prints("3 new rows with the mean of the pieces that spell them").prints("(3 of 3 can be tokenised)");
    let (before, after) = (tensors(tiny().as_ref()), tensors(&folder.path("my")));
    for name in ["bert.embeddings.word_embeddings.weight", "cls.predictions.bias"] {
        let row = |tensor: &(safetensors::Dtype, Vec<usize>, Vec<u8>), r: usize| -> Vec<f32> {
            let width = tensor.2.len() / tensor.1[0];
            let row = &tensor.2[r * width..(r + 1) * width];
            row.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
        };
        let at = |token: &str| row(&before[name], old.iter().position(|known| *known == token).unwrap());
        for (place, [a, b]) in [["order", "##ing"], ["refund", "##ed"], ["card", "##s"]].into_iter().enumerate() {
            let mean: Vec<f32> = at(a).iter().zip(at(b)).map(|(a, b)| (a + b) / 2.0).collect();
            assert_eq!(row(&after[name], old.len() + place), mean, "{name}: {a} {b}");
        }
    }
}

#[test]
fn the_row_of_padding_of_a_new_embedding_is_zero_and_the_others_are_drawn_as_without_it() {
    let folder = Folder::new();
    let words = |padding: &str, out: &str| {
        let padding = format!("pad_token_id={padding}");
        let command = ["init", "--from", "none", "--arch", &tiny(), "--set", &padding, "--out", out];
        folder.xfer(&command).exits(0);
        let (_, shape, bytes) = tensors(&folder.path(out))["bert.embeddings.word_embeddings.weight"].clone();
        bytes.chunks(bytes.len() / shape[0]).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (without, first, third) = (words("null", "a"), words("0", "b"), words("3", "c"));
    for (row, drawn) in without.iter().enumerate() {
        assert!(drawn.iter().any(|byte| *byte != 0));
        let is_zero = |table: &Vec<Vec<u8>>| table[row].iter().all(|byte| *byte == 0);
        assert_eq!((is_zero(&first), is_zero(&third)), (row == 0, row == 3), "{row}");
        assert!((row == 0 || first[row] == *drawn) && (row == 3 || third[row] == *drawn), "{row}");
    }
}

#[test]
fn an_old_spelling_gives_the_same_weights() {
    let folder = Folder::new();
    let old = fixture("tiny-bert-old");
    folder.xfer(&["init", "--from", &old, "--arch", &tiny(), "--out", "out"]).exits(0).prints("(100 %)");
    assert_eq!(tensors(&folder.path("out")), tensors(tiny().as_ref()));
}

#[test]
fn the_plan_of_an_output_onto_its_own_architecture_is_all_copies() {
    let folder = Folder::new();
    folder.xfer(&["init", "--from", &tiny(), "--arch", &fixture("ticket-router.json")]).exits(0);
    let again =
        folder.xfer(&["init", "--from", "ticket-router", "--arch", "ticket-router", "--out", "again", "--json"]);
    let report = again.exits(0).json();
    let counts = &report["coverage"]["tensors"];
    assert_eq!((&counts["new"], &counts["adapted"]), (&0.into(), &0.into()), "{counts}");
    assert_eq!(tensors(&folder.path("again")), tensors(&folder.path("ticket-router")));
}

#[test]
fn nothing_of_value_is_random_in_silence() {
    let folder = Folder::new();
    let deeper = ["init", "--from", &tiny(), "--arch", &tiny(), "--set", "num_hidden_layers=5", "--out", "out"];
    folder.xfer(&deeper).exits(4).complains("--depth");
    folder.write("other.json", r#"{ "xfer": 1, "tensors": { "w": { "shape": [24, 24], "module": "Linear" } } }"#);
    folder.xfer(&["init", "--from", &tiny(), "--arch", "other.json"]).exits(4).complains("--min-coverage");
    assert_eq!(folder.names(), ["other.json"]);
}

/// A run of `fixtures/families` as a directory `name`, and its config.
fn family(folder: &Folder, run: &str, name: &str) -> serde_json::Value {
    let families = std::path::PathBuf::from(fixture("families"));
    let runs: serde_json::Value = serde_json::from_slice(&fs::read(families.join("runs.json")).unwrap()).unwrap();
    let is_it = |one: &&serde_json::Value| one["weights"] == format!("{run}.safetensors");
    let config = runs.as_array().unwrap().iter().find(is_it).unwrap()["config"].clone();
    folder.write(&format!("{name}/config.json"), config.to_string());
    folder.write(&format!("{name}/model.safetensors"), fs::read(families.join(format!("{run}.safetensors"))).unwrap());
    config
}

#[test]
fn rows_that_are_no_positions_are_not_tiled_and_a_bias_in_one_row_grows_with_the_vocabulary() {
    let folder = Folder::new();
    let mut config = family(&folder, "bart", "source");
    config["vocab_size"] = 38.into();
    config["max_position_embeddings"] = 21.into();
    config["xfer"] = serde_json::json!({ "adapt": [{ "match": "**.embed_positions.weight", "positions": "tile" }] });
    folder.write("other.json", config.to_string());
    folder.xfer(&["init", "--from", "source", "--arch", "other.json", "--out", "out"]).exits(0);
    let (before, after) = (tensors(&folder.path("source")), tensors(&folder.path("out")));
    let rows = |of: &std::collections::BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>,
                name: &str|
     -> Vec<Vec<u8>> { of[name].2.chunks(24 * 4).map(<[u8]>::to_vec).collect() };
    let name = "model.encoder.embed_positions.weight";
    let (old, new) = (rows(&before, name), rows(&after, name));
    assert_eq!((old.len(), new.len()), (20, 23));
    assert_eq!((&new[..20], &new[20..]), (&old[..], &old[2..5]));
    let bias = |of: &std::collections::BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>| {
        of["final_logits_bias"].2.clone()
    };
    assert_eq!(bias(&after)[..34 * 4], bias(&before)[..]);
    assert_eq!(bias(&after)[34 * 4..], [0; 16]);
}

#[test]
fn kernels_of_keras_are_turned_to_where_they_go() {
    let folder = Folder::new();
    let layers = serde_json::json!({ "xfer": 1, "inputs": { "x": { "shape": ["batch", 2, 8, 8] } }, "layers": [
        { "type": "conv2d", "name": "features", "out": 5, "kernel": 3 },
        { "type": "global_avg_pool" },
        { "type": "linear", "name": "fc", "out": 7 } ] });
    folder.write("net.json", layers.to_string());
    let source = fixture("hdf5") + "/weights.h5";
    let map = |to: &str, from: &str| format!("{to}={from}");
    folder
        .xfer(&[
            "init",
            "--from",
            &source,
            "--arch",
            "net.json",
            "--out",
            "out",
            "--map",
            &map("features.weight", "conv/conv/kernel:0"),
            "--map",
            &map("features.bias", "conv/conv/bias:0"),
            "--map",
            &map("fc.weight", "dense_1/dense_1/kernel:0"),
            "--map",
            &map("fc.bias", "dense_1/dense_1/bias:0"),
        ])
        .exits(0);
    folder.xfer(&["convert", &source, "flat/model.safetensors"]).exits(0);
    let (stored, made) = (tensors(&folder.path("flat")), tensors(&folder.path("out")));
    let element = |bytes: &[u8], at: usize| bytes[at * 4..at * 4 + 4].to_vec();
    let (kernel, weight) = (&stored["conv/conv/kernel:0"].2, &made["features.weight"].2);
    assert_eq!(made["features.weight"].1, [5, 2, 3, 3]);
    for (h, w, i, o) in [(0, 1, 1, 4), (2, 0, 0, 3), (1, 2, 1, 0)] {
        assert_eq!(element(weight, ((o * 2 + i) * 3 + h) * 3 + w), element(kernel, ((h * 3 + w) * 2 + i) * 5 + o));
    }
    let (kernel, weight) = (&stored["dense_1/dense_1/kernel:0"].2, &made["fc.weight"].2);
    assert_eq!(made["fc.weight"].1, [7, 5]);
    assert_eq!(element(weight, 3 * 5 + 4), element(kernel, 4 * 7 + 3));
}
