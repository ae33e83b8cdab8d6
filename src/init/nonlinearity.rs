//! Activations, as far as initialisation must know them: their names and gains.

use serde::{Deserialize, Serialize};

/// An activation function, by the name that PyTorch gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The slope that PyTorch's `LeakyReLU` has where none is said.
pub(super) const LEAKY_SLOPE: f64 = 0.01;

impl Nonlinearity {
    /// Every activation, in the order of their declaration.
    pub(crate) const ALL: [Nonlinearity; 10] = [
        Nonlinearity::Relu,
        Nonlinearity::LeakyRelu,
        Nonlinearity::Gelu,
        Nonlinearity::GeluTanh,
        Nonlinearity::Silu,
        Nonlinearity::Tanh,
        Nonlinearity::Sigmoid,
        Nonlinearity::Elu,
        Nonlinearity::Selu,
        Nonlinearity::Softmax,
    ];

    /// The gain of `torch.nn.init.calculate_gain` where PyTorch has one (ReLU √2, tanh 5/3, sigmoid 1, SELU 3/4); for GELU, SiLU and ELU,
    /// which it lacks, 1/√E f(z)² for z ~ N(0, 1), which keeps the forward variance; 1 for softmax.
    pub(crate) fn gain(self) -> f64 {
        match self {
            Nonlinearity::Relu => std::f64::consts::SQRT_2,
            Nonlinearity::LeakyRelu => leaky_gain(LEAKY_SLOPE),
            Nonlinearity::Gelu => 1.533_530_441_195_532,
            Nonlinearity::GeluTanh => 1.533_580_521_666_147,
            Nonlinearity::Silu => 1.676_532_470_331_091,
            Nonlinearity::Tanh => 5.0 / 3.0,
            Nonlinearity::Elu => 1.245_198_300_700_706_5,
            Nonlinearity::Selu => 0.75,
            Nonlinearity::Sigmoid | Nonlinearity::Softmax => 1.0,
        }
    }

    /// The spelling in schemes and architecture files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Nonlinearity::Relu => "relu",
            Nonlinearity::LeakyRelu => "leaky_relu",
            Nonlinearity::Gelu => "gelu",
            Nonlinearity::GeluTanh => "gelu_tanh",
            Nonlinearity::Silu => "silu",
            Nonlinearity::Tanh => "tanh",
            Nonlinearity::Sigmoid => "sigmoid",
            Nonlinearity::Elu => "elu",
            Nonlinearity::Selu => "selu",
            Nonlinearity::Softmax => "softmax",
        }
    }
}

/// √(2 / (1 + a²)) for a leaky ReLU of slope `a` (He et al. 2015, equation 15).
pub(super) fn leaky_gain(slope: f64) -> f64 {
    (2.0 / (1.0 + slope * slope)).sqrt()
}
