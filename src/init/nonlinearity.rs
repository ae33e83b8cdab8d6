//! Activations, as far as initialisation must know them: their names and gains.

use serde::{Deserialize, Serialize};

/// An activation function, by the name that PyTorch gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// max(0, x).
    Relu,
    /// x where positive, else 0.01 · x.
    LeakyRelu,
    /// x · Φ(x), exact.
    Gelu,
    /// x · Φ(x) by the tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// x · σ(x), also called swish.
    Silu,
    /// tanh(x).
    Tanh,
    /// σ(x).
    Sigmoid,
    /// x where positive, else eˣ − 1.
    Elu,
    /// The self-normalising ELU of Klambauer et al.
    Selu,
    /// eˣ over its sum along the last axis.
    Softmax,
}

impl Nonlinearity {
    /// 1/√E f(z)² for z ~ N(0, 1): what keeps the forward variance. ReLU √2; GELU and SiLU as measured in the facts.
    pub fn gain(self) -> f64 {
        todo!()
    }
}
