//! What becomes the output's `arch.json`: the architecture alone, without the rules of this transfer and without files beside it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::grammar::RULES;
use super::listing::METADATA;
use crate::family::Config;
use crate::graph::Parameter;

/// A layers file, every config that it names inlined.
pub fn layers(value: &Value, configs: &BTreeMap<String, Config>) -> String {
    let mut value = without_rules(value);
    inline(&mut value, configs);
    format!("{value:#}\n")
}

/// The rules are about one transfer: applied again to its output, they would name tensors that are gone.
fn without_rules(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, _| key != "$schema" && RULES.iter().all(|rule| rule.name != key));
    }
    value
}

fn inline(value: &mut Value, configs: &BTreeMap<String, Config>) {
    for key in ["layers", "shortcut"] {
        for layer in value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            inline(layer, configs);
        }
    }
    if let Some(written) = value.get_mut("config")
        && let Some(config) = written.as_str().and_then(|path| configs.get(path))
    {
        *written = Value::Object(config.0.clone());
    }
}

/// A listing, one line for each tensor.
pub fn listing(value: &Value) -> String {
    let Value::Object(mut head) = without_rules(value) else { return tensors_text(&Map::new(), &Map::new()) };
    match head.shift_remove("tensors") {
        Some(Value::Object(tensors)) => tensors_text(&head, &tensors),
        _ => tensors_text(&head, &Map::new()),
    }
}

/// A bare listing, as one with a head.
pub fn bare(value: &Value) -> String {
    let mut tensors = value.as_object().cloned().unwrap_or_default();
    tensors.shift_remove(METADATA);
    for tensor in tensors.values_mut().filter_map(Value::as_object_mut) {
        tensor.shift_remove("data_offsets");
    }
    tensors_text(&version(), &tensors)
}

/// The tensors of a checkpoint.
pub fn parameters(parameters: &[Parameter]) -> String {
    let tensor = |parameter: &Parameter| {
        let mut tensor = Map::from_iter([("shape".to_string(), parameter.shape.clone().into())]);
        if let Some(dtype) = parameter.dtype {
            tensor.insert("dtype".into(), dtype.short_name().into());
        }
        (parameter.name.clone(), Value::Object(tensor))
    };
    tensors_text(&version(), &parameters.iter().map(tensor).collect())
}

fn version() -> Map<String, Value> {
    Map::from_iter([("xfer".to_string(), 1.into())])
}

fn tensors_text(head: &Map<String, Value>, tensors: &Map<String, Value>) -> String {
    let head: Vec<String> = head.iter().map(|(key, value)| format!("{}: {value}", Value::from(key.as_str()))).collect();
    let lines: Vec<String> =
        tensors.iter().map(|(name, tensor)| format!("    {}: {tensor}", Value::from(name.as_str()))).collect();
    format!("{{ {},\n  \"tensors\": {{\n{} }} }}\n", head.join(",\n  "), lines.join(",\n"))
}
