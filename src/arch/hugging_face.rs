//! Hugging Face configs: `--set` and `--labels` applied, built by the family that answers to the `model_type`.

use serde_json::{Map, Value};

use super::grammar::{self, RULES};
use super::json::Document;
use super::node::{Node, Read, Wrong};
use super::{Architecture, FamilyBlock, Flags, Form, LabelRule, file_rules};
use crate::arch::error::{ArchError, Problem};
use crate::error::{Error, Result, nearest};
use crate::family::error::FamilyError;
use crate::family::{self, Asked, Class, Config, Family, Inputs, Known, Reader};
use crate::graph::Builder;
use crate::model_types;

/// Builds what a config describes; its rules stand under `xfer`.
pub(crate) fn from_document(document: &Document, flags: &Flags, labels: Option<&LabelRule>) -> Result<Architecture> {
    let read = |root: &Node| -> Read<(&'static dyn Family, super::Rules)> {
        let family = family_of(root)?;
        refuse_rules(root, family)?;
        let Some(rules) = root.get("xfer") else { return Ok((family, super::Rules::default())) };
        grammar::check_keys(rules, "the rules", &RULES.iter().collect::<Vec<_>>(), false)?;
        Ok((family, file_rules::read(rules)?))
    };
    let (family, rules) = read(&document.root).map_err(|wrong| document.locate(wrong))?;
    let mut config = match document.root.plain() {
        Value::Object(map) => Config(map),
        _ => Config(Map::new()),
    };
    config.0.shift_remove("xfer");
    set(&mut config, family, &flags.set)?;
    if let Some(rule) = labels {
        label(&mut config, &rule.labels);
    }
    let built = built(family, config).map_err(|error| placed(document, &flags.set, error))?;
    Ok(Architecture { rules, ..built })
}

/// The architecture of a config, without rules.
pub(super) fn built(family: &'static dyn Family, config: Config) -> Result<Architecture> {
    let (asked, mut at) = (Asked::default(), Builder::new());
    let reader = Reader::new(family.name(), &config, &asked)?;
    let outputs = family.declare(reader, &Inputs::default(), &Class::OfConfig, &mut at)?;
    let (parameters, graph) = at.finish(outputs)?;
    let mut architecture = Architecture::new(Form::HuggingFace, parameters);
    architecture.graph = Some(graph);
    architecture.notes = unknown_keys(family, &config, &asked);
    architecture.blocks = vec![FamilyBlock { path: String::new(), family, config: config.clone() }];
    architecture.config = Some(config);
    Ok(architecture)
}

/// The `model_type` of a config that no family builds; one that is a typing error of a family's is not meant.
pub(super) fn unbuilt(root: &Node) -> Option<String> {
    let model_type: String = root.get("model_type").and_then(|_| root.need("model_type", "the config").ok())?;
    let is_slip = !model_types::is_known(&model_type) && nearest(&model_type, family::model_types()).is_some();
    (family::by_model_type(&model_type).is_none() && !is_slip).then_some(model_type)
}

/// Keys of rules that other versions may know.
const OTHER_RULES: &[&str] = &["width", "experts", "reinit"];

/// An error for a rule that stands beside the keys of the config, where it would do nothing: its place is under `xfer`.
fn refuse_rules(root: &Node, family: &'static dyn Family) -> Read<()> {
    let of_config = |key: &str| Known::of(family, &Config(Map::new())).has(key);
    let rules = RULES.iter().map(|rule| rule.name).chain(OTHER_RULES.iter().copied());
    for key in rules {
        let entries = root.entries().unwrap_or_default();
        if let Some(entry) = entries.iter().find(|entry| entry.key == key && !of_config(key)) {
            return Err(Wrong { at: entry.at, problem: Problem::RuleInConfig { key } });
        }
    }
    Ok(())
}

/// What the user should know of keys that nothing asks for: probable typing errors each, the others together.
fn unknown_keys(family: &'static dyn Family, config: &Config, asked: &Asked) -> Vec<String> {
    let is_new = |key: &&String| !asked.has(key) && !family::INERT.contains(&key.as_str());
    if !config.0.keys().any(|key| is_new(&key)) {
        return Vec::new();
    }
    let known = Known::of(family, config);
    let unknown = config.0.keys().filter(|key| !known.has(key));
    let (typed, other): (Vec<&String>, Vec<&String>) = unknown.partition(|key| known.meant(key).is_some());
    let line = |key: &&String| {
        let meant = known.meant(key).unwrap_or_default();
        format!(
            "config key `{key}`: {} has none of this name and it has no effect; did you mean `{meant}`?",
            family.name()
        )
    };
    let mut notes: Vec<String> = typed.iter().map(line).collect();
    if !other.is_empty() {
        let names = other.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let (keys, has) = if other.len() == 1 { ("key", "it has") } else { ("keys", "they have") };
        notes
            .push(format!("config {keys} {names}: not known to {}; carried unchanged, {has} no effect", family.name()));
    }
    notes
}

