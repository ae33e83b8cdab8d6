//! Schemes as people write them: `he_normal(mode=fan_out, a=0.2)`.

use std::fmt;

use super::arguments::{Allowed, Arguments};
use super::formula::{Cut, CutUnit, Distribution, Formula, Gain, Mode, Rule, Scaled};
use super::spelling::Base;
use crate::error::{Error, Result};

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
    Formula(Formula),
}

/// The tolerance on the variance of LSUV where none is said (Mishkin and Matas 2016).
const LSUV_TOLERANCE: f64 = 0.1;

impl std::str::FromStr for SchemeSpec {
    type Err = Error;
    /// Accepts our names and PyTorch's and Keras' synonyms (`kaiming_normal`, `glorot_uniform`, `RandomNormal`, `zeros_`, …);
    /// an unknown name or parameter is an error with the nearest one. `src/init/spelling.rs` says what the libraries disagree about.
    fn from_str(text: &str) -> Result<SchemeSpec> {
        of(&Arguments::read(text)?)
    }
}

fn of(arguments: &Arguments) -> Result<SchemeSpec> {
    let formula = match arguments.base {
        Base::Auto => return Ok(SchemeSpec::Auto),
        Base::Match => return Ok(SchemeSpec::Match),
        Base::Lsuv => {
            let tolerance = arguments.number("tol", Allowed::Positive)?.unwrap_or(LSUV_TOLERANCE);
            return Ok(SchemeSpec::Lsuv { tolerance, target: arguments.number("target", Allowed::Positive)? });
        }
        Base::HeNormal => scaled(arguments, Rule::He, Distribution::Normal)?,
        Base::HeUniform => scaled(arguments, Rule::He, Distribution::Uniform)?,
        Base::XavierNormal => scaled(arguments, Rule::Xavier, Distribution::Normal)?,
        Base::XavierUniform => scaled(arguments, Rule::Xavier, Distribution::Uniform)?,
        Base::LecunNormal => scaled(arguments, Rule::Lecun, Distribution::TruncatedNormal)?,
        Base::LecunUniform => scaled(arguments, Rule::Lecun, Distribution::Uniform)?,
        Base::VarianceScaling => scaled(arguments, Rule::VarianceScaling, Distribution::TruncatedNormal)?,
        Base::Normal => Formula::Normal {
            mean: arguments.number("mean", Allowed::Any)?.unwrap_or(0.0),
            std: arguments.number("std", Allowed::NotNegative)?.unwrap_or(1.0),
        },
        Base::Uniform => {
            let (low, high) = arguments.bounds(0.0, 1.0)?;
            Formula::Uniform { low, high }
        }
        Base::TruncNormal => trunc_normal(arguments)?,
        Base::Orthogonal => Formula::Orthogonal { gain: gain(arguments, Gain::Factor(1.0))? },
        Base::Dirac => Formula::Dirac { groups: arguments.count("groups")? },
        Base::Zeros => Formula::Constant { value: 0.0 },
        Base::Ones => Formula::Constant { value: 1.0 },
        Base::Constant => Formula::Constant { value: arguments.needed("value", Allowed::Any)? },
        Base::Identity => Formula::Identity,
        Base::Sparse => Formula::Sparse {
            sparsity: arguments.needed("sparsity", Allowed::Share)?,
            std: arguments.number("std", Allowed::NotNegative)?.unwrap_or(0.01),
        },
    };
    Ok(SchemeSpec::Formula(formula))
}

fn scaled(arguments: &Arguments, rule: Rule, distribution: Distribution) -> Result<Formula> {
    let distribution = match (arguments.choice("distribution", DISTRIBUTIONS)?, rule) {
        (None, _) => distribution,
        (Some(Distribution::Uniform), Rule::He | Rule::Xavier | Rule::Lecun) => {
            let expected = "truncated_normal or untruncated_normal";
            return Err(arguments.bad("distribution", expected, None));
        }
        (Some(said), _) => said,
    };
    let gain = match rule {
        Rule::VarianceScaling => Gain::Scale(arguments.number("scale", Allowed::Positive)?.unwrap_or(1.0)),
        Rule::He | Rule::Xavier | Rule::Lecun => gain(arguments, rule.gain())?,
    };
    let mode = arguments.choice("mode", MODES)?.unwrap_or(rule.mode());
    Ok(Formula::Scaled(Scaled { rule, distribution, mode, gain }))
}

/// The values of `mode`.
const MODES: &[(&str, Mode)] = &[("fan_in", Mode::FanIn), ("fan_out", Mode::FanOut), ("fan_avg", Mode::FanAvg)];

/// The values of `distribution`. Plain `normal` is refused: it is cut in Keras and not cut in JAX.
const DISTRIBUTIONS: &[(&str, Distribution)] = &[
    ("truncated_normal", Distribution::TruncatedNormal),
    ("untruncated_normal", Distribution::Normal),
    ("uniform", Distribution::Uniform),
];

