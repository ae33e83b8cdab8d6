//! What a node computes: one variant for each layer type of an architecture file.

use serde::{Deserialize, Serialize};

use super::{Attention, Nonlinearity};
use crate::tensor::{Dtype, Shape};

/// Feed-forward networks of which each position uses a few (Shazeer et al., arXiv:1701.06538): the router's softmax chooses, and
/// weighs the results. Each is `down · (act(gate · x) ⊙ up · x)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// How many there are.
    pub experts: u64,
    /// How many a position uses.
    pub per_token: u64,
    /// The width of the hidden layer of each.
    pub intermediate: u64,
    pub activation: Nonlinearity,
    /// Whether the weights of those that are used sum to 1.
    pub normalised: bool,
    /// The names of each expert's gate, up and down, below `experts.{e}`.
    pub names: [&'static str; 3],
}

/// Which row of its table a position is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionIds {
    /// The first is row `offset`, and so on (BART has two rows that it uses for nothing).
    From {
        /// The row of the first position.
        offset: u64,
    },
    /// Those that are not padding are counted, beginning after the row of padding, which padding gets (RoBERTa); the node's second
    /// input is the ids.
    Counted {
        /// The id of padding, which is its row too.
        padding: u64,
    },
}

impl PositionIds {
    /// From the first row on.
    pub(crate) const PLAIN: PositionIds = PositionIds::From { offset: 0 };

    /// How many rows stand before that of the first position.
    pub(crate) fn reserved(self) -> u64 {
        match self {
            PositionIds::From { offset } => offset,
            PositionIds::Counted { padding } => padding.saturating_add(1),
        }
    }

    /// The row that padding has for itself, or `None`.
    pub(crate) fn padding(self) -> Option<u64> {
        match self {
            PositionIds::From { .. } => None,
            PositionIds::Counted { padding } => Some(padding),
        }
    }
}

/// What a bare parameter does to the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// One more position before the others.
    Prepend,
    Add,
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

/// What a node computes. One variant for each layer type of an architecture file; closed. A variant with parameters says which, in
/// the order in which they stand in `Node::parameters` and in PyTorch's `state_dict`.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a graph has a few thousand nodes at most, and a box would cost each use a word"
)]
#[allow(clippy::enum_variant_names, reason = "LayerNorm is the name that the field uses")]
pub enum Layer {
    /// What the caller feeds.
    Input {
        /// Its type: `F32`, or `I64` for ids.
        dtype: Dtype,
        /// For ids, one more than the largest.
        max: Option<u64>,
        /// What every element is where the caller feeds nothing; `None` where he must.
        default: Option<i64>,
    },
    /// Ids that are all `value`, in the shape of its input.
    Fill { value: u64 },
    /// `x Wᵀ + b` over the last axis: `weight` `(out, in)`, `bias`.
    Linear {
        /// The size of the last axis of the result.
        out: u64,
        /// Whether a bias is added.
        bias: bool,
    },
    /// `x W + b` over the last axis, GPT-2's `Conv1D`: `weight` `(in, out)`, `bias`.
    Conv1D {
        /// The size of the last axis of the result.
        out: u64,
    },
    /// A convolution over `(batch, channels, …)`, of the rank that its kernel has: `weight` `(out, in / groups, …)`, `bias`.
    Conv(Convolution),
    /// A transposed convolution over `(batch, channels, …)`: `weight` `(in, out / groups, …)`, `bias`.
    ConvTranspose(Convolution),
    /// A row for each id: `weight` `(num, dim)`.
    Embedding {
        /// How many ids there are.
        num: u64,
        /// The width of a row.
        dim: u64,
    },
    /// A learned row for each position, added to `(batch, positions, width)`: `weight` `(num, width)`.
    Positions {
        /// How many rows there are.
        num: u64,
        /// Which position is given which.
        ids: PositionIds,
    },
    /// A table that is a result of its own, without the batch: `weight` `(num, dim)`.
    Table {
        /// How many rows.
        num: u64,
        /// The width of a row.
        dim: u64,
    },
    /// A bare tensor, called as the node. Broadcast from the right where it is added or multiplied; prepended, it is
    /// `(width)`, `(n, width)` or `(1, n, width)`.
    Parameter {
        shape: Shape,
        /// What it does.
        usage: Use,
    },
    /// Attention over `(batch, positions, width)`; the last input, where there is one more than must be, is the mask of the keys
    /// `(batch, positions)` (1 attend, 0 padding). For q, k, v (or the fused three) and out: `weight`, `bias`; then the `weight`s of
    /// the norms of q and k, or of the relative bias.
    Attention(Attention),
    /// A mixture of experts over `(batch, positions, width)`: `gate.weight` `(experts, width)`, and of each expert the `weight`s of
    /// gate, up `(intermediate, width)` and down `(width, intermediate)`.
    Experts(Experts),
    /// Normalisation over the last axis, scale and shift: `weight`, `bias`.
    LayerNorm {
        /// What is added to the variance.
        eps: f64,
        /// Whether there is a shift.
        bias: bool,
    },
    /// Division by the root mean square of the last axis, and scale: `weight`.
    RmsNorm {
        /// What is added to the mean square.
        eps: f64,
        /// Whether the scale is 1 + weight (Gemma).
        centred: bool,
    },
    /// Normalisation of each channel by running statistics: `weight`, `bias`, `running_mean`, `running_var`, `num_batches_tracked`.
    BatchNorm {
        /// What is added to the variance.
        eps: f64,
    },
    /// Normalisation of groups of channels: `weight`, `bias`.
    GroupNorm {
        /// How many groups.
        groups: u64,
        /// What is added to the variance.
        eps: f64,
    },
    /// A function of each element (softmax: of the last axis; leaky ReLU: of slope 0.01).
    Activation(Nonlinearity),
    /// A leaky ReLU of another slope.
    LeakyRelu {
        /// The factor of negative elements.
        slope: f64,
    },
    /// A softmax over another axis.
    Softmax {
        /// The axis; never the batch.
        axis: usize,
    },
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
    /// The largest of each window; sizes are rounded down.
    MaxPool {
        kernel: Vec<u64>,
        stride: Vec<u64>,
        /// Ignored positions on either side.
        padding: Vec<u64>,
    },
    /// The mean of each window, its padding included; sizes are rounded down.
    AvgPool {
        kernel: Vec<u64>,
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
        index: u64,
    },
    /// `len` indices of an axis from `start`.
    Narrow {
        /// The axis; never the batch.
        axis: usize,
        /// The first index kept.
        start: u64,
        /// How many are kept.
        len: u64,
    },
    /// Of `(batch, positions, …)` the last position; with a second input, the ids `(batch, positions)`, the last whose id is not
    /// `padding` (the first where all are).
    Last {
        /// The id of padding, where there is one.
        padding: Option<u64>,
    },
    /// Of `(batch, positions, …)` the last position whose id, in the second input, is `token` (the first where none is).
    At { token: u64 },
    /// `(batch, positions, width)` with 0 at the positions that the second input, a mask, leaves out.
    Masked,
    /// The mean of `(batch, positions, width)` over the positions that the second input, a mask, does not leave out.
    MaskedMean,
    /// Ids one place to the right, as training shifts a target to the decoder's input; the first place is `first`.
    ShiftRight {
        /// The id of the first place.
        first: u64,
    },
    /// The sum of its inputs, each times its share of the softmax of the parameter `(inputs)` that is called as the node.
    WeightedSum,
    /// Its input times a constant.
    Scale { factor: f64 },
    /// Nothing: it acts in training only.
    Dropout,
    /// The sum of its inputs, which have one shape but for axes of size 1.
    Add,
    /// The product of its inputs, which have one shape but for axes of size 1.
    Mul,
    /// Its inputs one after the other along an axis.
    Concat { axis: usize },
}

