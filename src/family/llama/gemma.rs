//! Gemma (arXiv:2403.08295): Llama with norms around zero and scaled embeddings.

use super::LLAMA;
use super::table::{Bias, Defaults, Llama};
use super::{fused, gguf_rules, litgpt, torchtune};
use crate::family::described::Described;

pub(crate) const GEMMA: Described<Llama> = Described {
    name: "gemma",
    model_types: &["gemma"],
    architectures: &["GemmaModel", "GemmaForCausalLM", "GemmaForSequenceClassification", "GemmaForTokenClassification"],
    dialects: &[torchtune::GEMMA, litgpt::SIBLING, gguf_rules::GEMMA, fused::FUSED],
    table: Llama {
        mlp_bias: false,
        gguf: "gemma",
        bias: Bias::Stated,
        gemma: true,
        defaults: Defaults {
            vocabulary: 256_000,
            hidden: 3072,
            intermediate: 24576,
            layers: 28,
            heads: 16,
            kv_heads: Some(16),
            head_dim: Some(256),
            activation: ("hidden_act", "gelu_pytorch_tanh"),
            positions: 8192,
            tied: true,
            padding: Some(0),
            ..LLAMA.table.defaults
        },
        gelu_is_tanh: true,
        ..LLAMA.table
    },
    ..LLAMA
};
