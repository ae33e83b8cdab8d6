//! The vocabulary of tensors: element types, shapes, names. No I/O and no arithmetic on values; byte counts never
//! assume that an element is a whole number of bytes.

mod dtype;
pub(crate) mod error;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub(crate) use crate::name::Name;
pub(crate) use crate::shape::{Shape, ShapeText, elements};
pub use crate::tensor::dtype::Dtype;
use crate::tensor::error::TensorError;

/// A range of indices of axis 0; a scalar has exactly one row.
pub(crate) type Rows = Range<u64>;

impl Dtype {
    /// Bytes of `elements` elements, or an error where they do not fill whole units or the number overflows.
    pub(crate) fn bytes_of(self, elements: u64) -> Result<u64> {
        let (unit, bytes) = self.unit();
        if !elements.is_multiple_of(unit) {
            return Err(TensorError::PartialUnit { dtype: self, elements, unit }.into());
        }
        (elements / unit)
            .checked_mul(bytes)
            .ok_or_else(|| TensorError::Overflow { shape: [elements].into(), dtype: self }.into())
    }
}

impl std::str::FromStr for Dtype {
    type Err = Error;

    /// Accepts the stored spelling (`BF16`), the short one (`bf16`) and PyTorch's (`bfloat16`, `torch.bfloat16`).
    fn from_str(text: &str) -> Result<Dtype> {
        if let Some(dtype) = Dtype::from_stored_name(text) {
            return Ok(dtype);
        }
        let plain = text.strip_prefix("torch.").unwrap_or(text);
        let lower = plain.to_ascii_lowercase();
        let by_torch = match lower.as_str() {
            "half" => Some(Dtype::F16),
            "float" => Some(Dtype::F32),
            "double" => Some(Dtype::F64),
            "int8" => Some(Dtype::I8),
            "int16" | "short" => Some(Dtype::I16),
            "int32" | "int" => Some(Dtype::I32),
            "int64" | "long" => Some(Dtype::I64),
            "uint8" => Some(Dtype::U8),
            "uint16" => Some(Dtype::U16),
            "uint32" => Some(Dtype::U32),
            "uint64" => Some(Dtype::U64),
            "complex64" => Some(Dtype::C64),
            "float8_e4m3fn" => Some(Dtype::F8E4m3),
            "float8_e5m2" => Some(Dtype::F8E5m2),
            _ => None,
        };
        by_torch
            .or_else(|| Dtype::ALL.iter().copied().find(|d| d.short_name() == lower || d.torch_name() == Some(&lower)))
            .ok_or_else(|| TensorError::UnknownDtype { name: text.to_string() }.into())
    }
}

impl<'de> Deserialize<'de> for Dtype {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// The name, element type and shape of one tensor: all that a decision may look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// The key in the `state_dict`.
    pub name: Name,
    /// How its elements are stored.
    pub dtype: Dtype,
    /// Its axes, outermost first.
    pub shape: Shape,
}

impl TensorInfo {
    /// A tensor's description from its parts.
    pub(crate) fn new(name: impl Into<Name>, dtype: Dtype, shape: impl Into<Shape>) -> TensorInfo {
        TensorInfo { name: name.into(), dtype, shape: shape.into() }
    }

    /// The number of elements, or an error where it overflows 64 bits.
    pub(crate) fn elements(&self) -> Result<u64> {
        elements(&self.shape).ok_or_else(|| self.overflow())
    }

    /// The number of bytes that the elements take, or an error where it overflows or cuts a unit in two.
    pub fn bytes(&self) -> Result<u64> {
        self.dtype.bytes_of(self.elements()?)
    }

    /// The number of rows: the size of axis 0, one for a scalar.
    pub fn rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The number of elements in one row, or an error where it overflows.
    pub(crate) fn row_elements(&self) -> Result<u64> {
        elements(self.shape.get(1..).unwrap_or(&[])).ok_or_else(|| self.overflow())
    }

    /// The number of bytes in one row, or an error where a row is not a whole number of bytes.
    pub fn row_bytes(&self) -> Result<u64> {
        self.dtype.bytes_of(self.row_elements()?)
    }

    fn overflow(&self) -> Error {
        TensorError::Overflow { shape: self.shape.clone(), dtype: self.dtype }.into()
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.dtype, ShapeText(&self.shape))
    }
}

/// A number of bytes rounded up to whole decimal megabytes, as `--max-memory` takes it: `48MB`.
pub fn megabytes(bytes: u64) -> String {
    format!("{}MB", bytes.div_ceil(1_000_000))
}

/// What a parameter is to the model. Set by a family, a layer or a listing's `module`; matched without a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The matrix of a fully connected layer, `(out, in)` unless the layout says otherwise.
    Linear,
    /// The kernel of a convolution, `(out, in / groups, …)`.
    Conv {
        /// How many groups of channels do not mix.
        groups: u64,
    },
    /// The kernel of a transposed convolution, `(in, out / groups, …)`.
    ConvTranspose {
        /// How many groups of channels do not mix.
        groups: u64,
    },
    /// One row for each token, `(vocabulary, width)`.
    Embedding,
    /// One row for each position, `(positions, width)`.
    Position,
    /// The scale of a normalisation layer.
    Norm,
    /// Anything that is added after a product or a normalisation.
    Bias,
    /// A bare tensor such as a class token.
    Token,
    /// State that is not learned: running statistics, indices.
    Buffer,
    /// A listing did not say.
    Unknown,
}
