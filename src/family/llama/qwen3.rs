//! Qwen 3 (arXiv:2505.09388): Qwen 2 with norms of q and k in place of biases.

use super::LLAMA;
use super::qwen2::QWEN2;
use super::table::{Bias, Defaults, Llama, QueryKeyNorms, Windows};
use super::{fused, gguf_rules, litgpt, megatron, torchtune};
use crate::family::described::Described;

pub(crate) const QWEN3: Described<Llama> = Described {
    name: "qwen3",
    model_types: &["qwen3"],
    architectures: &[
        "Qwen3Model", "Qwen3ForCausalLM", "Qwen3ForSequenceClassification", "Qwen3ForTokenClassification",
        "Qwen3ForQuestionAnswering",
    ],
    markers: &["layers.0.self_attn.q_norm.weight", "layers.0.mlp.gate_proj.weight", "layers.0.input_layernorm.weight"],
    dialects: &[torchtune::QWEN3, litgpt::SIBLING, megatron::SIBLING, gguf_rules::QWEN, fused::FUSED],
    table: Llama {
        mlp_bias: false,
        gguf: "qwen3",
        span_prefix: "transformer",
        bias: Bias::Stated,
        query_key_norms: QueryKeyNorms::PerHead,
        windows: Windows::Upper,
        defaults: Defaults { head_dim: Some(128), ..QWEN2.table.defaults },
        ..LLAMA.table
    },
    ..LLAMA
};
