//! Facts about data that a decision needs, measured before planning.

use serde::{Deserialize, Serialize};

/// A fact about data that a decision needs, measured before planning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Are two stored tensors the same, byte for byte?
    Equal { source: usize, a: String, b: String },
    /// The mean and standard deviation of all elements, summed in f64 in order.
    Moments { source: usize, tensor: String },
    /// All elements of a small tensor.
    Values { source: usize, tensor: String },
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To `Equal`.
    Equal(bool),
    /// To `Moments`.
    Moments {
        mean: f64,
        /// The population standard deviation.
        std: f64,
    },
    /// To `Values`.
    Values(Vec<f64>),
}

/// Whether two tensors are equal, where it was measured.
pub(crate) fn is_equal(question: &Question, evidence: &[(Question, Answer)]) -> Option<bool> {
    evidence.iter().find(|(asked, _)| asked == question).and_then(|(_, answer)| match answer {
        Answer::Equal(equal) => Some(*equal),
        Answer::Moments { .. } | Answer::Values(_) => None,
    })
}
