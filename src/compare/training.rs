//! One training of one model.

use candle_core::{Device, Result as Candle, Tensor, Var};
use serde::Serialize;

use super::batches::Split;
use super::batches::epoch;
use super::optimizer::{Optimizer, State};
use crate::batch::{self, Answers, Batch};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{self, Graph, Hook, Layer, Node, batch_norm_in_training};
use crate::loss;
use crate::model::Model;
use crate::progress::Progress;
use crate::tensor::Role;

/// A loss so many times the initial one has diverged.
const DIVERGED: f64 = 10.0;
/// How much of the newest batch goes into the running statistics of a batch norm, as in PyTorch.
const MOMENTUM: f64 = 0.1;
/// Examples that are measured at once.
const MEASURED: usize = 256;

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

/// The examples, and what is to be learnt of them.
pub struct Data<'a> {
    pub inputs: &'a Batch,
    pub answers: &'a Answers,
    /// Which are trained on.
    pub split: &'a Split,
}

impl Data<'_> {
    /// Bytes of the inputs of one example.
    pub(super) fn bytes_an_example(&self) -> u64 {
        let bytes = |array: &candle_core::Tensor| (array.elem_count() * array.dtype().size_in_bytes()) as u64;
        let all: u64 = self.inputs.values().map(bytes).sum();
        all / crate::batch::rows(self.inputs).max(1)
    }
}

/// A strategy with one seed, and how its model is made.
pub struct Candidate<'a> {
    pub strategy: String,
    pub seed: u64,
    /// Makes the model, initialised.
    pub make: Box<dyn Fn() -> Result<Model> + Sync + 'a>,
}

/// Trains, and measures before and after. A signal ends it early.
pub(super) fn train(
    candidate: &Candidate,
    model: &Model,
    data: &Data,
    settings: &Settings,
    goal: Option<f64>,
    progress: &dyn Progress,
) -> Result<(Option<Trained>, Option<i32>)> {
    let mut training = Training { model, data, state: State::new(settings.optimizer), variables: trainable(model) };
    let initial = training.measured(&data.split.training, progress)?.loss;
    let mut trained = Trained {
        strategy: candidate.strategy.clone(),
        seed: candidate.seed,
        initial_loss: finite(initial),
        final_loss: finite(initial),
        accuracy: None,
        steps: None,
        diverged: !initial.is_finite(),
        epochs: 0,
        curve: vec![finite(initial)],
    };
    let mut steps = 0;
    for number in 0..settings.epochs {
        let batches = epoch(&data.split.training, settings.batch, candidate.seed, number)?;
        steps += batches.len() as u64;
        let mean = match training.epoch(&batches, progress) {
            Ok(mean) => mean,
            Err(error) => return error.signal().map(|signal| (Some(trained), Some(signal))),
        };
        trained.epochs += 1;
        trained.final_loss = finite(mean);
        trained.curve.push(finite(mean));
        if trained.steps.is_none() && goal.is_some_and(|goal| mean < goal) {
            trained.steps = Some(steps);
        }
        if !mean.is_finite() {
            break;
        }
    }
    let last = trained.final_loss.unwrap_or(f64::INFINITY);
    trained.diverged |= last > DIVERGED * initial;
    trained.accuracy = training.measured(&data.split.held_out, progress)?.accuracy;
    Ok((Some(trained), None))
}

fn finite(loss: f64) -> Option<f64> {
    Some(loss).filter(|loss| loss.is_finite())
}

/// What training changes: everything but buffers.
fn trainable(model: &Model) -> Vec<(&str, &Var)> {
    let parameters = model
        .architecture
        .parameters
        .iter()
        .filter(|parameter| parameter.tied_to.is_none() && !matches!(parameter.role, Role::Buffer));
    parameters.filter_map(|parameter| Some((parameter.name.as_str(), model.variable(&parameter.name)?))).collect()
}

struct Training<'a> {
    model: &'a Model,
    data: &'a Data<'a>,
    state: State,
    variables: Vec<(&'a str, &'a Var)>,
}

/// The loss over some examples, and the share of them that is classified rightly.
struct Measured {
    loss: f64,
    accuracy: Option<f64>,
}

