//! Mixtral (arXiv:2401.04088): Mistral with experts.

use super::LLAMA;
use super::table::{Bias, Defaults, Experts, Llama, Windows};
use super::{experts, gguf_rules, litgpt, megatron, meta};
use crate::family::described::Described;

pub(crate) const MIXTRAL: Described<Llama> = Described {
    name: "mixtral",
    model_types: &["mixtral"],
    architectures: &[
        "MixtralModel", "MixtralForCausalLM", "MixtralForSequenceClassification", "MixtralForTokenClassification",
        "MixtralForQuestionAnswering",
    ],
    markers: &["layers.0.self_attn.q_proj.weight", "layers.0.block_sparse_moe.experts.0.w1.weight"],
    dialects: &[experts::MIXTRAL, meta::MIXTRAL, litgpt::MIXTRAL, megatron::MIXTRAL, gguf_rules::MIXTRAL],
    table: Llama {
        mlp_bias: false,
        span_prefix: "model",
        bias: Bias::Never,
        windows: Windows::All(None),
        experts: Some(&Experts {
            path: "block_sparse_moe",
            names: ["w1", "w3", "w2"],
            count: ("num_local_experts", 8),
            per_token: 2,
            intermediate: ("intermediate_size", 14336),
            normalised: None,
            sparse: false,
        }),
        defaults: Defaults {
            intermediate: 14336,
            kv_heads: Some(8),
            positions: 131_072,
            eps: 1e-5,
            theta: 1_000_000.0,
            ..LLAMA.table.defaults
        },
        ..LLAMA.table
    },
    ..LLAMA
};
