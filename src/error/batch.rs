use std::path::PathBuf;

use super::{Exit, Fault};
use crate::tensor::TensorInfo;

/// A batch cannot be read or drawn.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// `random:` is not followed by a number of examples.
    #[error("--data {text}: `random:` takes a number of examples of at least 1")]
    Count {
        /// What was typed.
        text: String,
    },
    /// The file cannot be read.
    #[error("--data {}: {problem}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The file is not the one that was planned with.
    #[error("--data {}: expected {expected}, found {found}", path.display())]
    Changed {
        /// Where.
        path: PathBuf,
        /// Its digest in the plan.
        expected: String,
        /// Its digest now.
        found: String,
    },
    /// An array is no input of the model.
    #[error("batch: array {name} is no input of the model; its inputs are {inputs}")]
    Unknown {
        /// The array.
        name: String,
        /// The inputs.
        inputs: String,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// An array has a type that its input cannot take.
    #[error("batch: array {array}: the input takes {expected}")]
    Type {
        /// The array.
        array: TensorInfo,
        /// What would be taken.
        expected: &'static str,
    },
    /// An array holds no example.
    #[error("batch: array {array} holds no example")]
    Empty {
        /// The array.
        array: TensorInfo,
    },
    /// An array holds NaN or infinite numbers.
    #[error("batch: array {array}: {count} elements are NaN or infinite")]
    NonFinite {
        /// The array.
        array: TensorInfo,
        /// How many.
        count: u64,
    },
    /// Ids have no largest one.
    #[error("input {name} is not bounded: ids can only be drawn where the architecture says their `max`")]
    Unbounded {
        /// The input.
        name: String,
    },
    /// A batch is too large for the memory of any machine.
    #[error("input {name}: {rows} examples are too many")]
    TooLarge {
        /// The input.
        name: String,
        /// How many.
        rows: u64,
    },
}

impl Fault for BatchError {
    fn exit(&self) -> Exit {
        match self {
            BatchError::Count { .. } => Exit::Usage,
            BatchError::File { .. }
            | BatchError::Changed { .. }
            | BatchError::Unknown { .. }
            | BatchError::Type { .. }
            | BatchError::Empty { .. }
            | BatchError::NonFinite { .. }
            | BatchError::Unbounded { .. }
            | BatchError::TooLarge { .. } => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            BatchError::Count { .. } => vec!["--data random:64".into()],
            BatchError::Changed { .. } => vec!["plan again: xfer init … --dry-run --plan FILE".into()],
            BatchError::Unknown { nearest, .. } => {
                nearest.iter().map(|name| format!("did you mean `{name}`?")).collect()
            }
            BatchError::Unbounded { .. } => vec!["--data FILE with ids of your own".into()],
            BatchError::File { .. }
            | BatchError::Type { .. }
            | BatchError::Empty { .. }
            | BatchError::NonFinite { .. }
            | BatchError::TooLarge { .. } => Vec::new(),
        }
    }
}