fn family_of(root: &Node) -> Read<&'static dyn Family> {
    let model_type: String = root.need("model_type", "the config")?;
    family::by_model_type(&model_type).ok_or_else(|| {
        let known = family::model_types();
        let is_slip = !model_types::is_known(&model_type);
        let is_meant = |near: &&str| is_slip || near.eq_ignore_ascii_case(&model_type);
        let near = nearest(&model_type, known.iter().copied()).filter(is_meant).map(str::to_string);
        let known = known.into_iter().map(str::to_string).collect();
        let at = root.get("model_type").map_or(root.at, |word| word.at);
        Wrong { at, problem: Problem::UnknownFamily { model_type, nearest: near, known } }
    })
}

/// What a family does not like about a config, at the key in the file, unless `--set` wrote it.
fn placed(document: &Document, set: &[String], error: Error) -> Error {
    let key = match error.downcast_ref() {
        Some(FamilyError::Value { key, .. }) => Some(key.as_str()),
        Some(FamilyError::Unsupported { key, .. } | FamilyError::Contradiction { key, .. }) => Some(*key),
        Some(FamilyError::Architecture { .. }) => Some("architectures"),
        _ => None,
    };
    let typed = |key: &str| set.iter().any(|text| text.split(['=', '.']).next() == Some(key));
    match key.and_then(|key| document.root.get(key).filter(|_| !typed(key))) {
        Some(node) => document.locate(Wrong::new(node.at, error)),
        None => ArchError::File { file: document.name.clone(), problem: error.into() }.into(),
    }
}

const SET: &str = "KEY=VALUE, as num_hidden_layers=6";

/// Applies `--set KEY=VALUE` in order, under whichever of its names the key is stated. A key that the family does not know is an error.
fn set(config: &mut Config, family: &'static dyn Family, typed: &[String]) -> Result<()> {
    for text in typed {
        let form = || ArchError::FlagForm { flag: "--set", typed: text.clone(), expected: SET };
        let (path, value) = text.split_once('=').ok_or_else(form)?;
        let path: Vec<&str> = path.trim().split('.').collect();
        let first = path.first().copied().unwrap_or_default();
        let known = Known::of(family, config);
        if !known.has(first) {
            let (key, nearest) = (first.to_string(), known.meant(first).map(str::to_string));
            return Err(ArchError::UnknownSet { typed: text.clone(), key, nearest, family: family.name() }.into());
        }
        let value = value_of(first, value.trim());
        if first == "model_type" && !value.as_str().is_some_and(|name| family.model_types().contains(&name)) {
            let (key, value, must) = (first.into(), value.to_string(), family.model_types().join(" or "));
            return Err(FamilyError::Value { family: family.name(), key, value, must }.into());
        }
        for other in family::same_keys(family.name(), first).iter().filter(|other| *other != first) {
            config.0.shift_remove(other);
        }
        insert(&mut config.0, &path, value.clone()).ok_or_else(form)?;
        if first == "num_labels" {
            let count = value.as_u64().filter(|count| (1..=MOST_LABELS).contains(count)).ok_or_else(form)?;
            label(config, &(0..count).map(|i| format!("LABEL_{i}")).collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// More classes than this by `num_labels` are a slip.
pub(crate) const MOST_LABELS: u64 = 1_000_000;

/// JSON where it parses, else a string. One class name stands for a list of it.
fn value_of(key: &str, text: &str) -> Value {
    let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    match (key, value) {
        ("architectures", Value::String(name)) => Value::Array(vec![name.into()]),
        (_, value) => value,
    }
}

/// Writes a value at a path of keys, making objects on the way; `None` where something else stands in it.
fn insert(map: &mut Map<String, Value>, path: &[&str], value: Value) -> Option<()> {
    match path {
        [] => None,
        ["", ..] => None,
        [key] => {
            map.insert(key.to_string(), value);
            Some(())
        }
        [key, rest @ ..] => {
            let inner = map.entry(key.to_string()).or_insert_with(|| Value::Object(Map::new()));
            insert(inner.as_object_mut()?, rest, value)
        }
    }
}

/// The classes as transformers writes them: both directions, and no `num_labels` beside them.
fn label(config: &mut Config, labels: &[String]) {
    let by_id = labels.iter().enumerate().map(|(id, label)| (id.to_string(), label.as_str().into())).collect();
    let by_label = labels.iter().enumerate().map(|(id, label)| (label.clone(), id.into())).collect();
    config.0.insert("id2label".into(), Value::Object(by_id));
    config.0.insert("label2id".into(), Value::Object(by_label));
    config.0.shift_remove("num_labels");
}
