//! Element types, in one table.

use std::fmt;

use serde::Serialize;

macro_rules! dtypes {
    ($($variant:ident $stored:ident $short:literal $elements:literal $bytes:literal $class:ident;)*) => {
        /// How one element is stored. Closed: every match over it is exhaustive.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Dtype {
            $(#[doc = concat!("`", stringify!($stored), "`: ", $elements, " element(s) in ", $bytes, " byte(s).")] $variant,)*
        }

        impl Dtype {
            /// Every element type, in the order of their declaration.
            pub(crate) const ALL: &'static [Dtype] = &[$(Dtype::$variant,)*];

            /// `(elements, bytes)` of the smallest piece that is a whole number of bytes: `F32` is `(1, 4)`, `F4` `(2, 1)`.
            pub(crate) const fn unit(self) -> (u64, u64) {
                match self { $(Dtype::$variant => ($elements, $bytes),)* }
            }

            /// The spelling in a safetensors header, as `BF16`.
            pub(crate) const fn stored_name(self) -> &'static str {
                match self { $(Dtype::$variant => stringify!($stored),)* }
            }

            /// The type as the reference crate of safetensors has it.
            pub(crate) const fn stored(self) -> safetensors::Dtype {
                match self { $(Dtype::$variant => safetensors::Dtype::$stored,)* }
            }

            /// The spelling for people and for `config.json` abbreviations, as `bf16`.
            pub(crate) const fn short_name(self) -> &'static str {
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
    pub(crate) fn is_float(self) -> bool {
        self.class() == Class::Float
    }

    /// Bits of one element; `F4` has 4.
    pub(crate) fn bits(self) -> u64 {
        let (elements, bytes) = self.unit();
        bytes * 8 / elements
    }

    /// The type that a safetensors header calls `name`, or `None` where there is not such a type.
    pub(crate) fn from_stored_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.iter().copied().find(|dtype| dtype.stored_name() == name)
    }

    /// The name that `torch_dtype` and `dtype` have in a Hugging Face config (`float32`, `bfloat16`, …), or `None`
    /// for a type that PyTorch models are not kept in.
    pub(crate) fn torch_name(self) -> Option<&'static str> {
        match self {
            Dtype::F16 => Some("float16"),
            Dtype::Bf16 => Some("bfloat16"),
            Dtype::F32 => Some("float32"),
            Dtype::F64 => Some("float64"),
            _ => None,
        }
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
