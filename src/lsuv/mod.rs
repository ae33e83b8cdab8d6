//! Layer-sequential unit variance (Mishkin and Matas, arXiv:1511.06422), as one pass over the staged output: the model runs once,
//! and at each new weight, in execution order, the weight and what it gave are divided by the deviation of what it gave. That is
//! exact, because the output without its bias is linear in the weight; so no layer is run twice.

pub(crate) mod error;
mod scale;
mod staged;
mod targets;
mod variance;

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::arch::{Architecture, Selector};
use crate::batch::Batch;
use crate::error::{Error, Result, nearest};
use crate::graph::{self, Parameter};
use crate::lsuv::error::LsuvError;
use crate::plan::{Assignment, Plan};
use crate::progress::Progress;
use scale::Scaler;
pub use staged::Staged;

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
pub trait Store: Sync {
    /// The index and the assignment of a tensor (of its owner, where it is tied), or `None` where the plan has none of this name.
    fn assignment(&self, name: &str) -> Option<(usize, &Assignment)>;
    /// The tensor in f32.
    fn tensor(&self, name: &str) -> Result<Tensor>;
    /// Multiplies a float tensor by `factor`, in f32, rounded once to its type.
    fn scale(&self, name: &str, factor: f64) -> Result<Rewritten>;
}

/// A weight that was rewritten.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten {
    /// By how much its norm grew, once rounded to its type.
    pub factor: f64,
    /// `blake3:…` of its bytes, where it lies in a file.
    pub digest: Option<String>,
}

/// What a pass did, by the index of the assignment.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// What was done at each weight.
    pub visits: BTreeMap<usize, Visit>,
    /// The digests of those that were rewritten.
    pub digests: BTreeMap<usize, String>,
}

/// What a pass works on.
pub struct Pass<'a> {
    /// The plan whose marked weights are scaled.
    pub plan: &'a Plan,
    /// The model.
    pub architecture: &'a Architecture,
    /// What it is run on.
    pub batch: &'a Batch,
    /// Weights that may be dead, miss their target or not be reached: they stay as they are.
    pub allow_dead: &'a [Selector],
    /// Threads of the tensor library. They change no bit.
    pub threads: usize,
}

/// The bytes that a pass holds at most: the batch, live activations and one layer.
pub fn peak(architecture: &Architecture, batch: &Batch) -> u64 {
    let Some(graph) = &architecture.graph else { return 0 };
    graph::live_bytes(graph, &architecture.parameters, crate::batch::extent(batch, graph))
}

/// Scales every marked weight where it lies. A weight that is dead, not finite, not reached or outside its tolerance is an error
/// that names it.
pub fn run(pass: &Pass, store: &dyn Store, progress: &dyn Progress) -> Result<Done> {
    let graph = pass.architecture.graph.as_ref().ok_or(LsuvError::NoGraph)?;
    check_allowed(pass)?;
    let mut scaler = Scaler::new(pass, graph, store, progress);
    progress.start("lsuv", None);
    let weights = |parameter: &Parameter| store.tensor(&parameter.name);
    let parameters = &pass.architecture.parameters;
    on_threads(pass.threads, || graph::run(graph, parameters, &weights, pass.batch, Some(&mut scaler)))??;
    progress.finish();
    scaler.done()
}

/// Runs `work` where the tensor library finds so many threads; they change no bit.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool =
        pool.map_err(|error| Error::io("start", "the threads that run the model", std::io::Error::other(error)))?;
    Ok(pool.install(work))
}

fn check_allowed(pass: &Pass) -> Result<()> {
    let marked = || pass.plan.assignments.iter().filter(|a| a.lsuv.is_some()).map(|a| a.target.name.as_str());
    for selector in pass.allow_dead.iter().filter(|selector| !selector.optional) {
        if !marked().any(|name| selector.pattern.matches(name).is_some()) {
            let near = nearest(&selector.pattern.text, marked()).map(str::to_string);
            return Err(LsuvError::AllowsNothing { pattern: selector.text.clone(), nearest: near }.into());
        }
    }
    Ok(())
}
