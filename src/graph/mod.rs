//! Parameters and the graph that connects them. A node is a layer as people name layers, never a bare product or
//! reshape: roles, fans, coupled axes and data-dependent initialisation live at that grain. Both are made together by `Builder`.

use serde::{Deserialize, Serialize};

pub use crate::init::Nonlinearity;
use crate::init::{Fans, Scheme, SchemeSpec};
use crate::tensor::{Dtype, Name, Role, Shape};

/// The index of a parameter in its architecture.
pub type ParameterId = usize;
/// The index of a node in its graph.
pub type NodeId = usize;

/// How the stored axes of a matrix relate to the layer's inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `(out, in, …)`, as PyTorch's `Linear` and convolutions.
    OutIn,
    /// `(in, out)`, as GPT-2's `Conv1D`, Flax and Keras.
    InOut,
    /// A listing did not say.
    Unknown,
}

/// A piece of axis 0 with fans of its own: q, k and v of a fused projection; one piece as a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many rows.
    pub rows: u64,
    /// Its fans.
    pub fans: Fans,
}

/// The family's own initialisation of a parameter and the words for where it comes from (`bert: initializer_range`).
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyInit {
    /// The resolved scheme.
    pub scheme: Scheme,
    /// Which rule says so.
    pub by: String,
}

/// One entry of the target's `state_dict`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its key.
    pub name: Name,
    /// Its axes as stored.
    pub shape: Shape,
    /// The type that the architecture asks for, where it does.
    pub dtype: Option<Dtype>,
    /// The type below which no narrowing goes, `--dtype` included: `F32` for running statistics, where a family says so for others.
    pub floor: Option<Dtype>,
    /// What it is to the model.
    pub role: Role,
    /// Whether it belongs to a head, which coverage does not count and `--init` without a pattern does not reach.
    pub head: bool,
    /// How the stored axes relate to inputs and outputs.
    pub layout: Layout,
    /// Pieces of axis 0 with their fans, in order; their rows sum to it. Empty where a fan makes no sense (norms, biases, buffers).
    pub parts: Vec<Part>,
    /// The activation that directly follows the layer, which `auto` looks at; `None` where there is none or it is not known.
    pub followed_by: Option<Nonlinearity>,
    /// The family's own rule, where a family declared it.
    pub init: Option<Box<FamilyInit>>,
    /// The row that starts at 0 under the family's own rule: that of padding, PyTorch's `padding_idx`.
    pub zero_row: Option<u64>,
    /// The scheme that a native layer's `init` asks for (its weights only).
    pub layer_init: Option<Box<SchemeSpec>>,
    /// The parameter that this one is another name of.
    pub tied_to: Option<ParameterId>,
    /// The PyTorch class of the owner, as `Linear`, where known.
    pub module: Option<String>,
}

impl Parameter {
    /// A parameter of this name, shape and role, everything else unsaid.
    pub fn new(name: impl Into<Name>, shape: impl Into<Shape>, role: Role) -> Parameter {
        Parameter {
            name: name.into(),
            shape: shape.into(),
            dtype: None,
            floor: None,
            role,
            head: false,
            layout: Layout::OutIn,
            parts: Vec::new(),
            followed_by: None,
            init: None,
            zero_row: None,
            layer_init: None,
            tied_to: None,
            module: None,
        }
    }
}

/// The size of an axis of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// The number of examples.
    Batch,
    /// A number.
    Known(u64),
    /// Any number from 1 to this one: the length of a sequence where nothing depends on it. In one batch, axes of one bound
    /// have one size.
    UpTo(u64),
    /// The same for the second sequence of a model that has two: what it writes.
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
pub struct DimsText<'a>(pub &'a [Dim]);

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
    /// Whether a batch (by input name) is what the inputs declare: types, shapes, ids in range; the same errors as `run`'s.
    pub fn check(&self, batch: &std::collections::BTreeMap<String, candle_core::Tensor>) -> crate::error::Result<()> {
        run::check(self, batch)
    }

    /// How messages call a node: `linear hidden.fc`, `relu after linear hidden.fc`.
    pub fn describe(&self, node: NodeId) -> String {
        let Node { name, layer, inputs, .. } = &self.nodes[node];
        called(&self.nodes, name, layer, inputs)
    }
}

/// How messages call a layer that may have no name: by the nearest named one before it, three steps back at most.
fn called(nodes: &[Node], name: &str, layer: &Layer, inputs: &[NodeId]) -> String {
    let mut text = layer.kind().to_string();
    let (mut name, mut inputs) = (name, inputs);
    for _ in 0..3 {
        let Some(before) = inputs.first().filter(|_| name.is_empty()).map(|node| &nodes[*node]) else { break };
        text = format!("{text} after {}", before.layer.kind());
        (name, inputs) = (&before.name, &before.inputs);
    }
    if name.is_empty() { text } else { format!("{text} {name}") }
}

mod attention;
mod builder;
pub(crate) mod error;
mod layer;
mod parameters;
mod run;
mod shape;
#[cfg(test)]
mod tests;
pub use attention::{Attention, AttentionKind, Buckets, Disentangled, HeadNorms, Projections, Rope, RopeScaling};
pub use builder::{Builder, Said};
pub use layer::{Convolution, Experts, Layer, PositionIds, Use};
pub use run::{Extent, Hook, Weights, batch_norm_in_training, live_bytes, run};
