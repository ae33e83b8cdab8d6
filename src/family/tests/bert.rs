//! BERT as a block of a larger model and as a graph that runs.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::{Arrays, arrays, built, cases, config, fixtures};
use crate::error::Result;
use crate::family::{Class, Config, Family, Inputs, bert, output};
use crate::graph::{Builder, Dim, Graph, Hook, Node, Parameter, run};
use crate::init::{Nonlinearity, Scheme};
use crate::tensor::{Dtype, Role};

/// The config of the fixtures with some keys changed.
pub(super) fn tiny(changes: Value) -> Config {
    let mut value = json!({
        "model_type": "bert", "vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 36, "max_position_embeddings": 20, "type_vocab_size": 3
    });
    for (key, changed) in changes.as_object().unwrap() {
        value[key] = changed.clone();
    }
    config(value)
}

fn wired(names: &[&str], wanted: &[&str]) -> (Vec<Parameter>, Graph) {
    let mut builder = Builder::new();
    let axes = || vec![Dim::Batch, Dim::Known(7)];
    let wired = names
        .iter()
        .map(|name| (name.to_string(), builder.input(name, axes(), Dtype::I64, Some(2)).unwrap()))
        .collect();
    let wanted: Vec<String> = wanted.iter().map(|name| name.to_string()).collect();
    let inputs = Inputs { wired, wanted: wanted.clone() };
    let outputs = builder.under("trunk", |at| bert::BERT.build(&tiny(json!({})), &inputs, &Class::Bare, at)).unwrap();
    let chosen = wanted.iter().map(|name| (name.clone(), output(&bert::BERT, &outputs, name).unwrap())).collect();
    builder.finish(chosen).unwrap()
}

#[test]
fn a_config_without_a_class_is_the_bare_model() {
    let (_, graph) = built(&config(json!({ "model_type": "bert" })));
    assert_eq!(graph.outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["hidden", "pooled"]);
}

#[test]
fn weights_name_the_key_of_their_deviation_and_norms_and_biases_have_no_fans() {
    for parameter in cases().iter().filter(|case| case.folder == "bert").flat_map(|case| built(&case.config).0) {
        let init = parameter.init.as_ref().unwrap();
        match parameter.role {
            Role::Norm | Role::Bias => {
                assert!(
                    parameter.parts.is_empty() || parameter.name.ends_with("predictions.bias"),
                    "{}",
                    parameter.name
                )
            }
            _ => {
                assert_eq!(init.scheme, Scheme::Normal { mean: 0.0, std: 0.02 }, "{}", parameter.name);
                assert_eq!(init.by, "bert: initializer_range 0.02");
            }
        }
    }
}

#[test]
fn weights_know_the_activation_that_follows() {
    let (parameters, _) = built(&tiny(json!({ "architectures": ["BertForMaskedLM"], "hidden_act": "relu" })));
    for parameter in parameters {
        let expected = (parameter.name.ends_with("intermediate.dense.weight")
            || parameter.name.ends_with("transform.dense.weight"))
        .then_some(Nonlinearity::Relu);
        assert_eq!(parameter.followed_by, expected, "{}", parameter.name);
    }
}

#[test]
fn each_layer_is_two_residual_branches() {
    let (_, graph) = built(&tiny(json!({})));
    let branches: BTreeSet<usize> = graph.nodes.iter().filter_map(|node| node.branch).collect();
    assert_eq!(branches, (0..6).collect());
    let named = |name: &str| graph.nodes.iter().find(|node| node.name == name).unwrap().branch;
    assert_eq!(named("encoder.layer.1.attention"), Some(2));
    assert_eq!(named("encoder.layer.1.output.dense"), Some(3));
    assert_eq!(named("encoder.layer.1.output.LayerNorm"), None);
    assert_eq!(named("pooler.dense"), None);
}

#[test]
fn a_block_is_below_its_path_and_has_a_pooler_only_where_its_output_is_used() {
    let (with, _) = wired(&["input_ids"], &["pooled"]);
    let (without, _) = wired(&["input_ids"], &["hidden", "layer.1"]);
    let bare: Vec<String> = built(&tiny(json!({}))).0.into_iter().map(|p| format!("trunk.{}", p.name)).collect();
    assert_eq!(with.iter().map(|p| p.name.clone()).collect::<Vec<_>>(), bare);
    assert_eq!(without.iter().map(|p| p.name.clone()).collect::<Vec<_>>(), bare[..bare.len() - 2]);
}

