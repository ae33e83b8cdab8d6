//! Initialisation: the resolved schemes, the fans they need, and the generator whose bits are final.
//! Knows no file and no model; `plan` resolves `auto`, which needs to see what follows a layer.

use serde::{Deserialize, Serialize};

/// The number of inputs that one output of a layer sums over, and of outputs that one input reaches, of the logical
/// layer rather than of the stored shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fans {
    /// Inputs of one output.
    pub fan_in: u64,
    /// Outputs that one input reaches.
    pub fan_out: u64,
}

/// A resolved scheme: nothing about the layer is left to know but the shape. He, Xavier, `auto` and the others resolve to these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scheme {
    /// N(mean, std²).
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// U(low, high).
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// N(mean, std²) restricted to `[low, high]`, both absolute; `std` is that of the normal before the cut.
    TruncatedNormal {
        /// The mean of the normal before the cut.
        mean: f64,
        /// The standard deviation of the normal before the cut.
        std: f64,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Every element the same.
    Constant {
        /// The value.
        value: f64,
    },
    /// Ones on the diagonal of a matrix (`torch.nn.init.eye_`).
    Identity,
    /// The identity of a convolution, group by group (`torch.nn.init.dirac_`).
    Dirac {
        /// How many groups.
        groups: u64,
    },
    /// In each column a share of zeros, the others N(0, std²) (`torch.nn.init.sparse_`).
    Sparse {
        /// The share of zeros in each column.
        sparsity: f64,
        /// The deviation of the others.
        std: f64,
    },
    /// A Haar-distributed orthogonal matrix of the tensor flattened to `(rows, rest)`, times `gain` (`torch.nn.init.orthogonal_`).
    Orthogonal {
        /// The factor.
        gain: f64,
    },
}

mod generator;
mod nonlinearity;
mod spec;
pub use generator::Generator;
pub use nonlinearity::Nonlinearity;
pub use spec::{Formula, LayerFacts, Resolved, SchemeSpec};

impl Scheme {
    /// Whether the values of a part only exist all at once (orthogonal, sparse): then `fill` wants the whole part.
    pub fn needs_whole(&self) -> bool {
        todo!()
    }
    /// Whether the same bits are promised on every processor, or only on one type of processor (orthogonal).
    pub fn exact_anywhere(&self) -> bool {
        todo!()
    }
    /// Bytes that `fill` holds meanwhile for a part of this shape: 0 for elementwise schemes, the matrices for orthogonal.
    pub fn scratch(&self, _shape: &[u64]) -> u64 {
        todo!()
    }
}
