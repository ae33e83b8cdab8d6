//! Operations on tensors: what a target's value may be built from besides a source and an initialisation.
//! An operation states its result, and which rows of its inputs it needs for some rows of the result; chunk sizes,
//! peak memory and the bytes to fetch all follow from that. It reads no file and decides nothing.

mod affine;
mod cast;
pub(crate) mod codes;
mod combine;
mod concat;
mod dequantize;
pub(crate) mod error;
pub(crate) mod float;
mod gather;
mod inputs;
mod mean;
mod named;
mod narrow;
mod op;
mod permute;
mod reshape;
mod resize;
mod rope;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

pub use named::NamedOp;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::tensor::{Dtype, Rows, Shape, TensorInfo};

/// `len` rows of a result, taken from rows `start, start + step, …` of input `input`. A step of 0 repeats one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Which input.
    pub input: usize,
    /// The first index taken along the axis.
    pub start: u64,
    /// The distance from one index taken to the next; may be negative.
    pub step: i64,
    /// How many.
    pub len: u64,
}

/// Which of the two layouts a rotary embedding pairs its dimensions in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeLayout {
    /// From neighbours (Meta) to halves (Hugging Face).
    ToHalves,
    /// From halves (Hugging Face) to neighbours (Meta).
    ToNeighbours,
}

/// One operation. `axis` counts from the outermost, 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Exchanges the two axes of a matrix. Moves.
    Transpose,
    /// Axis `i` of the result is axis `order[i]` of the input. Moves.
    Permute {
        /// The axes of the input, in the order of the result.
        order: Vec<usize>,
    },
    /// All elements in row-major order under another shape. Moves.
    Reshape {
        /// The shape of the result.
        shape: Shape,
    },
    /// `len` indices of an axis from `start`. Moves.
    Narrow {
        /// The axis that is cut.
        axis: usize,
        /// The first index kept.
        start: u64,
        /// How many are kept.
        len: u64,
    },
    /// The inputs one after the other along an axis. Moves.
    Concat {
        /// The axis that is cut.
        axis: usize,
    },
    /// Inputs of one shape along a new axis 0. Moves.
    Stack,
    /// Rows (or columns, …) by index from one or several inputs. Moves.
    Gather {
        /// The axis that is cut.
        axis: usize,
        /// Where each piece of the result comes from, in order; shared by all tensors of a coupled axis.
        runs: Arc<[Run]>,
    },
    /// Reorders the first `rotary` rows of each head between the two layouts of rotary embeddings. Moves.
    RopePermute {
        /// How many heads axis 0 holds (`kv_heads` for a key).
        heads: u64,
        /// How many rows of each head are rotated; even.
        rotary: u64,
        /// The direction.
        to: RopeLayout,
    },
    /// Converts a float, or the numbers that 8 bits denote, to a float type: in f32 (f64 for f64), rounded to nearest even once. Computes.
    Cast {
        /// The type of the result.
        dtype: Dtype,
    },
    /// `scale · x + offset`, element by element. Computes.
    Affine {
        /// The factor.
        scale: f64,
        /// What is added.
        offset: f64,
    },
    /// `(1 − t) · a + t · b` of two inputs of one shape. Computes.
    Lerp {
        /// The weight of the second input.
        t: f64,
    },
    /// The mean of each of `groups` groups of consecutive heads along axis 0 (Ainslie et al., arXiv:2305.13245). Computes.
    MeanHeads {
        /// How many heads the input holds.
        heads: u64,
        /// How many the result holds; divides `heads`.
        groups: u64,
    },
    /// The mean over axis 0, as one row: `(n, …)` becomes `(1, …)`. Summed in f64 over one ordered scan. Computes.
    MeanRows,
    /// Linear interpolation along axis 0 after `prefix` rows that are kept, without aligned corners
    /// (`torch.nn.functional.interpolate(mode="linear", align_corners=False)`). Computes.
    ResizeRows {
        /// The number of rows of the result, prefix included.
        rows: u64,
        /// Leading rows that are copied.
        prefix: u64,
    },
    /// `g · v / ‖v‖` of two inputs, the norm over all axes but one (Salimans and Kingma, arXiv:1602.07868; PyTorch's `weight_norm`).
    /// Computes.
    WeightNorm {
        /// The axis that keeps its norms, PyTorch's `dim`.
        axis: usize,
    },
    /// `w + scale · b a` of three inputs, a low-rank adapter (Hu et al., arXiv:2106.09685): `w` `(out, …)`, `a` `(rank, …)`, `b`
    /// `(out, rank)`. Computes.
    LowRank {
        /// The factor: alpha over the rank.
        scale: f64,
        /// Whether `w` is `(in, out)`, as GPT-2's matrices and embeddings.
        turned: bool,
    },
    /// Rows N(mean, scale · covariance) of the rows of the first input, from standard normals `(rows, n)`, the second, as f32. Computes.
    MeanCovariance {
        /// The factor of the covariance; transformers resizes embeddings with 1e-9.
        scale: f64,
    },
    /// Numbers of 8 bits times the scale of their block, the second input, as f32; less the zero point of their block first, where there
    /// is a third input. A scale of `F8_E8M0` or `U8` is an exponent of two. Computes.
    Dequantize {
        /// The size of a block along each axis.
        block: Vec<u64>,
    },
}

/// What an input must supply for some rows of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    None,
    /// These ranges of rows, in this order.
    Rows(Vec<Rows>),
    /// Every row once, in order; the state between rows is bounded.
    Scan,
    /// All of it at once.
    Whole,
}

impl Demand {
    /// One range of rows.
    pub(crate) fn rows(rows: Rows) -> Demand {
        Demand::Rows(vec![rows])
    }
}

/// What an input supplied: the bytes of `rows`, one range after the other.
#[derive(Clone, Debug)]
pub(crate) struct Block<'a> {
    /// The whole input.
    pub info: &'a TensorInfo,
    /// Which of its rows these are; empty for `Demand::None`.
    pub rows: Vec<Rows>,
    /// Their bytes, row-major.
    pub bytes: &'a [u8],
}

/// Bounded state that sees every row of its input once, in order.
pub(crate) trait Scan: Send {
    /// The next rows, whole.
    fn push(&mut self, bytes: &[u8]) -> Result<()>;
    /// The whole result into `out`.
    fn finish(self: Box<Self>, out: &mut [u8]) -> Result<()>;
}
