//! Operations as people write them in a `map` rule: `transpose`, `split(0, 3)`, `rope_permute(12, 64, halves)`.

use std::fmt;
use std::str::FromStr;

use super::{Op, RopeLayout, Run};
use crate::adapt::error::{AdaptError, ArgumentProblem};
use crate::error::{Error, Result, nearest};
use crate::tensor::Dtype;

/// An operation as a `map` rule names it: `transpose`, `split(0, 3)`, `rope_permute(12, 64, halves)`.
#[derive(Clone, Debug, PartialEq)]
pub enum NamedOp {
    /// One value becomes one value (`lerp` and `gather` take several).
    One(Op),
    /// One value becomes as many as there are targets, equal pieces along `axis`.
    Split {
        /// The axis.
        axis: usize,
        /// How many.
        parts: u64,
    },
    /// One value becomes pieces of these sizes along `axis`.
    SplitSizes {
        /// The axis.
        axis: usize,
        /// The sizes.
        sizes: Vec<u64>,
    },
    /// Several values become one along `axis`.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Several values become one along a new axis 0.
    Stack,
}

/// One operation that can be written.
struct Known {
    name: &'static str,
    usage: &'static str,
    read: fn(&Arguments) -> Parsed,
}

type Parsed = std::result::Result<NamedOp, ArgumentProblem>;

/// Every operation that can be written, in the order of their display.
const KNOWN: &[Known] = &[
    Known { name: "transpose", usage: "transpose", read: |a| a.none().map(|()| NamedOp::One(Op::Transpose)) },
    Known { name: "permute", usage: "permute(1, 0): the input's axes in the order of the result", read: permute },
    Known { name: "reshape", usage: "reshape(768, 12, 64): the new shape", read: reshape },
    Known { name: "narrow", usage: "narrow(axis, start, len)", read: narrow },
    Known { name: "split", usage: "split(axis, parts)", read: split },
    Known { name: "split_sizes", usage: "split_sizes(axis, size, size, …)", read: split_sizes },
    Known { name: "concat", usage: "concat(axis)", read: concat },
    Known { name: "stack", usage: "stack", read: |a| a.none().map(|()| NamedOp::Stack) },
    Known { name: "gather", usage: "gather(axis, input:start:step:len, …)", read: gather },
    Known {
        name: "rope_permute", usage: "rope_permute(heads, rotary, halves) or (…, neighbours)", read: rope_permute
    },
    Known { name: "cast", usage: "cast(bf16)", read: cast },
    Known { name: "affine", usage: "affine(scale, offset)", read: affine },
    Known { name: "lerp", usage: "lerp(t)", read: lerp },
    Known { name: "mean_heads", usage: "mean_heads(heads, groups)", read: mean_heads },
    Known { name: "mean_rows", usage: "mean_rows", read: |a| a.none().map(|()| NamedOp::One(Op::MeanRows)) },
    Known { name: "weight_norm", usage: "weight_norm(axis), of g and v", read: weight_norm },
    Known {
        name: "low_rank",
        usage: "low_rank(scale), of w, a and b; low_rank(scale, turned) for w (in, out)",
        read: low_rank,
    },
    Known {
        name: "dequantize",
        usage: "dequantize(rows, columns) of a block, of a weight, its scale and, where it has one, its zero point",
        read: dequantize,
    },
    Known { name: "mean_covariance", usage: "mean_covariance(scale), of rows and normals", read: mean_covariance },
    Known { name: "resize_rows", usage: "resize_rows(rows, prefix)", read: resize_rows },
];

impl NamedOp {
    /// The most bytes that one operation is read from.
    pub(crate) const LIMIT: usize = 1 << 16;

    /// The names of all operations that can be written, and how each is.
    pub fn usages() -> impl Iterator<Item = (&'static str, &'static str)> {
        KNOWN.iter().map(|known| (known.name, known.usage))
    }
}

/// The words between the parentheses.
struct Arguments<'a>(Vec<&'a str>);

impl Arguments<'_> {
    fn none(&self) -> std::result::Result<(), ArgumentProblem> {
        self.count(0)
    }

    fn count(&self, expected: usize) -> std::result::Result<(), ArgumentProblem> {
        match self.0.len() == expected {
            true => Ok(()),
            false => Err(ArgumentProblem::Count { found: self.0.len() }),
        }
    }

    fn at_least(&self, expected: usize) -> std::result::Result<(), ArgumentProblem> {
        match self.0.len() >= expected {
            true => Ok(()),
            false => Err(ArgumentProblem::Count { found: self.0.len() }),
        }
    }

    fn word(&self, index: usize) -> &str {
        self.0.get(index).copied().unwrap_or("")
    }

    fn read<T: FromStr>(&self, index: usize, expected: &'static str) -> std::result::Result<T, ArgumentProblem> {
        read(self.word(index), expected)
    }

    fn rest<T: FromStr>(&self, from: usize, expected: &'static str) -> std::result::Result<Vec<T>, ArgumentProblem> {
        self.0.iter().skip(from).map(|word| read(word, expected)).collect()
    }

    fn finite(&self, index: usize) -> std::result::Result<f64, ArgumentProblem> {
        let expected = "a finite number";
        let value: f64 = self.read(index, expected)?;
        match value.is_finite() {
            true => Ok(value),
            false => Err(ArgumentProblem::Unreadable { argument: self.word(index).into(), expected }),
        }
    }
}

