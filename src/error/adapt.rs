use super::{Exit, Fault};
use crate::tensor::{Dtype, Rows, Shape, ShapeText, TensorInfo};

/// An operation does not fit its inputs, or is not written as operations are.
#[derive(Debug, thiserror::Error)]
pub enum AdaptError {
    /// The number of inputs is not what the operation takes.
    #[error("{op} takes {expected} input(s), found {found}")]
    Inputs {
        /// The operation.
        op: &'static str,
        /// How many it takes, in words.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The number of axes is not what the operation takes.
    #[error("{op} takes a tensor of {expected} axes, found {input}")]
    Rank {
        /// The operation.
        op: &'static str,
        /// How many axes it takes, in words.
        expected: String,
        /// The input.
        input: TensorInfo,
    },
    /// The tensor has no such axis.
    #[error("{op} along axis {axis}: {input} has {} axes", input.shape.len())]
    Axis {
        /// The operation.
        op: &'static str,
        /// The axis.
        axis: usize,
        /// The input.
        input: TensorInfo,
    },
    /// Two inputs differ in type.
    #[error("{op} of tensors of two types: {first} and {other}")]
    Dtypes {
        /// The operation.
        op: &'static str,
        /// The first input.
        first: TensorInfo,
        /// The one that differs.
        other: TensorInfo,
    },
    /// Two inputs differ in an axis in which they must agree.
    #[error("{op} of tensors that do not fit together: {first} and {other}")]
    Shapes {
        /// The operation.
        op: &'static str,
        /// The first input.
        first: TensorInfo,
        /// The one that differs.
        other: TensorInfo,
    },
    /// The operation computes, and the elements are no floats.
    #[error("{op} computes with floats (f16, bf16, f32, f64), found {input}")]
    NotFloat {
        /// The operation.
        op: &'static str,
        /// The input.
        input: TensorInfo,
    },
    /// The operation starts from numbers of 8 bits, and these are others.
    #[error("{op} starts from numbers of 8 bits (i8, u8, f8_e4m3, f8_e5m2, …), found {input}")]
    NotCodes {
        /// The operation.
        op: &'static str,
        /// The input.
        input: TensorInfo,
    },
    /// A cast to a type that cannot be computed with.
    #[error("cast of {input} to {dtype}, which is none of f16, bf16, f32, f64")]
    CastTarget {
        /// The input.
        input: TensorInfo,
        /// The type asked for.
        dtype: Dtype,
    },
    /// The order of a permutation does not name every axis once.
    #[error("permute of {input}: {order:?} does not name each of its {} axes once", input.shape.len())]
    Order {
        /// The input.
        input: TensorInfo,
        /// The order.
        order: Vec<usize>,
    },
    /// The new shape has another number of elements.
    #[error("reshape of {input} to {}: the number of elements differs", ShapeText(shape))]
    Elements {
        /// The input.
        input: TensorInfo,
        /// The shape asked for.
        shape: Shape,
    },
    /// A piece of an axis reaches beyond its end.
    #[error("narrow of {input}: axis {axis} has {size} indices, {len} from {start} asked for")]
    Beyond {
        /// The input.
        input: TensorInfo,
        /// The axis.
        axis: usize,
        /// Its size.
        size: u64,
        /// The first index asked for.
        start: u64,
        /// How many are asked for.
        len: u64,
    },
    /// A run of a gather names an input that there is none of.
    #[error("gather takes from input {input} of {inputs}")]
    RunInput {
        /// The input that the run names.
        input: usize,
        /// How many inputs there are.
        inputs: usize,
    },
    /// A run of a gather leaves its input.
    #[error("gather of {input}: axis {axis} has {size} indices, {len} from {start} in steps of {step} asked for")]
    Run {
        /// The input.
        input: TensorInfo,
        /// The axis.
        axis: usize,
        /// Its size.
        size: u64,
        /// The first index of the run.
        start: u64,
        /// Its step.
        step: i64,
        /// Its length.
        len: u64,
    },
    /// Axis 0 does not divide into so many heads.
    #[error("{op}: axis 0 of {input} does not divide into {heads} heads")]
    Heads {
        /// The operation.
        op: &'static str,
        /// The input.
        input: TensorInfo,
        /// How many heads.
        heads: u64,
    },
    /// The rotated rows of a head are odd, or more than the head has.
    #[error(
        "rope_permute of {input}: {rotary} rotated rows of {head} in each head; an even number up to that is needed"
    )]
    Rotary {
        /// The input.
        input: TensorInfo,
        /// How many rows are rotated.
        rotary: u64,
        /// How many rows a head has.
        head: u64,
    },
    /// The heads do not divide into so many groups.
    #[error("mean_heads of {input}: {heads} heads do not divide into {groups} groups")]
    Groups {
        /// The input.
        input: TensorInfo,
        /// How many heads.
        heads: u64,
        /// How many groups.
        groups: u64,
    },
    /// A mean over nothing.
    #[error("{op} of {input}, which has no rows")]
    NoRows {
        /// The operation.
        op: &'static str,
        /// The input.
        input: TensorInfo,
    },
    /// Rows cannot be resized to so many.
    #[error(
        "resize_rows of {input} to {rows} rows with {prefix} kept: the input and the result need at least these, and one more to resize from"
    )]
    Resize {
        /// The input.
        input: TensorInfo,
        /// Rows of the result.
        rows: u64,
        /// Leading rows that are kept.
        prefix: u64,
    },
    /// A parameter is NaN or infinite.
    #[error("{op}: {parameter} is {value}")]
    NotFinite {
        /// The operation.
        op: &'static str,
        /// Which parameter.
        parameter: &'static str,
        /// Its value.
        value: f64,
    },
    /// Rows of a result were asked for that it does not have.
    #[error("rows {}..{} of {out}", rows.start, rows.end)]
    Rows {
        /// The result.
        out: TensorInfo,
        /// The rows asked for.
        rows: Rows,
    },
    /// A buffer does not hold what was demanded: a fault of the caller.
    #[error("{op} was given {found} bytes where {expected} belong")]
    Supplied {
        /// The operation.
        op: &'static str,
        /// Bytes that belong there.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A piece is larger than this machine can address.
    #[error("{op}: {bytes} bytes at once are more than this machine can address")]
    Size {
        /// The operation.
        op: &'static str,
        /// How many bytes.
        bytes: u64,
    },
    /// No operation has this name.
    #[error("unknown operation `{name}`")]
    Unknown {
        /// What was written.
        name: String,
        /// The nearest name, where one is near.
        nearest: Option<&'static str>,
        /// All names.
        known: Vec<&'static str>,
    },
    /// The arguments of an operation are not what it takes.
    #[error("operation `{text}`: {problem}")]
    Arguments {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: ArgumentProblem,
        /// How it is written.
        usage: &'static str,
    },
    /// An operation is written in more bytes than any is.
    #[error("an operation of {bytes} bytes; at most {limit} are read")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many are read.
        limit: usize,
    },
}

/// What is wrong with the arguments of an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentProblem {
    /// The parenthesis is not closed, or something follows it.
    #[error("expected `name` or `name(arguments)`")]
    Form,
    /// Too few or too many.
    #[error("found {found} argument(s)")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// One cannot be read.
    #[error("cannot read `{argument}` as {expected}")]
    Unreadable {
        /// The argument.
        argument: String,
        /// What belongs there.
        expected: &'static str,
    },
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
