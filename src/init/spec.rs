//! Schemes as people write them: `he_normal(mode=fan_out, a=0.2)`.

use super::{Fans, Nonlinearity, Scheme};
use crate::error::Result;

/// A scheme as written, parsed and checked, before the layer is known. Displays as its canonical spelling.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemeSpec {
    /// The family's rule, then the layer kind and the activation that follows: resolved by `plan`.
    Auto,
    /// The statistics of the sibling layers that were transferred: resolved by `plan`.
    Match,
    /// Layer-sequential unit variance.
    Lsuv {
        /// The tolerance on the variance.
        tolerance: f64,
        /// The target variance, where said.
        target: Option<f64>,
    },
    /// A scheme with a formula.
    Formula(Formula),
}

/// A scheme with a formula, and its parameters. The owner of `init` decides its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {}

/// What a formula must know of a layer: one part of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerFacts<'a> {
    /// The logical fans; `None` where the parameter has none (a bias, a norm): schemes that need them are an error.
    pub fans: Option<Fans>,
    /// The shape of the part as stored.
    pub shape: &'a [u64],
    /// Groups of a convolution, else 1 (for `dirac`).
    pub groups: u64,
}

/// A formula resolved for a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The scheme.
    pub scheme: Scheme,
    /// The standard deviation of the values that come out (after a cut), where it has one.
    pub std: Option<f64>,
}

impl std::str::FromStr for SchemeSpec {
    type Err = crate::error::Error;
    /// Accepts our names and PyTorch's and Keras' synonyms (`kaiming_normal`, `glorot_uniform`, `RandomNormal`, `zeros_`, …);
    /// an unknown name or parameter is an error with the nearest one.
    fn from_str(_text: &str) -> Result<SchemeSpec> {
        todo!()
    }
}

impl std::fmt::Display for SchemeSpec {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

impl Formula {
    /// He et al. 2015, normal, `fan_in`, with the gain of what follows.
    pub fn he_normal(_nonlinearity: Nonlinearity) -> Formula {
        todo!()
    }
    /// Glorot and Bengio 2010, uniform, gain 1.
    pub fn xavier_uniform() -> Formula {
        todo!()
    }
    /// N(0, std²).
    pub fn normal(_std: f64) -> Formula {
        todo!()
    }
    /// All the same.
    pub fn constant(_value: f64) -> Formula {
        todo!()
    }
    /// The scheme for a layer, or an error that names what the formula needs and the layer lacks.
    pub fn resolve(&self, _layer: LayerFacts) -> Result<Resolved> {
        todo!()
    }
}
