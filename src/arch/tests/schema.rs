use serde_json::Value;

use super::open;
use crate::arch::schema;

/// The part of JSON Schema that the schema uses.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let object = schema.as_object().unwrap();
    object.iter().all(|(keyword, of)| match (keyword.as_str(), value) {
        ("$ref", _) => accepts(root, &root["$defs"]["layer"], value),
        ("type", _) => match of.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("{other}"),
        },
        ("const", _) => of == value,
        ("enum", _) => of.as_array().unwrap().contains(value),
        ("anyOf", _) => of.as_array().unwrap().iter().any(|of| accepts(root, of, value)),
        ("minimum", Value::Number(number)) => number.as_f64() >= of.as_f64(),
        ("items", Value::Array(elements)) => elements.iter().all(|element| accepts(root, of, element)),
        ("minItems", Value::Array(elements)) => elements.len() as u64 >= of.as_u64().unwrap(),
        ("maxItems", Value::Array(elements)) => elements.len() as u64 <= of.as_u64().unwrap(),
        ("minProperties", Value::Object(map)) => map.len() as u64 >= of.as_u64().unwrap(),
        ("required", Value::Object(map)) => {
            of.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
        }
        ("properties", Value::Object(map)) => {
            map.iter().all(|(key, value)| of.get(key).is_none_or(|of| accepts(root, of, value)))
        }
        ("additionalProperties", Value::Object(map)) => {
            let known = |key: &str| object.get("properties").is_some_and(|properties| properties.get(key).is_some());
            map.iter().filter(|(key, _)| !known(key)).all(|(_, value)| match of {
                Value::Bool(allowed) => *allowed,
                of => accepts(root, of, value),
            })
        }
        ("$schema" | "title" | "$defs" | "description", _) => true,
        (
            "minimum"
            | "items"
            | "minItems"
            | "maxItems"
            | "minProperties"
            | "required"
            | "properties"
            | "additionalProperties",
            _,
        ) => true,
        (other, _) => panic!("the schema uses {other}"),
    })
}

fn valid(text: &str) -> bool {
    let schema = schema();
    accepts(&schema, &schema, &serde_json::from_str(text).unwrap())
}

/// The rules of the documentation, without the keys of `adapt` that nothing acts on yet.
const RULES: &str = r#"
"map":    [ { "to": "enc.{i}.attn.**",  "from": "bert.encoder.layer.{i}.attention.**" },
            { "to": ["{p}.q.weight", "{p}.k.weight", "{p}.v.weight"], "from": "{p}.c_attn.weight", "ops": ["transpose", "split(0, 3)"] },
            { "to": "layers.{i}.experts.{e}.up.weight", "from": "model.layers.{i}.mlp.up_proj.weight" },
            { "to": "pooler.**", "from": null } ],
"depth":  { "enc": "every:2" },
"adapt":  [ { "match": "**.position_embeddings.weight", "positions": "interpolate" },
            { "match": "**.k_proj.weight", "heads": "mean" },
            { "match": "encoder.positions", "positions": "interpolate", "prefix": [1, 1] } ],
"labels": { "classifier": ["billing", "refund", "other"] },
"init":   [ { "match": "classifier.**", "scheme": "xavier_uniform", "gain": 1.0 } ],
"new":    [ "classifier.**" ],
"unused": [ "cls.**" ],
"dtype":  "bf16""#;

const VOCAB: &str = r#""vocab": { "tokenizer": "tokenizer/", "match": "bert.embeddings.word_embeddings.weight", "new_tokens": "mean" }"#;

fn with_rules(text: &str, more: &str) -> String {
    format!("{{{more},{}", text.strip_prefix('{').unwrap())
}

#[test]
fn the_rules_of_the_documentation_are_read_and_accepted_in_every_form() {
    let listing = with_rules(super::listing::EXAMPLE, RULES);
    let layers = with_rules(super::native::DIGITS, &format!("{RULES}, \"config\": {{ \"model_type\": \"bert\" }}"));
    let config = format!(r#"{{"model_type": "bert", "xfer": {{{RULES}}}}}"#);
    for text in [listing, layers, config] {
        let rules = open(&text).unwrap().rules;
        assert_eq!((rules.map.len(), rules.adapt.len(), rules.init.len()), (4, 3, 1));
        assert_eq!(rules.map[3].from, None);
        assert!(valid(&text), "{text}");
        assert!(valid(&text.replace("\"new\":", &format!("{VOCAB}, \"new\":"))));
        assert!(!valid(&text.replace("\"unused\":", "\"unsued\":")), "{text}");
        assert!(!valid(&text.replace("\"positions\":", "\"position\":")), "{text}");
    }
}

#[test]
fn the_schema_accepts_the_examples_and_rejects_what_the_reader_rejects() {
    for text in [super::native::DIGITS, super::native::ROUTER, super::listing::EXAMPLE, super::hugging_face::CONFIG] {
        assert!(valid(text), "{text}");
    }
    for (text, from, to) in [
        (super::native::DIGITS, "\"out\": 128", "\"ot\": 128"),
        (super::native::DIGITS, "\"out\": 128", "\"out\": 0"),
        (super::native::DIGITS, "\"type\": \"relu\"", "\"type\": \"rleu\""),
        (super::native::DIGITS, "\"repeat\": 3", "\"repeats\": 3"),
        (super::native::DIGITS, "\"xfer\": 1", "\"xfer\": 2"),
        (super::native::ROUTER, "\"output\": \"pooled\"", "\"outputs\": \"pooled\""),
        (super::native::ROUTER, "\"dtype\": \"i64\"", "\"dtype\": \"i32\""),
        (super::listing::EXAMPLE, "\"shape\": [512], \"buffer\"", "\"buffer\""),
        (super::listing::EXAMPLE, "tied_to", "tide_to"),
        (super::hugging_face::CONFIG, "\"bert\"", "\"barf\""),
    ] {
        let wrong = text.replace(from, to);
        assert_ne!(wrong, text);
        assert!(!valid(&wrong), "{wrong}");
        assert!(open(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_key_of_the_schema_is_documented() {
    fn walk(value: &Value) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (key, of) in
                properties.iter().filter(|(_, of)| of.get("const").is_none() || of.get("description").is_some())
            {
                let named = of.get("enum").is_some() || of.get("properties").is_some() || of.get("type").is_some();
                let told = of.get("description").and_then(Value::as_str).is_some_and(|doc| doc.ends_with('.'));
                assert!(told || named, "{key}");
            }
        }
        match value {
            Value::Object(map) => map.values().for_each(walk),
            Value::Array(list) => list.iter().for_each(walk),
            _ => {}
        }
    }
    walk(&schema());
}
