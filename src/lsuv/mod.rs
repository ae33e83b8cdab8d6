//! Layer-sequential unit variance (Mishkin and Matas, arXiv:1511.06422), as one pass over the staged output: the model runs once,
//! and at each new weight, in execution order, the weight and what it gave are divided by the deviation of what it gave. That is
//! exact, because the output without its bias is linear in the weight; so no layer is run twice.

pub(crate) mod error;
mod pass;
mod scale;
mod staged;
mod targets;
mod variance;

use crate::arch::Architecture;
use crate::batch::Batch;
use crate::error::{Error, Result, nearest};
use crate::graph::{self, Parameter};
use crate::lsuv::error::LsuvError;
use crate::progress::Progress;
pub(crate) use pass::{Done, Pass, Rewritten, Store, Visit};
use scale::Scaler;
pub(crate) use staged::Staged;

/// The bytes that a pass holds at most: the batch, live activations and one layer.
pub(crate) fn peak(architecture: &Architecture, batch: &Batch) -> u64 {
    let Some(graph) = &architecture.graph else { return 0 };
    graph::live_bytes(graph, &architecture.parameters, crate::batch::extent(batch, graph))
}

/// Scales every marked weight where it lies. A weight that is dead, not finite, not reached or outside its tolerance is an error
/// that names it.
pub(crate) fn run(pass: &Pass, store: &dyn Store, progress: &dyn Progress) -> Result<Done> {
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
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
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
