//! What a run holds at most: activations until their last use, and the largest layer.

use crate::graph::{Dim, Graph, Layer, Node, Parameter, Use};
use crate::tensor::elements;

/// The sizes that a batch gives to the free axes of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub examples: u64,
    /// The longest sequence, where lengths are free.
    pub length: u64,
}

/// Bytes of the activations and the layer that a run holds at once, at most; counted in f32, too large rather than too small.
pub(crate) fn live_bytes(graph: &Graph, parameters: &[Parameter], extent: Extent) -> u64 {
    let mut uses = uses(graph);
    let sizes: Vec<u64> = graph.nodes.iter().map(|node| size(&node.output, extent)).collect();
    let is_fed = |node: &Node| matches!(node.layer, Layer::Input { .. });
    let fed = graph.nodes.iter().zip(&sizes).filter(|(node, _)| is_fed(node));
    let mut live = fed.fold(0u64, |sum, (_, size)| sum.saturating_add(*size));
    let mut most = live;
    for (id, node) in graph.nodes.iter().enumerate().filter(|(_, node)| !is_fed(node)) {
        if uses[id] == 0 {
            continue;
        }
        // the product, and the same once more with its bias
        let made = sizes[id].saturating_mul(2).saturating_add(scores(node, extent));
        most = most.max(live.saturating_add(made).saturating_add(weights(node, parameters)));
        live = live.saturating_add(sizes[id]);
        for input in &node.inputs {
            uses[*input] = uses[*input].saturating_sub(1);
            if uses[*input] == 0 {
                live = live.saturating_sub(sizes[*input]);
            }
        }
    }
    most.saturating_mul(4)
}

fn size(dims: &[Dim], extent: Extent) -> u64 {
    let size = |dim: &Dim| match dim {
        Dim::Batch => extent.examples,
        Dim::Known(size) => *size,
        Dim::UpTo(most) | Dim::Target(most) => extent.length.min(*most),
    };
    dims.iter().map(size).fold(1, u64::saturating_mul)
}

/// Elements of what attention holds beside its result: q, k, v, and the scores twice.
fn scores(node: &Node, extent: Extent) -> u64 {
    let Layer::Attention(attention) = &node.layer else { return 0 };
    let length = node.output.get(1).map_or(1, |dim| size(std::slice::from_ref(dim), extent));
    let heads = extent.examples.saturating_mul(attention.heads).saturating_mul(length);
    let wide = attention.head_dim.saturating_mul(5);
    heads.saturating_mul(length.saturating_mul(2).saturating_add(wide))
}

fn weights(node: &Node, parameters: &[Parameter]) -> u64 {
    if matches!(node.layer, Layer::Parameter { usage: Use::None, .. }) {
        return 0;
    }
    let shapes = node.parameters.iter().filter_map(|id| parameters.get(*id));
    shapes.fold(0, |sum, parameter| sum.saturating_add(elements(&parameter.shape).unwrap_or(u64::MAX)))
}

/// How often the result of each node is needed; 0 where no output depends on it.
pub(super) fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes.len()];
    for (_, node) in &graph.outputs {
        uses[*node] += 1;
    }
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        if uses[id] > 0 {
            node.inputs.iter().for_each(|input| uses[*input] += 1);
        }
    }
    uses
}
