//! Phi-3 (arXiv:2404.14219): Llama with fused projections.

use super::LLAMA;
use super::table::{Bias, Defaults, Llama, Windows};
use super::{fused, gguf_rules, litgpt, megatron, torchtune};
use crate::family::described::Described;

pub(crate) const PHI3: Described<Llama> = Described {
    name: "phi3",
    model_types: &["phi3"],
    architectures: &["Phi3Model", "Phi3ForCausalLM", "Phi3ForSequenceClassification", "Phi3ForTokenClassification"],
    markers: &["layers.0.self_attn.qkv_proj.weight", "layers.0.mlp.gate_up_proj.weight"],
    dialects: &[torchtune::PHI3, litgpt::PHI3, megatron::PHI3, gguf_rules::PHI, fused::SEPARATE],
    table: Llama {
        mlp_bias: false,
        gguf: "phi3",
        span_prefix: "model",
        bias: Bias::Never,
        fused: true,
        windows: Windows::All(None),
        defaults: Defaults {
            vocabulary: 32064,
            hidden: 3072,
            intermediate: 8192,
            positions: 4096,
            eps: 1e-5,
            padding: Some(32000),
            ..LLAMA.table.defaults
        },
        ..LLAMA.table
    },
    ..LLAMA
};
