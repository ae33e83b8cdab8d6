//! Layer-sequential unit variance (Mishkin and Matas, arXiv:1511.06422), as one pass over the staged output: the model runs once,
//! and at each new weight, in execution order, the weight and what it gave are divided by the deviation of what it gave. That is
//! exact, because the output without its bias is linear in the weight; so no layer is run twice.

mod scale;
mod staged;
mod targets;
mod variance;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::arch::{Architecture, Selector};
use crate::batch::Batch;
use crate::error::{Error, LsuvError, Result, nearest};
use crate::graph::{self, Parameter};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::save::{Layout, Staging};
use crate::transfer::Outcome;
use scale::Scaler;
use staged::Staged;

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

/// What a pass works on.
pub struct Pass<'a> {
    /// The plan whose marked weights are scaled.
    pub plan: &'a Plan,
    /// Where they lie.
    pub layout: &'a Layout,
    /// The folder that holds them.
    pub staging: &'a Staging,
    /// The model.
    pub architecture: &'a Architecture,
    /// What it is run on.
    pub batch: &'a Batch,
    /// Weights that may be dead, miss their target or not be reached: they stay as they are.
    pub allow_dead: &'a [Selector],
    /// Threads of the tensor library. They change no bit.
    pub threads: usize,
}

/// Scales every marked weight in the staged files, and corrects its digest in `outcomes`. By the index of the assignment, what was
/// done at each. A weight that is dead, not finite, not reached or outside its tolerance is an error that names it.
pub fn run(pass: &Pass, outcomes: &mut [Outcome], progress: &dyn Progress) -> Result<BTreeMap<usize, Visit>> {
    let graph = pass.architecture.graph.as_ref().ok_or(LsuvError::NoGraph)?;
    check_allowed(pass)?;
    let staged = Staged::open(pass.plan, pass.layout, pass.staging)?;
    let mut scaler = Scaler::new(pass, graph, &staged, progress);
    progress.start("lsuv", None);
    let weights = |parameter: &Parameter| staged.tensor(&parameter.name);
    let parameters = &pass.architecture.parameters;
    on_threads(pass.threads, || graph::run(graph, parameters, &weights, pass.batch, Some(&mut scaler)))??;
    progress.finish();
    let scale::Done { visits, digests } = scaler.done()?;
    for (assignment, digest) in digests {
        if let Some(outcome) = outcomes.get_mut(assignment) {
            outcome.digest = Some(digest);
        }
    }
    Ok(visits)
}

/// Runs `work` where the tensor library finds so many threads.
fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Error::io("start threads for", "lsuv", std::io::Error::other(error)))?;
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
