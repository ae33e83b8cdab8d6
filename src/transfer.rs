//! The one place where values arise: rows of an assignment into a buffer, and the loop that honours every operation's demand.

use std::sync::Arc;

use crate::checkpoint::Reader;
use crate::error::Result;
use crate::plan::{Answer, Assignment, Plan, Question};
use crate::progress::Progress;
use crate::save::{Layout, Staging};
use crate::tensor::Rows;

/// How a transfer runs; nothing here changes a byte of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker threads, at least one.
    pub threads: usize,
    /// Whether a cast may overflow to infinity.
    pub allow_overflow: bool,
}

/// The digest of one source tensor, whole, in its stored type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputDigest {
    /// Which source.
    pub source: usize,
    /// The tensor.
    pub tensor: String,
    /// `blake3:…`.
    pub digest: String,
}

/// What is known of an assignment after it was written. Tied ones have no digest of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `blake3:…` of the tensor's bytes; `None` for a tied one.
    pub digest: Option<String>,
    /// Every source tensor that its value mentions, in order of mention.
    pub inputs: Vec<InputDigest>,
    /// How many elements are NaN or infinite.
    pub non_finite: u64,
}

/// Rows of one assignment into `out`, whose length is exactly theirs.
pub fn produce(
    _seed: u64,
    _assignment: &Assignment,
    _readers: &[Arc<dyn Reader>],
    _rows: Rows,
    _out: &mut [u8],
) -> Result<()> {
    todo!()
}

/// Writes every weight file of the layout into the staging folder; one outcome for each assignment, in order.
/// The bytes and digests are the same for any number of threads.
pub fn run(
    _plan: &Plan,
    _layout: &Layout,
    _readers: &[Arc<dyn Reader>],
    _staging: &Staging,
    _options: Options,
    _progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    todo!()
}

/// The bytes that `run` holds at most beside its code: buffers of all threads, the largest demand, scratch of the readers.
pub fn peak(_plan: &Plan, _readers: &[Arc<dyn Reader>], _threads: usize) -> Result<u64> {
    todo!()
}

/// Measures what planning asked for, in bounded memory.
pub fn answer(
    _questions: &[Question],
    _readers: &[Arc<dyn Reader>],
    _progress: &dyn Progress,
) -> Result<Vec<(Question, Answer)>> {
    todo!()
}
