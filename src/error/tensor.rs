use super::{Exit, Fault};
use crate::tensor::{Dtype, Shape, ShapeText};

/// A shape, a type or a number of bytes does not work out.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// The number of elements or bytes exceeds 64 bits.
    #[error("a tensor of shape {} in {dtype} is larger than 64 bits can count", ShapeText(shape))]
    Overflow {
        /// The shape.
        shape: Shape,
        /// The element type.
        dtype: Dtype,
    },
    /// Sub-byte elements do not fill a whole number of bytes.
    #[error("{elements} elements of {dtype} do not fill whole units of {unit}")]
    PartialUnit {
        /// The element type.
        dtype: Dtype,
        /// How many elements.
        elements: u64,
        /// How many make a unit.
        unit: u64,
    },
    /// No type has this name.
    #[error("unknown dtype `{name}`")]
    UnknownDtype {
        /// What was written.
        name: String,
    },
}

impl Fault for TensorError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            TensorError::UnknownDtype { .. } => vec!["one of f32, f16, bf16, f64".into()],
            TensorError::Overflow { .. } | TensorError::PartialUnit { .. } => Vec::new(),
        }
    }
}