impl Training<'_> {
    /// One step for each batch; the mean loss of all of them.
    fn epoch(&mut self, batches: &[Vec<u32>], progress: &dyn Progress) -> Result<f64> {
        let (mut sum, mut count) = (0.0, 0usize);
        for examples in batches {
            progress.interrupted()?;
            let (inputs, answers) = self.chosen(examples)?;
            let output = self.output(&inputs, true)?;
            let scalar = loss::loss(&output, &answers).map_err(compute)?;
            let value = f64::from(scalar.to_scalar::<f32>().map_err(compute)?);
            let gradients = scalar.backward().map_err(compute)?;
            self.state.step(&self.variables, &gradients).map_err(compute)?;
            sum += value * examples.len() as f64;
            count += examples.len();
            progress.advance(self.data.bytes_an_example() * examples.len() as u64);
            if !value.is_finite() {
                return Ok(value);
            }
        }
        Ok(sum / count.max(1) as f64)
    }

    fn measured(&self, examples: &[u32], progress: &dyn Progress) -> Result<Measured> {
        let (mut sum, mut counted, mut right) = (0.0, 0u64, 0u64);
        for examples in examples.chunks(MEASURED) {
            progress.interrupted()?;
            let (inputs, answers) = self.chosen(examples)?;
            let output = self.output(&inputs, false)?;
            let scalar = loss::loss(&output, &answers).and_then(|loss| loss.to_scalar::<f32>()).map_err(compute)?;
            sum += f64::from(scalar) * examples.len() as f64;
            if let Answers::Labels(labels) = &answers {
                let (all, correct) = loss::correct(&output, labels).map_err(compute)?;
                counted += all;
                right += correct;
            }
        }
        let accuracy = (counted > 0).then(|| right as f64 / counted as f64);
        Ok(Measured { loss: sum / examples.len().max(1) as f64, accuracy })
    }

    fn chosen(&self, examples: &[u32]) -> Result<(Batch, Answers)> {
        let inputs = batch::rows_of(self.data.inputs, examples)?;
        let rows = Tensor::from_slice(examples, examples.len(), &Device::Cpu);
        let answers = rows.and_then(|rows| self.data.answers.rows(&rows)).map_err(compute)?;
        Ok((inputs, answers))
    }

    /// What the model gives: `logits` where there is such an output, else the first.
    fn output(&self, inputs: &Batch, in_training: bool) -> Result<Tensor> {
        let graph = self.model.graph()?;
        let weights = |parameter: &graph::Parameter| self.model.weight(parameter);
        let mut norms = Norms { model: self.model };
        let hook: Option<&mut dyn Hook> = if in_training { Some(&mut norms) } else { None };
        let mut outputs = graph::run(graph, &self.model.architecture.parameters, &weights, inputs, hook)?;
        let name = judged(graph).ok_or(GraphError::None)?;
        Ok(outputs.remove(name).ok_or(GraphError::None)?)
    }
}

/// The output that answers are compared with: `logits`, else the first.
pub(super) fn judged(graph: &Graph) -> Option<&str> {
    let logits = graph.outputs.iter().find(|(name, _)| name == "logits");
    logits.or(graph.outputs.first()).map(|(name, _)| name.as_str())
}

fn compute(source: candle_core::Error) -> GraphError {
    GraphError::Compute { layer: "training".into(), source: Box::new(source) }
}

/// Batch norms as they act in training: by the batch, which their running statistics then remember.
struct Norms<'a> {
    model: &'a Model,
}

impl Norms<'_> {
    fn by_batch(&self, node: &Node, eps: f64, input: &Tensor) -> Candle<Option<Tensor>> {
        let variable = |place: usize| {
            let parameter = node.parameters.get(place).and_then(|id| self.model.architecture.parameters.get(*id));
            parameter.and_then(|parameter| self.model.variable(&parameter.name))
        };
        let (Some(weight), Some(bias), Some(mean), Some(variance)) =
            (variable(0), variable(1), variable(2), variable(3))
        else {
            return Ok(None);
        };
        let (output, batch_mean, batch_variance) =
            batch_norm_in_training(input, eps, weight.as_tensor(), bias.as_tensor())?;
        let count = input.elem_count() as f64 / batch_mean.elem_count().max(1) as f64;
        remember(mean, &batch_mean, 1.0)?;
        remember(variance, &batch_variance, count / (count - 1.0).max(1.0))?;
        Ok(Some(output))
    }
}

fn remember(running: &Var, batch: &Tensor, factor: f64) -> Candle<()> {
    let remembered = ((running.as_tensor() * (1.0 - MOMENTUM))? + (batch.detach() * (MOMENTUM * factor))?)?;
    running.set(&remembered.detach())
}

impl Hook for Norms<'_> {
    fn after(&mut self, node: &Node, inputs: &[Tensor], output: Tensor) -> Result<Tensor> {
        match (&node.layer, inputs.first()) {
            (Layer::BatchNorm { eps }, Some(input)) => {
                Ok(self.by_batch(node, *eps, input).map_err(compute)?.unwrap_or(output))
            }
            _ => Ok(output),
        }
    }
}
