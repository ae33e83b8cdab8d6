//! A fresh tensor and how it is drawn.

use crate::plan::assignment::{Initialisation, Lsuv};
use crate::plan::value::{InitPart, Value};
use crate::tensor::Dtype;

/// A fresh tensor and how it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Initial {
    /// The expression, of the target's whole shape.
    pub value: Value,
    /// Its type: f32, or an integer type for a counter.
    pub dtype: Dtype,
    pub init: Initialisation,
    /// Whether it is scaled after it was written.
    pub lsuv: Option<Lsuv>,
}

/// The schemes of the pieces of axis 0, and the words for them.
pub(crate) struct Drawn {
    pub parts: Vec<InitPart>,
    pub scheme: String,
    pub std: Option<f64>,
    pub by: String,
    pub lsuv: Option<Lsuv>,
}
