//! A target tensor as an expression. Serialised as it is, so that `run`, `verify` and a person read the same tree.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::adapt::Op;
use crate::error::Result;
use crate::init::{Computed, Scheme};
use crate::plan::fit::error::FitError;
use crate::tensor::{Dtype, Name, Shape, TensorInfo};

/// A piece of axis 0 that is drawn by one scheme.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitPart {
    /// How many rows.
    pub rows: u64,
    pub scheme: Scheme,
}

/// A tensor of a source as an expression reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SourceTensor<'a> {
    pub source: usize,
    pub tensor: &'a Name,
    /// Its type there.
    pub dtype: Dtype,
    pub shape: &'a Shape,
}

/// An expression whose value is a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Value {
    /// A tensor of a source as it is stored.
    Source {
        source: usize,
        tensor: Name,
        /// Its type there.
        dtype: Dtype,
        shape: Shape,
    },
    /// Fresh values in f32. Element `k` is a function of (seed, target's name, `first + k`) and of nothing else.
    Init {
        shape: Shape,
        /// The index in the target of the first element.
        #[serde(default, skip_serializing_if = "is_zero")]
        first: u64,
        /// Pieces of axis 0; their rows sum to it.
        parts: Vec<InitPart>,
    },
    /// Whole numbers that are neither stored nor drawn: each element is its index along `axis`, or zero where there is none.
    Count {
        /// An integer type that holds them; `Bool` only for zeros.
        dtype: Dtype,
        shape: Shape,
        /// The axis that is counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        axis: Option<usize>,
    },
    /// A table that is neither stored nor drawn: each element by a formula of its place.
    Computed {
        /// An integer or float type that holds them.
        dtype: Dtype,
        shape: Shape,
        formula: Computed,
    },
    /// An operation over other values.
    Apply { op: Op, inputs: Vec<Value> },
    /// The value of another target, which owns it; nothing is written.
    Tied {
        /// The owner's name.
        to: String,
    },
}

impl Value {
    /// Type and shape of the result (named after the first source, empty where there is none), or an error where an operation does
    /// not fit its inputs, parts do not fill their axis, or a tie stands in it (its owner knows its shape).
    pub(crate) fn info(&self) -> Result<TensorInfo> {
        match self {
            Value::Source { tensor, dtype, shape, .. } => Ok(TensorInfo::new(tensor.clone(), *dtype, shape.clone())),
            Value::Init { shape, parts, .. } => {
                let info = TensorInfo::new(String::new(), Dtype::F32, shape.clone());
                let found = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.rows));
                match found {
                    Some(found) if found == info.rows() => Ok(info),
                    Some(_) | None => {
                        Err(FitError::Parts { expected: info.rows(), found: found.unwrap_or(u64::MAX) }.into())
                    }
                }
            }
            Value::Count { dtype, shape, axis } => {
                let info = TensorInfo::new(String::new(), *dtype, shape.clone());
                if !counts(*dtype, shape, *axis) {
                    return Err(FitError::Uncountable { dtype: *dtype, shape: shape.clone(), axis: *axis }.into());
                }
                Ok(info)
            }
            Value::Computed { dtype, shape, formula } => {
                let holds = [Dtype::Bool, Dtype::U8, Dtype::I32, Dtype::I64].contains(dtype)
                    || [Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64].contains(dtype);
                if !holds || !formula.fits(shape) {
                    return Err(FitError::Uncountable { dtype: *dtype, shape: shape.clone(), axis: None }.into());
                }
                Ok(TensorInfo::new(String::new(), *dtype, shape.clone()))
            }
            Value::Apply { op, inputs } => op.out(&inputs.iter().map(Value::info).collect::<Result<Vec<_>>>()?),
            Value::Tied { to } => Err(FitError::TieInside { to: to.clone() }.into()),
        }
    }

    pub(crate) fn stored(source: usize, info: &TensorInfo) -> Value {
        Value::Source { source, tensor: info.name.clone(), dtype: info.dtype, shape: info.shape.clone() }
    }

    /// A tensor in f32 of which every element is `value`.
    pub(crate) fn constant(shape: &Shape, value: f64) -> Value {
        let rows = shape.first().copied().unwrap_or(1);
        let parts = vec![InitPart { rows, scheme: Scheme::Constant { value } }];
        Value::Init { shape: shape.clone(), first: 0, parts }
    }

    /// Calls `visit` for every leaf (source, initialisation, tie), in order of mention.
    pub(crate) fn leaves<'a>(&'a self, visit: &mut impl FnMut(&'a Value)) {
        match self {
            Value::Apply { inputs, .. } => inputs.iter().for_each(|input| input.leaves(visit)),
            Value::Source { .. }
            | Value::Init { .. }
            | Value::Count { .. }
            | Value::Computed { .. }
            | Value::Tied { .. } => visit(self),
        }
    }

    /// The source tensors that it reads, in order of mention.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SourceTensor<'_>> {
        let mut sources: SmallVec<[SourceTensor; 2]> = SmallVec::new();
        self.leaves(&mut |leaf| {
            if let Value::Source { source, tensor, dtype, shape } = leaf {
                sources.push(SourceTensor { source: *source, tensor, dtype: *dtype, shape });
            }
        });
        sources.into_iter()
    }

    /// Whether codes are dequantised in it.
    pub(crate) fn dequantizes(&self) -> bool {
        match self {
            Value::Apply { op: Op::Dequantize { .. }, .. } => true,
            Value::Apply { inputs, .. } => inputs.iter().any(Value::dequantizes),
            Value::Source { .. }
            | Value::Init { .. }
            | Value::Count { .. }
            | Value::Computed { .. }
            | Value::Tied { .. } => false,
        }
    }

    /// What it does with its leaves, in one word of the report.
    pub(crate) fn action(&self) -> Action {
        match self {
            Value::Source { .. } => Action::Copied,
            Value::Tied { .. } => Action::Tied,
            Value::Init { .. } | Value::Count { .. } | Value::Computed { .. } => Action::New,
            Value::Apply { .. } if self.sources().next().is_some() => Action::Adapted,
            Value::Apply { .. } => Action::New,
        }
    }
}

