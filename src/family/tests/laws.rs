//! Laws over every family of the registry and every class that it names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Case, built, cases, class_of, config, family_of, fixtures, json_of};
use crate::family::{Config, FAMILIES, Family, by_model_type, by_name, model_types};
use crate::graph::{Graph, Layout, Parameter};
use crate::init::Scheme;
use crate::tensor::{Role, Shape};

/// Families that the library builds in another order than they compute, so that only the names count.
const OTHER_ORDER: &[&str] = &[
    "albert", "bart", "camembert", "deberta-v2", "electra", "gpt_neox", "mixtral", "mt5", "qwen3_moe", "roberta", "t5",
    "whisper", "xlm-roberta",
];

/// Families that use a parameter in several layers.
const SHARED: &[&str] = &["albert", "deberta-v2", "mpnet", "t5", "mt5"];

fn model_type(case: &Case) -> &str {
    case.config.0["model_type"].as_str().unwrap()
}

#[test]
fn every_class_has_the_state_dict_of_transformers() {
    for case in cases() {
        let (parameters, _) = built(&case.config);
        let mut found: Vec<(String, Shape)> =
            parameters.iter().map(|p| (p.name.to_string(), p.shape.clone())).collect();
        let mut expected = case.tensors.clone();
        if OTHER_ORDER.contains(&model_type(&case)) {
            found.sort();
            expected.sort();
        }
        assert_eq!(found, expected, "{:?}", case.config);
        let ties: BTreeMap<String, String> = parameters
            .iter()
            .filter_map(|p| p.tied_to.map(|owner| (p.name.to_string(), parameters[owner].name.to_string())))
            .collect();
        assert_eq!(ties, case.tied, "{:?}", case.config);
    }
}

#[test]
fn every_class_that_a_family_names_has_a_reference() {
    let referenced: BTreeSet<String> = cases().iter().map(|case| class_of(&case.config)).collect();
    for architecture in FAMILIES.iter().flat_map(|family| family.architectures()) {
        assert!(referenced.contains(*architecture), "{architecture}");
    }
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
    let config = config(json!({ "model_type": "bert" }));
    for dialect in FAMILIES.iter().flat_map(|family| family.dialects()) {
        assert!(!dialect.markers.is_empty(), "{}", dialect.name);
        for rule in dialect.rules.iter().copied().flatten() {
            let lists = if rule.ours.len() > 1 { rule.ours.len() } else { 1 };
            assert_eq!((rule.read)(&config).len(), lists, "{}: {:?}", dialect.name, rule.ours);
            assert!(!rule.ours.is_empty() && !rule.theirs.is_empty());
        }
    }
}

/// What `fixtures/families/make.py` wrote of the classes of all folders.
fn of_every_class(file: &str) -> Vec<Value> {
    let found = json_of(&fixtures().join("families").join(file)).as_array().unwrap().clone();
    let written: Vec<Config> = found.iter().map(|case| config(case["config"].clone())).collect();
    for case in cases() {
        let hint = "run fixtures/families/make.py none";
        assert!(written.contains(&case.config), "{file} has no {:?}: {hint}", case.config);
    }
    found
}

