//! Which part of a model a stored tensor is, by its name: a head, an adapter, a scale of quantised numbers, or none of these.

use crate::family::Family;
use crate::name::last;
use crate::plan::names::unwrapped;
use crate::tensor::TensorInfo;

/// A part of a model without which the rest computes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A causal mask or another table that is computed.
    Mask,
    /// A factor between stored and real numbers: of weights, of activations, of a cache.
    Scale,
    /// What a family's class is known to ignore.
    Ignored,
    /// A head, with its norms and projections.
    Head,
    Pooler,
    Adapter,
    /// Cross-attention, in a target that has none.
    CrossAttention,
    /// Layers that predict several tokens at once, in a target that has none.
    MultiToken,
    /// What other layers of the target have, and the chosen one has not.
    OtherLayers,
}

impl Part {
    /// Why a tensor of this part is dropped.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Part::Mask => "a mask, which the model computes",
            Part::Scale => "a scale of quantised numbers",
            Part::Ignored => "ignored by the target's class",
            Part::Head => "a head that the target does not have",
            Part::Pooler => "a pooler that the target does not have",
            Part::Adapter => "an adapter that the target does not have",
            Part::CrossAttention => "cross-attention, which the target does not have",
            Part::MultiToken => "multi-token prediction, which the target does not have",
            Part::OtherLayers => "other layers of the target have it, this one does not",
        }
    }

    /// Whether a strict run asks for it to be declared: what was learned is lost with it.
    pub(crate) fn is_learned(self) -> bool {
        !matches!(self, Part::Mask | Part::Scale | Part::Ignored)
    }
}

/// Components that are heads.
const HEADS: &[&str] = &[
    "cls", "classifier", "fc", "fc_norm", "head", "heads", "pre_logits", "predictions", "predictor", "projector",
    "prototypes", "qa_outputs", "rpn", "score", "vocab_layer_norm", "vocab_projector", "vocab_transform",
];

const HEAD_ENDS: &[&str] = &["_head", "_heads", "_classifier", "_predictions", "_predictor", "_logits"];

const HEAD_STARTS: &[&str] = &["head_", "classifier_", "classification_", "aux"];

fn is_head(component: &str) -> bool {
    let component = component.to_ascii_lowercase();
    HEADS.contains(&component.as_str())
        || HEAD_ENDS.iter().any(|end| component.ends_with(end))
        || HEAD_STARTS.iter().any(|start| component.starts_with(start))
        || component.contains("logits") && !component.contains("scale")
}

fn is_pooler(component: &str) -> bool {
    let component = component.to_ascii_lowercase();
    component.contains("pooler") || component == "attn_pool" || component == "attnpool"
}

fn is_adapter(component: &str) -> bool {
    let component = component.to_ascii_lowercase();
    component.contains("adapter") || component.starts_with("lora_") || component.starts_with("ia3_")
}

/// Whether a component of a name is cross-attention, or a norm of it.
fn is_cross_attention(component: &str) -> bool {
    let component = component.to_ascii_lowercase().replace('_', "");
    ["crossattn", "crossattention", "encoderattn", "encdecattention", "encoderdecoderattention"]
        .iter()
        .any(|word| component.contains(word))
}

fn is_multi_token(component: &str) -> bool {
    let component = component.to_ascii_lowercase();
    component == "mtp" || component.starts_with("mtp_") || component.contains("nextn")
}

/// What stands before `_scale` and its like.
const SCALED: &[&str] = &[
    "a", "act", "activation", "cache", "fc1", "fc2", "in", "input", "k", "key", "kv", "kv_cache", "output", "prob",
    "q", "softmax", "v", "value", "w", "weight",
];

const SCALE_ENDS: &[&str] =
    &["_scale", "_scales", "_scale_inv", "_scale_2", "_global_scale", "_zero_point", "_zero_points", "_amax"];

const SCALES: &[&str] = &[
    "SCB", "_amax", "absmax", "g_idx", "nested_absmax", "nested_quant_map", "quant_map", "qzeros", "scale_input",
    "scale_weight", "scales", "weight_format", "weight_shape", "zero_point",
];

/// Whether a tensor of this name is a scale, a zero point or another number without which quantised values mean nothing.
pub(crate) fn is_scale(name: &str) -> bool {
    let last = last(name);
    let is_scaled = |end: &str| last.strip_suffix(end).is_some_and(|what| SCALED.contains(&what));
    let by_observer = |component: &str| {
        component.ends_with("_quantizer")
            || component.ends_with("_fake_quant")
            || component == "activation_post_process"
    };
    SCALES.contains(&last)
        || last.contains("quant_state")
        || SCALE_ENDS.iter().any(|end| is_scaled(end))
        || name.split('.').any(by_observer)
}

/// Names of causal masks that models register as buffers. GPT-2's `attn.bias` is one, and no bias.
const MASKS: &[&str] = &["bias", "mask", "attn_mask", "causal_mask", "tril", "triu"];

/// Whether a tensor is a square mask.
pub(crate) fn is_mask(info: &TensorInfo) -> bool {
    let last = last(&info.name);
    match info.shape.as_slice() {
        [leading @ .., rows, columns] if rows == columns => {
            MASKS.contains(&last) && leading.iter().all(|size| *size == 1) && (last != "bias" || !leading.is_empty())
        }
        _ => false,
    }
}

/// What a target has of the parts that are recognised by single components.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Has {
    cross_attention: bool,
    multi_token: bool,
    adapters: bool,
}

impl Has {
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Has {
        let mut has = Has::default();
        for component in names.flat_map(|name| name.split('.')) {
            has.cross_attention |= is_cross_attention(component);
            has.multi_token |= is_multi_token(component);
            has.adapters |= is_adapter(component);
        }
        has
    }
}

/// The part that a tensor belongs to, or `None` for the body. `outside` is what of the name stands before its first layer.
pub(crate) fn part_of(info: &TensorInfo, outside: &str, family: Option<&dyn Family>, has: Has) -> Option<Part> {
    let name = info.name.as_str();
    let some = |is: fn(&str) -> bool, text: &str| text.split('.').any(is);
    match () {
        () if is_mask(info) => Some(Part::Mask),
        () if is_scale(name) => Some(Part::Scale),
        () if !has.adapters && some(is_adapter, name) => Some(Part::Adapter),
        () if !has.cross_attention && some(is_cross_attention, name) => Some(Part::CrossAttention),
        () if !has.multi_token && some(is_multi_token, name) => Some(Part::MultiToken),
        () if some(is_pooler, outside) => Some(Part::Pooler),
        () if some(is_head, outside) || family.is_some_and(|family| is_beside(name, family.base_prefix())) => {
            Some(Part::Head)
        }
        () => None,
    }
}

/// Whether a name stands beside a family's body, given that some name stands in it.
fn is_beside(name: &str, prefix: &str) -> bool {
    !prefix.is_empty() && !unwrapped(name).split('.').any(|component| component == prefix)
}

/// Whether a target of this name is a head or a pooler, which are new where the source has another one.
pub(crate) fn is_beside_body(name: &str) -> bool {
    name.split('.').any(|component| is_head(component) || is_pooler(component) || is_adapter(component))
}
