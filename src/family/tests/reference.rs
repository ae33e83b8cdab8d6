//! Families of one folder of fixtures, held to transformers' names and numbers.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::{config, difference, fixtures};
use crate::family::{Class, Config, Inputs, by_model_type};
use crate::graph::{Builder, Graph, Layer, Parameter, Use, run};
use crate::init::Scheme;
use crate::tensor::Role;

type Arrays = BTreeMap<String, Tensor>;

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cases() -> Vec<Value> {
    json_of(&fixtures().join("families/state_dict.json"))["cases"].as_array().unwrap().clone()
}

fn built(config: &Config) -> (Vec<Parameter>, Graph) {
    let family = by_model_type(config.0["model_type"].as_str().unwrap()).unwrap();
    let mut builder = Builder::new();
    let outputs = family.build(config, &Inputs::default(), &Class::OfConfig, &mut builder).unwrap();
    builder.finish(outputs).unwrap()
}

#[test]
fn a_deberta_that_cannot_be_is_refused_by_key_and_value() {
    let cases = [
        (json!({ "conv_kernel_size": 4 }), "conv_kernel_size is 4, it must be odd: a result for each token"),
        (json!({ "conv_kernel_size": 3, "conv_act": "mish" }), "conv_act `mish` is not supported"),
        (json!({ "embedding_size": 12, "legacy": false }), "embedding_size `12` is not supported"),
        (json!({ "pooler_hidden_size": 12 }), "pooler_hidden_size `12` is not supported"),
    ];
    for (changes, message) in cases {
        let mut config = config(json!({ "model_type": "deberta-v2" }));
        config.0.extend(changes.as_object().unwrap().clone());
        let family = by_model_type("deberta-v2").unwrap();
        let error = family.build(&config, &Inputs::default(), &Class::OfConfig, &mut Builder::new()).unwrap_err();
        assert_eq!(error.to_string(), format!("deberta-v2 config: {message}"));
    }
}

#[test]
fn every_class_has_the_state_dict_of_transformers() {
    for case in cases() {
        let (parameters, _) = built(&config(case["config"].clone()));
        let found: BTreeMap<String, Value> = parameters.iter().map(|p| (p.name.to_string(), json!(p.shape))).collect();
        let expected: BTreeMap<String, Value> =
            case["tensors"].as_object().unwrap().iter().map(|(name, shape)| (name.clone(), shape.clone())).collect();
        assert_eq!(found, expected, "{}", case["config"]);
        let ties: BTreeMap<String, Value> = parameters
            .iter()
            .filter_map(|p| p.tied_to.map(|owner| (p.name.to_string(), json!(parameters[owner].name))))
            .collect();
        let expected: BTreeMap<String, Value> =
            case["tied"].as_object().unwrap().iter().map(|(name, owner)| (name.clone(), owner.clone())).collect();
        assert_eq!(ties, expected, "{}", case["config"]);
    }
}

#[test]
fn the_row_of_padding_starts_at_zero_where_transformers_zeroes_it() {
    let cases = json_of(&fixtures().join("families/padding.json"));
    for case in cases.as_array().unwrap() {
        let (parameters, _) = built(&config(case["config"].clone()));
        let owners = || parameters.iter().filter(|parameter| parameter.tied_to.is_none());
        let found: BTreeMap<&str, Value> =
            owners().filter_map(|p| Some((p.name.as_str(), json!(p.zero_row?)))).collect();
        let rows = case["rows"].as_object().unwrap();
        let expected: BTreeMap<&str, Value> =
            owners().filter_map(|p| Some((p.name.as_str(), rows.get(p.name.as_str())?.clone()))).collect();
        assert_eq!(found, expected, "{}", case["config"]);
    }
}

