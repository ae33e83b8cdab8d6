//! What becomes the output's `arch.json`: the architecture alone, without the rules of this transfer and without files beside it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::grammar::RULES;
use super::node::{Entry, Node};
use crate::family::Config;
use crate::graph::Parameter;
use crate::tensor::Dtype;

/// A layers file, every config that it names inlined.
pub(crate) fn layers(root: &Node, configs: &BTreeMap<String, Config>) -> String {
    let mut value = without_rules(root.plain());
    inline(&mut value, configs);
    format!("{value:#}\n")
}

/// The rules are about one transfer: applied again to its output, they would name tensors that are gone.
fn without_rules(mut value: Value) -> Value {
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
pub(crate) fn listing(root: &Node) -> String {
    let is_kept = |key: &str| key != "$schema" && key != "tensors" && RULES.iter().all(|rule| rule.name != key);
    let head = root.entries().unwrap_or_default().iter().filter(|entry| is_kept(&entry.key));
    let tensors = root.get("tensors").and_then(Node::entries).unwrap_or_default();
    text(head.map(|entry| (entry.key.as_str(), &entry.node)), tensors.iter().map(|one| (one.key.as_str(), &one.node)))
}

/// A bare listing, as one with a head.
pub(crate) fn bare<'a>(tensors: impl Iterator<Item = &'a Entry>) -> String {
    text(version(), tensors.map(|tensor| (tensor.key.as_str(), Unplaced(&tensor.node))))
}

/// A tensor of a safetensors header without the place of its data.
struct Unplaced<'a>(&'a Node);

impl Serialize for Unplaced<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = self.0.entries().unwrap_or_default().iter().filter(|entry| entry.key != "data_offsets");
        serializer.collect_map(kept.map(|entry| (&entry.key, &entry.node)))
    }
}

/// The tensors of a checkpoint.
pub(crate) fn parameters(parameters: &[Parameter]) -> String {
    text(version(), parameters.iter().map(|parameter| (parameter.name.as_str(), Listed::of(parameter))))
}

#[derive(Serialize)]
struct Listed<'a> {
    shape: &'a [u64],
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<&'static str>,
}

impl Listed<'_> {
    fn of(parameter: &Parameter) -> Listed<'_> {
        Listed { shape: &parameter.shape, dtype: parameter.dtype.map(Dtype::short_name) }
    }
}

fn version() -> impl Iterator<Item = (&'static str, u32)> {
    std::iter::once(("xfer", 1))
}

fn text<'h, 't, H: Serialize, T: Serialize>(
    head: impl Iterator<Item = (&'h str, H)>,
    tensors: impl Iterator<Item = (&'t str, T)>,
) -> String {
    let mut text = b"{ ".to_vec();
    for (key, value) in head {
        pair(&mut text, key, &value);
        text.extend_from_slice(b",\n  ");
    }
    text.extend_from_slice(b"\"tensors\": {\n");
    for (at, (name, tensor)) in tensors.enumerate() {
        text.extend_from_slice(if at == 0 { b"    " } else { b",\n    " });
        pair(&mut text, name, &tensor);
    }
    text.extend_from_slice(b" } }\n");
    // all of it was text
    String::from_utf8(text).unwrap_or_default()
}

fn pair(text: &mut Vec<u8>, key: &str, value: &impl Serialize) {
    // of strings, numbers and their lists, into memory: it cannot fail
    let _ = serde_json::to_writer(&mut *text, key);
    text.extend_from_slice(b": ");
    let _ = serde_json::to_writer(text, value);
}
