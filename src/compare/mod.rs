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
pub use batches::Split;
pub use optimizer::Optimizer;

/// How the trainings run; the same for every strategy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What takes the steps.
    pub optimizer: Optimizer,
    /// How often every training example is seen.
    pub epochs: u64,
    /// Examples of one step.
    pub batch: u64,
    /// The share of examples that are never trained on, and measured at the end.
    pub holdout: f64,
    /// The loss whose first passing is counted in steps; half of ln C where nobody says.
    pub goal: Option<f64>,
    /// Trainings at once. Each runs on one thread, so the number changes no bit.
    pub threads: usize,
}

/// One training: a strategy with one seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trained {
    /// The strategy.
    pub strategy: String,
    /// The seed of its values and of the order of its examples.
    pub seed: u64,
    /// The loss over all training examples before the first step; `None` where it is not finite, as below.
    pub initial_loss: Option<f64>,
    /// The mean loss of the last epoch.
    pub final_loss: Option<f64>,
    /// The share of held-out examples (or positions) that are classified rightly at the end; `None` without labels.
    pub accuracy: Option<f64>,
    /// Steps until the mean loss of an epoch was below the goal; `None` where it never was, or there is no goal.
    pub steps: Option<u64>,
    /// Whether the loss became NaN or infinite, or ended above ten times what it was.
    pub diverged: bool,
    /// Epochs that were trained.
    pub epochs: u64,
    /// The initial loss, then the mean loss of every epoch.
    pub curve: Vec<Option<f64>>,
}

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

/// The examples, and what is to be learnt of them.
pub struct Data<'a> {
    /// One array for each input.
    pub inputs: &'a Batch,
    /// The answers.
    pub answers: &'a Answers,
    /// Which are trained on.
    pub split: &'a Split,
}

impl Data<'_> {
    /// Bytes of the inputs of one example.
    fn bytes_an_example(&self) -> u64 {
        let bytes = |array: &candle_core::Tensor| (array.elem_count() * array.dtype().size_in_bytes()) as u64;
        let all: u64 = self.inputs.values().map(bytes).sum();
        all / crate::batch::rows(self.inputs).max(1)
    }
}

/// A strategy with one seed, and how its model is made.
pub struct Candidate<'a> {
    /// The strategy.
    pub strategy: String,
    /// The seed.
    pub seed: u64,
    /// Makes the model, initialised.
    pub make: Box<dyn Fn() -> Result<Model> + Sync + 'a>,
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
#[expect(clippy::disallowed_methods, reason = "a report is no value of a model")]
pub fn usual_goal(answers: &Answers, classes: u64) -> Option<f64> {
    match answers {
        Answers::Labels(_) => Some((classes as f64).ln() / 2.0),
        Answers::Targets(_) => None,
    }
}

/// The shape of what the model gives for a batch: of its `logits`, else of its first output.
pub fn output_shape(model: &Model, graph: &Graph, batch: &Batch) -> Result<Vec<usize>> {
    let weights = |parameter: &graph::Parameter| model.weight(parameter);
    let outputs = graph::run(graph, &model.architecture.parameters, &weights, batch, None)?;
    let output = training::judged(graph).and_then(|name| outputs.get(name)).ok_or(GraphError::None)?;
    Ok(output.dims().to_vec())
}

/// Divides so many examples: the share `holdout` of them, at least one, by a shuffle that no seed of a strategy changes.
pub fn split(examples: u64, settings: &Settings) -> Result<Split> {
    let needed = 2;
    if examples < needed {
        let reason = "to train on some and hold out one";
        return Err(BatchError::TooFew { rows: examples, needed, reason }.into());
    }
    Split::of(examples, settings.holdout)
}
