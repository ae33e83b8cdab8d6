//! The initialisation that most families share (transformers' `_init_weights` of the base class).

use crate::graph::{Builder, ParameterId};
use crate::init::Scheme;
use crate::tensor::Role;

/// Matrices and tables N(0, range), norms 1, biases 0, for all parameters from `since` on that have no rule yet. transformers
/// takes a range of 0 as not stated. The row of padding of a table is declared by `Builder::zero_row`.
pub(super) fn base(family: &str, range: f64, since: ParameterId, at: &mut Builder) {
    let std = deviation(range);
    let drawn = Scheme::Normal { mean: 0.0, std };
    at.init_rule(since, drawn, &format!("{family}: initializer_range {std}"), |parameter| match parameter.role {
        Role::Linear | Role::Conv { .. } | Role::Embedding | Role::Position => true,
        Role::ConvTranspose { .. } | Role::Norm | Role::Bias | Role::Token | Role::Buffer | Role::Unknown => false,
    });
    norms_and_biases(family, since, at);
}

pub(super) fn norms_and_biases(family: &str, since: ParameterId, at: &mut Builder) {
    at.init_rule(since, Scheme::Constant { value: 1.0 }, &format!("{family}: norms start at 1"), |parameter| {
        parameter.role == Role::Norm
    });
    at.init_rule(since, Scheme::Constant { value: 0.0 }, &format!("{family}: biases start at 0"), |parameter| {
        parameter.role == Role::Bias
    });
}

/// The deviation that an `initializer_range` means.
pub(super) fn deviation(range: f64) -> f64 {
    if range > 0.0 { range } else { 0.02 }
}
