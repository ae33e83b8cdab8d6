use std::path::PathBuf;

use super::{Exit, Fault};
use crate::tensor::{ShapeText, TensorInfo};

/// A batch cannot be read or drawn.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// `random:` is not followed by a number of examples.
    #[error("--data {text}: `random:` takes a number of examples of at least 1")]
    Count {
        /// What was typed.
        text: String,
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
    /// A file has both kinds of answers.
    #[error("batch: `labels` and `targets` stand side by side: one of them says what the model is to give")]
    TwoAnswers,
    /// Answers are not as many as examples.
    #[error("batch: array {array}: {found} answers for {rows} examples")]
    AnswerRows {
        /// The array.
        array: TensorInfo,
        /// How many there are.
        found: u64,
        /// How many examples the inputs have.
        rows: u64,
    },
    /// Answers do not have the shape of what the model gives.
    #[error("batch: array {name}: expected {}, found {}", ShapeText(expected), ShapeText(found))]
    AnswerShape {
        /// `labels` or `targets`.
        name: &'static str,
        /// The shape that the output asks for.
        expected: Vec<u64>,
        /// The shape that it has.
        found: Vec<u64>,
    },
    /// A label is no class of the output.
    #[error("batch: array labels: element {index} is {label}; the model has {classes} classes")]
    Label {
        /// Which element, row-major.
        index: u64,
        /// What it says.
        label: i64,
        /// How many classes there are.
        classes: u64,
    },
    /// Every label is ignored.
    #[error("batch: array labels: every label is -100, which is ignored")]
    NoLabels,
    /// There is nothing to learn.
    #[error("batch: neither `labels` (i64 classes) nor `targets` (f32) stands beside the inputs")]
    NoAnswers,
    /// A file holds too few examples.
    #[error("batch: {rows} examples are too few: {needed} are needed {reason}")]
    TooFew {
        /// How many there are.
        rows: u64,
        /// How many there must be.
        needed: u64,
        /// What for.
        reason: &'static str,
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
            BatchError::Unbounded { .. } => vec!["--data FILE with ids of your own".into()],
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