/// The values of `cut_in`.
const UNITS: &[(&str, CutUnit)] = &[("sigma", CutUnit::Sigma), ("abs", CutUnit::Absolute)];

/// The values of `correct_std`.
const BOOLEANS: &[(&str, bool)] = &[("true", true), ("false", false)];

/// `gain`, or `nonlinearity`, or `a`, which is the slope of a leaky ReLU. PyTorch ignores an `a` beside another
/// nonlinearity; here it is an error. `nonlinearity=leaky_relu` without `a` is slope 0 in He's rules, as `kaiming_normal_` has it,
/// and 0.01 elsewhere, as `calculate_gain` has it.
fn gain(arguments: &Arguments, default: Gain) -> Result<Gain> {
    let slope = arguments.number("a", Allowed::Any)?;
    let nonlinearity = arguments.nonlinearity()?;
    let factor = arguments.number("gain", Allowed::NotNegative)?;
    let is_he = default == Rule::He.gain();
    match (factor, nonlinearity, slope) {
        (Some(_), Some(_), _) => Err(arguments.conflict("gain", "nonlinearity", "both are the factor")),
        (Some(_), None, Some(_)) => Err(arguments.conflict("gain", "a", "both are the factor")),
        (Some(factor), None, None) => Ok(Gain::Factor(factor)),
        (None, Some(Gain::Leaky(_)), Some(slope)) | (None, None, Some(slope)) => Ok(Gain::Leaky(slope)),
        (None, Some(_), Some(_)) => {
            Err(arguments.conflict("nonlinearity", "a", "a slope has an effect with leaky_relu only"))
        }
        (None, Some(Gain::Leaky(_)), None) if is_he => Ok(Gain::Leaky(0.0)),
        (None, Some(gain), None) => Ok(gain),
        (None, None, None) => Ok(default),
    }
}

/// `low` and `high` (PyTorch's `a` and `b`) are absolute unless `cut_in=sigma`; `cut=c` is from −c to c, in sigmas unless `cut_in=abs`.
fn trunc_normal(arguments: &Arguments) -> Result<Formula> {
    let mean = arguments.number("mean", Allowed::Any)?.unwrap_or(0.0);
    let std = arguments.number("std", Allowed::NotNegative)?.unwrap_or(1.0);
    let said = arguments.choice("cut_in", UNITS)?;
    let (cut, unit) = match arguments.number("cut", Allowed::NotNegative)? {
        None => (arguments.bounds(-2.0, 2.0)?, CutUnit::Absolute),
        Some(_) if arguments.is_given("low") => return Err(arguments.conflict("cut", "low", CUT_REASON)),
        Some(_) if arguments.is_given("high") => return Err(arguments.conflict("cut", "high", CUT_REASON)),
        Some(cut) => ((-cut, cut), CutUnit::Sigma),
    };
    let cut = Cut { low: cut.0, high: cut.1, unit: said.unwrap_or(unit) };
    let correct_std = arguments.choice("correct_std", BOOLEANS)?.unwrap_or(false);
    if correct_std && cut.unit == CutUnit::Absolute {
        return Err(arguments.conflict("correct_std", "cut_in", "only a cut in sigma can be corrected for"));
    }
    if correct_std && cut.low >= cut.high {
        return Err(arguments.conflict("correct_std", "cut", "nothing is left to vary"));
    }
    Ok(Formula::TruncatedNormal { mean, std, cut, correct_std })
}

const CUT_REASON: &str = "cut=c means low=-c, high=c";

impl fmt::Display for SchemeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemeSpec::Auto => f.write_str("auto"),
            SchemeSpec::Match => f.write_str("match"),
            SchemeSpec::Formula(formula) => formula.fmt(f),
            SchemeSpec::Lsuv { tolerance, target } => {
                let mut said = Vec::new();
                if *tolerance != LSUV_TOLERANCE {
                    said.push(("tol", number(*tolerance)));
                }
                said.extend(target.map(|target| ("target", number(target))));
                write_call("lsuv", &said, f)
            }
        }
    }
}

