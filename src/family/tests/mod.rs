use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde_json::{Value, json};

use super::*;
use crate::graph::{Builder, Dim, Graph, Parameter};
use crate::init::Scheme;
use crate::tensor::{Dtype, Role, Shape, TensorInfo};

mod decoders;
mod keys;
mod reference;
mod runs;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The largest difference where the mask says that there is a token; what stands on padding means nothing to anyone. A NaN differs
/// from everything (and candle's `max_all` would pass over it).
fn difference(found: &Tensor, expected: &Tensor, mask: Option<&Tensor>) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let far = (found - expected).unwrap().abs().unwrap();
    let mask = mask.filter(|mask| far.rank() >= 2 && far.dims()[..2] == *mask.dims());
    let kept = match mask {
        Some(mask) => mask.flatten_all().unwrap().to_vec1::<i64>().unwrap(),
        None => vec![1; far.elem_count()],
    };
    let far = far.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let each = far.len() / kept.len();
    let counted = far.iter().enumerate().filter(|(i, _)| kept[i / each] != 0);
    counted.fold(0.0, |most, (_, far)| if far.is_nan() { f32::INFINITY } else { far.max(most) })
}

fn config(value: Value) -> Config {
    Config(value.as_object().expect("a config is an object").clone())
}

/// The config of the fixtures with some keys changed.
fn tiny(changes: Value) -> Config {
    let mut value = json!({
        "model_type": "bert", "vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 36, "max_position_embeddings": 20, "type_vocab_size": 3
    });
    for (key, changed) in changes.as_object().unwrap() {
        value[key] = changed.clone();
    }
    config(value)
}

fn built(config: &Config) -> (Vec<Parameter>, Graph) {
    let mut builder = Builder::new();
    let outputs = bert::BERT.build(config, &Inputs::default(), &Class::OfConfig, &mut builder).unwrap();
    builder.finish(outputs).unwrap()
}

fn refusal(config: &Config) -> crate::error::Error {
    bert::BERT.build(config, &Inputs::default(), &Class::OfConfig, &mut Builder::new()).expect_err("it was built")
}

fn cases() -> Vec<Value> {
    let text = std::fs::read_to_string(fixtures().join("bert/state_dict.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["cases"].as_array().unwrap().clone()
}

#[test]
fn every_class_has_the_state_dict_of_transformers() {
    for case in cases() {
        let config = config(case["config"].clone());
        let (parameters, _) = built(&config);
        let found: Vec<(String, Shape)> = parameters.iter().map(|p| (p.name.to_string(), p.shape.clone())).collect();
        let shape = |value: &Value| value.as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).collect();
        let expected: Vec<(String, Shape)> =
            case["tensors"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), shape(value))).collect();
        assert_eq!(found, expected, "{}", case["config"]);

        let ties: BTreeMap<&str, &str> = parameters
            .iter()
            .filter_map(|p| p.tied_to.map(|owner| (p.name.as_str(), parameters[owner].name.as_str())))
            .collect();
        let expected: BTreeMap<&str, &str> = case["tied"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, owner)| (name.as_str(), owner.as_str().unwrap()))
            .collect();
        assert_eq!(ties, expected, "{}", case["config"]);
    }
}

#[test]
fn every_class_that_is_named_has_a_reference() {
    let mut referenced = BTreeSet::new();
    for folder in std::fs::read_dir(fixtures()).unwrap() {
        let Ok(text) = std::fs::read_to_string(folder.unwrap().path().join("state_dict.json")) else { continue };
        let cases = serde_json::from_str::<Value>(&text).unwrap()["cases"].as_array().cloned().unwrap_or_default();
        let named = |case: &Value| Some(case["config"]["architectures"][0].as_str()?.to_string());
        referenced.extend(cases.iter().filter_map(named));
    }
    for family in FAMILIES {
        for architecture in family.architectures() {
            assert!(referenced.contains(*architecture), "{architecture}");
        }
    }
}