#[test]
fn the_row_of_padding_starts_at_zero_where_transformers_zeroes_it() {
    for case in of_every_class("padding.json") {
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
fn every_parameter_has_a_node_of_its_path() {
    for case in cases() {
        let (parameters, graph) = built(&case.config);
        for (id, parameter) in parameters.iter().enumerate() {
            let nodes: Vec<&str> =
                graph.nodes.iter().filter(|n| n.parameters.contains(&id)).map(|n| n.name.as_str()).collect();
            let what = format!("{}: {} of {nodes:?}", class_of(&case.config), parameter.name);
            assert!(!nodes.is_empty(), "{what}");
            if !SHARED.contains(&model_type(&case)) {
                assert!(nodes.len() == 1 && parameter.name.starts_with(nodes[0]), "{what}");
            }
        }
    }
}

#[test]
fn every_parameter_has_a_rule_and_fans_that_fill_it() {
    for case in cases() {
        for parameter in built(&case.config).0 {
            let fault = fault(model_type(&case), &parameter);
            assert_eq!(fault, None, "{}: {}", class_of(&case.config), parameter.name);
        }
    }
}

/// What is wrong about how a parameter starts, or `None`.
fn fault(model_type: &str, parameter: &Parameter) -> Option<String> {
    let Some(init) = &parameter.init else { return Some("no rule".into()) };
    let rows: u64 = parameter.parts.iter().map(|part| part.rows).sum();
    let is = |value: f64| init.scheme == Scheme::Constant { value };
    let is_right = match parameter.role {
        Role::Linear | Role::Embedding | Role::Position | Role::Conv { .. } => {
            let is_drawn = match model_type {
                "modernbert" => matches!(init.scheme, Scheme::TruncatedNormal { .. }),
                "whisper" => matches!(init.scheme, Scheme::Normal { .. } | Scheme::Sinusoids),
                _ => matches!(init.scheme, Scheme::Normal { .. }),
            };
            is_drawn && (rows == parameter.shape[0] || parameter.layout == Layout::InOut)
        }
        Role::Norm => is(if init.by.starts_with("gemma") { 0.0 } else { 1.0 }),
        Role::Bias => is(0.0),
        Role::Token => parameter.name == "layer_weights" || rows == parameter.shape[0],
        Role::ConvTranspose { .. } | Role::Buffer | Role::Unknown => false,
    };
    (!is_right).then(|| format!("{:?} by {}, {rows} rows of {:?}", init.scheme, init.by, parameter.shape))
}

/// The first components of what belongs to a body and not to a head.
fn body(family: &dyn Family) -> Vec<&'static str> {
    let mut paths = vec![family.base_prefix(), "transformer"];
    if family.inputs().contains(&"decoder_input_ids") {
        paths.extend(["shared", "encoder", "decoder"]);
    }
    paths
}

#[test]
fn heads_are_what_a_class_adds_to_the_body() {
    for case in cases() {
        let class = class_of(&case.config);
        let is_bare = class.ends_with("Model") && !class.contains("Head");
        let body = body(family_of(&case.config));
        for parameter in built(&case.config).0 {
            let first = parameter.name.split('.').next().unwrap();
            assert_eq!(parameter.head, !is_bare && !body.contains(&first), "{class}: {}", parameter.name);
        }
    }
}

#[test]
fn the_matrices_of_a_family_that_are_stored_the_other_way_round_are_those_that_it_names() {
    for case in cases() {
        let family = family_of(&case.config);
        let templates: Vec<crate::arch::Pattern> =
            family.in_out().iter().map(|text| crate::arch::Pattern::parse(text).unwrap()).collect();
        for parameter in built(&case.config).0 {
            let prefix = format!("{}.", family.base_prefix());
            let name = parameter.name.strip_prefix(&prefix).unwrap_or(&parameter.name);
            let named = templates.iter().any(|template| template.matches(name).is_some());
            assert_eq!(parameter.layout == Layout::InOut, named, "{name}");
        }
    }
}

#[test]
fn the_published_sizes_count_as_published() {
    let count = |config| {
        let (parameters, _): (Vec<Parameter>, Graph) = built(&super::config(config));
        let own = parameters.iter().filter(|p| p.tied_to.is_none());
        own.map(|p| p.shape.iter().product::<u64>()).sum::<u64>()
    };
    for (model_type, class, expected) in [
        ("bert", "BertModel", 109_482_240),
        ("gpt2", "GPT2LMHeadModel", 124_439_808),
        ("llama", "LlamaForCausalLM", 6_738_415_616),
        ("mistral", "MistralForCausalLM", 7_241_732_096),
        ("phi3", "Phi3ForCausalLM", 3_821_079_552),
        ("gemma", "GemmaForCausalLM", 8_537_680_896),
        ("smollm3", "SmolLM3ForCausalLM", 3_075_098_624),
    ] {
        assert_eq!(count(json!({ "model_type": model_type, "architectures": [class] })), expected, "{model_type}");
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
}

#[test]
fn every_tensor_starts_as_transformers_starts_it() {
    for case in of_every_class("init.json") {
        let config = config(case["config"].clone());
        let (parameters, _) = built(&config);
        let owned: BTreeMap<&str, &Parameter> =
            parameters.iter().filter(|p| p.tied_to.is_none()).map(|p| (p.name.as_str(), p)).collect();
        let mut compared = 0;
        for start in case["starts"].as_array().unwrap() {
            let names = start[1].as_array().unwrap().iter().filter_map(|name| owned.get(name.as_str().unwrap()));
            for parameter in names {
                let scheme = &parameter.init.as_ref().unwrap().scheme;
                assert!(
                    is_start(scheme, &start[0]),
                    "{}: {}: {scheme:?}, not {}",
                    class_of(&config),
                    parameter.name,
                    start[0]
                );
                compared += 1;
            }
        }
        // in memory the experts of a layer are one tensor, and of two that are tied the other may be the owner
        let least = if parameters.iter().any(|p| p.name.contains(".experts.")) { 1 } else { owned.len() - 1 };
        assert!(compared >= least, "{}: {compared} of {}", class_of(&config), owned.len());
    }
}

/// Whether a scheme is this call of `torch.nn.init`.
fn is_start(scheme: &Scheme, call: &Value) -> bool {
    let number = |place: usize, value: f64| (call[place].as_f64().unwrap() - value).abs() < 1e-9;
    match (call[0].as_str().unwrap(), scheme) {
        ("zeros_", Scheme::Constant { value }) => *value == 0.0,
        ("ones_", Scheme::Constant { value }) => *value == 1.0,
        ("constant_", Scheme::Constant { value }) => number(1, *value),
        ("normal_", Scheme::Normal { mean, std }) => number(1, *mean) && number(2, *std),
        ("trunc_normal_", Scheme::TruncatedNormal { mean, std, low, high }) => {
            number(1, *mean) && number(2, *std) && number(3, *low) && number(4, *high)
        }
        ("copy_", Scheme::Sinusoids) => true,
        _ => false,
    }
}
