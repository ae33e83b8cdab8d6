//! Decoders, held to transformers' names and numbers.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::{config, fixtures};
use crate::error::Error;
use crate::family::{Class, Config, Inputs, by_model_type, decoder};
use crate::graph::{Builder, Graph, Parameter, run};
use crate::init::Scheme;
use crate::tensor::Role;

const FOLDERS: &[&str] = &["gpt2", "llama"];

type Arrays = BTreeMap<String, Tensor>;

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cases() -> Vec<Value> {
    let of = |folder: &&str| json_of(&fixtures().join(folder).join("state_dict.json"))["cases"].clone();
    FOLDERS.iter().map(of).flat_map(|cases| cases.as_array().unwrap().clone()).collect()
}

fn built(config: &Config) -> (Vec<Parameter>, Graph) {
    let family = by_model_type(config.0["model_type"].as_str().unwrap()).unwrap();
    let mut builder = Builder::new();
    let outputs = family.build(config, &Inputs::default(), &Class::OfConfig, &mut builder).unwrap();
    builder.finish(outputs).unwrap()
}

fn refusal(config: Value) -> Error {
    let config = super::config(config);
    let family = by_model_type(config.0["model_type"].as_str().unwrap()).unwrap();
    family.build(&config, &Inputs::default(), &Class::OfConfig, &mut Builder::new()).expect_err("it was built")
}

#[test]
fn every_class_has_the_state_dict_of_transformers() {
    for case in cases() {
        let (parameters, _) = built(&config(case["config"].clone()));
        let found: Vec<(String, Value)> = parameters.iter().map(|p| (p.name.to_string(), json!(p.shape))).collect();
        let expected: Vec<(String, Value)> =
            case["tensors"].as_object().unwrap().iter().map(|(name, shape)| (name.clone(), shape.clone())).collect();
        assert_eq!(found, expected, "{}", case["config"]);
        let ties: serde_json::Map<String, Value> = parameters
            .iter()
            .filter_map(|p| p.tied_to.map(|owner| (p.name.to_string(), json!(parameters[owner].name))))
            .collect();
        assert_eq!(Value::Object(ties), case["tied"], "{}", case["config"]);
    }
}

#[test]
fn every_parameter_has_a_rule_and_a_node() {
    for case in cases() {
        let (parameters, graph) = built(&config(case["config"].clone()));
        let mut owners = vec![0; parameters.len()];
        for node in &graph.nodes {
            for id in &node.parameters {
                owners[*id] += 1;
                assert!(parameters[*id].name.starts_with(&node.name), "{} of {}", parameters[*id].name, node.name);
            }
        }
        for (parameter, owners) in parameters.iter().zip(owners) {
            assert_eq!(owners, 1, "{}", parameter.name);
            let init = parameter.init.as_ref().unwrap_or_else(|| panic!("{} has no rule", parameter.name));
            let centred = init.by.starts_with("gemma");
            match parameter.role {
                Role::Linear | Role::Embedding | Role::Position => {
                    assert!(matches!(init.scheme, Scheme::Normal { .. }), "{}", parameter.name)
                }
                Role::Norm if centred => assert_eq!(init.scheme, Scheme::Constant { value: 0.0 }),
                Role::Norm => assert_eq!(init.scheme, Scheme::Constant { value: 1.0 }),
                Role::Bias => assert_eq!(init.scheme, Scheme::Constant { value: 0.0 }),
                other => panic!("{} is {other:?}", parameter.name),
            }
        }
    }
}