impl Layer {
    /// The word for it in architecture files and messages, as `conv2d`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Layer::Input { .. } => "input",
            Layer::Fill { .. } => "fill",
            Layer::Linear { .. } | Layer::Conv1D { .. } => "linear",
            Layer::Conv(convolution) => match convolution.kernel.len() {
                1 => "conv1d",
                2 => "conv2d",
                _ => "conv3d",
            },
            Layer::ConvTranspose(convolution) => match convolution.kernel.len() {
                1 => "conv_transpose1d",
                2 => "conv_transpose2d",
                _ => "conv_transpose3d",
            },
            Layer::Embedding { .. } => "embedding",
            Layer::Positions { .. } => "positions",
            Layer::Parameter { .. } => "parameter",
            Layer::Table { .. } => "table",
            Layer::Attention(_) => "attention",
            Layer::Experts(_) => "experts",
            Layer::LayerNorm { .. } => "layer_norm",
            Layer::RmsNorm { .. } => "rms_norm",
            Layer::BatchNorm { .. } => "batch_norm",
            Layer::GroupNorm { .. } => "group_norm",
            Layer::Activation(nonlinearity) => nonlinearity_name(*nonlinearity),
            Layer::LeakyRelu { .. } => "leaky_relu",
            Layer::Softmax { .. } => "softmax",
            Layer::Flatten { .. } => "flatten",
            Layer::Reshape { .. } => "reshape",
            Layer::Permute { .. } => "permute",
            Layer::MaxPool { .. } => "max_pool",
            Layer::AvgPool { .. } => "avg_pool",
            Layer::GlobalAvgPool => "global_avg_pool",
            Layer::Upsample { .. } => "upsample",
            Layer::Mean { .. } => "mean",
            Layer::Select { .. } => "select",
            Layer::Narrow { .. } => "narrow",
            Layer::Last { .. } => "last",
            Layer::At { .. } => "at",
            Layer::Masked => "masked",
            Layer::MaskedMean => "masked_mean",
            Layer::ShiftRight { .. } => "shift_right",
            Layer::WeightedSum => "weighted_sum",
            Layer::Scale { .. } => "scale",
            Layer::Dropout => "dropout",
            Layer::Add => "add",
            Layer::Mul => "mul",
            Layer::Concat { .. } => "concat",
        }
    }

    /// The activation that it is, or `None` where it is none.
    pub(crate) fn nonlinearity(&self) -> Option<Nonlinearity> {
        match self {
            Layer::Activation(nonlinearity) => Some(*nonlinearity),
            Layer::LeakyRelu { .. } => Some(Nonlinearity::LeakyRelu),
            Layer::Softmax { .. } => Some(Nonlinearity::Softmax),
            _ => None,
        }
    }
}

fn nonlinearity_name(nonlinearity: Nonlinearity) -> &'static str {
    match nonlinearity {
        Nonlinearity::Relu => "relu",
        Nonlinearity::LeakyRelu => "leaky_relu",
        Nonlinearity::Gelu => "gelu",
        Nonlinearity::GeluTanh => "gelu_tanh",
        Nonlinearity::Silu => "silu",
        Nonlinearity::Tanh => "tanh",
        Nonlinearity::Sigmoid => "sigmoid",
        Nonlinearity::Elu => "elu",
        Nonlinearity::Selu => "selu",
        Nonlinearity::Softmax => "softmax",
    }
}
