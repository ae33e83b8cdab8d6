use crate::error::{Exit, Fault};
use crate::tensor::{Dtype, TensorInfo};

/// A transfer cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("the plan takes from source {source_index}, {sources} opened")]
    Source { source_index: usize, sources: usize },
    #[error("tensor {tensor} is not in source {source_index} any more")]
    Missing { source_index: usize, tensor: String },
    #[error("planned with {planned}, the source now contains {found}")]
    Changed { planned: TensorInfo, found: TensorInfo },
    #[error("tensor {target}: its value is {value}")]
    Value { target: TensorInfo, value: TensorInfo },
    #[error("tensor {tensor}: {parts} rows are initialised of {rows}")]
    Parts { tensor: String, parts: u64, rows: u64 },
    #[error("tensor {tensor} is tied to {owner} and has no value of its own")]
    Tied { tensor: String, owner: String },
    #[error("tensor {tensor}: {count} finite value(s) become infinite in {dtype}")]
    Overflow { tensor: String, dtype: Dtype, count: u64 },
    #[error("tensor {tensor}: the initialisation gave {count} value(s) that are NaN or infinite")]
    Generated { tensor: String, count: u64 },
    /// A buffer is not as long as what belongs into it: a fault of the caller.
    #[error("tensor {tensor}: {expected} bytes belong into a buffer of {found}")]
    Buffer { tensor: String, expected: u64, found: u64 },
    #[error("{bytes} bytes of memory are not to be had")]
    Memory { bytes: u64 },
    #[error("the layout gives assignment {assignment} {found} bytes, the plan {expected}")]
    Layout { assignment: usize, expected: u64, found: u64 },
    /// A mean was asked for of elements that are no floats, or of none.
    #[error("mean and deviation of {tensor}, which has no float elements")]
    NoMoments { tensor: TensorInfo },
    #[error("mean and deviation of {tensor}: {count} of its elements are NaN or infinite")]
    InfiniteMoments { tensor: TensorInfo, count: u64 },
}

impl Fault for TransferError {
    fn exit(&self) -> Exit {
        match self {
            TransferError::Source { .. }
            | TransferError::Missing { .. }
            | TransferError::Changed { .. }
            | TransferError::Value { .. }
            | TransferError::Parts { .. }
            | TransferError::Tied { .. }
            | TransferError::Overflow { .. }
            | TransferError::NoMoments { .. }
            | TransferError::InfiniteMoments { .. } => Exit::Input,
            TransferError::Generated { .. }
            | TransferError::Buffer { .. }
            | TransferError::Memory { .. }
            | TransferError::Layout { .. } => Exit::Machine,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            TransferError::Overflow { .. } => {
                vec!["choose a wider type with --dtype bf16 or --dtype f32, or pass --allow-overflow".into()]
            }
            TransferError::Memory { .. } => {
                vec!["fewer threads hold less at once: --threads 1; --dry-run prints what is needed".into()]
            }
            TransferError::Missing { .. } | TransferError::Changed { .. } => {
                vec!["the source has changed since the plan was made; make a new plan".into()]
            }
            _ => Vec::new(),
        }
    }
}
