//! Schemes with a formula, and the step from a formula and a layer to a scheme that needs neither.

use super::moments::{TRUNCATED_AT_TWO, truncated_moments};
use super::nonlinearity::{LEAKY_SLOPE, leaky_gain};
use super::{Fans, Nonlinearity, Scheme};
use crate::error::Result;
use crate::init::error::InitError;

/// A scheme with a formula, and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// He, Xavier, LeCun and variance scaling: the variance is gain² over a fan.
    Scaled(Scaled),
    /// N(mean, std²) (`torch.nn.init.normal_`).
    Normal {
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// U(low, high) (`torch.nn.init.uniform_`).
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// N(mean, std²) within a cut (`torch.nn.init.trunc_normal_`, timm's `trunc_normal_tf_`, Keras' `TruncatedNormal`).
    TruncatedNormal {
        /// The mean before the cut.
        mean: f64,
        /// The standard deviation before the cut; after it, where `correct_std`.
        std: f64,
        cut: Cut,
        /// Whether the normal is widened so that `std` is the deviation that comes out; only for a cut in sigmas.
        correct_std: bool,
    },
    /// A Haar-distributed orthogonal matrix (Saxe et al. 2014; `torch.nn.init.orthogonal_`).
    Orthogonal { gain: Gain },
    /// The identity of a convolution (`torch.nn.init.dirac_`).
    Dirac {
        /// How many groups; `None` takes the layer's.
        groups: Option<u64>,
    },
    /// All the same; 0 is `zeros`, 1 is `ones`.
    Constant { value: f64 },
    /// Ones on the diagonal (`torch.nn.init.eye_`).
    Identity,
    /// Columns with a share of zeros (Martens 2010; `torch.nn.init.sparse_`).
    Sparse {
        /// The share of zeros in each column.
        sparsity: f64,
        /// The deviation of the others.
        std: f64,
    },
}

/// A formula whose variance is gain² / n, n a fan.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    /// Whose formula it is: decides the defaults of the others.
    pub rule: Rule,
    pub distribution: Distribution,
    /// Which fan n is.
    pub mode: Mode,
    /// The factor on the deviation.
    pub gain: Gain,
}

/// Whose formula: decides the name and the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// He et al. 2015: `fan_in`, the gain of ReLU.
    He,
    /// Glorot and Bengio 2010: `fan_avg`, gain 1.
    Xavier,
    /// LeCun et al. 1998: `fan_in`, gain 1, the normal cut as every library that has it cuts it.
    Lecun,
    /// Keras' `VarianceScaling`: `fan_in`, scale 1, cut normal.
    VarianceScaling,
}

/// The shape of a distribution whose variance is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Normal, not cut.
    Normal,
    /// Normal cut at two of its own deviations, widened so that the variance after the cut is the one given.
    TruncatedNormal,
    Uniform,
}

/// Which fan divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "fan_in, fan_out and fan_avg are the words of PyTorch and Keras")]
pub enum Mode {
    /// Keeps the variance of activations.
    FanIn,
    /// Keeps the variance of gradients.
    FanOut,
    /// The mean of both.
    FanAvg,
}

/// The factor on a deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gain {
    Of(Nonlinearity),
    /// That of a leaky ReLU of this slope.
    Leaky(f64),
    Factor(f64),
    /// The root of this number (`scale` of variance scaling).
    Scale(f64),
}

/// Where a normal is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// What the bounds count.
    pub unit: CutUnit,
}

/// What the bounds of a cut count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutUnit {
    /// Deviations from the mean, as timm's `trunc_normal_tf_`, TensorFlow and JAX.
    Sigma,
    /// The values themselves, as `torch.nn.init.trunc_normal_`.
    Absolute,
}

/// What a formula must know of a layer: one part of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LayerFacts<'a> {
    /// The logical fans; `None` where the parameter has none (a bias, a norm): schemes that need them are an error.
    pub fans: Option<Fans>,
    /// The shape of the part as stored.
    pub shape: &'a [u64],
    /// Groups of a convolution, else 1 (for `dirac`).
    pub groups: u64,
}

/// A formula resolved for a layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    pub scheme: Scheme,
    /// The standard deviation of the values that come out (after a cut); `None` where nothing is drawn.
    pub std: Option<f64>,
}

impl Gain {
    /// The factor.
    pub(crate) fn value(self) -> f64 {
        match self {
            Gain::Of(nonlinearity) => nonlinearity.gain(),
            Gain::Leaky(slope) => leaky_gain(slope),
            Gain::Factor(factor) => factor,
            Gain::Scale(scale) => scale.sqrt(),
        }
    }

    /// That of an activation; of a leaky ReLU with the slope of PyTorch's layer.
    pub(super) fn of(nonlinearity: Nonlinearity) -> Gain {
        match nonlinearity {
            Nonlinearity::LeakyRelu => Gain::Leaky(LEAKY_SLOPE),
            other => Gain::Of(other),
        }
    }
}

impl Rule {
    /// The mode where none is said.
    pub(super) fn mode(self) -> Mode {
        match self {
            Rule::He | Rule::Lecun | Rule::VarianceScaling => Mode::FanIn,
            Rule::Xavier => Mode::FanAvg,
        }
    }

    /// The gain where none is said.
    pub(super) fn gain(self) -> Gain {
        match self {
            Rule::He => Gain::Of(Nonlinearity::Relu),
            Rule::Xavier | Rule::Lecun => Gain::Factor(1.0),
            Rule::VarianceScaling => Gain::Scale(1.0),
        }
    }
}

