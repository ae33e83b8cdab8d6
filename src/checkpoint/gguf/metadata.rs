//! Keys and values of a header, as text. Long arrays (vocabularies) are counted, not kept.

use crate::checkpoint::cursor::Cursor;
use crate::checkpoint::error::CheckpointError;
use crate::error::Result;

/// The longest key and name of a tensor, as the format has it.
pub(super) const KEY_LIMIT: u64 = 65_535;
/// The longest text that is kept, in bytes.
const TEXT_LIMIT: u64 = 16 << 20;
/// How much text is kept of one file, in bytes.
const ALL_TEXT_LIMIT: u64 = 256 << 20;
/// More arrays within arrays than any file has.
const DEPTH: usize = 8;
/// Arrays up to this length are written out.
const SHOWN: u64 = 64;

/// A type of value and its number in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

/// In the order of their numbers, with the fewest bytes that a value takes and what many of them are called.
const KINDS: &[(Kind, u64, &str)] = &[
    (Kind::U8, 1, "numbers"),
    (Kind::I8, 1, "numbers"),
    (Kind::U16, 2, "numbers"),
    (Kind::I16, 2, "numbers"),
    (Kind::U32, 4, "numbers"),
    (Kind::I32, 4, "numbers"),
    (Kind::F32, 4, "numbers"),
    (Kind::Bool, 1, "booleans"),
    (Kind::Text, 8, "texts"),
    (Kind::Array, 12, "arrays"),
    (Kind::U64, 8, "numbers"),
    (Kind::I64, 8, "numbers"),
    (Kind::F64, 8, "numbers"),
];

type KindRow = (Kind, u64, &'static str);

/// Reads `count` pairs.
pub(super) fn read(cursor: &mut Cursor, file: &str, count: u64) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut kept = 0u64;
    for _ in 0..count {
        let key = read_name(cursor, file, "the length of a key")?;
        let kind = read_kind(cursor)?;
        let value = read_value(cursor, kind, 0)?;
        kept += (key.len() + value.len()) as u64;
        if kept > ALL_TEXT_LIMIT {
            return Err(cursor.limit("the length of all metadata", kept, ALL_TEXT_LIMIT));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// A text that names something: it must be UTF-8.
pub(super) fn read_name(cursor: &mut Cursor, file: &str, what: &'static str) -> Result<String> {
    let length = cursor.u64()?;
    let begin = cursor.at();
    let bytes = cursor.bytes(length, KEY_LIMIT, what)?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = begin + error.utf8_error().valid_up_to() as u64;
        CheckpointError::NotUtf8 { file: file.into(), offset }.into()
    })
}

fn read_kind(cursor: &mut Cursor) -> Result<KindRow> {
    let number = cursor.u32()? as usize;
    KINDS.get(number).copied().ok_or_else(|| cursor.invalid("a value has an unknown type"))
}

fn read_value(cursor: &mut Cursor, (kind, ..): KindRow, depth: usize) -> Result<String> {
    Ok(match kind {
        Kind::U8 => cursor.u8()?.to_string(),
        Kind::I8 => i8::from_le_bytes(cursor.array()?).to_string(),
        Kind::U16 => u16::from_le_bytes(cursor.array()?).to_string(),
        Kind::I16 => i16::from_le_bytes(cursor.array()?).to_string(),
        Kind::U32 => cursor.u32()?.to_string(),
        Kind::I32 => i32::from_le_bytes(cursor.array()?).to_string(),
        Kind::F32 => f32::from_le_bytes(cursor.array()?).to_string(),
        Kind::Bool => (cursor.u8()? != 0).to_string(),
        Kind::U64 => cursor.u64()?.to_string(),
        Kind::I64 => i64::from_le_bytes(cursor.array()?).to_string(),
        Kind::F64 => f64::from_le_bytes(cursor.array()?).to_string(),
        Kind::Text => read_text(cursor)?,
        Kind::Array => read_array(cursor, depth)?,
    })
}

/// A text that is shown; tokens need not be UTF-8.
fn read_text(cursor: &mut Cursor) -> Result<String> {
    let length = cursor.u64()?;
    let bytes = cursor.bytes(length, TEXT_LIMIT, "the length of a text")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_array(cursor: &mut Cursor, depth: usize) -> Result<String> {
    if depth >= DEPTH {
        return Err(cursor.invalid("arrays are nested too deep"));
    }
    let row = read_kind(cursor)?;
    let (kind, fewest, called) = row;
    let count = cursor.u64()?;
    if count > cursor.left() / fewest {
        return Err(cursor.limit("the length of an array", count, cursor.left() / fewest));
    }
    if count > SHOWN || depth > 0 {
        skip(cursor, row, count, depth)?;
        return Ok(format!("{count} {called}"));
    }
    let mut values = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let value = read_value(cursor, row, depth + 1)?;
        values.push(if kind == Kind::Text { serde_json::Value::from(value).to_string() } else { value });
    }
    Ok(format!("[{}]", values.join(",")))
}

/// Moves over the values of an array.
fn skip(cursor: &mut Cursor, row: KindRow, count: u64, depth: usize) -> Result<()> {
    match row {
        (Kind::Text, ..) => {
            for _ in 0..count {
                let length = cursor.u64()?;
                cursor.skip(length)?;
            }
            Ok(())
        }
        (Kind::Array, ..) => {
            for _ in 0..count {
                read_array(cursor, depth + 1)?;
            }
            Ok(())
        }
        // the count was held against what is left of the file
        (_, bytes, _) => cursor.skip(count * bytes),
    }
}
