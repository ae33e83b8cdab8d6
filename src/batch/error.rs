use std::path::PathBuf;

use crate::error::{Exit, Fault};
use crate::tensor::{ShapeText, TensorInfo};

/// A batch cannot be read or drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    /// `random:` is not followed by a number of examples.
    #[error("--data {text}: `random:` takes a number of examples of at least 1")]
    Count { text: String },
    #[error("--data {}: expected {expected}, found {found}", path.display())]
    Changed { path: PathBuf, expected: String, found: String },
    #[error("batch: array {name} is not an input of the model; its inputs are {inputs}")]
    Unknown { name: String, inputs: String, nearest: Option<String> },
    #[error("batch: array {array}: the input takes {expected}")]
    Type { array: TensorInfo, expected: &'static str },
    #[error("batch: array {array} contains no example")]
    Empty { array: TensorInfo },
    #[error("batch: array {array}: {count} elements are NaN or infinite")]
    NonFinite { array: TensorInfo, count: u64 },
    #[error("batch: `labels` and `targets` are both given: use only one of them")]
    TwoAnswers,
    #[error("batch: array {array}: {found} answers for {rows} examples")]
    AnswerRows { array: TensorInfo, found: u64, rows: u64 },
    #[error("batch: array {name}: expected {}, found {}", ShapeText(expected), ShapeText(found))]
    AnswerShape { name: &'static str, expected: Vec<u64>, found: Vec<u64> },
    #[error("batch: array labels: element {index} is {label}; the model has {classes} classes")]
    Label { index: u64, label: i64, classes: u64 },
    #[error("batch: array labels: every label is -100, which is ignored")]
    NoLabels,
    #[error("batch: neither `labels` (i64 classes) nor `targets` (f32) is given with the inputs")]
    NoAnswers,
    #[error("batch: {rows} examples are too few: {needed} are needed {reason}")]
    TooFew { rows: u64, needed: u64, reason: &'static str },
    #[error("input {name} is not bounded: ids can only be drawn where the architecture states their `max`")]
    Unbounded { name: String },
    #[error("input {name}: {rows} examples are too many")]
    TooLarge { name: String, rows: u64 },
}

impl Fault for BatchError {
    fn exit(&self) -> Exit {
        match self {
            BatchError::Count { .. } => Exit::Usage,
            BatchError::Changed { .. }
            | BatchError::Unknown { .. }
            | BatchError::Type { .. }
            | BatchError::Empty { .. }
            | BatchError::NonFinite { .. }
            | BatchError::TwoAnswers
            | BatchError::AnswerRows { .. }
            | BatchError::AnswerShape { .. }
            | BatchError::Label { .. }
            | BatchError::NoLabels
            | BatchError::NoAnswers
            | BatchError::TooFew { .. }
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
            BatchError::Label { .. } => vec!["classes count from 0; -100 is ignored".into()],
            BatchError::NoAnswers => {
                vec!["add an array `labels` (i64, one class for each example) or `targets` to the data file".into()]
            }
            BatchError::Unbounded { .. } => vec!["--data FILE with your own ids".into()],
            BatchError::Type { .. }
            | BatchError::Empty { .. }
            | BatchError::NonFinite { .. }
            | BatchError::TwoAnswers
            | BatchError::AnswerRows { .. }
            | BatchError::AnswerShape { .. }
            | BatchError::NoLabels
            | BatchError::TooFew { .. }
            | BatchError::TooLarge { .. } => Vec::new(),
        }
    }
}
