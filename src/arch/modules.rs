//! What a PyTorch class says about the tensors that it owns: role, layout and fans. Without a class, what the name's
//! last component and the rank suggest.

use super::pattern::digits;
use crate::graph::{Layout, Part};
use crate::init::Fans;
use crate::tensor::{Role, Shape};

/// What is known of a tensor of a listing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// What it is to the model.
    pub role: Role,
    /// How its axes relate to inputs and outputs.
    pub layout: Layout,
    /// Pieces of axis 0 with their fans.
    pub parts: Vec<Part>,
}

impl Facts {
    fn plain(role: Role) -> Facts {
        Facts { role, layout: Layout::OutIn, parts: Vec::new() }
    }

    fn unknown() -> Facts {
        Facts { role: Role::Unknown, layout: Layout::Unknown, parts: Vec::new() }
    }
}

/// A class as a listing writes it: `Conv2d`, or `Conv2d(groups=8)` and `ConvTranspose2d(stride=2x2)` where that matters.
struct Class<'a> {
    name: &'a str,
    groups: u64,
    strides: u64,
}

impl<'a> Class<'a> {
    fn parse(text: &'a str) -> Class<'a> {
        let (name, arguments) = text.split_once('(').unwrap_or((text, ""));
        let argument = |key: &str| {
            arguments.trim_end_matches(')').split(',').find_map(|pair| pair.trim().strip_prefix(key)?.strip_prefix('='))
        };
        let product = |text: &str| text.split('x').try_fold(1u64, |product, size| product.checked_mul(digits(size)?));
        Class {
            name,
            groups: argument("groups").and_then(digits).unwrap_or(1).max(1),
            strides: argument("stride").and_then(product).unwrap_or(1).max(1),
        }
    }
}

/// The class alone, without its arguments.
pub(crate) fn class_name(module: &str) -> &str {
    Class::parse(module).name
}

/// What the class that owns a tensor says about it; `Role::Unknown` where the class is not known.
pub(crate) fn of_module(module: &str, name: &str, shape: &Shape) -> Facts {
    let class = Class::parse(module);
    let leaf = leaf(name);
    match class.name {
        _ if leaf == "bias" && shape.len() <= 1 => Facts::plain(Role::Bias),
        "Linear" | "NonDynamicallyQuantizableLinear" | "LazyLinear" if leaf == "weight" => linear(shape, 1),
        // transformers' own: (in, out)
        "Conv1D" if leaf == "weight" => in_out(shape),
        "Conv1d" | "Conv2d" | "Conv3d" if leaf == "weight" => convolution(shape, class.groups),
        "ConvTranspose1d" | "ConvTranspose2d" | "ConvTranspose3d" if leaf == "weight" => {
            transposed(shape, class.groups, class.strides)
        }
        "Embedding" | "EmbeddingBag" if leaf == "weight" => table(name, shape),
        "MultiheadAttention" => attention(leaf, shape),
        "LSTM" | "LSTMCell" => recurrent(leaf, shape, 4),
        "GRU" | "GRUCell" => recurrent(leaf, shape, 3),
        "RNN" | "RNNCell" => recurrent(leaf, shape, 1),
        other if NORMS.iter().any(|norm| other.contains(norm)) => norm(leaf, shape),
        _ => by_telling_name(leaf, shape).unwrap_or_else(Facts::unknown),
    }
}

/// Classes of other libraries keep the word: `LlamaRMSNorm`, `LayerNorm2d`, `SyncBatchNorm`.
const NORMS: [&str; 5] = ["LayerNorm", "RMSNorm", "BatchNorm", "GroupNorm", "InstanceNorm"];

/// What the name's last component and the rank suggest where no class is named: as in PyTorch, but the layout of a
/// matrix stays unknown.
pub(crate) fn of_name(name: &str, shape: &Shape) -> Facts {
    let leaf = leaf(name);
    if let Some(facts) = by_telling_name(leaf, shape) {
        return facts;
    }
    let guessed = match (leaf, shape.len()) {
        ("weight" | "kernel", 0 | 1) => Facts::plain(Role::Norm),
        ("weight", 2) if is_table(name) => table(name, shape),
        ("embedding", 2) => table(name, shape),
        ("weight" | "kernel", 2) => linear(shape, 1),
        ("weight", 3..=5) => convolution(shape, 1),
        _ => Facts::unknown(),
    };
    match guessed.role {
        Role::Linear | Role::Conv { .. } => Facts { layout: Layout::Unknown, ..guessed },
        _ => guessed,
    }
}

fn leaf(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn owner(name: &str) -> &str {
    name.rsplit('.').nth(1).unwrap_or_default()
}

fn is_table(name: &str) -> bool {
    let owner = owner(name).to_ascii_lowercase();
    (owner.contains("embed") && !owner.contains("norm")) || owner == "wte" || owner == "wpe"
}

/// Last components that say what they are, whatever owns them.
fn by_telling_name(leaf: &str, shape: &Shape) -> Option<Facts> {
    const STATE: [&str; 7] = [
        "running_mean", "running_var", "num_batches_tracked", "position_ids", "inv_freq", "relative_position_index",
        "attn_mask",
    ];
    let vector = shape.len() <= 1;
    match leaf {
        _ if STATE.contains(&leaf) => Some(Facts::plain(Role::Buffer)),
        "bias" | "beta" | "in_proj_bias" if vector => Some(Facts::plain(Role::Bias)),
        "gamma" | "scale" if vector => Some(Facts::plain(Role::Norm)),
        "in_proj_weight" => Some(attention(leaf, shape)),
        "pos_embed" | "pos_embedding" | "position_embedding" | "position_embeddings" | "positional_embedding" => {
            Some(Facts::plain(Role::Position))
        }
        _ if leaf == "class_embedding" || leaf.ends_with("_token") || leaf.ends_with("_tokens") => {
            Some(Facts::plain(Role::Token))
        }
        _ => None,
    }
}

fn linear(shape: &Shape, pieces: u64) -> Facts {
    let [out, fan_in] = shape[..] else { return Facts::unknown() };
    let rows = out / pieces.max(1);
    if pieces == 0 || out % pieces != 0 {
        return linear(shape, 1);
    }
    let part = Part { rows, fans: Fans::linear(fan_in, rows) };
    let parts = std::iter::repeat_n(part, usize::try_from(pieces).unwrap_or(1)).collect();
    Facts { role: Role::Linear, layout: Layout::OutIn, parts }
}

fn in_out(shape: &Shape) -> Facts {
    let [fan_in, fan_out] = shape[..] else { return Facts::unknown() };
    let parts = vec![Part { rows: fan_in, fans: Fans::linear(fan_in, fan_out) }];
    Facts { role: Role::Linear, layout: Layout::InOut, parts }
}

fn taps(kernel: &[u64]) -> u64 {
    kernel.iter().fold(1, |taps, size| taps.saturating_mul(*size))
}

fn convolution(shape: &Shape, groups: u64) -> Facts {
    let [out, inputs, kernel @ ..] = &shape[..] else { return Facts::unknown() };
    let fans = Fans::conv(*out, *inputs, taps(kernel), groups);
    Facts { role: Role::Conv { groups }, layout: Layout::OutIn, parts: vec![Part { rows: *out, fans }] }
}

fn transposed(shape: &Shape, groups: u64, strides: u64) -> Facts {
    let [inputs, outputs, kernel @ ..] = &shape[..] else { return Facts::unknown() };
    let fans = Fans::conv_transpose(*inputs, *outputs, taps(kernel), strides, groups);
    Facts { role: Role::ConvTranspose { groups }, layout: Layout::InOut, parts: vec![Part { rows: *inputs, fans }] }
}

fn table(name: &str, shape: &Shape) -> Facts {
    let owner = owner(name).to_ascii_lowercase();
    let position = owner.contains("position") || owner.starts_with("pos_emb") || owner == "wpe";
    let role = if position { Role::Position } else { Role::Embedding };
    let parts = match shape[..] {
        [num, dim] => vec![Part { rows: num, fans: Fans { fan_in: dim, fan_out: num } }],
        _ => Vec::new(),
    };
    Facts { role, layout: Layout::OutIn, parts }
}

fn attention(leaf: &str, shape: &Shape) -> Facts {
    match leaf {
        "in_proj_weight" => linear(shape, 3),
        "q_proj_weight" | "k_proj_weight" | "v_proj_weight" => linear(shape, 1),
        "in_proj_bias" | "bias_k" | "bias_v" => Facts::plain(Role::Bias),
        _ => Facts::unknown(),
    }
}

/// PyTorch keeps the gates of a cell one after the other along axis 0.
fn recurrent(leaf: &str, shape: &Shape, gates: u64) -> Facts {
    match leaf {
        _ if leaf.starts_with("weight_ih") || leaf.starts_with("weight_hh") => linear(shape, gates),
        _ if leaf.starts_with("weight_hr") => linear(shape, 1),
        _ if leaf.starts_with("bias") => Facts::plain(Role::Bias),
        _ => Facts::unknown(),
    }
}

fn norm(leaf: &str, shape: &Shape) -> Facts {
    match leaf {
        "weight" if shape.len() <= 1 => Facts::plain(Role::Norm),
        _ => by_telling_name(leaf, shape).unwrap_or_else(Facts::unknown),
    }
}
