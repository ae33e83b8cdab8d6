//! The header of a safetensors file: eight bytes of length, then JSON; every number in it is checked before use.

use std::borrow::Cow;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::json::json_error;
use crate::checkpoint::natural::natural_cmp;
use crate::error::Result;
use crate::hash::HashSet;
use crate::source::Bytes;
use crate::tensor::{Dtype, Name, Shape, TensorInfo};

/// The longest header that the format allows, in bytes.
pub(in crate::checkpoint) const LIMIT: u64 = 100_000_000;
/// More axes than any library counts.
const AXES: usize = 64;
const AXES_TEXT: &str = "at most 64";

/// A tensor and where it lies in its file, header included.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) info: TensorInfo,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// What a file says about itself.
#[derive(Debug)]
pub(super) struct Header {
    /// In natural order of the names.
    pub(super) entries: Vec<Entry>,
    pub(super) metadata: Vec<(String, String)>,
    /// `blake3:…` of the length and the JSON.
    pub(super) digest: String,
}

/// Reads and checks the header; touches no data.
pub(super) fn read(file: &dyn Bytes) -> Result<Header> {
    let name = file.name();
    let prefix = read_length(file)?;
    let length = u64::from_le_bytes(prefix);
    let Ok(size) = usize::try_from(length) else {
        return Err(CheckpointError::HeaderTooLarge { file: name.into(), header: length, limit: LIMIT }.into());
    };
    let mut json = vec![0; size];
    file.read_at(8, &mut json)?;
    let mut hash = blake3::Hasher::new();
    hash.update(&prefix).update(&json);
    let Parsed { raw, mut metadata } = parse(name, &json)?;
    metadata.sort_unstable();
    let entries = validate(name, raw, 8 + length, file.len())?;
    Ok(Header { entries, metadata, digest: crate::digest::text(hash.finalize()) })
}

fn read_length(file: &dyn Bytes) -> Result<[u8; 8]> {
    let (name, bytes) = (file.name(), file.len());
    if bytes < 8 {
        return Err(CheckpointError::TooSmall { file: name.into(), bytes }.into());
    }
    let mut prefix = [0; 8];
    file.read_at(0, &mut prefix)?;
    let header = u64::from_le_bytes(prefix);
    if header > LIMIT {
        return Err(CheckpointError::HeaderTooLarge { file: name.into(), header, limit: LIMIT }.into());
    }
    if header > bytes - 8 {
        return Err(CheckpointError::HeaderBeyondEnd { file: name.into(), header, bytes }.into());
    }
    Ok(prefix)
}

/// An entry as it is written, offsets counted from the end of the header.
struct Raw {
    info: TensorInfo,
    begin: u64,
    end: u64,
}

/// Walks the tensors in the order of the file with one variable: contiguity, overlap, overflow and size are proved by one loop.
fn validate(file: &str, mut raw: Vec<Raw>, data: u64, bytes: u64) -> Result<Vec<Entry>> {
    raw.sort_by(|a, b| (a.begin, a.end).cmp(&(b.begin, b.end)).then_with(|| natural_cmp(&a.info.name, &b.info.name)));
    let mut start = 0;
    let mut previous: Option<&Raw> = None;
    for tensor in &raw {
        check_place(file, tensor, start, previous)?;
        check_size(file, tensor)?;
        start = tensor.end;
        previous = Some(tensor);
    }
    let expected = data.checked_add(start);
    if expected.is_none_or(|expected| expected > bytes) {
        let expected = expected.unwrap_or(u64::MAX);
        return Err(CheckpointError::Truncated { file: file.into(), expected, found: bytes }.into());
    }
    if data + start < bytes {
        return Err(CheckpointError::Trailing { file: file.into(), expected: data + start, found: bytes }.into());
    }
    let place = |raw: Raw| Entry { info: raw.info, offset: data + raw.begin, len: raw.end - raw.begin };
    let mut entries: Vec<Entry> = raw.into_iter().map(place).collect();
    entries.sort_by(|a, b| natural_cmp(&a.info.name, &b.info.name));
    Ok(entries)
}