#[test]
fn a_config_of_nothing_is_bert_base() {
    let (parameters, graph) = built(&config(json!({ "model_type": "bert" })));
    let count: u64 = parameters.iter().map(|p| p.shape.iter().product::<u64>()).sum();
    assert_eq!(count, 109_482_240);
    assert_eq!(graph.outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["hidden", "pooled"]);
}

#[test]
fn every_parameter_has_a_rule_and_weights_have_fans_that_fill_them() {
    for case in cases() {
        for parameter in built(&config(case["config"].clone())).0 {
            let init = parameter.init.as_ref().unwrap_or_else(|| panic!("{} has no rule", parameter.name));
            let rows: u64 = parameter.parts.iter().map(|part| part.rows).sum();
            match parameter.role {
                Role::Linear | Role::Embedding | Role::Position => {
                    assert_eq!(init.scheme, Scheme::Normal { mean: 0.0, std: 0.02 }, "{}", parameter.name);
                    assert_eq!(init.by, "bert: initializer_range 0.02");
                    assert_eq!(rows, parameter.shape[0], "{}", parameter.name);
                }
                Role::Norm => assert_eq!(init.scheme, Scheme::Constant { value: 1.0 }),
                Role::Bias => assert_eq!(init.scheme, Scheme::Constant { value: 0.0 }),
                other => panic!("{} is {other:?}", parameter.name),
            }
            if matches!(parameter.role, Role::Norm | Role::Bias) && !parameter.name.ends_with("predictions.bias") {
                assert_eq!(rows, 0, "{}", parameter.name);
            }
        }
    }
}

#[test]
fn heads_are_what_stands_on_the_body_and_not_the_pooler() {
    let (parameters, _) = built(&tiny(json!({ "architectures": ["BertForSequenceClassification"] })));
    for parameter in parameters {
        assert_eq!(parameter.head, !parameter.name.starts_with("bert."), "{}", parameter.name);
    }
}

