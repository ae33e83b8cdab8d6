use crate::error::{Exit, Fault};
use crate::tensor::{Dtype, Shape, ShapeText};

/// A shape, a type or a number of bytes does not work out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TensorError {
    #[error("a tensor of shape {} in {dtype} is larger than 64 bits can count", ShapeText(shape))]
    Overflow { shape: Shape, dtype: Dtype },
    #[error("{elements} elements of {dtype} do not fill whole units of {unit}")]
    PartialUnit { dtype: Dtype, elements: u64, unit: u64 },
    #[error("unknown dtype `{name}`")]
    UnknownDtype { name: String },
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