impl Formula {
    /// He et al. 2015, normal, `fan_in`, with the gain of what follows.
    pub(crate) fn he_normal(nonlinearity: Nonlinearity) -> Formula {
        Formula::Scaled(Scaled {
            rule: Rule::He,
            distribution: Distribution::Normal,
            mode: Mode::FanIn,
            gain: Gain::of(nonlinearity),
        })
    }

    /// Glorot and Bengio 2010, uniform, gain 1.
    pub(crate) fn xavier_uniform() -> Formula {
        Formula::Scaled(Scaled {
            rule: Rule::Xavier,
            distribution: Distribution::Uniform,
            mode: Mode::FanAvg,
            gain: Gain::Factor(1.0),
        })
    }

    /// N(0, std²).
    pub(crate) fn normal(std: f64) -> Formula {
        Formula::Normal { mean: 0.0, std }
    }

    /// All the same.
    pub(crate) fn constant(value: f64) -> Formula {
        Formula::Constant { value }
    }

    /// The scheme for a layer, or an error that names what the formula needs and the layer lacks.
    pub(crate) fn resolve(&self, layer: LayerFacts) -> Result<Resolved> {
        let resolved = match self {
            Formula::Scaled(scaled) => scaled.resolve(self, layer)?,
            Formula::Normal { mean, std } => {
                Resolved { scheme: Scheme::Normal { mean: *mean, std: *std }, std: Some(*std) }
            }
            Formula::Uniform { low, high } => {
                Resolved { scheme: Scheme::Uniform { low: *low, high: *high }, std: Some((high - low) / 12f64.sqrt()) }
            }
            Formula::TruncatedNormal { mean, std, cut, correct_std } => truncated(*mean, *std, *cut, *correct_std),
            Formula::Orthogonal { gain } => orthogonal(gain.value(), layer.shape),
            Formula::Dirac { groups } => {
                Resolved { scheme: Scheme::Dirac { groups: groups.unwrap_or(layer.groups) }, std: None }
            }
            Formula::Constant { value } => Resolved { scheme: Scheme::Constant { value: *value }, std: None },
            Formula::Identity => Resolved { scheme: Scheme::Identity, std: None },
            Formula::Sparse { sparsity, std } => sparse(*sparsity, *std, layer.shape),
        };
        resolved.scheme.check(layer.shape)?;
        Ok(resolved)
    }
}

impl Scaled {
    /// The deviation of the values that come out, for a layer of these fans. A fan of 0 counts as 1, as in Keras: such a tensor is empty.
    pub(crate) fn std(&self, fans: Fans) -> f64 {
        let (fan_in, fan_out) = (fans.fan_in as f64, fans.fan_out as f64);
        let n = match self.mode {
            Mode::FanIn => fan_in,
            Mode::FanOut => fan_out,
            Mode::FanAvg => (fan_in + fan_out) / 2.0,
        };
        self.gain.value() / n.max(1.0).sqrt()
    }

    fn resolve(&self, formula: &Formula, layer: LayerFacts) -> Result<Resolved> {
        let fans =
            layer.fans.ok_or_else(|| InitError::NoFans { scheme: formula.to_string(), shape: layer.shape.into() })?;
        let std = self.std(fans);
        let scheme = match self.distribution {
            Distribution::Normal => Scheme::Normal { mean: 0.0, std },
            Distribution::Uniform => {
                let bound = 3f64.sqrt() * std;
                Scheme::Uniform { low: -bound, high: bound }
            }
            Distribution::TruncatedNormal => {
                let sigma = std / TRUNCATED_AT_TWO;
                Scheme::TruncatedNormal { mean: 0.0, std: sigma, low: -2.0 * sigma, high: 2.0 * sigma }
            }
        };
        Ok(Resolved { scheme, std: Some(std) })
    }
}

fn truncated(mean: f64, std: f64, cut: Cut, correct_std: bool) -> Resolved {
    let (sigma, low, high) = match cut.unit {
        CutUnit::Absolute => (std, cut.low, cut.high),
        CutUnit::Sigma => {
            let ratio = if correct_std { truncated_moments(cut.low, cut.high).std } else { 1.0 };
            let sigma = std / ratio;
            (sigma, mean + cut.low * sigma, mean + cut.high * sigma)
        }
    };
    let after = match sigma > 0.0 {
        true => sigma * truncated_moments((low - mean) / sigma, (high - mean) / sigma).std,
        false => 0.0,
    };
    Resolved { scheme: Scheme::TruncatedNormal { mean, std: sigma, low, high }, std: Some(after) }
}

/// The rows or columns, whichever are fewer, are orthonormal: an element's mean square is 1 / max(rows, columns).
fn orthogonal(gain: f64, shape: &[u64]) -> Resolved {
    let (rows, columns) = super::orthogonal::flattened(shape);
    let std = gain / (rows.max(columns).max(1) as f64).sqrt();
    Resolved { scheme: Scheme::Orthogonal { gain }, std: Some(std) }
}

fn sparse(sparsity: f64, std: f64, shape: &[u64]) -> Resolved {
    let rows = shape.first().copied().unwrap_or(0);
    let share = if rows == 0 { 0.0 } else { super::sparse::zeros(sparsity, rows) as f64 / rows as f64 };
    Resolved { scheme: Scheme::Sparse { sparsity, std }, std: Some(std * (1.0 - share).max(0.0).sqrt()) }
}
