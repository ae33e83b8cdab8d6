//! `auto` where no family says more: by the kind of layer and by what follows it.

use crate::graph::{Nonlinearity, Parameter};
use crate::init::Formula;
use crate::name::last;
use crate::tensor::Role;

/// The deviation of tables of rows, as BERT and GPT-2 have it.
const TABLE_STD: f64 = 0.02;

/// The formula for a parameter, and the words for the choice.
pub(crate) fn choose(parameter: &Parameter) -> (Formula, String) {
    let (formula, kind) = match parameter.role {
        Role::Linear => by_follower(parameter, "linear"),
        Role::Conv { .. } => by_follower(parameter, "convolution"),
        Role::ConvTranspose { .. } => by_follower(parameter, "transposed convolution"),
        Role::Embedding => (Formula::normal(TABLE_STD), "embedding".into()),
        Role::Position => (Formula::normal(TABLE_STD), "positions".into()),
        Role::Token => (Formula::normal(TABLE_STD), "bare tensor".into()),
        Role::Norm => (Formula::constant(1.0), "norm".into()),
        Role::Bias => (Formula::constant(0.0), "bias".into()),
        Role::Buffer => (Formula::constant(0.0), "buffer".into()),
        Role::Unknown => unknown(parameter),
    };
    (formula, format!("auto: {kind}"))
}

/// He before the ReLU family, He with the measured gain before GELU and SiLU, Xavier before what is odd or linear at zero.
fn by_follower(parameter: &Parameter, kind: &str) -> (Formula, String) {
    let Some(follower) = parameter.followed_by else {
        return (Formula::xavier_uniform(), kind.to_string());
    };
    let formula = match follower {
        Nonlinearity::Relu
        | Nonlinearity::LeakyRelu
        | Nonlinearity::Elu
        | Nonlinearity::Selu
        | Nonlinearity::Gelu
        | Nonlinearity::GeluTanh
        | Nonlinearity::Silu => Formula::he_normal(follower),
        Nonlinearity::Tanh | Nonlinearity::Sigmoid | Nonlinearity::Softmax => Formula::xavier_uniform(),
    };
    (formula, format!("{kind} before {}", word(follower)))
}

fn word(follower: Nonlinearity) -> &'static str {
    match follower {
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

/// A listing that names no module: by the last component and the rank.
fn unknown(parameter: &Parameter) -> (Formula, String) {
    let last = last(&parameter.name);
    let is_table = ["embed", "wte", "wpe"].iter().any(|word| parameter.name.contains(word));
    let (formula, kind) = match parameter.shape.len() {
        _ if ["bias", "beta"].contains(&last) => (Formula::constant(0.0), "a bias"),
        0 | 1 if ["weight", "gamma", "scale"].contains(&last) => (Formula::constant(1.0), "a norm"),
        0 | 1 => (Formula::constant(0.0), "a vector"),
        2 if is_table => (Formula::normal(TABLE_STD), "an embedding"),
        2 => (Formula::xavier_uniform(), "a matrix"),
        _ => (Formula::xavier_uniform(), "a kernel"),
    };
    (formula, format!("unknown module, {kind} by its name and rank"))
}
