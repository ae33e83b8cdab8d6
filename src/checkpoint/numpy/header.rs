//! The header of an array: a magic, a version, and a Python dictionary with the element type, the order and the shape.

use crate::checkpoint::format_error::FormatError;
use crate::error::Result;
use crate::tensor::Dtype;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes before the dictionary, at most.
pub(super) const PREFIX: usize = 12;
/// The longest dictionary that is read; NumPy itself stops at 10,000.
pub(super) const LIMIT: u64 = 1 << 16;
/// More axes than NumPy has.
const AXES: usize = 64;

/// NumPy's kinds and sizes, and what they are here.
const DTYPES: &[(&str, Dtype)] = &[
    ("b1", Dtype::Bool),
    ("i1", Dtype::I8),
    ("u1", Dtype::U8),
    ("i2", Dtype::I16),
    ("u2", Dtype::U16),
    ("i4", Dtype::I32),
    ("u4", Dtype::U32),
    ("i8", Dtype::I64),
    ("u8", Dtype::U64),
    ("f2", Dtype::F16),
    ("f4", Dtype::F32),
    ("f8", Dtype::F64),
    ("c8", Dtype::C64),
];

/// Kinds that hold no numbers, and what they hold.
const NO_NUMBERS: &[(char, &str)] = &[
    ('O', "pickled objects"),
    ('S', "byte strings"),
    ('a', "byte strings"),
    ('U', "texts"),
    ('T', "texts"),
    ('M', "dates"),
    ('m', "spans of time"),
];

/// What the elements are.
#[derive(Debug, PartialEq)]
pub(super) enum Elements {
    Numbers {
        dtype: Dtype,
        is_big_endian: bool,
    },
    /// What is not a weight: texts, dates, objects; what they are called.
    NoNumbers(String),
    /// Numbers of a type that cannot be carried.
    Unknown(String),
}

/// A header.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) elements: Elements,
    pub(super) is_fortran: bool,
    pub(super) shape: Vec<u64>,
    /// How many bytes the header takes, magic included.
    pub(super) bytes: u64,
}

/// How long a header is that begins so, magic included. `file` is for errors.
pub(super) fn length(file: &str, start: &[u8]) -> Result<u64> {
    let invalid = |offset, what| FormatError::Invalid { file: file.into(), format: "NumPy array", offset, what };
    if !start.starts_with(MAGIC) {
        return Err(invalid(0, "it does not begin with \\x93NUMPY").into());
    }
    let byte = |at: usize| start.get(at).copied();
    let ends = || FormatError::Ends { file: file.into(), offset: 6, wanted: 6, end: start.len() as u64 };
    let (prefix, length) = match (byte(6).ok_or_else(ends)?, byte(8), byte(9), byte(10), byte(11)) {
        (1, Some(a), Some(b), ..) => (10, u64::from(u16::from_le_bytes([a, b]))),
        (2 | 3, Some(a), Some(b), Some(c), Some(d)) => (12, u64::from(u32::from_le_bytes([a, b, c, d]))),
        (1..=3, ..) => return Err(ends().into()),
        _ => return Err(invalid(6, "the version is none of 1, 2 and 3").into()),
    };
    if length > LIMIT {
        let what = "the length of the header";
        return Err(FormatError::Limit { file: file.into(), offset: 8, what, found: length, limit: LIMIT }.into());
    }
    Ok(prefix + length)
}

/// Reads a whole header.
pub(super) fn parse(file: &str, header: &[u8]) -> Result<Header> {
    let prefix = if header.get(6) == Some(&1) { 10 } else { 12 };
    let text = header.get(prefix..).unwrap_or_default();
    let mut literal = Literal { text, at: 0 };
    let parsed = literal.dictionary();
    let offset = (prefix + literal.at) as u64;
    let invalid = |what| FormatError::Invalid { file: file.into(), format: "NumPy array", offset, what }.into();
    let Fields { descr, order, shape } = parsed.map_err(invalid)?;
    match (descr, order, shape) {
        (Some(descr), Some(is_fortran), Some(shape)) => {
            Ok(Header { elements: elements(&descr), is_fortran, shape, bytes: header.len() as u64 })
        }
        _ => Err(invalid("the header lacks one of descr, fortran_order and shape")),
    }
}

