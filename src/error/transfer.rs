use super::{Exit, Fault};
use crate::tensor::{Dtype, TensorInfo};

/// A transfer cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The plan names a source that was not opened.
    #[error("the plan takes from source {source_index}, {sources} opened")]
    Source {
        /// Which source.
        source_index: usize,
        /// How many there are.
        sources: usize,
    },
    /// The source no longer holds a tensor of the plan.
    #[error("tensor {tensor} is not in source {source_index} any more")]
    Missing {
        /// Which source.
        source_index: usize,
        /// The tensor.
        tensor: String,
    },
    /// The source holds another tensor under the name than was planned with.
    #[error("planned with {planned}, the source now holds {found}")]
    Changed {
        /// As planned.
        planned: TensorInfo,
        /// As it is.
        found: TensorInfo,
    },
    /// An expression gives another type or shape than its target has.
    #[error("tensor {target}: its value is {value}")]
    Value {
        /// The target.
        target: TensorInfo,
        /// What the expression gives.
        value: TensorInfo,
    },
    /// The parts of an initialisation are not its rows.
    #[error("tensor {tensor}: {parts} rows are initialised of {rows}")]
    Parts {
        /// The target.
        tensor: String,
        /// Rows of the parts together.
        parts: u64,
        /// Rows of the value.
        rows: u64,
    },
    /// A tied tensor has no bytes of its own.
    #[error("tensor {tensor} is tied to {owner} and has no value of its own")]
    Tied {
        /// The tensor.
        tensor: String,
        /// The owner.
        owner: String,
    },
    /// Finite values became infinite in a narrower type.
    #[error("tensor {tensor}: {count} finite value(s) become infinite in {dtype}")]
    Overflow {
        /// The tensor.
        tensor: String,
        /// The type.
        dtype: Dtype,
        /// How many.
        count: u64,
    },
    /// An initialisation gave something that is no number.
    #[error("tensor {tensor}: the initialisation gave {count} value(s) that are NaN or infinite")]
    Generated {
        /// The tensor.
        tensor: String,
        /// How many.
        count: u64,
    },
    /// A buffer is not as long as what belongs into it: a fault of the caller.
    #[error("tensor {tensor}: {expected} bytes belong into a buffer of {found}")]
    Buffer {
        /// The tensor.
        tensor: String,
        /// Bytes that belong there.
        expected: u64,
        /// The buffer's length.
        found: u64,
    },
    /// The machine has not so much memory.
    #[error("{bytes} bytes of memory are not to be had")]
    Memory {
        /// How many.
        bytes: u64,
    },
    /// The layout is not that of the plan.
    #[error("the layout gives assignment {assignment} {found} bytes, the plan {expected}")]
    Layout {
        /// The assignment.
        assignment: usize,
        /// Bytes in the plan.
        expected: u64,
        /// Bytes in the layout.
        found: u64,
    },
    /// A mean was asked for of elements that are no floats, or of none.
    #[error("mean and deviation of {tensor}, which has no float elements")]
    NoMoments {
        /// The tensor.
        tensor: TensorInfo,
    },
    /// A mean was asked for of elements of which some are NaN or infinite.
    #[error("mean and deviation of {tensor}: {count} of its elements are NaN or infinite")]
    InfiniteMoments {
        /// The tensor.
        tensor: TensorInfo,
        /// How many.
        count: u64,
    },
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
