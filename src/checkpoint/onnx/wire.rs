//! Protocol buffers as they are written: fields by number, read one by one; large ones are noted by place and not read.

use crate::checkpoint::cursor::Cursor;
use crate::error::Result;

/// The longest text that is read, in bytes.
const TEXT_LIMIT: u64 = 65_535;

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content {
    /// A number of variable length.
    Number(u64),
    /// Bytes, a text or a message, from here on.
    Range { offset: u64, bytes: u64 },
}

/// The next field before `end`, or `None` there. A range is not moved over.
pub(super) fn field(cursor: &mut Cursor, end: u64) -> Result<Option<(u64, Content)>> {
    if cursor.at() >= end {
        return Ok(None);
    }
    let key = number(cursor, end)?;
    let content = match key & 7 {
        0 => Content::Number(number(cursor, end)?),
        1 => fixed(cursor, end, 8)?,
        5 => fixed(cursor, end, 4)?,
        2 => {
            let bytes = number(cursor, end)?;
            if bytes > end - cursor.at() {
                return Err(cursor.limit("the length of a field", bytes, end - cursor.at()));
            }
            Content::Range { offset: cursor.at(), bytes }
        }
        _ => return Err(cursor.invalid("a field has an unknown kind")),
    };
    Ok(Some((key >> 3, content)))
}

fn fixed(cursor: &mut Cursor, end: u64, bytes: u64) -> Result<Content> {
    if bytes > end - cursor.at() {
        return Err(cursor.invalid("a number reaches over the end of its message"));
    }
    Ok(Content::Range { offset: cursor.at(), bytes })
}

/// A number in groups of seven bits, the lowest first.
pub(super) fn number(cursor: &mut Cursor, end: u64) -> Result<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        if cursor.at() >= end {
            return Err(cursor.invalid("a number reaches over the end of its message"));
        }
        let byte = cursor.u8()?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(cursor.invalid("a number has more than ten bytes"))
}

/// The text in a range that begins here.
pub(super) fn text(cursor: &mut Cursor, bytes: u64) -> Result<String> {
    let bytes = cursor.bytes(bytes, TEXT_LIMIT, "the length of a text")?;
    String::from_utf8(bytes).map_err(|_| cursor.invalid("a text is not UTF-8"))
}