/// Whether a type holds every index of an axis (every zero, where there is none).
fn counts(dtype: Dtype, shape: &Shape, axis: Option<usize>) -> bool {
    let most = match dtype {
        Dtype::Bool => 0,
        Dtype::I8 => i8::MAX as u64,
        Dtype::U8 => u64::from(u8::MAX),
        Dtype::I16 => i16::MAX as u64,
        Dtype::U16 => u64::from(u16::MAX),
        Dtype::I32 => i32::MAX as u64,
        Dtype::U32 => u64::from(u32::MAX),
        Dtype::I64 => i64::MAX as u64,
        Dtype::U64 => u64::MAX,
        _ => return false,
    };
    match axis {
        None => true,
        Some(axis) => shape.get(axis).is_some_and(|size| size.saturating_sub(1) <= most),
    }
}

/// What happened to a target tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The bytes of one source tensor.
    Copied,
    /// Operations over one or several sources, new rows perhaps among them.
    Adapted,
    /// Another name of a tensor that is written once.
    Tied,
    New,
}

pub(crate) fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Leaves that are not floats and that no `dequantize` is over, each with whether a cast is.
pub(crate) fn raw_codes<'a>(value: &'a Value, is_cast: bool, visit: &mut impl FnMut(&'a Value, bool)) {
    match value {
        Value::Apply { op: Op::Dequantize { .. }, .. } => {}
        Value::Apply { op, inputs } => {
            let is_cast = is_cast || matches!(op, Op::Cast { .. });
            inputs.iter().for_each(|input| raw_codes(input, is_cast, visit));
        }
        Value::Source { dtype, .. } if !dtype.is_float() => visit(value, is_cast),
        Value::Source { .. }
        | Value::Init { .. }
        | Value::Count { .. }
        | Value::Computed { .. }
        | Value::Tied { .. } => {}
    }
}

/// An expression and what it yields.
pub(crate) type Typed = (Value, TensorInfo);

/// The operations in order; the first takes all values together, the others the one result.
pub(crate) fn apply(mut inputs: Vec<Typed>, ops: &[Op]) -> Result<Typed> {
    let mut ops = ops.iter();
    if inputs.len() != 1 {
        let concat = Op::Concat { axis: 0 };
        let op = ops.next().unwrap_or(&concat);
        inputs = vec![apply_one(inputs, op)?];
    }
    let mut result = inputs.remove(0);
    for op in ops {
        result = apply_one(vec![result], op)?;
    }
    Ok(result)
}

/// One operation over all of these values.
pub(crate) fn apply_one(inputs: Vec<Typed>, op: &Op) -> Result<Typed> {
    let (values, infos): (Vec<Value>, Vec<TensorInfo>) = inputs.into_iter().unzip();
    let info = op.out(&infos)?;
    Ok((Value::Apply { op: op.clone(), inputs: values }, info))
}
