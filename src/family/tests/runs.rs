//! Running BERT, held to transformers' numbers.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::{built, config, fixtures, wired};
use crate::error::Result;
use crate::family::{Config, Family, bert};
use crate::graph::{Hook, Node, Parameter, run};

type Arrays = BTreeMap<String, Tensor>;

fn load(path: &Path) -> Arrays {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn outputs(config: &Config, weights: &Arrays, batch: &Arrays) -> Arrays {
    let (parameters, graph) = built(config);
    run(&graph, &parameters, &|parameter| Ok(weights[parameter.name.as_str()].clone()), batch, None).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    super::difference(a, b, None)
}

struct Run {
    config: Config,
    weights: Arrays,
    reference: Arrays,
}

fn runs() -> Vec<Run> {
    let folder = fixtures().join("bert");
    let text = std::fs::read_to_string(folder.join("runs.json")).unwrap();
    let runs: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(runs.len(), 3);
    let file = |run: &Value, key: &str| load(&folder.join(run[key].as_str().unwrap()));
    let open = |run: &Value| Run {
        config: config(run["config"].clone()),
        weights: file(run, "weights"),
        reference: file(run, "reference"),
    };
    runs.iter().map(open).collect()
}

#[test]
fn a_run_gives_what_transformers_gives() {
    for Run { config, weights, reference } in runs() {
        let found = outputs(&config, &weights, &reference);
        let expected = reference.keys().filter(|name| !bert::BERT.inputs().contains(&name.as_str()));
        let mut compared = 0;
        for name in expected {
            let difference = difference(&found[name], &reference[name]);
            assert!(difference < 1e-5, "{:?} {name}: {difference}", config.0["architectures"]);
            compared += 1;
        }
        assert_eq!(compared, found.len());
    }
}

#[test]
fn a_missing_mask_is_all_ones_and_missing_types_are_zeros() {
    let Run { config, weights, reference } = &runs()[0];
    let ids = &reference["input_ids"];
    let only: Arrays = [("input_ids".to_string(), ids.clone())].into();
    let mut full = only.clone();
    full.insert("attention_mask".into(), ids.ones_like().unwrap());
    full.insert("token_type_ids".into(), ids.zeros_like().unwrap());
    let (assumed, said) = (outputs(config, weights, &only), outputs(config, weights, &full));
    assert_eq!(difference(&assumed["logits"], &said["logits"]), 0.0);
    assert!(difference(&outputs(config, weights, reference)["logits"], &said["logits"]) > 1e-2);
}

#[test]
fn a_block_of_unwired_types_runs_as_the_model_with_zeros() {
    let Run { config, weights, reference } = &runs()[0];
    let mut bare = config.clone();
    bare.0.insert("architectures".into(), json!(["BertModel"]));
    let weights: Arrays = weights
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("bert.")?.to_string(), value.clone())))
        .collect();
    let only: Arrays = [("input_ids".to_string(), (&reference["input_ids"] * 0.0).unwrap())].into();
    let whole = outputs(&bare, &weights, &only);
    let (parameters, graph) = wired(&["input_ids"], &["pooled", "layer.2", "layer.0"]);
    let weights = |parameter: &Parameter| Ok(weights[parameter.name.strip_prefix("trunk.").unwrap()].clone());
    let block = run(&graph, &parameters, &weights, &only, None).unwrap();
    assert_eq!(difference(&block["pooled"], &whole["pooled"]), 0.0);
    assert_eq!(difference(&block["layer.2"], &whole["hidden"]), 0.0);
    assert!(difference(&block["layer.0"], &whole["hidden"]) > 1e-2);
}

#[test]
fn padding_changes_nothing_for_the_other_positions() {
    let Run { config, weights, reference } = &runs()[0];
    let cut = |name: &str| reference[name].narrow(0, 1, 1).unwrap();
    let short: Arrays =
        bert::BERT.inputs().iter().map(|name| (name.to_string(), cut(name).narrow(1, 0, 4).unwrap())).collect();
    let found = outputs(config, weights, &short);
    assert!(difference(&found["logits"], &cut("logits")) < 1e-5);
}

