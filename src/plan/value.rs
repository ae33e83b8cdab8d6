//! A target tensor as an expression. Serialised as it is, so that `run`, `verify` and a person read the same tree.

use serde::{Deserialize, Serialize};

use crate::adapt::Op;
use crate::init::Scheme;
use crate::tensor::{Dtype, Shape};

/// A piece of axis 0 that is drawn by one scheme.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitPart {
    /// How many rows.
    pub rows: u64,
    /// The scheme.
    pub scheme: Scheme,
}

/// An expression whose value is a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Value {
    /// A tensor of a source as it is stored.
    Source {
        /// Which source.
        source: usize,
        /// Its name there.
        tensor: String,
        /// Its type there.
        dtype: Dtype,
        /// Its shape there.
        shape: Shape,
    },
    /// Fresh values in f32. Element `k` is a function of (seed, target's name, `first + k`) and of nothing else.
    Init {
        /// The shape.
        shape: Shape,
        /// The index in the target of the first element.
        #[serde(default, skip_serializing_if = "super::is_zero")]
        first: u64,
        /// Pieces of axis 0; their rows sum to it.
        parts: Vec<InitPart>,
    },
    /// An operation over other values.
    Apply {
        /// The operation.
        op: Op,
        /// Its inputs.
        inputs: Vec<Value>,
    },
    /// The value of another target, which owns it; nothing is written.
    Tied {
        /// The owner's name.
        to: String,
    },
}
