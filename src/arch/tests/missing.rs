//! A config that lacks a key becomes the model of its weights, or an error names the key.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::open;
use crate::arch::{Architecture, missing};
use crate::checkpoint::{CheckpointFormat, Listing};
use crate::family::{Config, by_model_type};
use crate::tensor::{Dtype, TensorInfo};

/// Every class of every family with a small config, its tensors, and the names that are ties.
fn cases() -> Vec<Value> {
    let of = |folder: &str| {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder).join("state_dict.json");
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        all["cases"].as_array().unwrap().clone()
    };
    ["bert", "gpt2", "llama", "families"].into_iter().flat_map(of).collect()
}

/// What a checkpoint of a case holds.
fn listing(case: &Value, config: Option<&Map<String, Value>>) -> Listing {
    let tied = case["tied"].as_object().unwrap();
    let stored = case["tensors"].as_object().unwrap().iter().filter(|(name, _)| !tied.contains_key(*name));
    let shape = |shape: &Value| -> crate::tensor::Shape {
        shape.as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).collect()
    };
    let tensors = stored.map(|(name, sizes)| TensorInfo::new(name.as_str(), Dtype::F32, shape(sizes)));
    let config = config.map(|config| Value::Object(config.clone()).to_string());
    Listing::new(CheckpointFormat::Safetensors, tensors.collect(), Vec::new(), config)
}

fn shapes(architecture: &Architecture) -> BTreeMap<String, (Vec<u64>, bool)> {
    let one = |p: &crate::graph::Parameter| (p.name.to_string(), (p.shape.to_vec(), p.tied_to.is_some()));
    architecture.parameters.iter().map(one).collect()
}

fn config(case: &Value) -> Map<String, Value> {
    case["config"].as_object().unwrap().clone()
}

