//! Layers in their places, and the graph that they make.

use super::layer::Layer;
use super::parameter::ParameterId;

/// The index of a node in its graph.
pub(crate) type NodeId = usize;

/// The size of an axis of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// The number of examples.
    Batch,
    Known(u64),
    /// Any number from 1 to this one: the length of a sequence where nothing depends on it. In one batch, axes of one bound
    /// have one size.
    UpTo(u64),
    /// As above, for the second sequence of a model that has two: what it writes.
    Target(u64),
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dim::Batch => f.write_str("batch"),
            Dim::Known(size) => write!(f, "{size}"),
            Dim::UpTo(most) | Dim::Target(most) => write!(f, "up to {most}"),
        }
    }
}

/// The axes of an activation as people read them: `[batch, 128, 768]`.
pub(crate) struct DimsText<'a>(pub &'a [Dim]);

impl std::fmt::Display for DimsText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let axes: Vec<String> = self.0.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", axes.join(", "))
    }
}

/// One layer in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its path, as in PyTorch; empty where it has no weights and no name.
    pub name: String,
    /// What it computes.
    pub layer: Layer,
    /// Where its inputs come from.
    pub inputs: Vec<NodeId>,
    /// Its parameters, in the order that the layer's documentation gives.
    pub parameters: Vec<ParameterId>,
    /// The shape of its result.
    pub output: Vec<Dim>,
    /// The residual branch that it lies in, where it lies in one.
    pub branch: Option<usize>,
}

/// Nodes in topological order: an input always stands before its user.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// All nodes, inputs among them.
    pub nodes: Vec<Node>,
    /// The named results.
    pub outputs: Vec<(String, NodeId)>,
}

impl Graph {
    /// How messages call a node: `linear hidden.fc`, `relu after linear hidden.fc`.
    pub(crate) fn describe(&self, node: NodeId) -> String {
        let Node { name, layer, inputs, .. } = &self.nodes[node];
        called(&self.nodes, name, layer, inputs)
    }
}

/// How messages call a layer that may have no name: by the nearest named one before it, three steps back at most.
pub(super) fn called(nodes: &[Node], name: &str, layer: &Layer, inputs: &[NodeId]) -> String {
    let mut text = layer.kind().to_string();
    let (mut name, mut inputs) = (name, inputs);
    for _ in 0..3 {
        let Some(before) = inputs.first().filter(|_| name.is_empty()).map(|node| &nodes[*node]) else { break };
        text = format!("{text} after {}", before.layer.kind());
        (name, inputs) = (&before.name, &before.inputs);
    }
    if name.is_empty() { text } else { format!("{text} {name}") }
}
