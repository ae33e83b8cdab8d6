//! The text part of Gemma 3 (arXiv:2503.19786): Gemma with norms on both sides of a branch and of q and k, and windows in five layers of six.

use super::gemma::GEMMA;
use super::table::{Defaults, Llama, Norms, QueryKeyNorms, Windows};
use super::{fused, gguf_rules, litgpt};
use crate::family::described::Described;

pub(crate) const GEMMA3: Described<Llama> = Described {
    name: "gemma3_text",
    model_types: &["gemma3_text"],
    architectures: &["Gemma3TextModel", "Gemma3ForCausalLM", "Gemma3TextForSequenceClassification"],
    markers: &["layers.0.self_attn.q_norm.weight", "layers.0.pre_feedforward_layernorm.weight"],
    dialects: &[litgpt::GEMMA3, gguf_rules::GEMMA3, fused::FUSED],
    table: Llama {
        gguf: "gemma3",
        span_prefix: "model",
        query_key_norms: QueryKeyNorms::PerHead,
        norms: Norms::Around,
        windows: Windows::Pattern,
        defaults: Defaults {
            vocabulary: 262_208,
            hidden: 2304,
            intermediate: 9216,
            layers: 26,
            heads: 8,
            kv_heads: Some(4),
            activation: ("hidden_activation", "gelu_pytorch_tanh"),
            positions: 131_072,
            theta: 1_000_000.0,
            ..GEMMA.table.defaults
        },
        gelu_is_tanh: false,
        ..GEMMA.table
    },
    ..GEMMA
};