fn read<T: FromStr>(word: &str, expected: &'static str) -> std::result::Result<T, ArgumentProblem> {
    word.parse().map_err(|_| ArgumentProblem::Unreadable { argument: word.into(), expected })
}

const AXIS: &str = "an axis";
const NUMBER: &str = "a whole number";

fn permute(a: &Arguments) -> Parsed {
    Ok(NamedOp::One(Op::Permute { order: a.rest(0, AXIS)? }))
}

fn reshape(a: &Arguments) -> Parsed {
    Ok(NamedOp::One(Op::Reshape { shape: a.rest(0, NUMBER)?.into() }))
}

fn narrow(a: &Arguments) -> Parsed {
    a.count(3)?;
    Ok(NamedOp::One(Op::Narrow { axis: a.read(0, AXIS)?, start: a.read(1, NUMBER)?, len: a.read(2, NUMBER)? }))
}

fn split(a: &Arguments) -> Parsed {
    a.count(2)?;
    let parts: std::num::NonZeroU64 = a.read(1, "a number of parts")?;
    Ok(NamedOp::Split { axis: a.read(0, AXIS)?, parts: parts.get() })
}

fn split_sizes(a: &Arguments) -> Parsed {
    a.at_least(2)?;
    Ok(NamedOp::SplitSizes { axis: a.read(0, AXIS)?, sizes: a.rest(1, NUMBER)? })
}

fn concat(a: &Arguments) -> Parsed {
    a.count(1)?;
    Ok(NamedOp::Concat { axis: a.read(0, AXIS)? })
}

fn gather(a: &Arguments) -> Parsed {
    a.at_least(1)?;
    let runs: Vec<Run> = a.rest(1, "input:start:step:len")?;
    Ok(NamedOp::One(Op::Gather { axis: a.read(0, AXIS)?, runs: runs.into() }))
}

fn rope_permute(a: &Arguments) -> Parsed {
    a.count(3)?;
    let to = match a.word(2) {
        "halves" => RopeLayout::ToHalves,
        "neighbours" => RopeLayout::ToNeighbours,
        word => {
            return Err(ArgumentProblem::Unreadable { argument: word.into(), expected: "halves or neighbours" });
        }
    };
    Ok(NamedOp::One(Op::RopePermute { heads: a.read(0, NUMBER)?, rotary: a.read(1, NUMBER)?, to }))
}

fn cast(a: &Arguments) -> Parsed {
    a.count(1)?;
    let expected = "one of f16, bf16, f32, f64";
    let dtype: Dtype = a.read(0, expected)?;
    match dtype.is_float() {
        true => Ok(NamedOp::One(Op::Cast { dtype })),
        false => Err(ArgumentProblem::Unreadable { argument: a.word(0).into(), expected }),
    }
}

fn affine(a: &Arguments) -> Parsed {
    a.count(2)?;
    Ok(NamedOp::One(Op::Affine { scale: a.finite(0)?, offset: a.finite(1)? }))
}

fn lerp(a: &Arguments) -> Parsed {
    a.count(1)?;
    Ok(NamedOp::One(Op::Lerp { t: a.finite(0)? }))
}

fn mean_heads(a: &Arguments) -> Parsed {
    a.count(2)?;
    Ok(NamedOp::One(Op::MeanHeads { heads: a.read(0, NUMBER)?, groups: a.read(1, NUMBER)? }))
}

fn weight_norm(a: &Arguments) -> Parsed {
    a.count(1)?;
    Ok(NamedOp::One(Op::WeightNorm { axis: a.read(0, AXIS)? }))
}

fn low_rank(a: &Arguments) -> Parsed {
    let turned = match a.0[..] {
        [_] => false,
        [_, "turned"] => true,
        _ => return Err(ArgumentProblem::Form),
    };
    Ok(NamedOp::One(Op::LowRank { scale: a.finite(0)?, turned }))
}

fn dequantize(a: &Arguments) -> Parsed {
    a.at_least(1)?;
    Ok(NamedOp::One(Op::Dequantize { block: a.rest(0, NUMBER)? }))
}