#[test]
fn a_hook_sees_every_needed_node_once_and_can_replace_its_result() {
    struct Zero(Vec<String>);
    impl Hook for Zero {
        fn after(&mut self, node: &Node, inputs: &[Tensor], output: Tensor) -> Result<Tensor> {
            assert_eq!(inputs.len(), node.inputs.len());
            self.0.push(node.name.clone());
            Ok(if node.name == "bert.pooler.dense" { output.zeros_like().unwrap() } else { output })
        }
    }
    let Run { config, weights, reference } = &runs()[0];
    let (parameters, graph) = built(config);
    let mut hook = Zero(Vec::new());
    let weights_of = |parameter: &Parameter| Ok(weights[parameter.name.as_str()].clone());
    let found = run(&graph, &parameters, &weights_of, reference, Some(&mut hook)).unwrap();
    assert_eq!(hook.0.len(), graph.nodes.len());
    assert_eq!(hook.0, graph.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>());
    let bias = weights["classifier.bias"].broadcast_as((3, 5)).unwrap();
    assert_eq!(difference(&found["logits"], &bias), 0.0);
}

#[test]
fn half_precision_weights_are_computed_with_in_single_precision() {
    let Run { config, weights, reference } = &runs()[0];
    let rounded: Arrays =
        weights.iter().map(|(name, value)| (name.clone(), value.to_dtype(DType::BF16).unwrap())).collect();
    let widened: Arrays =
        rounded.iter().map(|(name, value)| (name.clone(), value.to_dtype(DType::F32).unwrap())).collect();
    let (a, b) = (outputs(config, &rounded, reference), outputs(config, &widened, reference));
    assert_eq!(difference(&a["logits"], &b["logits"]), 0.0);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_by_name_and_shape() {
    let Run { config, weights, reference } = &runs()[0];
    let (parameters, graph) = built(config);
    let attempt = |change: &dyn Fn(&mut Arrays)| {
        let mut batch = reference.clone();
        change(&mut batch);
        run(&graph, &parameters, &|p| Ok(weights[p.name.as_str()].clone()), &batch, None)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let ids = |shape: &[usize], value: i64| Tensor::full(value, shape, &Device::Cpu).unwrap();
    assert_eq!(
        attempt(&|batch| batch.retain(|name, _| name == "attention_mask")),
        "the batch has no `input_ids`; it has `attention_mask`"
    );
    assert_eq!(
        attempt(&|batch| drop(batch.insert("token_type_ids".into(), ids(&[3, 6], 0)))),
        "input token_type_ids: expected i64 [3, 7], found i64 [3, 6]"
    );
    assert_eq!(
        attempt(&|batch| drop(batch.insert("input_ids".into(), ids(&[3, 21], 0)))),
        "input input_ids: expected i64 [3, up to 20], found i64 [3, 21]"
    );
    assert_eq!(
        attempt(&|batch| drop(batch.insert("input_ids".into(), ids(&[3, 7], 40)))),
        "input input_ids: id 40 is outside 0..40"
    );
    assert_eq!(
        attempt(&|batch| drop(batch.insert("input_ids".into(), ids(&[3, 7], -1)))),
        "input input_ids: id -1 is outside 0..40"
    );
    let wrong = run(&graph, &parameters, &|_| Ok(ids(&[2], 0)), reference, None).unwrap_err();
    assert_eq!(wrong.to_string(), "parameter bert.embeddings.word_embeddings.weight: expected [40, 24], found [2]");
}

#[test]
fn the_old_spelling_holds_the_same_weights() {
    let (new, old) = (
        load(&fixtures().join("tiny-bert/model.safetensors")),
        load(&fixtures().join("tiny-bert-old/model.safetensors")),
    );
    let today =
        |name: &str| name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias");
    let mut compared = 0;
    for (name, value) in &old {
        if name == "bert.embeddings.position_ids" {
            assert_eq!(value.dims(), [1, 20]);
            continue;
        }
        assert_eq!(difference(value, &new[&today(name)]), 0.0, "{name}");
        compared += 1;
    }
    assert_eq!(compared, new.len());
}
