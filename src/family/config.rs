//! Reading a Hugging Face config: typed values with the family's defaults, each wrong one named with its key, each key recorded.

use serde_json::Value;

use super::asked::Asked;
use super::{activation, aliases};
use crate::error::{Error, Result};
use crate::family::error::FamilyError;
use crate::init::Nonlinearity;

/// A Hugging Face config, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Config(pub serde_json::Map<String, serde_json::Value>);

impl Config {
    /// The class that `architectures` names first.
    pub(crate) fn class(&self) -> Option<&str> {
        self.0.get("architectures")?.get(0)?.as_str()
    }
}

/// Keys of every config that change names or shapes in a way that is built for no family.
const NEVER: &[(&str, &str)] = &[
    ("pruned_heads", "none: layers that have all their heads"),
    ("tie_encoder_decoder", "false: an encoder and a decoder with separate weights"),
];

/// More layers than any model has.
const MOST_LAYERS: u64 = 10_000;

/// A config as one family reads it.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The family's name, for messages.
    pub family: &'static str,
    config: &'a Config,
    asked: &'a Asked,
}

impl<'a> Reader<'a> {
    /// A reader that records the keys that it is asked for. A config that states a key under two names with different values is an error.
    pub(crate) fn new(family: &'static str, config: &'a Config, asked: &'a Asked) -> Result<Reader<'a>> {
        check_aliases(family, config)?;
        let reader = Reader { family, config, asked };
        for (key, known) in NEVER {
            let is_set =
                |value: &Value| value.as_bool() == Some(true) || value.as_object().is_some_and(|map| !map.is_empty());
            if let Some(value) = reader.get(key).filter(|value| is_set(value)) {
                return Err(reader.unsupported(key, value, *known));
            }
        }
        Ok(reader)
    }

    /// The value of a key, or `None` where it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.asked.note(key);
        self.found(key)
    }

    /// Whether the config states a key, also as null.
    pub(crate) fn states(&self, key: &str) -> bool {
        self.asked.note(key);
        aliases::names(self.family, key).any(|name| self.config.0.contains_key(name))
    }