#[test]
fn an_input_or_output_that_bert_lacks_is_named() {
    let mut builder = Builder::new();
    let node = builder.input("x", vec![Dim::Batch, Dim::Known(7)], Dtype::I64, None).unwrap();
    let inputs = Inputs { wired: vec![("ids".into(), node)], wanted: Vec::new() };
    let error = bert::BERT.build(&tiny(json!({})), &inputs, &Class::Bare, &mut builder).unwrap_err();
    assert_eq!(error.to_string(), "bert has no input `ids`");
    assert_eq!(error.hints().last().unwrap(), "known: input_ids, attention_mask, token_type_ids");
    let outputs = vec![("hidden".to_string(), 3)];
    let error = output(&bert::BERT, &outputs, "logits").unwrap_err();
    assert_eq!(error.to_string(), "bert has no output `logits`; it has hidden");
}

#[test]
fn ids_and_lengths_beyond_the_tables_do_not_fit() {
    let build = |length, max| {
        let mut builder = Builder::new();
        let node = builder.input("ids", vec![Dim::Batch, Dim::Known(length)], Dtype::I64, Some(max)).unwrap();
        let inputs = Inputs { wired: vec![("input_ids".into(), node)], wanted: Vec::new() };
        bert::BERT.build(&tiny(json!({})), &inputs, &Class::Bare, &mut builder).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(build(20, 40), Ok(()));
    assert_eq!(
        build(20, 41).unwrap_err(),
        "embedding embeddings.word_embeddings takes ids below 40 (and the input's max is 41), but input ids gives [batch, 20] ids"
    );
    assert_eq!(
        build(21, 40).unwrap_err(),
        "positions embeddings.position_embeddings takes [batch, positions, width] with at most 20 positions, \
         but embedding embeddings.word_embeddings gives [batch, 21, 24]"
    );
}

fn runs() -> Vec<super::Run> {
    super::runs().into_iter().filter(|run| run.folder == "bert").collect()
}

fn outputs(config: &Config, weights: &Arrays, batch: &Arrays) -> Arrays {
    super::outputs(config, weights, batch).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    super::difference(a, b, None)
}

#[test]
fn a_missing_mask_is_all_ones_and_missing_types_are_zeros() {
    let super::Run { config, weights, reference, .. } = &runs()[0];
    let ids = &reference["input_ids"];
    let only: Arrays = [("input_ids".to_string(), ids.clone())].into();
    let mut full = only.clone();
    full.insert("attention_mask".into(), ids.ones_like().unwrap());
    full.insert("token_type_ids".into(), ids.zeros_like().unwrap());
    let (assumed, stated) = (outputs(config, weights, &only), outputs(config, weights, &full));
    assert_eq!(difference(&assumed["logits"], &stated["logits"]), 0.0);
    assert!(difference(&outputs(config, weights, reference)["logits"], &stated["logits"]) > 1e-2);
}

#[test]
fn a_block_of_unwired_types_runs_as_the_model_with_zeros() {
    let super::Run { config, weights, reference, .. } = &runs()[0];
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
    let super::Run { config, weights, reference, .. } = &runs()[0];
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
    let super::Run { config, weights, reference, .. } = &runs()[0];
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
    let super::Run { config, weights, reference, .. } = &runs()[0];
    let rounded: Arrays =
        weights.iter().map(|(name, value)| (name.clone(), value.to_dtype(DType::BF16).unwrap())).collect();
    let widened: Arrays =
        rounded.iter().map(|(name, value)| (name.clone(), value.to_dtype(DType::F32).unwrap())).collect();
    let (a, b) = (outputs(config, &rounded, reference), outputs(config, &widened, reference));
    assert_eq!(difference(&a["logits"], &b["logits"]), 0.0);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_by_name_and_shape() {
    let super::Run { config, weights, reference, .. } = &runs()[0];
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
        arrays(&fixtures().join("tiny-bert/model.safetensors")),
        arrays(&fixtures().join("tiny-bert-old/model.safetensors")),
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
