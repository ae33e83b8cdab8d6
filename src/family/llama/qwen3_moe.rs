//! Qwen 3 with experts (arXiv:2505.09388).

use super::qwen2::QWEN2;
use super::qwen3::QWEN3;
use super::table::{Defaults, Experts, Llama, Windows};
use super::{experts, gguf_rules, litgpt, megatron};
use crate::family::described::Described;

pub(crate) const QWEN3_MOE: Described<Llama> = Described {
    name: "qwen3_moe",
    model_types: &["qwen3_moe"],
    architectures: &[
        "Qwen3MoeModel", "Qwen3MoeForCausalLM", "Qwen3MoeForSequenceClassification", "Qwen3MoeForTokenClassification",
        "Qwen3MoeForQuestionAnswering",
    ],
    markers: &["layers.0.self_attn.q_norm.weight", "layers.0.mlp.experts.0.gate_proj.weight"],
    dialects: &[experts::QWEN3_MOE, litgpt::QWEN3_MOE, megatron::QWEN3_MOE, gguf_rules::QWEN_MOE],
    table: Llama {
        span_prefix: "transformer",
        gguf: "qwen3moe",
        windows: Windows::Switched,
        experts: Some(&Experts {
            path: "mlp",
            names: ["gate_proj", "up_proj", "down_proj"],
            count: ("num_experts", 128),
            per_token: 8,
            intermediate: ("moe_intermediate_size", 768),
            normalised: Some(("norm_topk_prob", false)),
            sparse: true,
        }),
        defaults: Defaults {
            hidden: 2048,
            intermediate: 6144,
            layers: 24,
            kv_heads: Some(4),
            head_dim: None,
            ..QWEN2.table.defaults
        },
        ..QWEN3.table
    },
    ..QWEN3
};
