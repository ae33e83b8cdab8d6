use super::{Exit, Fault};
use crate::tensor::{Dtype, Shape, ShapeText};

/// An output cannot be laid out, written or published.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Two targets have one name.
    #[error("tensor {tensor} would be written twice")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// A target has the name that the header keeps for itself.
    #[error("no tensor may be called {tensor}")]
    ReservedName {
        /// The name.
        tensor: String,
    },
    /// A target has no whole number of bytes, or more than 64 bits can count.
    #[error("tensor {tensor}: {dtype} {} is no whole number of bytes below 2^64", ShapeText(shape))]
    Uncountable {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Shape,
    },
    /// All tensors together take more than a file system can address.
    #[error("the output would be larger than 2^63 bytes")]
    TooLarge,
    /// A header would be longer than `huggingface_hub` reads.
    #[error("{file}: the header of {tensors} tensors would take {bytes} bytes, readers take at most {limit}")]
    HeaderTooLarge {
        /// The file.
        file: String,
        /// How many tensors it lists.
        tensors: usize,
        /// What it would take.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
}

impl Fault for SaveError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            SaveError::HeaderTooLarge { .. } => vec!["write smaller shards, as --max-shard-size 1GB".into()],
            SaveError::DuplicateTensor { .. }
            | SaveError::ReservedName { .. }
            | SaveError::Uncountable { .. }
            | SaveError::TooLarge => Vec::new(),
        }
    }
}
