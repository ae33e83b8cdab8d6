//! One tensor of the target: what it becomes and why.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::plan::value::{Action, Value};
use crate::tensor::{Shape, TensorInfo};

/// The step of matching that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A `map` rule.
    Map,
    Name,
    /// Equal names after wrappers were stripped.
    Wrapper,
    Dialect,
    /// A leading path added or removed.
    Prefix,
    /// The longest common suffix of a whole repeated module.
    Suffix,
    /// The place in the order of an `nn.Sequential`, whose indices name other layers.
    Sequence,
    Tie,
    /// None: there is no source.
    None,
}

/// One target tensor: what it becomes and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// As it is written.
    #[serde(flatten)]
    pub target: TensorInfo,
    /// What happened.
    pub action: Action,
    pub value: Value,
    /// The step of matching that answered.
    pub step: Step,
    /// Why, in words.
    pub reason: Cow<'static, str>,
    /// Further candidates that lost, in words, for `explain`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub runners_up: Vec<String>,
    /// How what is new in it is drawn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<Initialisation>,
    /// Rows without a source.
    #[serde(skip_serializing_if = "crate::plan::value::is_zero", default)]
    pub new_rows: u64,
    /// Whether it belongs to a head.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub head: bool,
    /// That it is scaled after it was written, by what the model's batch measures at its layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lsuv: Option<Lsuv>,
    /// That it had a source and is new all the same, because its module could not be transferred as a whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mismatched: Option<Mismatch>,
}

/// How an initialised tensor, or its new rows, are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialisation {
    /// The scheme's name with its parameters, as `he_normal`.
    pub scheme: String,
    /// The standard deviation that it aims at, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub std: Option<f64>,
    /// What chose it: `--init`, `bert: initializer_range`, `auto: linear before gelu`.
    pub by: String,
    /// `anywhere` or `processor`: where the same bits are promised.
    pub exact: Exact,
}

/// Where the same bits are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exact {
    /// On every processor.
    Anywhere,
    /// On any number of threads of one type of processor.
    Processor,
}

impl Assignment {
    /// One of which nothing is new.
    pub(crate) fn new(
        target: TensorInfo,
        value: Value,
        step: Step,
        reason: impl Into<Cow<'static, str>>,
    ) -> Assignment {
        Assignment {
            target,
            action: value.action(),
            value,
            step,
            reason: reason.into(),
            runners_up: Vec::new(),
            init: None,
            new_rows: 0,
            head: false,
            lsuv: None,
            mismatched: None,
        }
    }
}

/// Layer-sequential unit variance (Mishkin and Matas, arXiv:1511.06422) of one weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lsuv {
    /// The variance that the layer's output is to have, where it was said; else it follows from the model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<f64>,
    /// How far from its target the variance may be at the end, as a share of the target.
    pub tolerance: f64,
}

/// That a tensor had a source and is new all the same, because its module could not be transferred as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mismatch {
    /// The module: the path of a layer, or the name of a bare parameter.
    pub module: String,
    /// The shape that was found for this tensor; that of the target where it is new only because of its module.
    pub found: Shape,
}
