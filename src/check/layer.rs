//! What is measured at each weight of a model, and over all of them.

use serde::Serialize;

/// A change over the depth of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Decades of the standard deviation, by a line of least squares through all layers; `None` where fewer than two were measured.
    pub decades: Option<f64>,
}

/// What was measured at one weight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    pub name: String,
    /// The mean of what it gave, before its bias; `None` where that is not finite.
    pub mean: Option<f64>,
    /// Its standard deviation.
    pub std: Option<f64>,
    /// The standard deviation of what it acted on: the signal that reaches it.
    pub input_std: Option<f64>,
    /// The standard deviation of the gradient of the loss at what it gave; `None` where none reaches it.
    pub gradient_std: Option<f64>,
    /// The root mean square of its gradient over that of its values.
    pub weight_gradient: Option<f64>,
    /// The share of the units of the ReLU behind it that are zero on every example.
    pub dead: Option<f64>,
    /// The share of what the tanh or sigmoid behind it gave that lies near its bounds.
    pub saturated: Option<f64>,
    /// The largest cosine between the weights of two of its units, biases included.
    pub max_cosine: Option<f64>,
    /// exp of the entropy of its singular values as shares of their sum; at most the smaller side. Not measured where that is above 512.
    pub effective_rank: Option<f64>,
}