impl fmt::Display for Formula {
    /// The canonical spelling, which parses back equal: parameters at their default are left out, but never what a reader could take
    /// for another library's default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Formula::Scaled(scaled) => write_call(scaled_name(scaled), &scaled_parameters(scaled), f),
            Formula::Normal { mean, std } => {
                let mut said = Vec::new();
                push_unless(&mut said, "mean", *mean, 0.0);
                said.push(("std", number(*std)));
                write_call("normal", &said, f)
            }
            Formula::Uniform { low, high } => {
                write_call("uniform", &[("low", number(*low)), ("high", number(*high))], f)
            }
            Formula::TruncatedNormal { mean, std, cut, correct_std } => {
                let mut said = Vec::new();
                push_unless(&mut said, "mean", *mean, 0.0);
                said.push(("std", number(*std)));
                if cut.low == -cut.high && cut.high >= 0.0 {
                    said.push(("cut", number(cut.high)));
                } else {
                    said.extend([("low", number(cut.low)), ("high", number(cut.high))]);
                }
                said.push(("cut_in", spelt(cut.unit, UNITS)));
                if *correct_std {
                    said.push(("correct_std", "true".into()));
                }
                write_call("trunc_normal", &said, f)
            }
            Formula::Orthogonal { gain } => write_call("orthogonal", &gain_parameter(*gain, Gain::Factor(1.0)), f),
            Formula::Dirac { groups } => {
                let said: Vec<_> = groups.iter().map(|groups| ("groups", groups.to_string())).collect();
                write_call("dirac", &said, f)
            }
            Formula::Constant { value } if value.to_bits() == 0 => f.write_str("zeros"),
            Formula::Constant { value: 1.0 } => f.write_str("ones"),
            Formula::Constant { value } => write_call("constant", &[("value", number(*value))], f),
            Formula::Identity => f.write_str("identity"),
            Formula::Sparse { sparsity, std } => {
                write_call("sparse", &[("sparsity", number(*sparsity)), ("std", number(*std))], f)
            }
        }
    }
}

fn scaled_name(scaled: &Scaled) -> &'static str {
    match (scaled.rule, scaled.distribution) {
        (Rule::He, Distribution::Uniform) => "he_uniform",
        (Rule::He, Distribution::Normal | Distribution::TruncatedNormal) => "he_normal",
        (Rule::Xavier, Distribution::Uniform) => "xavier_uniform",
        (Rule::Xavier, Distribution::Normal | Distribution::TruncatedNormal) => "xavier_normal",
        (Rule::Lecun, Distribution::Uniform) => "lecun_uniform",
        (Rule::Lecun, Distribution::Normal | Distribution::TruncatedNormal) => "lecun_normal",
        (Rule::VarianceScaling, _) => "variance_scaling",
    }
}

fn scaled_parameters(scaled: &Scaled) -> Vec<(&'static str, String)> {
    let mut said = Vec::new();
    if scaled.mode != scaled.rule.mode() {
        said.push(("mode", spelt(scaled.mode, MODES)));
    }
    said.extend(gain_parameter(scaled.gain, scaled.rule.gain()));
    let is_default = match (scaled.rule, scaled.distribution) {
        (Rule::He | Rule::Xavier, Distribution::TruncatedNormal) | (Rule::Lecun, Distribution::Normal) => false,
        (Rule::VarianceScaling, distribution) => distribution == Distribution::TruncatedNormal,
        (Rule::He | Rule::Xavier, Distribution::Normal | Distribution::Uniform) => true,
        (Rule::Lecun, Distribution::TruncatedNormal | Distribution::Uniform) => true,
    };
    if !is_default {
        said.push(("distribution", spelt(scaled.distribution, DISTRIBUTIONS)));
    }
    said
}

fn gain_parameter(gain: Gain, default: Gain) -> Vec<(&'static str, String)> {
    match gain {
        gain if gain == default => Vec::new(),
        Gain::Of(nonlinearity) => vec![("nonlinearity", nonlinearity.name().into())],
        Gain::Leaky(slope) => vec![("a", number(slope))],
        Gain::Factor(factor) => vec![("gain", number(factor))],
        Gain::Scale(scale) => vec![("scale", number(scale))],
    }
}

fn push_unless(said: &mut Vec<(&'static str, String)>, name: &'static str, value: f64, default: f64) {
    if value != default {
        said.push((name, number(value)));
    }
}

fn spelt<T: Copy + PartialEq>(value: T, choices: &[(&'static str, T)]) -> String {
    choices.iter().find(|(_, choice)| *choice == value).map(|(name, _)| name.to_string()).unwrap_or_default()
}

/// The shortest text that reads back as the same number.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude == 0.0 || (1e-5..1e16).contains(&magnitude) {
        true => value.to_string(),
        false => format!("{value:e}"),
    }
}

fn write_call(name: &str, parameters: &[(&'static str, String)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(name)?;
    for (i, (parameter, value)) in parameters.iter().enumerate() {
        write!(f, "{}{parameter}={value}", if i == 0 { "(" } else { ", " })?;
    }
    f.write_str(if parameters.is_empty() { "" } else { ")" })
}

impl serde::Serialize for SchemeSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for SchemeSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(with_hints(&error)))
    }
}

fn with_hints(error: &Error) -> String {
    std::iter::once(error.to_string()).chain(error.hints()).collect::<Vec<_>>().join("; ")
}
