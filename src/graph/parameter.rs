//! An entry of the `state_dict` of a model.

use serde::{Deserialize, Serialize};

use crate::init::{Fans, Nonlinearity, Scheme, SchemeSpec};
use crate::tensor::{Dtype, Name, Role, Shape};

/// The index of a parameter in its architecture.
pub(crate) type ParameterId = usize;

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
    pub fans: Fans,
}

/// The family's own initialisation of a parameter and the words for where it comes from (`bert: initializer_range`).
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyInit {
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
    /// A parameter of this name, shape and role, with defaults for everything else.
    pub(crate) fn new(name: impl Into<Name>, shape: impl Into<Shape>, role: Role) -> Parameter {
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
