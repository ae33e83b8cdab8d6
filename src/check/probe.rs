//! What is noted while the model runs forward.

use candle_core::{Result as Candle, Tensor, Var};

use super::statistics::{Moments, moments};
use super::symmetry::{Copies, Units};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{Graph, Hook, Layer, Layout, Node, NodeId, Nonlinearity, ParameterId, batch_norm_in_training};
use crate::model::Model;
use crate::plan::Action;
use crate::progress::Progress;
use crate::tensor::Role;

/// A tanh or sigmoid nearer to its bounds than this counts as saturated: 0.97 of tanh, and where a sigmoid is as flat.
const NEAR_BOUND: f32 = 0.97;

/// One use of one weight.
pub(super) struct Site {
    pub name: String,
    /// What it acted on.
    pub input: Moments,
    /// What it gave, before its bias.
    pub product: Moments,
    /// A zero that was added to what it gave: the gradient there is the gradient of this.
    pub tap: Var,
    /// The share of units that are zero on every example, where a ReLU follows.
    pub dead: Option<f64>,
    /// The share of values near a bound, where a tanh or sigmoid follows.
    pub saturated: Option<f64>,
    /// Its units that are copies, once they were compared.
    pub copies: Option<Copies>,
    layout: Layout,
    /// Whether its inputs stand before its outputs, as in a transposed convolution.
    transposed: bool,
    bias: Option<String>,
    node: usize,
}

impl Site {
    /// Its units: rows of weights with their biases.
    pub(crate) fn units(&self, weight: &Tensor, model: &Model) -> Candle<Units> {
        let bias = self.bias.as_deref().and_then(|name| model.variable(name));
        Units::of(&self.rows(weight)?, bias.map(|bias| bias.as_tensor()))
    }

    /// A tensor of the weight's shape with its units along axis 0.
    pub(crate) fn rows(&self, weight: &Tensor) -> Candle<Tensor> {
        let stands = match (self.layout, self.transposed) {
            (Layout::InOut, _) | (_, true) => weight.transpose(0, 1)?,
            (Layout::OutIn | Layout::Unknown, false) => weight.clone(),
        };
        stands.contiguous()?.flatten_from(1)
    }
}

/// Notes every product, every activation behind one, and where numbers stop being finite.
pub(super) struct Probe<'a> {
    graph: &'a Graph,
    model: &'a Model,
    progress: &'a dyn Progress,
    pub sites: Vec<Site>,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(graph: &'a Graph, model: &'a Model, progress: &'a dyn Progress) -> Probe<'a> {
        Probe { graph, model, progress, sites: Vec::new() }
    }

    fn index(&self, node: &Node) -> usize {
        self.graph.nodes.iter().position(|other| std::ptr::eq(other, node)).unwrap_or(usize::MAX)
    }

    /// The last weight that acted on the way to a node, through norms and what only reshapes; `None` where the way forks.
    fn before(&mut self, node: &Node) -> Option<&mut Site> {
        let mut at: NodeId = *node.inputs.first()?;
        for _ in 0..4 {
            if let Some(place) = self.sites.iter().rposition(|site| site.node == at) {
                return self.sites.get_mut(place);
            }
            at = *self.graph.nodes.get(at)?.inputs.first()?;
        }
        None
    }

    fn activation(&mut self, node: &Node, nonlinearity: Nonlinearity, output: &Tensor) -> Candle<()> {
        let dead = match nonlinearity {
            Nonlinearity::Relu => Some(dead(output, self.channels(node))?),
            _ => None,
        };
        let saturated = match nonlinearity {
            Nonlinearity::Tanh => Some(share(output, |value| value.abs() > NEAR_BOUND)?),
            Nonlinearity::Sigmoid => Some(share(output, |value| (2.0 * value - 1.0).abs() > NEAR_BOUND)?),
            _ => None,
        };
        if let Some(site) = self.before(node) {
            site.dead = dead.or(site.dead);
            site.saturated = saturated.or(site.saturated);
        }
        Ok(())
    }

    /// Which axis counts the units: the channels of a convolution, else the last.
    fn channels(&self, node: &Node) -> usize {
        let mut at = node;
        for _ in 0..4 {
            match at.layer {
                Layer::Conv(_) | Layer::ConvTranspose(_) => return 1,
                Layer::Linear { .. } | Layer::Conv1D { .. } | Layer::Attention(_) => break,
                _ => {}
            }
            let Some(before) = at.inputs.first().and_then(|id| self.graph.nodes.get(*id)) else { break };
            at = before;
        }
        node.output.len().saturating_sub(1).max(1)
    }

    /// A norm whose running statistics are new acts as it will in its first step of training.
    fn by_batch(&self, node: &Node, eps: f64, input: &Tensor) -> Candle<Option<Tensor>> {
        let name = |place: usize| {
            let parameter = node.parameters.get(place).and_then(|id| self.model.architecture.parameters.get(*id));
            parameter.map_or("", |parameter| parameter.name.as_str())
        };
        let assignment = crate::lsuv::Store::assignment(self.model, name(2));
        let is_new = assignment.is_some_and(|(_, assignment)| assignment.action == Action::New);
        match (self.model.variable(name(0)), self.model.variable(name(1))) {
            (Some(weight), Some(bias)) if is_new => {
                Ok(Some(batch_norm_in_training(input, eps, weight.as_tensor(), bias.as_tensor())?.0))
            }
            _ => Ok(None),
        }
    }
}

