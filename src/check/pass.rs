//! One forward and one backward pass, and what they gave at each weight.

use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::layer::Layer;
use super::probe::{Probe, Site, compute};
use super::{statistics, symmetry};
use crate::batch::{Answers, Batch};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{self, Graph};
use crate::init::{Generator, Scheme};
use crate::loss;
use crate::model::Model;
use crate::progress::Progress;

/// What both directions gave.
pub(super) struct Pass {
    pub sites: Vec<Site>,
    pub gradients: GradStore,
    pub loss: Option<f64>,
    /// How many classes the answers choose from, where they are labels.
    pub classes: Option<u64>,
}

impl Pass {
    pub(crate) fn run(
        model: &Model,
        batch: &Batch,
        answers: Option<&Answers>,
        progress: &dyn Progress,
    ) -> Result<Pass> {
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

    pub(crate) fn layers(&mut self, model: &Model) -> Result<Vec<Layer>> {
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
