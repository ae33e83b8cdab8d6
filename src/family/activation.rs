//! The names that transformers gives to activations (`ACT2FN`), as far as there is a layer for them.

use crate::init::Nonlinearity;

const NAMES: &[(&str, Nonlinearity)] = &[
    ("gelu", Nonlinearity::Gelu),
    ("gelu_python", Nonlinearity::Gelu),
    ("gelu_new", Nonlinearity::GeluTanh),
    ("gelu_pytorch_tanh", Nonlinearity::GeluTanh),
    ("gelu_python_tanh", Nonlinearity::GeluTanh),
    ("gelu_fast", Nonlinearity::GeluTanh),
    ("gelu_accurate", Nonlinearity::GeluTanh),
    ("relu", Nonlinearity::Relu),
    ("leaky_relu", Nonlinearity::LeakyRelu),
    ("silu", Nonlinearity::Silu),
    ("swish", Nonlinearity::Silu),
    ("tanh", Nonlinearity::Tanh),
    ("sigmoid", Nonlinearity::Sigmoid),
];

/// The activation of this name, or `None`.
pub(super) fn by_name(name: &str) -> Option<Nonlinearity> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, nonlinearity)| *nonlinearity)
}

/// Every name that is known.
pub(super) fn names() -> Vec<&'static str> {
    NAMES.iter().map(|(name, _)| *name).collect()
}
