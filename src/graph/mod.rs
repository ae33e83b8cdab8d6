//! Parameters and the graph that connects them. A node is a layer as people name layers, never a bare product or
//! reshape: roles, fans, coupled axes and data-dependent initialisation live at that grain. Both are made together by `Builder`.

use serde::{Deserialize, Serialize};

pub use crate::init::Nonlinearity;
use crate::init::{Fans, Scheme, SchemeSpec};
use crate::tensor::{Dtype, Role, Shape};

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
    pub name: String,
    /// Its axes as stored.
    pub shape: Shape,
    /// The type that the architecture asks for, where it does.
    pub dtype: Option<Dtype>,
    /// What it is to the model.
    pub role: Role,
    /// Whether it belongs to a head, which coverage does not count and `--init` without a pattern does not reach.
    pub head: bool,
    /// How the stored axes relate to inputs and outputs.
    pub layout: Layout,
    /// Pieces of axis 0 (of the outputs) with their fans, in order; empty where a fan makes no sense (norms, biases, buffers).
    pub parts: Vec<Part>,
    /// The activation that directly follows the layer, which `auto` looks at; `None` where there is none or it is not known.
    pub followed_by: Option<Nonlinearity>,
    /// The family's own rule, where a family declared it.
    pub init: Option<FamilyInit>,
    /// The scheme that a native layer's `init` asks for (its weights only).
    pub layer_init: Option<SchemeSpec>,
    /// The parameter that this one is another name of.
    pub tied_to: Option<ParameterId>,
    /// The PyTorch class of the owner, as `Linear`, where known.
    pub module: Option<String>,
}

/// The size of an axis of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// The number of examples.
    Batch,
    /// A number.
    Known(u64),
}

/// How the attention of one node is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: u64,
    /// Key and value heads; divides `heads`.
    pub kv_heads: u64,
    /// The width of one head.
    pub head_dim: u64,
    /// Whether a position sees only those before it.
    pub causal: bool,
    /// Which positions mean what.
    pub kind: AttentionKind,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Whether q, k and v are one tensor.
    pub projections: Projections,
}

/// How attention learns of positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttentionKind {
    /// It does not.
    Plain,
    /// Rotary embedding of base `theta`, in the layout of halves.
    Rope {
        /// The base.
        theta: f64,
    },
}

/// The names of an attention's projections below its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projections {
    /// Three matrices.
    Separate {
        /// The query's.
        q: String,
        /// The key's.
        k: String,
        /// The value's.
        v: String,
        /// The output's.
        out: String,
    },
    /// One matrix of q, k and v, in this order along axis 0.
    Fused {
        /// The three together.
        qkv: String,
        /// The output's.
        out: String,
    },
}

/// What a bare parameter does to the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// One more position before the others.
    Prepend,
    /// Added.
    Add,
    /// Multiplied.
    Multiply,
    /// The graph does not touch it.
    None,
}

/// A convolution's geometry; every list has one entry per spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Output channels.
    pub out: u64,
    /// The kernel's size.
    pub kernel: Vec<u64>,
    /// The step.
    pub stride: Vec<u64>,
    /// Zeros on either side.
    pub padding: Vec<u64>,
    /// The spacing of the kernel's taps.
    pub dilation: Vec<u64>,
    /// Groups of channels that do not mix.
    pub groups: u64,
    /// Whether a bias is added.
    pub bias: bool,
}

/// What a node computes. One variant for each layer type of an architecture file; closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// What the caller feeds.
    Input {
        /// Its type: `F32`, or `I64` for ids.
        dtype: Dtype,
        /// For ids, one more than the largest.
        max: Option<u64>,
    },
    /// `x Wᵀ + b` over the last axis.
    Linear {
        /// The size of the last axis of the result.
        out: u64,
        /// Whether a bias is added.
        bias: bool,
    },
    /// A convolution over `(batch, channels, …)`, of the rank that its kernel has.
    Conv(Convolution),
    /// A transposed convolution over `(batch, channels, …)`.
    ConvTranspose(Convolution),
    /// A row for each id.
    Embedding {
        /// How many ids there are.
        num: u64,
        /// The width of a row.
        dim: u64,
    },
    /// A learned row for each position, added.
    Positions {
        /// How many positions there are.
        num: u64,
    },
    /// A bare tensor.
    Parameter {
        /// Its shape.
        shape: Shape,
        /// What it does.
        usage: Use,
    },
    /// Self-attention over `(batch, positions, width)`; a second input, where there is one, is the mask (1 attend, 0 padding).
    Attention(Attention),
    /// Normalisation over the last axis, scale and shift.
    LayerNorm {
        /// What is added to the variance.
        eps: f64,
        /// Whether there is a shift.
        bias: bool,
    },
    /// Division by the root mean square of the last axis, and scale.
    RmsNorm {
        /// What is added to the mean square.
        eps: f64,
    },
    /// Normalisation of each channel by running statistics.
    BatchNorm {
        /// What is added to the variance.
        eps: f64,
    },
    /// Normalisation of groups of channels.
    GroupNorm {
        /// How many groups.
        groups: u64,
        /// What is added to the variance.
        eps: f64,
    },
    /// A function of each element (softmax: of the last axis).
    Activation(Nonlinearity),
    /// Axes from `start` on become one.
    Flatten {
        /// The first axis that is merged; 1 keeps the batch.
        start: usize,
    },
    /// Another shape of the same elements; the batch stays.
    Reshape {
        /// The axes after the batch.
        shape: Shape,
    },
    /// The axes in another order, the batch first.
    Permute {
        /// For each axis of the result, the axis of the input.
        order: Vec<usize>,
    },
    /// The largest of each window.
    MaxPool {
        /// The window.
        kernel: Vec<u64>,
        /// The step.
        stride: Vec<u64>,
        /// Ignored positions on either side.
        padding: Vec<u64>,
    },
    /// The mean of each window.
    AvgPool {
        /// The window.
        kernel: Vec<u64>,
        /// The step.
        stride: Vec<u64>,
        /// Zeros on either side.
        padding: Vec<u64>,
    },
    /// The mean over all spatial axes: `(batch, channels, …)` becomes `(batch, channels)`.
    GlobalAvgPool,
    /// Nearest-neighbour enlargement of the spatial axes.
    Upsample {
        /// The factor of each spatial axis.
        scale: u64,
    },
    /// The mean over an axis, which disappears.
    Mean {
        /// The axis; never the batch.
        axis: usize,
    },
    /// One index of an axis, which disappears.
    Select {
        /// The axis; never the batch.
        axis: usize,
        /// The index.
        index: u64,
    },
    /// Nothing: it acts in training only.
    Dropout,
    /// The sum of its inputs.
    Add,
    /// The product of its inputs.
    Mul,
    /// Its inputs one after the other along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
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

mod builder;
mod run;
pub use builder::{Builder, Said};
pub use run::{Hook, Weights, run};
