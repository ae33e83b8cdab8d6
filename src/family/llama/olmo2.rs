//! OLMo 2 (arXiv:2501.00656): Llama with norms after each branch, and of all heads of q and k together.

use super::table::{Defaults, Llama, Norms, QueryKeyNorms};
use super::{LLAMA, fused, gguf_rules, litgpt};
use crate::family::described::Described;

pub(crate) const OLMO2: Described<Llama> = Described {
    name: "olmo2",
    model_types: &["olmo2"],
    architectures: &["Olmo2Model", "Olmo2ForCausalLM", "Olmo2ForSequenceClassification"],
    markers: &["layers.0.self_attn.q_norm.weight", "layers.0.post_feedforward_layernorm.weight"],
    dialects: &[litgpt::OLMO2, gguf_rules::OLMO2, fused::FUSED],
    table: Llama {
        span_prefix: "model",
        gguf: "olmo2",
        mlp_bias: false,
        query_key_norms: QueryKeyNorms::AllHeads,
        norms: Norms::After,
        defaults: Defaults { vocabulary: 50304, eps: 1e-5, padding: Some(1), ..LLAMA.table.defaults },
        ..LLAMA.table
    },
    ..LLAMA
};