    fn found(&self, key: &str) -> Option<&'a Value> {
        aliases::names(self.family, key).find_map(|name| self.config.0.get(name).filter(|value| !value.is_null()))
    }

    /// The value of a key. Where there is none, its default is recorded.
    fn or_default(&self, key: &str, default: impl Into<Value>) -> Option<&'a Value> {
        let found = self.found(key);
        match found {
            Some(_) => self.asked.note(key),
            None => self.asked.defaulted(key, default.into()),
        }
        found
    }

    /// The error of a value that is not possible.
    pub(crate) fn wrong(&self, key: &str, value: impl ToString, must: impl Into<String>) -> Error {
        let (key, value, must) = (key.to_string(), value.to_string(), must.into());
        FamilyError::Value { family: self.family, key, value, must }.into()
    }

    /// A count of 0 or more; of layers, which are built one by one, at most so many.
    pub(crate) fn count(&self, key: &str, default: u64) -> Result<u64> {
        let Some(value) = self.or_default(key, default) else { return Ok(default) };
        let count = value.as_u64().ok_or_else(|| self.wrong(key, value, "an integer, 0 or more"))?;
        match key {
            "n_layer" | "n_layers" | "num_layers" | "num_decoder_layers" | "num_hidden_layers" | "encoder_layers"
            | "decoder_layers"
                if count > MOST_LAYERS =>
            {
                Err(self.wrong(key, count, format!("at most {MOST_LAYERS}")))
            }
            _ => Ok(count),
        }
    }

    /// A size of 1 or more.
    pub(crate) fn size(&self, key: &str, default: u64) -> Result<u64> {
        match self.count(key, default)? {
            0 => Err(self.wrong(key, 0, "at least 1")),
            size => Ok(size),
        }
    }

    /// A size whose default follows from other keys.
    pub(crate) fn derived_size(&self, key: &str, default: u64) -> Result<u64> {
        let size = self.size(key, default);
        self.asked.derived(key);
        size
    }

    /// A count whose default follows from other keys.
    pub(crate) fn derived_count(&self, key: &str, default: u64) -> Result<u64> {
        let count = self.count(key, default);
        self.asked.derived(key);
        count
    }

    /// The id of a token, or `None` for none: null, or below 0.
    pub(crate) fn id(&self, key: &str, default: Option<u64>) -> Result<Option<u64>> {
        self.asked.note(key);
        match self.config.0.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(value) if value.as_i64().is_some_and(|id| id < 0) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| self.wrong(key, value, "an integer or null")),
        }
    }

    /// A finite number, 0 or more.
    pub(crate) fn number(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.or_default(key, default) else { return Ok(default) };
        let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| self.wrong(key, value, "a number, 0 or more"))
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.or_default(key, default) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    pub(crate) fn text(&self, key: &str, default: &'a str) -> Result<&'a str> {
        let Some(value) = self.or_default(key, default) else { return Ok(default) };
        value.as_str().ok_or_else(|| self.wrong(key, value, "a string"))
    }

    /// Records further values of a key that change which tensors there are; the weights decide between them.
    pub(crate) fn alternatives(&self, key: &str, values: impl IntoIterator<Item = Value>) {
        self.asked.alternatives(key, values);
    }

    /// An activation by the name that transformers gives it.
    pub(crate) fn activation(&self, key: &'static str, default: &'a str) -> Result<Nonlinearity> {
        let name = self.text(key, default)?;
        activation::by_name(name).ok_or_else(|| self.unsupported(key, name, activation::names().join(", ")))
    }

    /// An error where the second number does not divide the first, as heads must the width.
    pub(crate) fn divides(&self, (key, value): (&str, u64), (by_key, by): (&str, u64)) -> Result<()> {
        match value.is_multiple_of(by) {
            true => Ok(()),
            false => Err(self.wrong(key, value, format!("a multiple of {by_key}, which is {by}"))),
        }
    }

    /// An error where a flag of which only one value is built has the other.
    pub(crate) fn only(&self, key: &'static str, value: bool, known: &str) -> Result<()> {
        match self.flag(key, value)? {
            stated if stated == value => Ok(()),
            stated => Err(self.unsupported(key, stated, known)),
        }
    }

    /// The error of a value with which the family exists and for which there is no code.
    pub(crate) fn unsupported(&self, key: &'static str, value: impl ToString, known: impl Into<String>) -> Error {
        let (value, known) = (format!("`{}`", value.to_string()), known.into());
        FamilyError::Unsupported { family: self.family, key, value, known }.into()
    }

    /// The number of classes: of `id2label`, of `num_labels`, or 2; where both are stated they must agree (transformers 4 and 5
    /// take different ones).
    pub(crate) fn labels(&self) -> Result<u64> {
        self.labels_or(2)
    }

    /// The number of classes for a family with another default.
    pub(crate) fn labels_or(&self, default: u64) -> Result<u64> {
        let stated = self.get("num_labels").map(|_| self.size("num_labels", 2)).transpose()?;
        let Some(value) = self.get("id2label") else {
            return stated.map_or_else(|| self.size("num_labels", default), Ok);
        };
        let named = value.as_object().map(|labels| labels.len() as u64).filter(|labels| *labels > 0);
        let named = named.ok_or_else(|| self.wrong("id2label", value, "an object of at least one label"))?;
        match stated {
            Some(stated) if stated != named => Err(FamilyError::Contradiction {
                family: self.family,
                key: "num_labels",
                value: stated.to_string(),
                other: "id2label",
                other_value: format!("{named} labels"),
            }
            .into()),
            _ => Ok(named),
        }
    }

    /// The class that `architectures` names first, or `None` where it names none.
    pub(crate) fn architecture(&self) -> Result<Option<&'a str>> {
        let Some(value) = self.get("architectures") else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| self.wrong("architectures", value, "a list of class names"))?;
        let Some(first) = list.first() else { return Ok(None) };
        first.as_str().map(Some).ok_or_else(|| self.wrong("architectures", value, "a list of class names"))
    }
}

/// An error where two names of one key have different values.
fn check_aliases(family: &'static str, config: &Config) -> Result<()> {
    let stated = |key: &str| config.0.get(key).filter(|value| !value.is_null());
    for (alias, key) in aliases::of(family) {
        let (Some(first), Some(second)) = (stated(alias), stated(key)) else { continue };
        if !are_equal(first, second) {
            let (value, other_value) = (first.to_string(), second.to_string());
            return Err(FamilyError::Contradiction { family, key: alias, value, other: key, other_value }.into());
        }
    }
    Ok(())
}

/// `torch.float16` is `float16`.
fn are_equal(a: &Value, b: &Value) -> bool {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.trim_start_matches("torch.") == b.trim_start_matches("torch."),
        _ => a == b,
    }
}
