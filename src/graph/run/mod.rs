//! The graph on candle, node by node: weights come through one closure and go after their use, activations after their last.

mod attention;
mod columns;
mod convolution;
mod distances;
mod evaluate;
mod experts;
mod failure;
mod feed;
mod geometry;
mod layers;
mod live;
mod pool;
#[cfg(test)]
mod tests;
mod window;

use failure::Failure;
pub(crate) use layers::batch_norm_in_training;
use live::uses;
pub(crate) use live::{Extent, live_bytes};

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::{Graph, Layer, Node, NodeId, Parameter, ParameterId, Use};
use crate::error::{Error, Result};
use crate::graph::error::GraphError;
use crate::tensor::ShapeText;

/// Where the value of a parameter comes from: stored, planned or generated is the caller's affair. It is asked for the owner of
/// a tie, and may answer in any float type.
pub(crate) type Weights<'a> = dyn Fn(&Parameter) -> Result<Tensor> + 'a;

/// Sees the result of every node and every product of a weight, and may replace them.
pub trait Hook {
    /// Called with what a weight (the owner of a tie) gives in a linear layer, a convolution or a projection of an attention,
    /// before its bias is added, in execution order: `(…, out)`, of a convolution `(batch, out, …)`. `input` is what it acted on.
    fn product(&mut self, node: &Node, weight: ParameterId, input: &Tensor, product: Tensor) -> Result<Tensor> {
        let _ = (node, weight, input);
        Ok(product)
    }

    /// Called after each node, in execution order.
    fn after(&mut self, node: &Node, inputs: &[Tensor], output: Tensor) -> Result<Tensor>;
}

/// Runs the graph on a batch (by input name) in f32 and gives its outputs by name. Nodes that no output needs are passed over.
/// Numbers are `F32`, ids `I64`; an array that no input asks for is ignored.
pub fn run(
    graph: &Graph,
    parameters: &[Parameter],
    weights: &Weights,
    batch: &BTreeMap<String, Tensor>,
    mut hook: Option<&mut dyn Hook>,
) -> Result<BTreeMap<String, Tensor>> {
    let mut uses = uses(graph);
    let mut values = feed::inputs(graph, &uses, batch)?;
    for (id, node) in graph.nodes.iter().enumerate() {
        if uses[id] == 0 {
            continue;
        }
        let inputs = taken(node, &mut values, &mut uses);
        let output = match values[id].take() {
            Some(fed) => fed,
            None => {
                let weights = weights_of(node, parameters, weights)?;
                let mut tap = |place: usize, input: &Tensor, product: Tensor| match (
                    hook.as_deref_mut(),
                    node.parameters.get(place),
                ) {
                    (Some(hook), Some(weight)) => {
                        let owner = parameters[*weight].tied_to.unwrap_or(*weight);
                        hook.product(node, owner, input, product).map_err(|error| Failure::Hook(Box::new(error)))
                    }
                    (None, _) | (_, None) => Ok(product),
                };
                evaluate::evaluate(node, &inputs, &weights, &mut tap).map_err(|failure| named(graph, id, failure))?
            }
        };
        values[id] = Some(match hook.as_deref_mut() {
            Some(hook) => hook.after(node, &inputs, output)?,
            None => output,
        });
    }
    let result = |(name, node): &(String, NodeId)| values[*node].clone().map(|value| (name.clone(), value));
    Ok(graph.outputs.iter().filter_map(result).collect())
}

impl Graph {
    /// Whether a batch (by input name) is what the inputs declare: types, shapes, ids in range; the same errors as `run`'s.
    pub(crate) fn check(&self, batch: &BTreeMap<String, Tensor>) -> Result<()> {
        feed::inputs(self, &uses(self), batch).map(|_| ())
    }
}

/// The inputs of a node; a value that nobody needs any more is given away.
fn taken(node: &Node, values: &mut [Option<Tensor>], uses: &mut [usize]) -> Vec<Tensor> {
    let take = |input: &NodeId| {
        uses[*input] -= 1;
        if uses[*input] == 0 { values[*input].take() } else { values[*input].clone() }
    };
    node.inputs.iter().filter_map(take).collect()
}

fn weights_of(node: &Node, parameters: &[Parameter], weights: &Weights) -> Result<Vec<Tensor>> {
    let unused = matches!(node.layer, Layer::Parameter { usage: Use::None, .. });
    let ids = if unused { &[] } else { node.parameters.as_slice() };
    ids.iter().map(|id| weight(*id, parameters, weights)).collect()
}

fn weight(id: ParameterId, parameters: &[Parameter], weights: &Weights) -> Result<Tensor> {
    let owner = &parameters[parameters[id].tied_to.unwrap_or(id)];
    let value = weights(owner)?;
    let found: Vec<u64> = value.dims().iter().map(|size| *size as u64).collect();
    if owner.shape != found {
        let (expected, found) = (ShapeText(&owner.shape).to_string(), ShapeText(&found).to_string());
        return Err(GraphError::WeightShape { name: owner.name.to_string(), expected, found }.into());
    }
    let failed = |source| GraphError::Compute { layer: format!("parameter {}", owner.name), source: Box::new(source) };
    Ok(value.to_dtype(DType::F32).map_err(failed)?)
}

fn named(graph: &Graph, node: NodeId, failure: Failure) -> Error {
    let layer = graph.describe(node);
    match failure {
        Failure::NotRunnable(detail) => GraphError::NotRunnable { layer, detail }.into(),
        Failure::Compute(source) => GraphError::Compute { layer, source: Box::new(source) }.into(),
        Failure::Hook(error) => *error,
    }
}