#[test]
fn a_key_that_is_missing_is_that_of_the_weights_or_an_error_names_it() {
    let (mut taken, mut refused) = (0, 0);
    let heads = ["ForMaskedLM", "ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSequenceClassification"];
    let class = |case: &Value| case["config"]["architectures"][0].as_str().unwrap().to_string();
    let mut seen = std::collections::BTreeSet::new();
    // one language model and one classifier of each family
    for case in cases()
        .into_iter()
        .filter(|case| heads.iter().any(|end| class(case).ends_with(end)) && seen.insert(class(case)))
    {
        let full = config(&case);
        let expected = shapes(&open(&Value::Object(full.clone()).to_string()).unwrap());
        let weights = listing(&case, None);
        // where a list of layers is missing, matching finds the holes that follow
        let other = ["model_type", "architectures", "mlp_only_layers"];
        for key in full.keys().filter(|key| !other.contains(&key.as_str())) {
            let what = format!("{} {} without {key}", full["model_type"], full["architectures"]);
            let mut lacking = full.clone();
            lacking.shift_remove(key);
            // the other keys and the defaults contradict each other
            let Ok(built) = open(&Value::Object(lacking).to_string()) else { continue };
            // both copies are stored; whether they are equal is measured, and where they are not that is an error
            if key == "tie_word_embeddings"
                && full[key] == false
                && built.parameters.iter().any(|p| p.tied_to.is_some())
            {
                continue;
            }
            // one copy is stored, and a bare mT5 stores none of the head: it may be either
            if key == "tie_word_embeddings" && full["model_type"] == "mt5" {
                continue;
            }
            if shapes(&built) == expected {
                let same = missing::by_own_weights(built, &weights).unwrap();
                assert_eq!((shapes(&same), same.notes), (expected.clone(), Vec::new()), "{what}: a false alarm");
                continue;
            }
            match missing::by_own_weights(built, &weights) {
                Ok(completed) => {
                    assert_eq!(shapes(&completed), expected, "{what}: {:?}", completed.notes);
                    let named = if key == "id2label" { "num_labels" } else { key.as_str() };
                    let is_named = |note: &String| note.contains(&format!("`{named}` is not stated"));
                    assert!(completed.notes.iter().any(is_named), "{what}");
                    taken += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains(&format!("{key} is not stated")), "{what}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(taken > 100 && refused < 30, "{taken} taken, {refused} refused");
}

#[test]
fn a_key_that_is_missing_is_that_of_a_source_of_the_same_family() {
    for case in cases() {
        let full = config(&case);
        let expected = shapes(&open(&Value::Object(full.clone()).to_string()).unwrap());
        let (family, theirs) = (by_model_type(full["model_type"].as_str().unwrap()).unwrap(), Config(full.clone()));
        let weights = listing(&case, Some(&full));
        for key in
            full.keys().filter(|key| !["model_type", "architectures", "id2label", "num_labels"].contains(&key.as_str()))
        {
            let mut lacking = full.clone();
            lacking.shift_remove(key);
            let Ok(built) = open(&Value::Object(lacking).to_string()) else { continue };
            let completed = missing::by_source(built, "source", (family, Some(&theirs), &weights));
            let completed =
                completed.unwrap_or_else(|error| panic!("{} without {key}: {error}", full["architectures"]));
            assert_eq!(shapes(&completed), expected, "{} without {key}: {:?}", full["architectures"], completed.notes);
        }
    }
}

#[test]
fn what_a_config_states_is_a_change_and_stays() {
    let case = cases().into_iter().find(|case| case["config"]["architectures"][0] == "LlamaForCausalLM").unwrap();
    let (full, weights) = (config(&case), listing(&case, Some(&config(&case))));
    let (family, theirs) = (by_model_type("llama").unwrap(), Config(full.clone()));
    for (key, value) in [("vocab_size", json!(77)), ("intermediate_size", json!(12)), ("num_hidden_layers", json!(1))] {
        let mut changed = full.clone();
        changed.insert(key.into(), value.clone());
        let built = open(&Value::Object(changed).to_string()).unwrap();
        let expected = shapes(&built);
        for completed in [
            missing::by_source(built.clone(), "source", (family, Some(&theirs), &weights)).unwrap(),
            missing::by_source(built.clone(), "source", (family, None, &weights)).unwrap(),
            missing::by_own_weights(built.clone(), &weights).unwrap(),
        ] {
            assert_eq!((shapes(&completed), completed.notes), (expected.clone(), Vec::new()), "{key}");
        }
    }
}

#[test]
fn a_stated_change_from_which_defaults_follow_is_left_alone() {
    let source = json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 32, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": 1, "intermediate_size": 64, "vocab_size": 40, "max_position_embeddings": 8});
    let source = source.as_object().unwrap();
    let built = open(&Value::Object(source.clone()).to_string()).unwrap();
    let tensors =
        built.parameters.iter().map(|p| TensorInfo::new(p.name.clone(), Dtype::F32, p.shape.clone())).collect();
    let weights = Listing::new(
        CheckpointFormat::Safetensors,
        tensors,
        Vec::new(),
        Some(Value::Object(source.clone()).to_string()),
    );
    let (family, theirs) = (by_model_type("llama").unwrap(), Config(source.clone()));
    let mut narrow = source.clone();
    narrow.insert("hidden_size".into(), json!(16));
    let narrow = open(&Value::Object(narrow).to_string()).unwrap();
    let expected = shapes(&narrow);
    let completed = missing::by_source(narrow, "source", (family, Some(&theirs), &weights)).unwrap();
    assert_eq!((shapes(&completed), completed.notes), (expected, Vec::new()));
}

#[test]
fn what_several_values_fit_is_an_error_that_names_them() {
    let gated = cases().into_iter().find(|case| {
        case["config"]["feed_forward_proj"] == "gated-gelu"
            && case["config"]["architectures"][0] == "T5ForConditionalGeneration"
    });
    let gated = gated.unwrap();
    let mut lacking = config(&gated);
    lacking.shift_remove("feed_forward_proj");
    let built = open(&Value::Object(lacking).to_string()).unwrap();
    let error = missing::by_own_weights(built, &listing(&gated, None)).err().unwrap();
    assert!(
        error
            .to_string()
            .starts_with("t5 config: feed_forward_proj is not stated, and its default \"relu\" contradicts"),
        "{error}"
    );
    assert!(error.hints()[0].ends_with("what fits: \"gated-gelu\" or \"gated-silu\""), "{:?}", error.hints());
}
