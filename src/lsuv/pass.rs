//! What a pass works on, and what it gives.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::arch::{Architecture, Selector};
use crate::batch::Batch;
use crate::error::Result;
use crate::plan::{Assignment, Plan};

/// What was measured at a weight, and what it was multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// The variance that its output was to have.
    pub target: f64,
    /// The variance of its output while it was orthonormal: the population's over the whole batch, without the bias and without
    /// padding; `None` where it is not finite.
    pub before: Option<f64>,
    /// The variance of its output at the end; `None` where it is not finite.
    pub after: Option<f64>,
    /// What its elements were multiplied by; 1 where it was allowed to be dead.
    pub factor: f64,
}

/// Where the values of a model lie while its weights are scaled: in files that are not published yet, or in memory.
pub(crate) trait Store: Sync {
    /// The index and the assignment of a tensor (of its owner, where it is tied), or `None` where the plan has none of this name.
    fn assignment(&self, name: &str) -> Option<(usize, &Assignment)>;
    /// The tensor in f32.
    fn tensor(&self, name: &str) -> Result<Tensor>;
    /// Multiplies a float tensor by `factor`, in f32, rounded once to its type.
    fn scale(&self, name: &str, factor: f64) -> Result<Rewritten>;
}

/// A weight that was rewritten.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rewritten {
    /// By how much its norm grew, once rounded to its type.
    pub factor: f64,
    /// `blake3:…` of its bytes, where it lies in a file.
    pub digest: Option<String>,
}

/// What a pass did, by the index of the assignment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// What was done at each weight.
    pub visits: BTreeMap<usize, Visit>,
    /// The digests of those that were rewritten.
    pub digests: BTreeMap<usize, String>,
}

/// What a pass works on.
pub(crate) struct Pass<'a> {
    /// The plan whose marked weights are scaled.
    pub plan: &'a Plan,
    pub architecture: &'a Architecture,
    /// What it is run on.
    pub batch: &'a Batch,
    /// Weights that may be dead, miss their target or not be reached: they stay as they are.
    pub allow_dead: &'a [Selector],
    /// Threads of the tensor library. They change no bit.
    pub threads: usize,
}