impl Hook for Probe<'_> {
    fn product(&mut self, node: &Node, weight: ParameterId, input: &Tensor, product: Tensor) -> Result<Tensor> {
        self.progress.interrupted()?;
        let parameters = &self.model.architecture.parameters;
        let Some(parameter) = parameters.get(weight) else { return Ok(product) };
        let stem = parameter.name.strip_suffix("weight").map(|stem| format!("{stem}bias"));
        let has = |name: &String| node.parameters.iter().any(|id| parameters.get(*id).is_some_and(|p| p.name == *name));
        let failed = |source| compute(&parameter.name, source);
        let tap = Var::zeros(product.dims(), product.dtype(), product.device()).map_err(failed)?;
        let tapped = (&product + tap.as_tensor()).map_err(failed)?;
        self.sites.push(Site {
            name: parameter.name.to_string(),
            input: moments(input).map_err(failed)?,
            product: moments(&product).map_err(failed)?,
            tap,
            dead: None,
            saturated: None,
            copies: None,
            layout: parameter.layout,
            transposed: matches!(parameter.role, Role::ConvTranspose { .. }),
            bias: stem.filter(has),
            node: self.index(node),
        });
        Ok(tapped)
    }

    fn after(&mut self, node: &Node, inputs: &[Tensor], output: Tensor) -> Result<Tensor> {
        let failed = |source| compute(&node.name, source);
        match &node.layer {
            Layer::Activation(nonlinearity) => {
                self.activation(node, *nonlinearity, &output).map_err(failed)?;
                Ok(output)
            }
            Layer::BatchNorm { eps } => match inputs.first() {
                Some(input) => Ok(self.by_batch(node, *eps, input).map_err(failed)?.unwrap_or(output)),
                None => Ok(output),
            },
            _ => Ok(output),
        }
    }
}

/// The share of units along `axis` that are zero everywhere else.
fn dead(output: &Tensor, axis: usize) -> Candle<f64> {
    let units = output.dim(axis)?;
    let values = output.transpose(0, axis)?.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
    let each = values.len().checked_div(units).unwrap_or(0).max(1);
    let dead = values.chunks(each).filter(|unit| unit.iter().all(|value| *value == 0.0)).count();
    Ok(dead as f64 / units.max(1) as f64)
}

fn share(output: &Tensor, is: impl Fn(f32) -> bool) -> Candle<f64> {
    let values = output.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().filter(|value| is(**value)).count() as f64 / values.len().max(1) as f64)
}

pub(super) fn compute(name: &str, source: candle_core::Error) -> GraphError {
    GraphError::Compute { layer: name.to_string(), source: Box::new(source) }
}