#[test]
fn weights_know_the_activation_that_follows() {
    let (parameters, _) = built(&tiny(json!({ "architectures": ["BertForMaskedLM"], "hidden_act": "relu" })));
    for parameter in parameters {
        let expected = (parameter.name.ends_with("intermediate.dense.weight")
            || parameter.name.ends_with("transform.dense.weight"))
        .then_some(crate::init::Nonlinearity::Relu);
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
fn a_config_that_cannot_be_is_refused_by_key_and_value() {
    let cases = [
        (
            json!({ "hidden_size": 25 }),
            "bert config: hidden_size is 25, it must be a multiple of num_attention_heads, which is 4",
        ),
        (json!({ "num_attention_heads": 0 }), "bert config: num_attention_heads is 0, it must be at least 1"),
        (json!({ "vocab_size": -1 }), "bert config: vocab_size is -1, it must be an integer, 0 or more"),
        (json!({ "vocab_size": "40" }), "bert config: vocab_size is \"40\", it must be an integer, 0 or more"),
        (json!({ "hidden_act": "mish" }), "bert config: hidden_act `mish` is not supported"),
        (
            json!({ "position_embedding_type": "relative_key" }),
            "bert config: position_embedding_type `relative_key` is not supported",
        ),
        (json!({ "add_cross_attention": true }), "bert config: add_cross_attention `true` is not supported"),
        (
            json!({ "num_labels": 7, "id2label": { "0": "a" } }),
            "bert config: num_labels is 7, but id2label is 1 labels",
        ),
        (json!({ "id2label": {} }), "bert config: id2label is {}, it must be an object of at least one label"),
        (
            json!({ "layer_norm_eps": "1e-12" }),
            "bert config: layer_norm_eps is \"1e-12\", it must be a number, 0 or more",
        ),
        (json!({ "architectures": ["BertForMaskedLm"] }), "bert config: unknown architecture `BertForMaskedLm`"),
        (
            json!({ "architectures": "BertModel" }),
            "bert config: architectures is \"BertModel\", it must be a list of class names",
        ),
        (
            json!({ "hidden_size": 1u64 << 62, "num_attention_heads": 1 }),
            "embedding embeddings.word_embeddings: one example of [batch, up to 20, 4611686018427387904] is larger than 64 bits can count",
        ),
    ];
    for (changes, message) in cases {
        let error = refusal(&tiny(changes));
        assert_eq!(error.to_string(), message);
        assert_eq!(error.exit(), crate::error::Exit::Input);
    }
}

#[test]
fn an_unknown_class_is_answered_with_the_nearest() {
    let error = refusal(&tiny(json!({ "architectures": ["BertForMaskedLm"] })));
    assert_eq!(error.hints()[0], "did you mean `BertForMaskedLM`?");
}

#[test]
fn labels_are_counted_from_either_key() {
    let count = |changes: Value| {
        let mut changes = changes;
        changes["architectures"] = json!(["BertForTokenClassification"]);
        built(&tiny(changes)).0.last().unwrap().shape[0]
    };
    assert_eq!(count(json!({})), 2);
    assert_eq!(count(json!({ "num_labels": 7 })), 7);
    assert_eq!(count(json!({ "id2label": { "0": "a", "1": "b", "2": "c" } })), 3);
    assert_eq!(count(json!({ "num_labels": 1, "id2label": { "0": "a" } })), 1);
    assert_eq!(count(json!({ "num_labels": null })), 2);
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
fn a_block_stands_under_its_path_and_has_a_pooler_only_where_it_is_wanted() {
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

fn source(config: Option<&str>, names: &[&str]) -> Listing {
    let tensors = names.iter().map(|name| TensorInfo::new(*name, Dtype::F32, [3, 24])).collect();
    Listing::new("safetensors", tensors, Vec::new(), config.map(str::to_string))
}

#[test]
fn a_source_is_recognised_by_config_or_by_names() {
    let name = |source: Listing| recognise(&source).map(|(family, config)| (family.name(), config.is_some()));
    let body = ["embeddings.token_type_embeddings.weight", "encoder.layer.0.attention.self.query.weight"];
    let below = |path: &str| body.map(|name| format!("{path}{name}"));
    let by_names = |path: &str| name(source(None, &below(path).each_ref().map(String::as_str)));
    for path in ["", "bert.", "module.bert.", "model.", "state_dict._orig_mod.bert."] {
        assert_eq!(by_names(path), Some(("bert", false)), "{path}");
    }
    for path in ["roberta.", "text_encoder.", "xbert."] {
        assert_eq!(by_names(path), None, "{path}");
    }
    assert_eq!(name(source(Some(r#"{"model_type":"bert"}"#), &["x"])), Some(("bert", true)));
    assert_eq!(name(source(Some(r#"{"model_type":"mamba"}"#), &body)), None);
    assert_eq!(name(source(Some(r#"{"hidden_size":24}"#), &body)), Some(("bert", true)));
    assert_eq!(name(source(Some("not json"), &body)), Some(("bert", false)));
    assert_eq!(name(source(None, &body[..1])), None);
    assert_eq!(name(source(None, &[])), None);
}

#[test]
fn families_do_not_compete_for_a_name() {
    let mut seen = BTreeSet::new();
    for name in FAMILIES.iter().flat_map(|family| family.model_types()) {
        assert!(seen.insert(*name), "{name}");
        assert_eq!(by_model_type(name).map(|family| family.model_types().contains(name)), Some(true));
    }
    assert_eq!(model_types().len(), seen.len());
    for family in FAMILIES {
        assert_eq!(by_name(family.name()).map(|found| found.name()), Some(family.name()));
        assert!(!family.markers().is_empty() && !family.inputs().is_empty());
    }
}

#[test]
fn every_rule_of_a_dialect_has_operations_for_all_its_names() {
    let config = tiny(json!({}));
    for dialect in FAMILIES.iter().flat_map(|family| family.dialects()) {
        assert!(!dialect.markers.is_empty(), "{}", dialect.name);
        for rule in dialect.rules {
            let lists = if rule.ours.len() > 1 { rule.ours.len() } else { 1 };
            assert_eq!((rule.read)(&config).len(), lists, "{}: {:?}", dialect.name, rule.ours);
            assert!(!rule.ours.is_empty() && !rule.theirs.is_empty());
        }
    }
}
