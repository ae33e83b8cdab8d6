//! Resolved schemes: what a plan holds and the generator draws.

use serde::{Deserialize, Serialize};

use super::draws::{LARGEST_NORMAL, bounds_within};
use super::{dirac, orthogonal, sparse};
use crate::error::Result;
use crate::init::error::InitError;
use crate::tensor;

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
        /// The lower bound, included.
        low: f64,
        /// The upper bound, excluded unless it is the lower one.
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
    /// Fixed positions `(positions, width)`: sines of falling frequencies in the first half of a row, cosines in the second (Whisper).
    Sinusoids,
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

impl Scheme {
    /// The name, as schemes are written.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Scheme::Normal { .. } => "normal",
            Scheme::Uniform { .. } => "uniform",
            Scheme::TruncatedNormal { .. } => "trunc_normal",
            Scheme::Constant { .. } => "constant",
            Scheme::Identity => "identity",
            Scheme::Dirac { .. } => "dirac",
            Scheme::Sinusoids => "sinusoids",
            Scheme::Sparse { .. } => "sparse",
            Scheme::Orthogonal { .. } => "orthogonal",
        }
    }

    /// Whether the values of a part only exist all at once (orthogonal, sparse): then `fill` wants the whole part.
    pub(crate) fn needs_whole(&self) -> bool {
        match self {
            Scheme::Sparse { .. } | Scheme::Orthogonal { .. } => true,
            Scheme::Normal { .. } | Scheme::Uniform { .. } | Scheme::TruncatedNormal { .. } => false,
            Scheme::Constant { .. } | Scheme::Identity | Scheme::Dirac { .. } | Scheme::Sinusoids => false,
        }
    }

    /// Whether the same bits are promised on every processor, or only on one type of processor (orthogonal).
    pub(crate) fn exact_anywhere(&self) -> bool {
        match self {
            Scheme::Orthogonal { .. } => false,
            Scheme::Normal { .. } | Scheme::Uniform { .. } | Scheme::TruncatedNormal { .. } => true,
            Scheme::Constant { .. } | Scheme::Identity | Scheme::Dirac { .. } | Scheme::Sparse { .. } => true,
            Scheme::Sinusoids => true,
        }
    }

    /// Bytes that `fill` holds meanwhile for a part of this shape: 0 for elementwise schemes, the matrices for orthogonal.
    /// What 64 bits cannot count is their largest number.
    pub(crate) fn scratch(&self, shape: &[u64]) -> u64 {
        match self {
            Scheme::Orthogonal { .. } => orthogonal::scratch(shape),
            Scheme::Sparse { .. } => sparse::scratch(shape),
            Scheme::Normal { .. } | Scheme::Uniform { .. } | Scheme::TruncatedNormal { .. } => 0,
            Scheme::Constant { .. } | Scheme::Identity | Scheme::Dirac { .. } | Scheme::Sinusoids => 0,
        }
    }

    /// Whether this scheme can fill a part of this shape: its numbers are possible, every value fits a 32-bit float, and the shape has the
    /// rank that the scheme is defined for.
    pub(crate) fn check(&self, shape: &[u64]) -> Result<()> {
        match *self {
            Scheme::Normal { mean, std } => {
                self.check_normal(mean, std)?;
                self.fits("mean and std", mean.abs() + std * f64::from(LARGEST_NORMAL))
            }
            Scheme::Uniform { low, high } => self.check_interval(low, high),
            Scheme::TruncatedNormal { mean, std, low, high } => {
                self.check_normal(mean, std)?;
                self.check_interval(low, high)?;
                let is_inside = std > 0.0 || (low..=high).contains(&mean);
                self.possible("mean", mean, is_inside, "between the bounds, as a deviation of 0 needs")
            }
            Scheme::Constant { value } => self.fits("value", value),
            Scheme::Identity => self.rank("2", shape.len() == 2, shape),
            Scheme::Sinusoids => {
                self.rank("2", shape.len() == 2, shape)?;
                self.rank("2 with an even width", shape.get(1).is_some_and(|width| width % 2 == 0), shape)
            }
            Scheme::Dirac { groups } => {
                self.rank("3, 4 or 5", (3..=5).contains(&shape.len()), shape)?;
                dirac::check(groups, shape)
            }
            Scheme::Sparse { sparsity, std } => {
                self.rank("2", shape.len() == 2, shape)?;
                self.possible("sparsity", sparsity, (0.0..=1.0).contains(&sparsity), "between 0 and 1")?;
                self.check_normal(0.0, std)?;
                self.fits("std", std * f64::from(LARGEST_NORMAL))
            }
            Scheme::Orthogonal { gain } => {
                self.rank("2 or more", shape.len() >= 2, shape)?;
                self.possible("gain", gain, gain >= 0.0, "0 or more")?;
                self.fits("gain", gain)
            }
        }?;
        tensor::elements(shape).map(|_| ()).ok_or_else(|| {
            crate::tensor::error::TensorError::Overflow { shape: shape.into(), dtype: tensor::Dtype::F32 }.into()
        })
    }

    fn check_normal(&self, mean: f64, std: f64) -> Result<()> {
        self.possible("std", std, std >= 0.0, "0 or more")?;
        self.fits("std", std)?;
        self.fits("mean", mean)
    }

    fn check_interval(&self, low: f64, high: f64) -> Result<()> {
        self.fits("low", low)?;
        self.fits("high", high)?;
        self.possible("high", high, low <= high, "at least the lower bound")?;
        match bounds_within(low, high) {
            Some(_) => Ok(()),
            None => Err(InitError::EmptyInterval { scheme: self.name(), low, high }.into()),
        }
    }

    fn fits(&self, parameter: &'static str, value: f64) -> Result<()> {
        self.possible(parameter, value, value.abs() <= f64::from(f32::MAX), "a number that fits 32 bits")
    }

    fn possible(&self, parameter: &'static str, value: f64, is: bool, expected: &'static str) -> Result<()> {
        match is {
            true => Ok(()),
            false => Err(InitError::Impossible { scheme: self.name(), parameter, value, expected }.into()),
        }
    }

    fn rank(&self, expected: &'static str, is: bool, shape: &[u64]) -> Result<()> {
        match is {
            true => Ok(()),
            false => Err(InitError::Rank { scheme: self.name(), expected, shape: shape.into() }.into()),
        }
    }
}
