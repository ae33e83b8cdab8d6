//! Flax: msgpack maps whose leaves are arrays, each an extension of type 1 that holds `(shape, dtype name, bytes)`. Names are the
//! keys from the outside in, joined by dots; kernels keep the layout of Flax, `(in, out)` and `(…, in, out)`.

use crate::checkpoint::file_format::CheckpointFormat;
use std::sync::Arc;

use super::arrays::{Array, FileContents};
use super::cursor::Cursor;
use super::part::Part;
use super::torch::dtype_called;
use crate::checkpoint::format_error::FormatError;
use crate::error::Result;
use crate::source::Bytes;
use crate::source::error::SourceError;
use crate::tensor::{Dtype, Shape, TensorInfo};

/// More maps within maps than any model has.
const DEPTH: usize = 64;
/// More axes than NumPy has.
const AXES: u64 = 64;
/// The longest key, and name of a type, in bytes.
const KEY_LIMIT: u64 = 65_535;
/// The longest path of keys, and how long the names of all arrays may be together, in bytes.
const NAME_LIMIT: u64 = 4096;
const ALL_NAMES_LIMIT: u64 = 256 << 20;
/// Extensions of Flax: an array, and a scalar of NumPy.
const ARRAY: i8 = 1;
const SCALAR: i8 = 3;
/// The first key of a map that stands for an array of more than a gigabyte, in pieces.
const CHUNKED: &str = "__msgpack_chunked_array__";

/// Walks a file; touches no data of arrays.
pub(super) fn open(file: Arc<dyn Bytes>) -> Result<Part> {
    let mut walk = Walk {
        cursor: Cursor::new(file.as_ref(), "msgpack"),
        file: &file,
        path: String::new(),
        names: 0,
        arrays: Vec::new(),
        passed: Vec::new(),
    };
    walk.value(0)?;
    if walk.cursor.left() > 0 {
        return Err(walk.cursor.invalid("something follows the outermost map"));
    }
    let Walk { cursor, arrays, passed, .. } = walk;
    if arrays.is_empty() {
        return Err(FormatError::Empty { file: file.name().into() }.into());
    }
    let digest = cursor.digest();
    let notes = passed.iter().map(|name| format!("skipped `{name}`: it is not an array")).collect();
    FileContents { format: CheckpointFormat::Msgpack, arrays, metadata: Vec::new(), digest, notes }
        .into_part(file.as_ref())
}

/// A value up to where its content begins.
enum Head {
    Map(u64),
    List(u64),
    /// A text or bytes of a length.
    Text(u64),
    Bytes(u64),
    Extension(i8, u64),
    Unsigned(u64),
    /// A number, a truth value or nothing; it has been read.
    Plain,
}

fn head(cursor: &mut Cursor) -> Result<Head> {
    let short = |bytes: [u8; 2]| u64::from(u16::from_be_bytes(bytes));
    let long = |bytes: [u8; 4]| u64::from(u32::from_be_bytes(bytes));
    let first = cursor.u8()?;
    Ok(match first {
        0x00..=0x7f => Head::Unsigned(first.into()),
        0x80..=0x8f => Head::Map((first & 0xF).into()),
        0x90..=0x9f => Head::List((first & 0xF).into()),
        0xa0..=0xbf => Head::Text((first & 0x1F).into()),
        0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Head::Plain,
        0xc1 => return Err(cursor.invalid("the byte c1 begins no value")),
        0xc4 => Head::Bytes(cursor.u8()?.into()),
        0xc5 => Head::Bytes(short(cursor.array()?)),
        0xc6 => Head::Bytes(long(cursor.array()?)),
        0xc7 => extension(u64::from(cursor.u8()?), cursor)?,
        0xc8 => extension(short(cursor.array()?), cursor)?,
        0xc9 => extension(long(cursor.array()?), cursor)?,
        0xca | 0xd2 => plain::<4>(cursor)?,
        0xcb | 0xd3 => plain::<8>(cursor)?,
        0xcc => Head::Unsigned(cursor.u8()?.into()),
        0xcd => Head::Unsigned(short(cursor.array()?)),
        0xce => Head::Unsigned(long(cursor.array()?)),
        0xcf => Head::Unsigned(u64::from_be_bytes(cursor.array()?)),
        0xd0 => plain::<1>(cursor)?,
        0xd1 => plain::<2>(cursor)?,
        0xd4..=0xd8 => extension(1 << (first - 0xd4), cursor)?,
        0xd9 => Head::Text(cursor.u8()?.into()),
        0xda => Head::Text(short(cursor.array()?)),
        0xdb => Head::Text(long(cursor.array()?)),
        0xdc => Head::List(short(cursor.array()?)),
        0xdd => Head::List(long(cursor.array()?)),
        0xde => Head::Map(short(cursor.array()?)),
        0xdf => Head::Map(long(cursor.array()?)),
    })
}

