//! The vocabulary of tensors: element types, shapes, names. No I/O and no arithmetic on values; byte counts never
//! assume that an element is a whole number of bytes.

pub(crate) mod error;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use crate::name::Name;
pub use crate::shape::{Shape, ShapeText, elements};
use crate::tensor::error::TensorError;

/// A range of indices of axis 0; a scalar has exactly one row.
pub type Rows = Range<u64>;

macro_rules! dtypes {
    ($($variant:ident $stored:ident $short:literal $elements:literal $bytes:literal $class:ident;)*) => {
        /// How one element is stored. Closed: every match over it is exhaustive.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Dtype {
            $(#[doc = concat!("`", stringify!($stored), "`: ", $elements, " element(s) in ", $bytes, " byte(s).")] $variant,)*
        }

        impl Dtype {
            /// Every element type, in the order of their declaration.
            pub const ALL: &'static [Dtype] = &[$(Dtype::$variant,)*];

            /// `(elements, bytes)` of the smallest piece that is a whole number of bytes: `F32` is `(1, 4)`, `F4` `(2, 1)`.
            pub const fn unit(self) -> (u64, u64) {
                match self { $(Dtype::$variant => ($elements, $bytes),)* }
            }

            /// The spelling in a safetensors header, as `BF16`.
            pub const fn stored_name(self) -> &'static str {
                match self { $(Dtype::$variant => stringify!($stored),)* }
            }

            /// The type as the reference crate of safetensors has it.
            pub(crate) const fn stored(self) -> safetensors::Dtype {
                match self { $(Dtype::$variant => safetensors::Dtype::$stored,)* }
            }

            /// The spelling for people and for `config.json` abbreviations, as `bf16`.
            pub const fn short_name(self) -> &'static str {
                match self { $(Dtype::$variant => $short,)* }
            }

            const fn class(self) -> Class {
                match self { $(Dtype::$variant => Class::$class,)* }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Integer,
    Float,
    /// Sub-byte and 8-bit floats that only make sense with a scale beside them: copied, never computed with.
    Packed,
    Complex,
}

dtypes! {
    Bool BOOL "bool" 1 1 Integer;
    F4 F4 "f4" 2 1 Packed;
    F6E2m3 F6_E2M3 "f6_e2m3" 4 3 Packed;
    F6E3m2 F6_E3M2 "f6_e3m2" 4 3 Packed;
    U8 U8 "u8" 1 1 Integer;
    I8 I8 "i8" 1 1 Integer;
    F8E5m2 F8_E5M2 "f8_e5m2" 1 1 Packed;
    F8E4m3 F8_E4M3 "f8_e4m3" 1 1 Packed;
    F8E8m0 F8_E8M0 "f8_e8m0" 1 1 Packed;
    F8E4m3fnuz F8_E4M3FNUZ "f8_e4m3fnuz" 1 1 Packed;
    F8E5m2fnuz F8_E5M2FNUZ "f8_e5m2fnuz" 1 1 Packed;
    I16 I16 "i16" 1 2 Integer;
    U16 U16 "u16" 1 2 Integer;
    F16 F16 "f16" 1 2 Float;
    Bf16 BF16 "bf16" 1 2 Float;
    I32 I32 "i32" 1 4 Integer;
    U32 U32 "u32" 1 4 Integer;
    F32 F32 "f32" 1 4 Float;
    C64 C64 "c64" 1 8 Complex;
    F64 F64 "f64" 1 8 Float;
    I64 I64 "i64" 1 8 Integer;
    U64 U64 "u64" 1 8 Integer;
}

impl Dtype {
    /// Whether values of this type can be computed with: `F16`, `BF16`, `F32`, `F64`.
    pub fn is_float(self) -> bool {
        self.class() == Class::Float
    }

    /// Bits of one element; `F4` has 4.
    pub fn bits(self) -> u64 {
        let (elements, bytes) = self.unit();
        bytes * 8 / elements
    }

    /// Bytes of `elements` elements, or an error where they do not fill whole units or the number overflows.
    pub fn bytes_of(self, elements: u64) -> Result<u64> {
        let (unit, bytes) = self.unit();
        if !elements.is_multiple_of(unit) {
            return Err(TensorError::PartialUnit { dtype: self, elements, unit }.into());
        }
        (elements / unit)
            .checked_mul(bytes)
            .ok_or_else(|| TensorError::Overflow { shape: [elements].into(), dtype: self }.into())
    }

    /// The type that a safetensors header calls `name`, or `None` where there is no such type.
    pub fn from_stored_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.iter().copied().find(|dtype| dtype.stored_name() == name)
    }

    /// The name that `torch_dtype` and `dtype` have in a Hugging Face config (`float32`, `bfloat16`, …), or `None`
    /// for a type that PyTorch models are not kept in.
    pub fn torch_name(self) -> Option<&'static str> {
        match self {
            Dtype::F16 => Some("float16"),
            Dtype::Bf16 => Some("bfloat16"),
            Dtype::F32 => Some("float32"),
            Dtype::F64 => Some("float64"),
            _ => None,
        }
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

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short_name())
    }
}

impl Serialize for Dtype {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.stored_name())
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
    pub fn new(name: impl Into<Name>, dtype: Dtype, shape: impl Into<Shape>) -> TensorInfo {
        TensorInfo { name: name.into(), dtype, shape: shape.into() }
    }

    /// The number of elements, or an error where it overflows 64 bits.
    pub fn elements(&self) -> Result<u64> {
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
    pub fn row_elements(&self) -> Result<u64> {
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
