//! One forward and one backward pass over a batch, and the questions that are put to them: does the signal vanish or explode, is
//! anything dead, saturated, symmetric or not finite, and is the loss that of a model which knows nothing yet.
//!
//! The gradient of a weight does not tell whether a signal vanishes: |∂L/∂Wₗ| goes like the signal into layer l times the gradient at
//! its output, and in a ReLU net the two cancel. So both are measured on their own, at every weight in execution order.

mod findings;
mod layer;
mod pass;
mod probe;
mod signal;
mod statistics;
mod symmetry;

use serde::Serialize;

use crate::batch::{Answers, Batch};
use crate::error::Result;
use crate::model::Model;
use crate::progress::Progress;
pub use findings::Verdict;
pub(crate) use findings::{Finding, Kind, Severity};
pub(crate) use layer::{Drift, Layer};
use pass::Pass;

/// What a pass over a model showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The worst of the findings.
    pub verdict: Verdict,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// How the signal changes from the first weight to the last.
    pub forward: Drift,
    /// How its gradient changes from the last weight to the first.
    pub backward: Drift,
    /// The loss on the answers of the batch, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// How many examples the batch has.
    pub examples: u64,
    /// Every weight that acted, in execution order.
    pub layers: Vec<Layer>,
}

/// Runs the model on a batch, forward and backward. With answers the gradient is that of their loss, without that of a sum with
/// random weights. A layer that cannot run, or answers of another shape than the output, are errors.
pub fn check(
    model: &Model,
    batch: &Batch,
    answers: Option<&Answers>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Diagnosis> {
    progress.start("check", None);
    let mut pass = crate::lsuv::on_threads(threads, || Pass::run(model, batch, answers, progress))??;
    progress.finish();
    let layers = pass.layers(model)?;
    let forward = Drift { decades: signal::forward(&layers) };
    let backward = Drift { decades: signal::backward(&layers) };
    let findings = findings::all(&pass, &layers, forward, backward);
    let verdict = findings::verdict(&findings);
    Ok(Diagnosis { verdict, findings, forward, backward, loss: pass.loss, examples: crate::batch::rows(batch), layers })
}
