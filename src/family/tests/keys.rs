//! Every key of a config changes what it changes in transformers, or is refused by its name.

#![allow(clippy::disallowed_methods, reason = "the sine of the script that made the numbers")]

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::{config, fixtures, json_of, try_build};
use crate::error::Error;
use crate::family::error::FamilyError;
use crate::family::{Config, Known, aliases, by_model_type};
use crate::graph::{Graph, Parameter, run};

/// What `fixtures/configs/make.py` found: by model type the keys of the config class, and what other values of them change.
fn table() -> serde_json::Map<String, Value> {
    serde_json::from_value(json_of(&fixtures().join("configs/keys.json"))).unwrap()
}

type Shapes = BTreeMap<String, Value>;

/// What is written: a tied tensor is its owner.
fn shapes(parameters: &[Parameter]) -> Shapes {
    let owned = parameters.iter().filter(|parameter| parameter.tied_to.is_none());
    owned.map(|parameter| (parameter.name.to_string(), json!(parameter.shape))).collect()
}

/// The weights of `make.py`: a sine of the place and of the name.
fn weight(parameter: &Parameter) -> Tensor {
    let phase = (parameter.name.bytes().map(u64::from).sum::<u64>() % 97) as f64 * 0.1;
    let is_norm = parameter.shape.len() == 1 && parameter.name.ends_with("weight");
    let count: u64 = parameter.shape.iter().product();
    let value = |place: u64| {
        let wave = (1.0 + 0.61 * place as f64 + phase).sin();
        if is_norm { 1.0 + 0.2 * wave } else { 0.3 * wave }
    };
    let values: Vec<f32> = (0..count).map(|place| value(place) as f32).collect();
    let shape: Vec<usize> = parameter.shape.iter().map(|size| *size as usize).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The first logits of `make.py`'s text or recording, or why there are none.
fn logits(config: &Config, parameters: &[Parameter], graph: &Graph) -> Result<Vec<f32>, String> {
    let ids = |ids: Vec<i64>| {
        let length = ids.len();
        Tensor::from_vec(ids, (1, length), &Device::Cpu).unwrap()
    };
    let name = config.0["architectures"][0].as_str().unwrap();
    let mut batch = BTreeMap::new();
    if config.0["model_type"] == "whisper" {
        let (bins, frames) =
            (config.0["num_mel_bins"].as_u64().unwrap(), config.0["max_source_positions"].as_u64().unwrap() * 2);
        let values: Vec<f32> = (0..bins * frames).map(|at| (at as f64 * 0.37).sin() as f32).collect();
        let shape = (1, bins as usize, frames as usize);
        batch.insert("input_features".to_string(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    } else {
        batch.insert("input_ids".to_string(), ids(vec![9, 7, 4, 11, 8, 2]));
        batch.insert("attention_mask".to_string(), ids(vec![1; 6]));
    }
    let decodes = ["t5", "mt5", "bart", "whisper"].iter().any(|family| config.0["model_type"] == *family);
    if decodes && !name.contains("Sequence") && !name.contains("Audio") {
        batch.insert("decoder_input_ids".to_string(), ids(vec![2, 9, 5, 7]));
    }
    let outputs = run(graph, parameters, &|parameter| Ok(weight(parameter)), &batch, None);
    let outputs = outputs.map_err(|error| error.to_string())?;
    let logits = &outputs["logits"];
    let width = *logits.dims().last().unwrap();
    let rows: Vec<f32> = logits.get(0).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    Ok(rows[rows.len() - width..].iter().take(6).copied().collect())
}

/// Whether an error names the key, or the key that it is an alias of.
fn names_key(error: &Error, key: &str, family: &str) -> bool {
    let names = aliases::same(family, key);
    let is = |found: &str| names.iter().any(|name| name == found.split('.').next().unwrap());
    match error.downcast_ref() {
        Some(FamilyError::Value { key, .. }) => is(key),
        Some(FamilyError::Unsupported { key, .. }) => is(key),
        Some(FamilyError::Contradiction { key, other, .. }) => is(key) || is(other),
        _ => false,
    }
}

/// What is wrong about one other value of one key, or `None`.
fn fault(base: &Config, shapes_before: &Shapes, logits_before: &Value, change: &Value) -> Option<String> {
    let (key, value) = (change["key"].as_str().unwrap(), &change["value"]);
    let mut changed = base.clone();
    changed.0.insert(key.into(), value.clone());
    let what = format!("{} {}: {key}={value}", base.0["model_type"], base.0["architectures"][0]);
    let (parameters, graph) = match try_build(&changed) {
        Ok(built) => built,
        Err(error) if names_key(&error, key, base.0["model_type"].as_str().unwrap()) => return None,
        // transformers has such weights and cannot run them
        Err(_) if change.get("logits") == Some(&Value::Null) => return None,
        Err(error) => return Some(format!("{what}: refused without its name: {error}")),
    };
    let mut expected = shapes_before.clone();
    for (name, shape) in change["tensors"].as_object().into_iter().flatten() {
        match shape {
            Value::Null => drop(expected.remove(name)),
            shape => drop(expected.insert(name.clone(), shape.clone())),
        }
    }
    let found = shapes(&parameters);
    if found != expected {
        let differ: Vec<String> = expected
            .iter()
            .chain(&found)
            .map(|(name, _)| name)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|name| expected.get(*name) != found.get(*name))
            .map(|name| {
                format!(
                    "{name} {:?}, in transformers {:?}",
                    found.get(name).map(Value::to_string),
                    expected.get(name).map(Value::to_string)
                )
            })
            .collect();
        return Some(format!("{what}: {}", differ.iter().take(3).cloned().collect::<Vec<_>>().join("; ")));
    }
    let logits_after = change.get("logits").unwrap_or(logits_before);
    let expected = logits_after.as_array()?;
    let found = match logits(&changed, &parameters, &graph) {
        Ok(found) => found,
        Err(error) if error.contains(key) => return None,
        Err(error) => return Some(format!("{what}: does not run: {error}")),
    };
    let near = |(a, b): (&f32, &Value)| {
        (f64::from(*a) - b.as_f64().unwrap()).abs() < 2e-4 * b.as_f64().unwrap().abs().max(1.0)
    };
    (found.len() != expected.len() || !found.iter().zip(expected).all(near))
        .then(|| format!("{what}: gives {found:?}, transformers {logits_after}"))
}

#[test]
fn every_key_changes_what_it_changes_in_transformers_or_is_refused_by_name() {
    let (mut faults, mut count) = (Vec::new(), 0);
    for (_, family) in table() {
        for case in family["classes"].as_array().unwrap() {
            let base = config(case["config"].clone());
            let shapes: Shapes = serde_json::from_value(case["tensors"].clone()).unwrap();
            let unchanged = json!({ "key": "model_type", "value": base.0["model_type"] });
            let changes = case["changes"].as_array().unwrap();
            for change in std::iter::once(&unchanged).chain(changes) {
                count += 1;
                faults.extend(fault(&base, &shapes, &case["logits"], change));
            }
        }
    }
    assert!(count > 900, "{count}");
    assert!(faults.is_empty(), "{} of {count}\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_key_of_a_config_class_is_known() {
    for (model_type, family) in table() {
        let base = config(family["classes"][0]["config"].clone());
        let known = Known::of(by_model_type(&model_type).unwrap(), &base);
        let keys = family["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap());
        let unknown: Vec<&str> = keys.filter(|key| !known.has(key)).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{model_type}");
    }
}

#[test]
fn both_names_of_every_key_that_transformers_renames_are_read() {
    for (model_type, family) in table() {
        let base = config(family["classes"][0]["config"].clone());
        for (alias, key) in family["attribute_map"].as_object().unwrap() {
            let key = key.as_str().unwrap();
            assert!(aliases::same(&model_type, key).contains(alias), "{model_type}: {alias} is {key}");
            let Some(value) = base.0.get(key).or(base.0.get(alias)).and_then(Value::as_u64) else { continue };
            let mut renamed = base.clone();
            renamed.0.shift_remove(key);
            renamed.0.insert(alias.clone(), value.into());
            assert_eq!(
                shapes(&try_build(&renamed).unwrap().0),
                shapes(&try_build(&base).unwrap().0),
                "{model_type}: {alias}"
            );
            renamed.0.insert(key.into(), (value * 2).into());
            let error = try_build(&renamed).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(FamilyError::Contradiction { .. })), "{model_type}: {error}");
        }
    }
}