fn plain<const N: usize>(cursor: &mut Cursor) -> Result<Head> {
    cursor.array::<N>().map(|_| Head::Plain)
}

fn extension(length: u64, cursor: &mut Cursor) -> Result<Head> {
    Ok(Head::Extension(i8::from_le_bytes(cursor.array()?), length))
}

/// A walk over all values of a file.
struct Walk<'a> {
    cursor: Cursor<'a>,
    file: &'a Arc<dyn Bytes>,
    /// The keys down to this place, joined.
    path: String,
    /// How long the names of all arrays are.
    names: u64,
    arrays: Vec<(TensorInfo, Array)>,
    /// The first names of what is not an array.
    passed: Vec<String>,
}

impl Walk<'_> {
    fn value(&mut self, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(self.cursor.invalid("maps are nested too deep"));
        }
        match head(&mut self.cursor)? {
            Head::Map(count) => self.map(count, depth),
            Head::List(count) => (0..count).try_for_each(|index| self.below(&index.to_string(), depth)),
            Head::Extension(ARRAY | SCALAR, length) => {
                let (dtype, shape, offset, bytes) = self.array(length)?;
                self.keep(dtype, shape, Array::verbatim(self.file.clone(), offset, bytes))
            }
            Head::Text(length) | Head::Bytes(length) | Head::Extension(_, length) => {
                self.cursor.skip(length)?;
                self.pass();
                Ok(())
            }
            Head::Unsigned(_) | Head::Plain => {
                self.pass();
                Ok(())
            }
        }
    }

    /// The value of a key of this map.
    fn below(&mut self, key: &str, depth: usize) -> Result<()> {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.extend(key.chars().map(|letter| if letter == '/' { '.' } else { letter }));
        if self.path.len() as u64 > NAME_LIMIT {
            return Err(self.cursor.limit("the length of a name", self.path.len() as u64, NAME_LIMIT));
        }
        self.value(depth + 1)?;
        self.path.truncate(length);
        Ok(())
    }

    fn keep(&mut self, dtype: Dtype, shape: Shape, array: Array) -> Result<()> {
        self.names += self.path.len() as u64;
        if self.names > ALL_NAMES_LIMIT {
            return Err(self.cursor.limit("the length of all names", self.names, ALL_NAMES_LIMIT));
        }
        self.arrays.push((TensorInfo::new(self.path.clone(), dtype, shape), array));
        Ok(())
    }

    fn pass(&mut self) {
        const NOTED: usize = 8;
        if self.passed.len() < NOTED {
            self.passed.push(self.path.clone());
        }
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<()> {
        for place in 0..count {
            let key = self.key()?;
            if place == 0 && key == CHUNKED {
                return self.chunked(count);
            }
            self.below(&key, depth)?;
        }
        Ok(())
    }

    fn key(&mut self) -> Result<String> {
        match head(&mut self.cursor)? {
            Head::Text(length) | Head::Bytes(length) => self.text(length),
            Head::Unsigned(number) => Ok(number.to_string()),
            _ => Err(self.cursor.invalid("a key is neither a text nor a number")),
        }
    }

    fn text(&mut self, length: u64) -> Result<String> {
        let bytes = self.cursor.bytes(length, KEY_LIMIT, "the length of a text")?;
        String::from_utf8(bytes).map_err(|_| self.cursor.invalid("a text is not UTF-8"))
    }

    /// The array in an extension of a length: what it is, where its bytes begin, and how many there are.
    fn array(&mut self, length: u64) -> Result<(Dtype, Shape, u64, u64)> {
        let end = self.cursor.at().saturating_add(length);
        let Head::List(3) = head(&mut self.cursor)? else {
            return Err(self.cursor.invalid("an array is not a list of shape, type and bytes"));
        };
        let shape = self.shape()?;
        let dtype = self.dtype()?;
        let Head::Bytes(bytes) = head(&mut self.cursor)? else {
            return Err(self.cursor.invalid("an array has no bytes"));
        };
        let offset = self.cursor.at();
        self.cursor.jump(bytes)?;
        if self.cursor.at() != end {
            return Err(self.cursor.invalid("the length of an array is not that of its content"));
        }
        Ok((dtype, shape, offset, bytes))
    }

    fn shape(&mut self) -> Result<Shape> {
        let axes = match head(&mut self.cursor)? {
            Head::List(axes) if axes <= AXES => axes,
            Head::List(axes) => return Err(self.cursor.limit("the number of an array's axes", axes, AXES)),
            _ => return Err(self.cursor.invalid("a shape is not a list")),
        };
        (0..axes).map(|_| self.size()).collect()
    }

    fn size(&mut self) -> Result<u64> {
        match head(&mut self.cursor)? {
            Head::Unsigned(size) => Ok(size),
            _ => Err(self.cursor.invalid("a size is not an integer")),
        }
    }

    fn dtype(&mut self) -> Result<Dtype> {
        let (Head::Text(length) | Head::Bytes(length)) = head(&mut self.cursor)? else {
            return Err(self.cursor.invalid("an array's type is not text"));
        };
        let found = self.text(length)?;
        dtype_called(&found).ok_or_else(|| {
            let (file, tensor) = (self.file.name().to_string(), self.path.clone());
            FormatError::Elements { file, tensor, found: format!("`{found}`") }.into()
        })
    }

    /// The rest of a map that stands for one large array: its shape, and its elements in pieces of one axis.
    fn chunked(&mut self, count: u64) -> Result<()> {
        if count != 3 {
            return Err(self.cursor.invalid("an array in pieces is not described by three keys"));
        }
        head(&mut self.cursor)?;
        let (mut shape, mut pieces, mut dtype) = (None, Vec::new(), None);
        for _ in 1..count {
            match (self.key()?.as_str(), head(&mut self.cursor)?) {
                ("shape", Head::Map(axes)) if axes <= AXES => shape = Some(self.numbered_sizes(axes)?),
                ("chunks", Head::Map(count)) => dtype = self.pieces(count, &mut pieces)?,
                _ => return Err(self.cursor.invalid("an array in pieces lacks its shape or its pieces")),
            }
        }
        let (Some(shape), Some(dtype)) = (shape, dtype) else {
            return Err(self.cursor.invalid("an array in pieces lacks its shape or its pieces"));
        };
        let joined = Pieces::new(self.file.clone(), pieces);
        let bytes = joined.len();
        self.keep(dtype, shape, Array::verbatim(Arc::new(joined), 0, bytes))
    }

    /// The sizes of a map `{"0": …, "1": …}`.
    fn numbered_sizes(&mut self, axes: u64) -> Result<Shape> {
        (0..axes).map(|axis| self.number(axis).and_then(|()| self.size())).collect()
    }

    /// The key of entry `expected` of a tuple that was written as a map.
    fn number(&mut self, expected: u64) -> Result<()> {
        match self.key()? {
            key if key == expected.to_string() => Ok(()),
            _ => Err(self.cursor.invalid("the entries of an array in pieces are not in order")),
        }
    }

    fn pieces(&mut self, count: u64, pieces: &mut Vec<(u64, u64)>) -> Result<Option<Dtype>> {
        let mut dtype = None;
        for piece in 0..count {
            self.number(piece)?;
            let Head::Extension(ARRAY, length) = head(&mut self.cursor)? else {
                return Err(self.cursor.invalid("a piece of an array is not an array"));
            };
            let (found, shape, offset, bytes) = self.array(length)?;
            let is_whole = TensorInfo::new("", found, shape).bytes().ok() == Some(bytes);
            if dtype.is_some_and(|dtype| dtype != found) || !is_whole {
                return Err(self.cursor.invalid("the pieces of an array do not fit together"));
            }
            dtype = Some(found);
            pieces.push((offset, bytes));
        }
        Ok(dtype)
    }
}

