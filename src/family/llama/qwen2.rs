//! Qwen 2 (arXiv:2407.10671): Llama with biases of q, k and v.

use super::LLAMA;
use super::table::{Bias, Defaults, Llama, Windows};
use super::{fused, gguf_rules, litgpt, megatron, torchtune};
use crate::family::described::Described;

pub(crate) const QWEN2: Described<Llama> = Described {
    name: "qwen2",
    model_types: &["qwen2"],
    architectures: &[
        "Qwen2Model", "Qwen2ForCausalLM", "Qwen2ForSequenceClassification", "Qwen2ForTokenClassification",
        "Qwen2ForQuestionAnswering",
    ],
    markers: &["layers.0.self_attn.q_proj.bias", "layers.0.mlp.gate_proj.weight", "layers.0.input_layernorm.weight"],
    dialects: &[torchtune::QWEN2, litgpt::SIBLING, megatron::SIBLING, gguf_rules::QWEN, fused::FUSED],
    table: Llama {
        mlp_bias: false,
        gguf: "qwen2",
        span_prefix: "transformer",
        bias: Bias::Inputs,
        windows: Windows::Upper,
        defaults: Defaults {
            vocabulary: 151_936,
            intermediate: 22016,
            kv_heads: Some(32),
            positions: 32768,
            ..LLAMA.table.defaults
        },
        ..LLAMA.table
    },
    ..LLAMA
};