#[test]
fn every_parameter_has_a_rule_a_node_and_fans_where_it_is_drawn() {
    for case in cases() {
        let (parameters, graph) = built(&config(case["config"].clone()));
        let mut owned = vec![false; parameters.len()];
        graph.nodes.iter().flat_map(|node| &node.parameters).for_each(|id| owned[*id] = true);
        for (parameter, owned) in parameters.iter().zip(owned) {
            assert!(owned, "{}", parameter.name);
            let init = parameter.init.as_ref().unwrap_or_else(|| panic!("{} has no rule", parameter.name));
            let rows: u64 = parameter.parts.iter().map(|part| part.rows).sum();
            match parameter.role {
                Role::Linear | Role::Embedding | Role::Position | Role::Conv { .. } => {
                    assert!(!matches!(init.scheme, Scheme::Constant { .. }), "{}", parameter.name);
                    assert_eq!(rows, parameter.shape[0], "{}", parameter.name);
                }
                Role::Norm => assert_eq!(init.scheme, Scheme::Constant { value: 1.0 }, "{}", parameter.name),
                Role::Bias => assert_eq!(init.scheme, Scheme::Constant { value: 0.0 }, "{}", parameter.name),
                Role::Token => {
                    assert!(parameter.name == "layer_weights" || rows == parameter.shape[0], "{}", parameter.name)
                }
                other => panic!("{} is {other:?}", parameter.name),
            }
        }
    }
}

struct Run {
    config: Config,
    weights: Arrays,
    reference: Arrays,
}

fn load(path: &Path) -> Arrays {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn runs() -> Vec<Run> {
    let folder = fixtures().join("families");
    let file = |run: &Value, key: &str| load(&folder.join(run[key].as_str().unwrap()));
    let runs = json_of(&folder.join("runs.json"));
    let open = |run: &Value| Run {
        config: config(run["config"].clone()),
        weights: file(run, "weights"),
        reference: file(run, "reference"),
    };
    runs.as_array().unwrap().iter().map(open).collect()
}

fn outputs(config: &Config, weights: &Arrays, batch: &Arrays) -> crate::error::Result<Arrays> {
    let (parameters, graph) = built(config);
    run(&graph, &parameters, &|parameter| Ok(weights[parameter.name.as_str()].clone()), batch, None)
}

#[test]
fn a_run_gives_what_transformers_gives() {
    for Run { config, weights, reference } in runs() {
        let found = outputs(&config, &weights, &reference)
            .unwrap_or_else(|error| panic!("{:?}: {error}", config.0["architectures"]));
        let mut compared = 0;
        for name in ["logits", "hidden", "encoder_hidden"] {
            let (Some(found), Some(expected)) = (found.get(name), reference.get(name)) else { continue };
            let difference = difference(found, expected, reference.get("attention_mask"));
            assert!(difference < 2e-5, "{:?} {name}: {difference}", config.0["architectures"]);
            compared += 1;
        }
        assert!(compared > 0, "{:?}", config.0["architectures"]);
    }
}

#[test]
fn every_family_of_the_folder_runs() {
    let names = |values: Vec<String>| values.into_iter().collect::<std::collections::BTreeSet<_>>();
    let of = |config: &Value| config["model_type"].as_str().unwrap().to_string();
    let ran = names(runs().iter().map(|run| of(&Value::Object(run.config.0.clone()))).collect());
    assert_eq!(ran, names(cases().iter().map(|case| of(&case["config"])).collect()));
}

#[test]
fn every_weight_matters_to_some_run() {
    // a node that reads the wrong tensor, or none, gives the right numbers only where it is not asked
    for Run { config, weights, reference } in runs() {
        let (_, graph) = built(&config);
        let before = outputs(&config, &weights, &reference).unwrap();
        let unused: Vec<&str> = graph
            .nodes
            .iter()
            .filter(|node| matches!(node.layer, Layer::Parameter { usage: Use::None, .. }))
            .map(|node| node.name.as_str())
            .collect();
        for (name, value) in &weights {
            let is_used = !unused.iter().any(|unused| name == unused) && !name.ends_with("shared.weight");
            let mut changed = weights.clone();
            changed.insert(name.clone(), (value.sin().unwrap() + 0.7).unwrap());
            let after = outputs(&config, &changed, &reference).unwrap();
            let moved = before.iter().any(|(output, value)| difference(&after[output], value, None) > 1e-7);
            // a bias of keys moves all scores of a query alike, and a softmax does not see it
            let blind = ["key.bias", "k_lin.bias", "k_proj.bias"].iter().any(|end| name.ends_with(end));
            assert!(moved || !is_used || blind, "{:?}: {name}", config.0["architectures"]);
        }
    }
}