fn mean_covariance(a: &Arguments) -> Parsed {
    a.count(1)?;
    Ok(NamedOp::One(Op::MeanCovariance { scale: a.finite(0)? }))
}

fn resize_rows(a: &Arguments) -> Parsed {
    a.count(2)?;
    Ok(NamedOp::One(Op::ResizeRows { rows: a.read(0, NUMBER)?, prefix: a.read(1, NUMBER)? }))
}

impl FromStr for Run {
    type Err = ArgumentProblem;

    /// `input:start:step:len`.
    fn from_str(text: &str) -> std::result::Result<Run, ArgumentProblem> {
        let words: Vec<&str> = text.split(':').collect();
        match words[..] {
            [input, start, step, len] => Ok(Run {
                input: read(input, NUMBER)?,
                start: read(start, NUMBER)?,
                step: read(step, NUMBER)?,
                len: read(len, NUMBER)?,
            }),
            _ => Err(ArgumentProblem::Form),
        }
    }
}

impl FromStr for NamedOp {
    type Err = Error;

    /// Parses `name` or `name(arguments)`; an unknown name is an error with the nearest and the list.
    fn from_str(text: &str) -> Result<NamedOp> {
        if text.len() > NamedOp::LIMIT {
            return Err(AdaptError::TooLong { bytes: text.len(), limit: NamedOp::LIMIT }.into());
        }
        let text = text.trim();
        let (name, rest) = match text.find('(') {
            Some(at) => (text[..at].trim_end(), Some(&text[at + 1..])),
            None => (text, None),
        };
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            return Err(unknown(name));
        };
        arguments(rest)
            .and_then(|arguments| (known.read)(&arguments))
            .map_err(|problem| AdaptError::Arguments { text: text.into(), problem, usage: known.usage }.into())
    }
}

/// What stands between the parentheses, of which `rest` is what follows the first.
fn arguments(rest: Option<&str>) -> std::result::Result<Arguments<'_>, ArgumentProblem> {
    let Some(rest) = rest else { return Ok(Arguments(Vec::new())) };
    match rest.strip_suffix(')') {
        Some(inner) if !inner.contains(['(', ')']) => match inner.trim() {
            "" => Ok(Arguments(Vec::new())),
            inner => Ok(Arguments(inner.split(',').map(str::trim).collect())),
        },
        _ => Err(ArgumentProblem::Form),
    }
}

fn unknown(name: &str) -> Error {
    let known: Vec<&'static str> = KNOWN.iter().map(|known| known.name).collect();
    AdaptError::Unknown { name: name.into(), nearest: nearest(name, known.iter().copied()), known }.into()
}

impl fmt::Display for NamedOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedOp::One(op) => op.fmt(f),
            NamedOp::Split { axis, parts } => write!(f, "split({axis}, {parts})"),
            NamedOp::SplitSizes { axis, sizes } => {
                write!(f, "split_sizes({axis}, ")?;
                list(f, sizes)?;
                f.write_str(")")
            }
            NamedOp::Concat { axis } => write!(f, "concat({axis})"),
            NamedOp::Stack => f.write_str("stack"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Op::Transpose | Op::Stack | Op::MeanRows => Ok(()),
            Op::Permute { order } => parenthesised(f, order),
            Op::Reshape { shape } => parenthesised(f, shape),
            Op::Narrow { axis, start, len } => write!(f, "({axis}, {start}, {len})"),
            Op::Concat { axis } => write!(f, "({axis})"),
            Op::Gather { axis, runs } => {
                write!(f, "({axis}")?;
                runs.iter().try_for_each(|run| write!(f, ", {run}"))?;
                f.write_str(")")
            }
            Op::RopePermute { heads, rotary, to } => write!(f, "({heads}, {rotary}, {to})"),
            Op::Cast { dtype } => write!(f, "({dtype})"),
            Op::Affine { scale, offset } => write!(f, "({scale:?}, {offset:?})"),
            Op::Lerp { t } => write!(f, "({t:?})"),
            Op::MeanHeads { heads, groups } => write!(f, "({heads}, {groups})"),
            Op::ResizeRows { rows, prefix } => write!(f, "({rows}, {prefix})"),
            Op::WeightNorm { axis } => write!(f, "({axis})"),
            Op::LowRank { scale, turned: false } => write!(f, "({scale:?})"),
            Op::LowRank { scale, turned: true } => write!(f, "({scale:?}, turned)"),
            Op::MeanCovariance { scale } => write!(f, "({scale:?})"),
            Op::Dequantize { block } => parenthesised(f, block),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.input, self.start, self.step, self.len)
    }
}

impl fmt::Display for RopeLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RopeLayout::ToHalves => "halves",
            RopeLayout::ToNeighbours => "neighbours",
        })
    }
}

fn parenthesised<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_str("(")?;
    list(f, items)?;
    f.write_str(")")
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}