#[test]
fn heads_are_what_stands_on_the_body() {
    for case in cases() {
        let class = case["config"]["architectures"][0].as_str().unwrap();
        let headless = class.ends_with("Model") && !class.contains("Head");
        for parameter in built(&config(case["config"].clone())).0 {
            let first = parameter.name.split('.').next().unwrap();
            let head =
                !headless && ["lm_head", "multiple_choice_head", "score", "classifier", "qa_outputs"].contains(&first);
            assert_eq!(parameter.head, head, "{}", parameter.name);
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
    let mut all = Vec::new();
    for folder in FOLDERS {
        let folder = fixtures().join(folder);
        for run in json_of(&folder.join("runs.json")).as_array().unwrap() {
            let file = |key: &str| load(&folder.join(run[key].as_str().unwrap()));
            let config = config(run["config"].clone());
            all.push(Run { config, weights: file("weights"), reference: file("reference") });
        }
    }
    all
}

fn outputs(config: &Config, weights: &Arrays, batch: &Arrays) -> crate::error::Result<Arrays> {
    let (parameters, graph) = built(config);
    run(&graph, &parameters, &|parameter| Ok(weights[parameter.name.as_str()].clone()), batch, None)
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    super::difference(a, b, None)
}

#[test]
fn a_run_gives_what_transformers_gives() {
    for Run { config, weights, reference } in runs() {
        let found = outputs(&config, &weights, &reference).unwrap();
        let given: Vec<&String> = reference.keys().filter(|name| !decoder::INPUTS.contains(&name.as_str())).collect();
        assert!(found.keys().eq(given.iter().copied()) && given.len() >= 2, "{given:?}");
        for name in given {
            let difference = difference(&found[name], &reference[name]);
            assert!(difference < 1e-5, "{:?} {name}: {difference}", config.0["architectures"]);
        }
    }
}

#[test]
fn every_sibling_runs() {
    let mut ran: Vec<String> = runs().iter().map(|run| run.config.0["model_type"].as_str().unwrap().into()).collect();
    let mut named: Vec<String> =
        cases().iter().map(|case| case["config"]["model_type"].as_str().unwrap().into()).collect();
    for names in [&mut ran, &mut named] {
        names.sort();
        names.dedup();
    }
    assert_eq!(ran, named);
}

#[test]
fn a_kind_of_rope_scaling_without_code_has_parameters_and_does_not_run() {
    let Run { mut config, weights, reference } =
        runs().into_iter().find(|run| run.config.0["model_type"] == "llama").unwrap();
    config.0.insert("rope_parameters".into(), json!({ "rope_type": "proportional", "rope_theta": 100.0 }));
    assert_eq!(built(&config).0.len(), cases_of("LlamaForCausalLM", "mlp_bias")["tensors"].as_object().unwrap().len());
    let error = outputs(&config, &weights, &reference).unwrap_err().to_string();
    assert!(error.contains("self_attn") && error.contains("rope_scaling of type proportional"), "{error}");
}

fn cases_of(architecture: &str, key: &str) -> Value {
    let is = |case: &Value| case["config"]["architectures"][0] == architecture && !case["config"][key].is_null();
    cases().into_iter().find(is).unwrap()
}

#[test]
fn configs_that_cannot_be_are_refused_by_key_and_both_numbers() {
    let cases = [
        (
            json!({ "model_type": "llama", "num_attention_heads": 6, "num_key_value_heads": 4, "hidden_size": 12 }),
            "llama config: num_key_value_heads is 4, it must be a divisor of num_attention_heads, which is 6",
        ),
        (
            json!({ "model_type": "mistral", "num_attention_heads": 8, "hidden_size": 12 }),
            "mistral config: hidden_size is 12, it must be a multiple of num_attention_heads, which is 8, or head_dim stated",
        ),
        (
            json!({ "model_type": "qwen2", "num_hidden_layers": 3, "layer_types": ["full_attention"] }),
            "qwen2 config: num_hidden_layers is 3, but layer_types is 1 layers",
        ),
        (
            json!({ "model_type": "gemma3_text", "final_logit_softcapping": 30.0 }),
            "gemma3_text config: final_logit_softcapping `30.0` is not supported",
        ),
        (
            json!({ "model_type": "llama", "rope_scaling": { "rope_type": "linear" } }),
            "llama config: rope_scaling.factor is missing, it must be a number above 0",
        ),
        (
            json!({ "model_type": "phi3", "hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2,
                "rope_scaling": { "type": "su", "short_factor": [1.0, 1.0, 1.0], "long_factor": [1.0] } }),
            "attention layers.0.self_attn: number of rope factors is 1, it must be half of the 6 dimensions that are rotated",
        ),
        (
            json!({ "model_type": "phi3", "rope_scaling": { "rope_type": "longrope", "short_factor": [1.0, 0] } }),
            "phi3 config: rope_scaling.short_factor is 0, it must be a list of numbers above 0",
        ),
        (
            json!({ "model_type": "gpt2", "architectures": ["GPT2DoubleHeadsModel"], "summary_type": "attn" }),
            "gpt2 config: summary_type `attn` is not supported",
        ),
        (
            json!({ "model_type": "qwen3", "architectures": ["Qwen2ForCausalLM"] }),
            "qwen3 config: unknown architecture `Qwen2ForCausalLM`",
        ),
    ];
    for (config, message) in cases {
        let error = refusal(config);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.exit(), crate::error::Exit::Input);
    }
}

#[test]
fn the_published_sizes_count_as_published() {
    let count = |value: Value| {
        let (parameters, _) = built(&config(value));
        let own = parameters.iter().filter(|p| p.tied_to.is_none());
        own.map(|p| p.shape.iter().product::<u64>()).sum::<u64>()
    };
    assert_eq!(count(json!({ "model_type": "llama", "architectures": ["LlamaForCausalLM"] })), 6_738_415_616);
    assert_eq!(count(json!({ "model_type": "mistral", "architectures": ["MistralForCausalLM"] })), 7_241_732_096);
    assert_eq!(count(json!({ "model_type": "phi3", "architectures": ["Phi3ForCausalLM"] })), 3_821_079_552);
    assert_eq!(count(json!({ "model_type": "gemma", "architectures": ["GemmaForCausalLM"] })), 8_537_680_896);
}

#[test]
fn the_matrices_of_a_family_that_are_stored_the_other_way_round_are_those_that_it_names() {
    for case in cases() {
        let family = by_model_type(case["config"]["model_type"].as_str().unwrap()).unwrap();
        let templates: Vec<crate::arch::Pattern> =
            family.in_out().iter().map(|text| crate::arch::Pattern::parse(text).unwrap()).collect();
        for parameter in built(&config(case["config"].clone())).0 {
            let prefix = format!("{}.", family.base_prefix());
            let name = parameter.name.strip_prefix(&prefix).unwrap_or(&parameter.name);
            let named = templates.iter().any(|template| template.matches(name).is_some());
            assert_eq!(parameter.layout == crate::graph::Layout::InOut, named, "{name}");
        }
    }
}

#[test]
fn the_ends_of_residual_branches_of_gpt2_start_narrower() {
    let (parameters, _) = built(&config(json!({ "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"] })));
    for parameter in &parameters {
        let expected = if parameter.name.ends_with("c_proj.weight") { 0.02 / 24f64.sqrt() } else { 0.02 };
        if let Scheme::Normal { std, .. } = parameter.init.as_ref().unwrap().scheme {
            assert_eq!(std, expected, "{}", parameter.name);
        }
    }
    let own = parameters.iter().filter(|p| p.tied_to.is_none());
    assert_eq!(own.map(|p| p.shape.iter().product::<u64>()).sum::<u64>(), 124_439_808);
}