fn check_place(file: &str, tensor: &Raw, start: u64, previous: Option<&Raw>) -> Result<()> {
    let (begin, end) = (tensor.begin, tensor.end);
    let names = || (file.to_string(), tensor.info.name.clone());
    if end < begin {
        let (file, tensor) = names();
        return Err(CheckpointError::Reversed { file, tensor: tensor.to_string(), begin, end }.into());
    }
    if begin > start {
        let (file, tensor) = names();
        return Err(CheckpointError::Hole { file, tensor: tensor.to_string(), begin, expected: start }.into());
    }
    match previous {
        Some(other) if begin < start => {
            let ((file, tensor), other) = (names(), other.info.name.clone());
            Err(CheckpointError::Overlap {
                file,
                tensor: tensor.to_string(),
                begin,
                other: other.to_string(),
                end: start,
            }
            .into())
        }
        _ => Ok(()),
    }
}

fn check_size(file: &str, tensor: &Raw) -> Result<()> {
    let found = tensor.end - tensor.begin;
    let expected = tensor.info.bytes().ok();
    if expected == Some(found) {
        return Ok(());
    }
    let (file, TensorInfo { name: tensor, dtype, shape }) = (file.to_string(), tensor.info.clone());
    Err(match expected {
        Some(expected) => {
            CheckpointError::Size { file, tensor: tensor.to_string(), dtype, shape, expected, found }.into()
        }
        None => CheckpointError::Uncountable { file, tensor: tensor.to_string(), dtype, shape }.into(),
    })
}

struct Parsed {
    raw: Vec<Raw>,
    metadata: Vec<(String, String)>,
}

fn parse(file: &str, json: &[u8]) -> Result<Parsed> {
    let text = std::str::from_utf8(json)
        .map_err(|error| CheckpointError::NotUtf8 { file: file.into(), offset: 8 + error.valid_up_to() as u64 })?;
    // serde's errors are text; what is known more exactly leaves by this slot
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = deserializer
        .deserialize_map(HeaderVisitor { file, fault: &mut fault })
        .and_then(|parsed| deserializer.end().map(|()| parsed));
    let parsed = match (parsed, fault) {
        (_, Some(fault)) => return Err(fault.into()),
        (Err(error), None) => return Err(json_error(file, text, 8, &error).into()),
        (Ok(parsed), None) => parsed,
    };
    let mut seen = HashSet::with_capacity_and_hasher(parsed.raw.len(), Default::default());
    let twice = parsed.raw.iter().map(|tensor| &tensor.info.name).find(|name| !seen.insert(name.as_str()));
    match twice.map(Name::to_string) {
        Some(tensor) => Err(CheckpointError::DuplicateTensor { file: file.into(), tensor }.into()),
        None => Ok(parsed),
    }
}

struct HeaderVisitor<'a> {
    file: &'a str,
    fault: &'a mut Option<CheckpointError>,
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Parsed, A::Error> {
        let mut parsed = Parsed { raw: Vec::new(), metadata: Vec::new() };
        while let Some(name) = map.next_key::<Cow<str>>()? {
            if name == "__metadata__" {
                parsed.metadata = map.next_value::<Option<serde_json::Map<_, _>>>()?.map(texts).unwrap_or_default();
            } else {
                let entry = EntryVisitor { file: self.file, tensor: Name::from(&*name), fault: self.fault };
                parsed.raw.push(map.next_value_seed(entry)?);
            }
        }
        Ok(parsed)
    }
}

/// Metadata as text; writers exist that put numbers there.
fn texts(map: serde_json::Map<String, serde_json::Value>) -> Vec<(String, String)> {
    let text = |value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    map.into_iter().map(|(key, value)| (key, text(value))).collect()
}

