//! JSON with places: every value knows where it stands, so that every error can say line and column.
//! Strict: no comments, no trailing commas, no key twice, at most 128 levels.

use std::fmt;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::{ArchError, Error, Problem};
use crate::hash::HashSet;

/// Architecture files are text that people write, and listings of at most some hundred thousand tensors.
pub const MOST_BYTES: u64 = 64 << 20;

/// Something is wrong at a byte of a document.
#[derive(Debug)]
pub struct Wrong {
    /// The byte.
    pub at: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// The result of reading a part of a document.
pub type Read<T> = std::result::Result<T, Wrong>;

impl Wrong {
    /// A problem at a value or key.
    pub fn new(at: usize, problem: impl Into<Problem>) -> Wrong {
        Wrong { at, problem: problem.into() }
    }
}

impl Wrong {
    /// The same, where what was found is told in other words.
    pub fn with_found(mut self, words: String) -> Wrong {
        if let Problem::WrongType { found, .. } = &mut self.problem {
            *found = words;
        }
        self
    }
}

/// A value and the byte where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// The byte.
    pub at: usize,
    /// The value.
    pub value: Json,
}

/// A JSON value whose parts have places.
#[derive(Clone, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object.
    Object(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The byte where the key begins.
    pub at: usize,
    /// The key.
    pub key: String,
    /// The value.
    pub node: Node,
}

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The name that errors show.
    pub name: String,
    text: String,
    /// The whole value, with places.
    pub root: Node,
}

impl Document {
    /// Parses a file, or an error with line and column.
    pub fn parse(name: &str, bytes: Vec<u8>) -> Result<Document, Error> {
        let whole = |problem| Error::from(ArchError::File { file: name.to_string(), problem });
        let text = String::from_utf8(bytes)
            .map_err(|error| whole(Problem::NotText { at: error.utf8_error().valid_up_to() }))?;
        let locate = |wrong: Wrong| located(name, &text, wrong);
        // serde_json's limits and its words for what is wrong; the other parser has the places
        serde_json::from_str::<Sound>(&text).map_err(|error| locate(syntax(&text, &error)))?;
        let parsed = jsonc_parser::parse_to_ast(&text, &Default::default(), &strict()).map_err(|error| {
            locate(Wrong { at: error.range().start, problem: Problem::Syntax { message: error.kind().to_string() } })
        })?;
        let empty = || Wrong { at: 0, problem: Problem::Syntax { message: "empty".into() } };
        let root = parsed.value.ok_or_else(empty).and_then(node).map_err(locate)?;
        drop(parsed.comments);
        Ok(Document { name: name.to_string(), root, text })
    }

    /// The error with file, line and column.
    pub fn locate(&self, wrong: Wrong) -> Error {
        located(&self.name, &self.text, wrong)
    }
}

fn located(name: &str, text: &str, wrong: Wrong) -> Error {
    let mut at = wrong.at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    ArchError::Place { file: name.to_string(), line, column, problem: wrong.problem }.into()
}

/// serde_json counts lines from 1 and bytes of the line; its own place at the end of the message is cut off.
fn syntax(text: &str, error: &serde_json::Error) -> Wrong {
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_string();
    Wrong { at: line_start + error.column().saturating_sub(1), problem: Problem::Syntax { message } }
}

/// JSON that was read to its end and not kept.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sound, D::Error> {
        deserializer.deserialize_any(Sound)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E>(self, _: &str) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sound, A::Error> {
        while list.next_element::<Sound>()?.is_some() {}
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sound, A::Error> {
        while map.next_entry::<Sound, Sound>()?.is_some() {}
        Ok(Sound)
    }
}

fn strict() -> jsonc_parser::ParseOptions {
    jsonc_parser::ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn node(value: ast::Value) -> Read<Node> {
    let at = value.range().start;
    let value = match value {
        ast::Value::NullKeyword(_) => Json::Null,
        ast::Value::BooleanLit(literal) => Json::Bool(literal.value),
        ast::Value::NumberLit(literal) => Json::Number(
            serde_json::from_str(literal.value)
                .map_err(|error| Wrong { at, problem: Problem::Syntax { message: error.to_string() } })?,
        ),
        ast::Value::StringLit(literal) => Json::Text(literal.value.into_owned()),
        ast::Value::Array(array) => Json::List(array.elements.into_iter().map(node).collect::<Read<_>>()?),
        ast::Value::Object(object) => Json::Object(entries(object)?),
    };
    Ok(Node { at, value })
}

fn entries(object: ast::Object) -> Read<Vec<Entry>> {
    if let Some(property) = first_twice(&object.properties) {
        let key = property.name.as_str().to_string();
        return Err(Wrong { at: property.name.range().start, problem: Problem::KeyTwice { key } });
    }
    let entry = |property: ast::ObjectProp| {
        let at = property.name.range().start;
        Ok(Entry { at, key: property.name.into_string(), node: node(property.value)? })
    };
    object.properties.into_iter().map(entry).collect()
}

/// The first property whose key an earlier one has.
fn first_twice<'o, 'a>(properties: &'o [ast::ObjectProp<'a>]) -> Option<&'o ast::ObjectProp<'a>> {
    if properties.len() <= FEW {
        // a set costs more than looking, and a listing has an object for each tensor
        let is_known = |(at, property): &(usize, &ast::ObjectProp)| {
            properties.iter().take(*at).any(|other| other.name.as_str() == property.name.as_str())
        };
        return properties.iter().enumerate().find(is_known).map(|(_, property)| property);
    }
    let mut seen = HashSet::default();
    properties.iter().find(|property| !seen.insert(property.name.as_str()))
}

/// The keys of more are looked up in a set.
const FEW: usize = 8;

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
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Json::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a list, or `None` for anything else.
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Json::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// A string, or `None` for anything else.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, or `None` where it is missing or this is no object. Linear in the keys.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value without places.
    pub fn plain(&self) -> serde_json::Value {
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
    pub fn found(&self) -> String {
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
    pub fn read<T: FromNode>(&self, what: &str) -> Read<T> {
        T::from_node(self, what)
    }

    /// Reads a key's value, `None` where it is missing.
    pub fn maybe<T: FromNode>(&self, key: &str) -> Read<Option<T>> {
        self.get(key).map(|node| node.read(key)).transpose()
    }

    /// Reads a key's value, or an error where it is missing.
    pub fn need<T: FromNode>(&self, key: &'static str, what: &str) -> Read<T> {
        match self.get(key) {
            Some(node) => node.read(key),
            None => Err(Wrong { at: self.at, problem: Problem::MissingKey { what: what.to_string(), key } }),
        }
    }

    /// The error that this should be something else.
    pub fn wrong_type(&self, what: &str, expected: &str) -> Wrong {
        let (what, expected) = (what.to_string(), expected.to_string());
        Wrong { at: self.at, problem: Problem::WrongType { what, expected, found: self.found() } }
    }
}

/// A type that a JSON value can be read as.
pub trait FromNode: Sized {
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

impl<T: FromNode> FromNode for Option<T> {
    fn from_node(node: &Node, what: &str) -> Read<Self> {
        match node.value {
            Json::Null => Ok(None),
            _ => node.read(what).map(Some),
        }
    }
}
