//! One forward and one backward pass over a batch, and the questions that are put to them: does the signal vanish or explode, is
//! anything dead, saturated, symmetric or not finite, and is the loss that of a model which knows nothing yet.
//!
//! The gradient of a weight does not tell whether a signal vanishes: |∂L/∂Wₗ| goes like the signal into layer l times the gradient at
//! its output, and in a ReLU net the two cancel. So both are measured on their own, at every weight in execution order.

mod findings;
mod probe;
mod signal;
mod statistics;
mod symmetry;

use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use serde::Serialize;

use crate::batch::{Answers, Batch};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{self, Graph};
use crate::init::{Generator, Scheme};
use crate::loss;
use crate::model::Model;
use crate::progress::Progress;
pub use findings::{Finding, Kind, Severity, Verdict};
use probe::{Probe, Site};

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

/// A change over the depth of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Decades of the standard deviation, by a line of least squares through all layers; `None` where fewer than two were measured.
    pub decades: Option<f64>,
}

/// What was measured at one weight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The weight.
    pub name: String,
    /// The mean of what it gave, before its bias; `None` where that is not finite.
    pub mean: Option<f64>,
    /// Its standard deviation.
    pub std: Option<f64>,
    /// The standard deviation of what it acted on: the signal that reaches it.
    pub input_std: Option<f64>,
    /// The standard deviation of the gradient of the loss at what it gave; `None` where none reaches it.
    pub gradient_std: Option<f64>,
    /// The root mean square of its gradient over that of its values.
    pub weight_gradient: Option<f64>,
    /// The share of the units of the ReLU behind it that are zero on every example.
    pub dead: Option<f64>,
    /// The share of what the tanh or sigmoid behind it gave that lies near its bounds.
    pub saturated: Option<f64>,
    /// The largest cosine between the weights of two of its units, biases included.
    pub max_cosine: Option<f64>,
    /// exp of the entropy of its singular values as shares of their sum; at most the smaller side. Not measured where that is above 512.
    pub effective_rank: Option<f64>,
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

/// What both directions gave.
struct Pass {
    sites: Vec<Site>,
    gradients: GradStore,
    loss: Option<f64>,
    /// How many classes the answers choose from, where they are labels.
    classes: Option<u64>,
}

impl Pass {
    fn run(model: &Model, batch: &Batch, answers: Option<&Answers>, progress: &dyn Progress) -> Result<Pass> {
        let graph = model.graph()?;
        let mut probe = Probe::new(graph, model, progress);
        let weights = |parameter: &graph::Parameter| model.weight(parameter);
        let parameters = &model.architecture.parameters;
        let outputs = graph::run(graph, parameters, &weights, batch, Some(&mut probe))?;
        let (name, output) = result(graph, &outputs)?;
        if let Some(answers) = answers {
            answers.check(output.dims())?;
        }
        let failed = |source| compute(&name, source);
        let scalar = match answers {
            Some(answers) => loss::loss(output, answers),
            None => weighted(output, model.plan.seed)?,
        };
        let scalar = scalar.map_err(failed)?;
        let loss = scalar.to_scalar::<f32>().map_err(failed)?;
        let gradients = scalar.backward().map_err(failed)?;
        let classes = match answers {
            Some(Answers::Labels(_)) => output.dims().last().map(|classes| *classes as u64),
            Some(Answers::Targets(_)) | None => None,
        };
        Ok(Pass { sites: probe.sites, gradients, loss: answers.map(|_| f64::from(loss)), classes })
    }

    fn layers(&mut self, model: &Model) -> Result<Vec<Layer>> {
        let Pass { sites, gradients, .. } = self;
        let measured = sites.iter_mut().map(|site| {
            let name = site.name.clone();
            layer(site, gradients, model).map_err(|source| compute(&name, source).into())
        });
        measured.collect()
    }
}

fn layer(site: &mut Site, gradients: &GradStore, model: &Model) -> candle_core::Result<Layer> {
    let gradient_std = match gradients.get(&site.tap) {
        Some(gradient) => statistics::moments(gradient)?.std(),
        None => None,
    };
    let mut layer = Layer {
        name: site.name.clone(),
        mean: site.product.mean(),
        std: site.product.std(),
        input_std: site.input.std(),
        gradient_std,
        weight_gradient: None,
        dead: site.dead,
        saturated: site.saturated,
        max_cosine: None,
        effective_rank: None,
    };
    let Some(weight) = model.variable(&site.name).map(|variable| variable.as_tensor()) else { return Ok(layer) };
    let gradient = gradients.get(weight);
    if let Some(gradient) = gradient {
        layer.weight_gradient = statistics::ratio(gradient, weight)?;
    }
    let units = site.units(weight, model)?;
    let rows = gradient.map(|gradient| site.rows(gradient)).transpose()?;
    site.copies = Some(units.copies(rows.as_ref())?);
    layer.max_cosine = units.max_cosine();
    layer.effective_rank = symmetry::effective_rank(weight)?;
    Ok(layer)
}

fn compute(name: &str, source: candle_core::Error) -> GraphError {
    GraphError::Compute { layer: name.to_string(), source: Box::new(source) }
}

/// The output that is judged: `logits` where there is one, else the first.
fn result<'a>(graph: &Graph, outputs: &'a BTreeMap<String, Tensor>) -> Result<(String, &'a Tensor)> {
    let logits = graph.outputs.iter().find(|(name, _)| name == "logits");
    let (name, _) = logits.or(graph.outputs.first()).ok_or(GraphError::None)?;
    let output = outputs.get(name).ok_or(GraphError::None)?;
    Ok((format!("output {name}"), output))
}

/// The sum of an output with weights from N(0, 1), which no symmetry of the model can cancel.
fn weighted(output: &Tensor, seed: u64) -> Result<candle_core::Result<Tensor>> {
    let count = output.elem_count() as u64;
    let mut weights = vec![0f32; output.elem_count()];
    Generator::new(seed, "check:weights").fill(
        &Scheme::Normal { mean: 0.0, std: 1.0 },
        &[count],
        0,
        0..count,
        &mut weights,
    )?;
    let weights = Tensor::from_vec(weights, output.dims(), output.device());
    Ok(weights.and_then(|weights| (output * weights)?.sum_all()))
}