struct EntryVisitor<'a> {
    file: &'a str,
    tensor: Name,
    fault: &'a mut Option<CheckpointError>,
}

impl<'de> DeserializeSeed<'de> for EntryVisitor<'_> {
    type Value = Raw;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Raw, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntryVisitor<'_> {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object with `dtype`, `shape` and `data_offsets`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<Raw, A::Error> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        while let Some(key) = map.next_key::<Cow<str>>()? {
            match &*key {
                "dtype" => self.put(&mut dtype, map.next_value::<Cow<str>>()?, "dtype")?,
                "shape" => {
                    let numbers = map.next_value_seed(self.numbers("shape", AXES, AXES_TEXT))?;
                    self.put(&mut shape, numbers, "shape")?;
                }
                "data_offsets" => {
                    let numbers = map.next_value_seed(self.numbers("data_offsets", 2, "2"))?;
                    self.put(&mut offsets, numbers, "data_offsets")?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let dtype = self.need(dtype, "dtype")?;
        let shape: Shape = self.need(shape, "shape")?;
        let (begin, end) = match *self.need(offsets, "data_offsets")? {
            [begin, end] => (begin, end),
            ref other => return Err(self.count("data_offsets", other.len(), "2")),
        };
        match Dtype::from_stored_name(&dtype) {
            Some(dtype) => Ok(Raw { info: TensorInfo::new(self.tensor, dtype, shape), begin, end }),
            None => {
                let dtype = dtype.into_owned();
                Err(self.fail(|file, tensor| CheckpointError::UnknownDtype { file, tensor, dtype }))
            }
        }
    }
}

impl EntryVisitor<'_> {
    fn fail<E: serde::de::Error>(&mut self, fault: impl FnOnce(String, String) -> CheckpointError) -> E {
        *self.fault = Some(fault(self.file.to_string(), self.tensor.to_string()));
        E::custom("see the fault")
    }

    fn put<T, E: serde::de::Error>(
        &mut self,
        slot: &mut Option<T>,
        value: T,
        field: &'static str,
    ) -> std::result::Result<(), E> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.fail(|file, tensor| CheckpointError::DuplicateField { file, tensor, field })),
        }
    }

    fn need<T, E: serde::de::Error>(&mut self, slot: Option<T>, field: &'static str) -> std::result::Result<T, E> {
        slot.ok_or_else(|| self.fail(|file, tensor| CheckpointError::MissingField { file, tensor, field }))
    }

    fn count<E: serde::de::Error>(&mut self, field: &'static str, found: usize, expected: &'static str) -> E {
        self.fail(|file, tensor| CheckpointError::Count { file, tensor, field, found, expected })
    }

    fn numbers(&mut self, field: &'static str, limit: usize, expected: &'static str) -> Numbers<'_> {
        let entry = EntryVisitor { file: self.file, tensor: self.tensor.clone(), fault: self.fault };
        Numbers { entry, field, limit, expected }
    }
}

/// A short array of whole numbers below 2^64, a shape or two offsets; a longer one is refused before it takes memory.
struct Numbers<'a> {
    entry: EntryVisitor<'a>,
    field: &'static str,
    limit: usize,
    expected: &'static str,
}

impl<'de> DeserializeSeed<'de> for Numbers<'_> {
    type Value = Shape;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Shape, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Numbers<'_> {
    type Value = Shape;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "an array of numbers for `{}`", self.field)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> std::result::Result<Shape, A::Error> {
        let mut numbers = Shape::default();
        while let Some(number) = seq.next_element::<serde_json::Number>()? {
            let field = self.field;
            let Some(whole) = number.as_u64() else {
                let number = number.to_string();
                return Err(self.entry.fail(|file, tensor| CheckpointError::Number { file, tensor, field, number }));
            };
            numbers.push(whole);
            if numbers.len() > self.limit {
                return Err(self.entry.count(field, numbers.len(), self.expected));
            }
        }
        Ok(numbers)
    }
}
