//! JSON values with places, and how rules and layers are read from them.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::arch::error::Problem;
use crate::shape::Shape;

/// Something is wrong at a place of a document.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The number of the value or key, as they stand in the text.
    pub at: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// The result of reading a part of a document.
pub(crate) type Read<T> = std::result::Result<T, Wrong>;

impl Wrong {
    /// A problem at a value or key.
    pub(crate) fn new(at: usize, problem: impl Into<Problem>) -> Wrong {
        Wrong { at, problem: problem.into() }
    }
}

impl Wrong {
    /// As above, where what was found is told in other words.
    pub(crate) fn with_found(mut self, words: String) -> Wrong {
        if let Problem::WrongType { found, .. } = &mut self.problem {
            *found = words;
        }
        self
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its number among all values and keys, as they stand in the text. Lines and columns are looked up when something is wrong.
    pub at: usize,
    pub value: Json,
}

/// A JSON value whose parts have places.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The number of the key.
    pub at: usize,
    pub key: String,
    pub node: Node,
}

impl Serialize for Node {
    /// The value without places.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(number) => number.serialize(serializer),
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(elements) => serializer.collect_seq(elements),
            Json::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|entry| map.serialize_entry(&entry.key, &entry.node))?;
                map.end()
            }
        }
    }
}

impl Node {
    /// The entries of an object, or `None` for anything else.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Json::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a list, or `None` for anything else.
    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Json::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// A string, or `None` for anything else.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, or `None` where it is missing or this is not an object. Linear in the keys.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value without places.
    pub(crate) fn plain(&self) -> serde_json::Value {
        match &self.value {
            Json::Null => serde_json::Value::Null,
            Json::Bool(value) => (*value).into(),
            Json::Number(number) => serde_json::Value::Number(number.clone()),
            Json::Text(text) => text.as_str().into(),
            Json::List(elements) => elements.iter().map(Node::plain).collect(),
            Json::Object(entries) => {
                serde_json::Value::Object(entries.iter().map(|e| (e.key.clone(), e.node.plain())).collect())
            }
        }
    }

    /// What it is, with its value where that is short: `the string "x"`, `a list`.
    pub(crate) fn found(&self) -> String {
        match &self.value {
            Json::Null => "null".into(),
            Json::Bool(value) => value.to_string(),
            Json::Number(number) => number.to_string(),
            Json::Text(text) if text.chars().count() <= 40 => format!("the string \"{text}\""),
            Json::Text(_) => "a string".into(),
            Json::List(_) => "a list".into(),
            Json::Object(_) => "an object".into(),
        }
    }

    /// Reads the value as `T`, or an error that names `what`.
    pub(crate) fn read<T: FromNode>(&self, what: &str) -> Read<T> {
        T::from_node(self, what)
    }

    /// Reads a key's value, `None` where it is missing.
    pub(crate) fn maybe<T: FromNode>(&self, key: &str) -> Read<Option<T>> {
        self.get(key).map(|node| node.read(key)).transpose()
    }

    /// Reads a key's value, or an error where it is missing.
    pub(crate) fn need<T: FromNode>(&self, key: &'static str, what: &str) -> Read<T> {
        match self.get(key) {
            Some(node) => node.read(key),
            None => Err(Wrong { at: self.at, problem: Problem::MissingKey { what: what.to_string(), key } }),
        }
    }

    /// The error that this should be something else.
    pub(crate) fn wrong_type(&self, what: &str, expected: &str) -> Wrong {
        let (what, expected) = (what.to_string(), expected.to_string());
        Wrong { at: self.at, problem: Problem::WrongType { what, expected, found: self.found() } }
    }
}

/// A type that a JSON value can be read as.
pub(crate) trait FromNode: Sized {
    /// Reads it, or an error that names `what`.
    fn from_node(node: &Node, what: &str) -> Read<Self>;
}

macro_rules! from_node {
    ($type:ty, $expected:literal, $pattern:pat => $value:expr) => {
        impl FromNode for $type {
            fn from_node(node: &Node, what: &str) -> Read<Self> {
                let value: Option<$type> = match &node.value {
                    $pattern => $value,
                    _ => None,
                };
                value.ok_or_else(|| node.wrong_type(what, $expected))
            }
        }
    };
}

from_node!(bool, "true or false", Json::Bool(value) => Some(*value));
from_node!(u64, "a whole number from 0", Json::Number(number) => number.as_u64());
from_node!(i64, "a whole number", Json::Number(number) => number.as_i64());
from_node!(f64, "a number", Json::Number(number) => number.as_f64());
from_node!(String, "a string", Json::Text(text) => Some(text.clone()));

impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node, what: &str) -> Read<Self> {
        let elements = node.list().ok_or_else(|| node.wrong_type(what, "a list"))?;
        elements.iter().map(|element| element.read(what)).collect()
    }
}

impl FromNode for Shape {
    fn from_node(node: &Node, what: &str) -> Read<Self> {
        let elements = node.list().ok_or_else(|| node.wrong_type(what, "a list"))?;
        elements.iter().map(|element| element.read::<u64>(what)).collect()
    }
}

impl<T: FromNode> FromNode for Option<T> {
    fn from_node(node: &Node, what: &str) -> Read<Self> {
        match node.value {
            Json::Null => Ok(None),
            _ => node.read(what).map(Some),
        }
    }
}
