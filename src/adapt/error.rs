use crate::error::{Exit, Fault};
use crate::tensor::{Dtype, Rows, Shape, ShapeText, TensorInfo};

/// An operation does not fit its inputs, or is not written as operations are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdaptError {
    #[error("{op} takes {expected} input(s), found {found}")]
    Inputs { op: &'static str, expected: &'static str, found: usize },
    #[error("{op} takes a tensor of {expected} axes, found {input}")]
    Rank { op: &'static str, expected: String, input: TensorInfo },
    #[error("{op} along axis {axis}: {input} has {} axes", input.shape.len())]
    Axis { op: &'static str, axis: usize, input: TensorInfo },
    #[error("{op} of tensors of two types: {first} and {other}")]
    Dtypes { op: &'static str, first: TensorInfo, other: TensorInfo },
    #[error("{op} of tensors that do not fit together: {first} and {other}")]
    Shapes { op: &'static str, first: TensorInfo, other: TensorInfo },
    /// The operation computes, and the elements are no floats.
    #[error("{op} computes with floats (f16, bf16, f32, f64), found {input}")]
    NotFloat { op: &'static str, input: TensorInfo },
    /// The operation starts from numbers of 8 bits, and these are others.
    #[error("{op} starts from numbers of 8 bits (i8, u8, f8_e4m3, f8_e5m2, …), found {input}")]
    NotCodes { op: &'static str, input: TensorInfo },
    #[error("cast of {input} to {dtype}, which is none of f16, bf16, f32, f64")]
    CastTarget { input: TensorInfo, dtype: Dtype },
    #[error("permute of {input}: {order:?} does not name each of its {} axes once", input.shape.len())]
    Order { input: TensorInfo, order: Vec<usize> },
    #[error("reshape of {input} to {}: the number of elements differs", ShapeText(shape))]
    Elements { input: TensorInfo, shape: Shape },
    #[error("narrow of {input}: axis {axis} has {size} indices, {len} from {start} asked for")]
    Beyond { input: TensorInfo, axis: usize, size: u64, start: u64, len: u64 },
    #[error("gather takes from input {input} of {inputs}")]
    RunInput { input: usize, inputs: usize },
    #[error("gather of {input}: axis {axis} has {size} indices, {len} from {start} in steps of {step} asked for")]
    Run { input: TensorInfo, axis: usize, size: u64, start: u64, step: i64, len: u64 },
    #[error("{op}: axis 0 of {input} does not divide into {heads} heads")]
    Heads { op: &'static str, input: TensorInfo, heads: u64 },
    /// The rotated rows of a head are odd, or more than the head has.
    #[error(
        "rope_permute of {input}: {rotary} rotated rows of {head} in each head; an even number up to that is needed"
    )]
    Rotary { input: TensorInfo, rotary: u64, head: u64 },
    #[error("mean_heads of {input}: {heads} heads do not divide into {groups} groups")]
    Groups { input: TensorInfo, heads: u64, groups: u64 },
    #[error("{op} of {input}, which has no rows")]
    NoRows { op: &'static str, input: TensorInfo },
    #[error(
        "resize_rows of {input} to {rows} rows with {prefix} kept: the input and the result need at least these, and one more to resize from"
    )]
    Resize { input: TensorInfo, rows: u64, prefix: u64 },
    #[error("{op}: {parameter} is {value}")]
    NotFinite { op: &'static str, parameter: &'static str, value: f64 },
    #[error("rows {}..{} of {out}", rows.start, rows.end)]
    Rows { out: TensorInfo, rows: Rows },
    /// A buffer does not hold what was demanded: a fault of the caller.
    #[error("{op} was given {found} bytes where {expected} belong")]
    Supplied { op: &'static str, expected: u64, found: u64 },
    #[error("{op}: {bytes} bytes at once are more than this machine can address")]
    Size { op: &'static str, bytes: u64 },
    #[error("unknown operation `{name}`")]
    Unknown { name: String, nearest: Option<&'static str>, known: Vec<&'static str> },
    #[error("operation `{text}`: {problem}")]
    Arguments { text: String, problem: ArgumentProblem, usage: &'static str },
    #[error("an operation of {bytes} bytes; at most {limit} are read")]
    TooLong { bytes: usize, limit: usize },
}

/// What is wrong with the arguments of an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentProblem {
    /// The parenthesis is not closed, or something follows it.
    #[error("expected `name` or `name(arguments)`")]
    Form,
    #[error("found {found} argument(s)")]
    Count { found: usize },
    #[error("cannot read `{argument}` as {expected}")]
    Unreadable { argument: String, expected: &'static str },
}

impl Fault for AdaptError {
    fn exit(&self) -> Exit {
        match self {
            AdaptError::Supplied { .. } | AdaptError::Size { .. } => Exit::Machine,
            _ => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            AdaptError::Unknown { nearest, known, .. } => {
                let mut hints = Vec::new();
                hints.extend(nearest.map(|name| format!("did you mean `{name}`?")));
                hints.push(format!("operations: {}", known.join(", ")));
                hints
            }
            AdaptError::Arguments { usage, .. } => vec![format!("it is written {usage}")],
            _ => Vec::new(),
        }
    }
}
