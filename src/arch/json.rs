//! JSON with places: every value knows where it stands, so that every error can say line and column.
//! Strict: no comments, no trailing commas, no key twice, at most 128 levels.

use std::cell::Cell;
use std::fmt;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use super::node::{Entry, Json, Node, Wrong};
use crate::arch::error::{ArchError, Problem};
use crate::error::Error;
use crate::hash::HashSet;

/// Architecture files are text that people write, and listings of at most some hundred thousand tensors.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// A parsed file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The name that errors show.
    pub name: String,
    text: String,
    /// The whole value, with places.
    pub root: Node,
}

impl Document {
    /// Parses a file, or an error with line and column.
    pub(crate) fn parse(name: &str, bytes: Vec<u8>) -> Result<Document, Error> {
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
    pub(crate) fn locate(&self, wrong: Wrong) -> Error {
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
