//! Short trainings of one model under several initialisations, side by side on the user's own data: which of them learns.

mod batches;
mod optimizer;
mod training;

use serde::Serialize;

use crate::batch::error::BatchError;
use crate::batch::{Answers, Batch};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{self, Graph};
use crate::model::Model;
use crate::progress::Progress;
pub(crate) use batches::Split;
pub use optimizer::Optimizer;
pub use training::Settings;
pub(crate) use training::{Candidate, Data, Trained};

/// All trainings, strategies in order and seeds within them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Each training that took place, whole or until it was interrupted.
    pub strategies: Vec<Trained>,
    /// The loss whose passing was counted, where there was one.
    pub goal: Option<f64>,
    /// Steps of a whole training.
    pub steps: u64,
    /// Examples that were trained on.
    pub examples: u64,
    /// Examples that were held out.
    pub held_out: u64,
    /// The signal that stopped it before its end.
    #[serde(skip)]
    pub interrupted: Option<i32>,
}

/// Trains every candidate. A signal ends all of them, and what there is by then is returned.
pub fn compare(
    candidates: &[Candidate],
    data: &Data,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Comparison> {
    let examples = data.split.training.len() as u64;
    let steps_an_epoch = examples.div_ceil(settings.batch.max(1));
    let goal = settings.goal;
    let total = data.bytes_an_example().saturating_mul(examples).saturating_mul(settings.epochs);
    progress.start("train", Some(total.saturating_mul(candidates.len() as u64)));
    let jobs = crate::transfer::each(candidates.len(), settings.threads, |index| match candidates.get(index) {
        Some(candidate) => run(candidate, data, settings, goal, progress).map(Some),
        None => Ok(None),
    })?;
    progress.finish();
    let mut interrupted = None;
    let mut strategies = Vec::new();
    for (trained, signal) in jobs.into_iter().flatten() {
        interrupted = interrupted.or(signal);
        strategies.extend(trained);
    }
    let held_out = data.split.held_out.len() as u64;
    Ok(Comparison { strategies, goal, steps: steps_an_epoch * settings.epochs, examples, held_out, interrupted })
}

/// What there is of one training, and the signal that ended it.
fn run(
    candidate: &Candidate,
    data: &Data,
    settings: &Settings,
    goal: Option<f64>,
    progress: &dyn Progress,
) -> Result<(Option<Trained>, Option<i32>)> {
    let train = || -> Result<(Option<Trained>, Option<i32>)> {
        let model = match (candidate.make)() {
            Ok(model) => model,
            Err(error) => return error.signal().map(|signal| (None, Some(signal))),
        };
        training::train(candidate, &model, data, settings, goal, progress)
    };
    crate::lsuv::on_threads(1, train)?
}

/// Half of ln C: a loss that only a model which learns comes below. `None` without labels.
#[expect(clippy::disallowed_methods, reason = "a report is not a value of a model")]
pub(crate) fn usual_goal(answers: &Answers, classes: u64) -> Option<f64> {
    match answers {
        Answers::Labels(_) => Some((classes as f64).ln() / 2.0),
        Answers::Targets(_) => None,
    }
}

/// The shape of what the model gives for a batch: of its `logits`, else of its first output.
pub(crate) fn output_shape(model: &Model, graph: &Graph, batch: &Batch) -> Result<Vec<usize>> {
    let weights = |parameter: &graph::Parameter| model.weight(parameter);
    let outputs = graph::run(graph, &model.architecture.parameters, &weights, batch, None)?;
    let output = training::judged(graph).and_then(|name| outputs.get(name)).ok_or(GraphError::None)?;
    Ok(output.dims().to_vec())
}

/// Divides so many examples: the share `holdout` of them, at least one, by a shuffle that no seed of a strategy changes.
pub(crate) fn split(examples: u64, settings: &Settings) -> Result<Split> {
    let needed = 2;
    if examples < needed {
        let reason = "to train on some and hold out one";
        return Err(BatchError::TooFew { rows: examples, needed, reason }.into());
    }
    Split::of(examples, settings.holdout)
}
