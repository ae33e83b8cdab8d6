//! The JSON Schema of architecture files, from the same tables as the check.

use serde_json::{Map, Value, json};

use super::grammar::{self, BARE_TENSOR, HEAD, Key, Kind, LAYERS, LAYERS_FILE, LISTING_FILE, Object, RULES};
use super::listing::METADATA;

/// The JSON Schema of architecture files: each of the forms that are JSON. Editors complete and check by it; patterns, shapes and
/// ids are beyond it, and checked when the file is read.
pub fn schema() -> Value {
    let file = |own: &'static [Key]| object(HEAD.iter().chain(own).chain(RULES), Value::Bool(false));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "an architecture for xfer",
        "anyOf": [file(LAYERS_FILE), file(LISTING_FILE), config(), bare()],
        "$defs": { "layer": layer() },
    })
}

/// A Hugging Face config: the family's keys are its own affair, the rules are checked.
fn config() -> Value {
    json!({
        "type": "object",
        "properties": {
            "model_type": { "enum": crate::family::model_types() },
            "xfer": object(RULES.iter(), Value::Bool(false)),
        },
        "required": ["model_type"],
    })
}

fn bare() -> Value {
    json!({
        "type": "object",
        "properties": { METADATA: { "type": "object" } },
        "additionalProperties": of_object(&BARE_TENSOR),
        "minProperties": 1,
    })
}

fn layer() -> Value {
    let families = crate::family::FAMILIES.iter().map(|family| family.name());
    let words = LAYERS.iter().map(|layer| layer.name).chain(families).map(Some);
    json!({ "anyOf": std::iter::once(None).chain(words).map(layer_of).collect::<Vec<_>>() })
}

/// One type of layer; a container has none.
fn layer_of(word: Option<&str>) -> Value {
    let mut schema = object(grammar::layer_keys(word).unwrap_or_default().into_iter(), Value::Bool(false));
    if let Some(word) = word {
        schema["properties"]["type"] = json!({ "const": word });
        if let Some(required) = schema["required"].as_array_mut() {
            required.insert(0, "type".into());
        }
    }
    schema
}

fn object<'a>(keys: impl Iterator<Item = &'a Key>, additional: Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        let mut schema = of(&key.kind);
        schema["description"] = key.doc.into();
        properties.insert(key.name.into(), schema);
        if key.required {
            required.push(key.name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": additional })
}

fn of_object(of: &Object) -> Value {
    object(of.keys.iter(), Value::Bool(of.open))
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Null => json!({ "type": "null" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Whole(least) => json!({ "type": "integer", "minimum": least }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Version => json!({ "const": 1 }),
        Kind::Word(_, words) => json!({ "enum": words }),
        Kind::List(element) => json!({ "type": "array", "items": of(element) }),
        Kind::Pair(element) => json!({ "type": "array", "items": of(element), "minItems": 2, "maxItems": 2 }),
        Kind::Map(value) => json!({ "type": "object", "additionalProperties": of(value) }),
        Kind::Object(object) => of_object(object),
        Kind::Layer => json!({ "$ref": "#/$defs/layer" }),
        Kind::OneOf(kinds) => json!({ "anyOf": kinds.iter().map(of).collect::<Vec<_>>() }),
    }
}