/// Ranges of a file one after the other, as one range of bytes.
struct Pieces {
    file: Arc<dyn Bytes>,
    /// Where each begins in the whole and in the file, and how long it is.
    ranges: Vec<(u64, u64, u64)>,
    length: u64,
}

impl Pieces {
    /// Joins ranges (offset and length) that were checked to lie in the file.
    fn new(file: Arc<dyn Bytes>, pieces: Vec<(u64, u64)>) -> Pieces {
        let (mut ranges, mut length) = (Vec::with_capacity(pieces.len()), 0u64);
        for (offset, bytes) in pieces {
            ranges.push((length, offset, bytes));
            // ranges of one file that do not overlap are together no longer than it
            length = length.saturating_add(bytes);
        }
        Pieces { file, ranges, length }
    }
}

impl Bytes for Pieces {
    fn len(&self) -> u64 {
        self.length
    }

    fn name(&self) -> &str {
        self.file.name()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        if end > self.length {
            let (file, wanted, bytes) = (self.name().to_string(), out.len() as u64, self.length);
            return Err(SourceError::Short { file, offset, wanted, bytes }.into());
        }
        let first = self.ranges.partition_point(|(begin, _, bytes)| begin + bytes <= offset);
        let mut rest = out;
        let mut at = offset;
        for (begin, place, bytes) in self.ranges.iter().skip(first) {
            if rest.is_empty() {
                break;
            }
            let skip = at - begin;
            let count = usize::try_from(bytes - skip).unwrap_or(usize::MAX).min(rest.len());
            let (piece, behind) = std::mem::take(&mut rest).split_at_mut(count);
            self.file.read_at(place + skip, piece)?;
            at += count as u64;
            rest = behind;
        }
        Ok(())
    }
}
