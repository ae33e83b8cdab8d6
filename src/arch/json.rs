//! JSON with places: every value knows where it stands, so that every error can say line and column.
//! Strict: no comments, no trailing commas, no key twice, at most 128 levels.

use std::cell::Cell;
use std::fmt;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use smallvec::SmallVec;

use crate::arch::error::{ArchError, Problem};
use crate::error::Error;
use crate::hash::HashSet;
use crate::shape::Shape;

/// Architecture files are text that people write, and listings of at most some hundred thousand tensors.
pub const MOST_BYTES: u64 = 64 << 20;

/// Something is wrong at a place of a document.
#[derive(Debug)]
pub struct Wrong {
    /// The number of the value or key, as they stand in the text.
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

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number among all values and keys, as they stand in the text. Lines and columns are looked up when something is wrong.
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
    /// The number of the key.
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
        let place = |byte, problem| located(name, &text, byte, problem);
        let counter = Counter::default();
        let mut reader = serde_json::Deserializer::from_str(&text);
        let root = Reading(&counter).deserialize(&mut reader).and_then(|root| reader.end().map(|()| root));
        let root = root.map_err(|error| {
            let (byte, problem) = syntax(&text, &error);
            place(byte, problem)
        })?;
        if let Some((at, key)) = counter.twice.take() {
            return Err(place(byte_of(&text, at), Problem::KeyTwice { key }));
        }
        Ok(Document { name: name.to_string(), root, text })
    }

    /// The error with file, line and column.
    pub fn locate(&self, wrong: Wrong) -> Error {
        located(&self.name, &self.text, byte_of(&self.text, wrong.at), wrong.problem)
    }
}

fn located(name: &str, text: &str, byte: usize, problem: Problem) -> Error {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    ArchError::Place { file: name.to_string(), line, column, problem }.into()
}

/// serde_json counts lines from 1 and bytes of the line; its own place at the end of the message is cut off.
fn syntax(text: &str, error: &serde_json::Error) -> (usize, Problem) {
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_string();
    (line_start + error.column().saturating_sub(1), Problem::Syntax { message })
}

/// The byte where the value or key of this number begins, by a parser that knows.
fn byte_of(text: &str, number: usize) -> usize {
    let parsed = jsonc_parser::parse_to_ast(text, &Default::default(), &strict());
    let root = parsed.ok().and_then(|parsed| parsed.value);
    root.and_then(|root| counted(&root, &mut { number })).unwrap_or(0)
}

/// The byte of the value or key before which `left` others stand in this one, itself the first of them.
fn counted(value: &ast::Value, left: &mut usize) -> Option<usize> {
    let reached = |at: usize, left: &mut usize| match left.checked_sub(1) {
        Some(fewer) => {
            *left = fewer;
            None
        }
        None => Some(at),
    };
    if let Some(at) = reached(value.range().start, left) {
        return Some(at);
    }
    match value {
        ast::Value::Array(array) => array.elements.iter().find_map(|element| counted(element, left)),
        ast::Value::Object(object) => object
            .properties
            .iter()
            .find_map(|property| reached(property.name.range().start, left).or_else(|| counted(&property.value, left))),
        ast::Value::NullKeyword(_)
        | ast::Value::BooleanLit(_)
        | ast::Value::NumberLit(_)
        | ast::Value::StringLit(_) => None,
    }
}

/// What is counted and noted while a document is read.
#[derive(Default)]
struct Counter {
    next: Cell<usize>,
    /// The first key that stands twice in its object, and its number.
    twice: Cell<Option<(usize, String)>>,
}

impl Counter {
    fn number(&self) -> usize {
        self.next.replace(self.next.get() + 1)
    }

    fn note_twice(&self, entries: &[Entry]) {
        let known = self.twice.take();
        let found = first_twice(entries).map(|entry| (entry.at, entry.key.clone()));
        let first = match (known, found) {
            (Some(known), Some(found)) => Some(if found.0 < known.0 { found } else { known }),
            (known, found) => known.or(found),
        };
        self.twice.set(first);
    }
}

/// Reads a value with its number.
struct Reading<'c>(&'c Counter);

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let at = self.0.number();
        Ok(Node { at, value: deserializer.deserialize_any(self)? })
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut elements: SmallVec<[Node; FEW]> = SmallVec::new();
        while let Some(element) = list.next_element_seed(Reading(self.0))? {
            elements.push(element);
        }
        Ok(Json::List(elements.into_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        // most lists and objects have few, and then take no more room than they need
        let mut entries: SmallVec<[Entry; FEW]> = SmallVec::new();
        while let Some(key) = map.next_key::<String>()? {
            let at = self.0.number();
            entries.push(Entry { at, key, node: map.next_value_seed(Reading(self.0))? });
        }
        self.0.note_twice(&entries);
        Ok(Json::Object(entries.into_vec()))
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

/// The first entry whose key an earlier one has.
fn first_twice(entries: &[Entry]) -> Option<&Entry> {
    if entries.len() <= FEW {
        // a set costs more than looking, and a listing has an object for each tensor
        let is_known = |(at, entry): &(usize, &Entry)| entries.iter().take(*at).any(|other| other.key == entry.key);
        return entries.iter().enumerate().find(is_known).map(|(_, entry)| entry);
    }
    let mut seen = HashSet::default();
    entries.iter().find(|entry| !seen.insert(entry.key.as_str()))
}

/// The keys of more are looked up in a set.
const FEW: usize = 4;

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