/// The element type that NumPy writes as `descr`; a structured type is its own text.
fn elements(descr: &str) -> Elements {
    let (order, rest) = match descr.split_at_checked(1) {
        Some((order, rest)) if "<>|=".contains(order) => (order, rest),
        _ => ("|", descr),
    };
    if let Some((_, dtype)) = DTYPES.iter().find(|(name, _)| *name == rest) {
        return Elements::Numbers { dtype: *dtype, is_big_endian: order == ">" };
    }
    let kind = rest.chars().next();
    match NO_NUMBERS.iter().find(|(letter, _)| Some(*letter) == kind) {
        Some((_, called)) => Elements::NoNumbers(format!("{called} (`{descr}`)")),
        None => Elements::Unknown(format!("`{descr}`")),
    }
}

#[derive(Default)]
struct Fields {
    descr: Option<String>,
    order: Option<bool>,
    shape: Option<Vec<u64>>,
}

type Parsed<T> = std::result::Result<T, &'static str>;

/// The few literals of Python that NumPy writes.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
}

impl Literal<'_> {
    fn dictionary(&mut self) -> Parsed<Fields> {
        let mut fields = Fields::default();
        self.expect(b'{', "the header is not a dictionary")?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.expect(b':', "a key without a value")?;
            let twice = match key.as_str() {
                "descr" => fields.descr.replace(self.descr()?).is_some(),
                "fortran_order" => fields.order.replace(self.boolean()?).is_some(),
                "shape" => fields.shape.replace(self.shape()?).is_some(),
                _ => return Err("the header has another key than descr, fortran_order and shape"),
            };
            if twice {
                return Err("the header has a key twice");
            }
            if !self.take(b',') {
                self.expect(b'}', "a comma or } is expected")?;
                break;
            }
        }
        match self.peek() {
            None => Ok(fields),
            Some(_) => Err("something follows the dictionary"),
        }
    }

    /// The next byte that is not a white space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        if self.take(byte) { Ok(()) } else { Err(what) }
    }

    fn string(&mut self) -> Parsed<String> {
        let quote = self.peek().filter(|quote| matches!(quote, b'\'' | b'"')).ok_or("a text is expected")?;
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == quote).ok_or("a text does not end")?;
        self.at += length + 2;
        Ok(String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned())
    }

    /// A type as a text; one of several fields is kept as it is written.
    fn descr(&mut self) -> Parsed<String> {
        if self.peek() != Some(b'[') && self.peek() != Some(b'(') {
            return self.string();
        }
        let start = self.at;
        let mut depth = 0i32;
        while let Some(byte) = self.text.get(self.at) {
            depth += match byte {
                b'[' | b'(' => 1,
                b']' | b')' => -1,
                _ => 0,
            };
            self.at += 1;
            if depth == 0 {
                let text = self.text.get(start..self.at).unwrap_or_default();
                return Ok(String::from_utf8_lossy(text).into_owned());
            }
        }
        Err("a type does not end")
    }

    fn boolean(&mut self) -> Parsed<bool> {
        self.peek();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err("fortran_order is neither True nor False")
    }

    fn shape(&mut self) -> Parsed<Vec<u64>> {
        let mut shape = Vec::new();
        self.expect(b'(', "shape is not a tuple")?;
        while !self.take(b')') {
            if shape.len() == AXES {
                return Err("shape has more than 64 axes");
            }
            shape.push(self.size()?);
            if !self.take(b',') {
                self.expect(b')', "a comma or ) is expected")?;
                break;
            }
        }
        Ok(shape)
    }

    /// A whole number; Python 2 may put an `L` behind it.
    fn size(&mut self) -> Parsed<u64> {
        const WHAT: &str = "shape contains what is not an integer below 2^64";
        self.peek();
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        let digits = self.text.get(start..self.at).and_then(|digits| std::str::from_utf8(digits).ok());
        let size = digits.and_then(|digits| digits.parse().ok()).ok_or(WHAT)?;
        self.take(b'L');
        Ok(size)
    }
}
