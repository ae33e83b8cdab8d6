//! Llama (Touvron et al., arXiv:2302.13971) and its relatives, each a file with the table of its differences: rotary positions, grouped
//! heads, RMS norms, and a gated feed-forward network.

mod body;
mod experts;
mod frequencies;
mod fused;
mod gemma;
mod gemma3;
mod gguf;
mod gguf_rules;
mod imports;
mod litgpt;
mod megatron;
mod meta;
mod mistral;
mod mixtral;
mod mixture;
mod model_config;
mod olmo2;
mod params;
mod phi3;
mod positions;
mod projections;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod smollm3;
mod table;
mod torchtune;

pub(crate) use gemma::GEMMA;
pub(crate) use gemma3::GEMMA3;
pub(crate) use mistral::MISTRAL;
pub(crate) use mixtral::MIXTRAL;
pub(super) use model_config::is_model_config;
pub(crate) use olmo2::OLMO2;
pub(super) use params::is_params;
pub(crate) use phi3::PHI3;
pub(crate) use qwen2::QWEN2;
pub(crate) use qwen3::QWEN3;
pub(crate) use qwen3_moe::QWEN3_MOE;
pub(crate) use smollm3::SMOLLM3;
pub(crate) use table::Llama;

use table::{Bias, Defaults, Norms, QueryKeyNorms, Rotary, Windows};

use super::decoder;
use super::described::Described;

/// Llama itself.
pub(crate) const LLAMA: Described<Llama> = Described {
    name: "llama",
    model_types: &["llama"],
    architectures: &[
        "LlamaModel", "LlamaForCausalLM", "LlamaForSequenceClassification", "LlamaForTokenClassification",
        "LlamaForQuestionAnswering",
    ],
    inputs: decoder::INPUTS,
    base_prefix: body::NAMES.base_prefix,
    markers: &["layers.0.self_attn.q_proj.weight", "layers.0.mlp.gate_proj.weight", "layers.0.input_layernorm.weight"],
    dialects: &[meta::META, torchtune::NEIGHBOURS, litgpt::LLAMA, megatron::LLAMA, gguf_rules::LLAMA, fused::FUSED],
    undetermined: &[megatron::LEGACY],
    imports: Some(imports::IMPORTS),
    ..Described::new(TABLE, body::build)
};

const TABLE: Llama = Llama {
    span_prefix: "transformer",
    gguf: "llama",
    bias: Bias::Stated,
    mlp_bias: true,
    query_key_norms: QueryKeyNorms::None,
    fused: false,
    gemma: false,
    gelu_is_tanh: false,
    norms: Norms::Before,
    rotary: Rotary::All,
    windows: Windows::Never,
    experts: None,
    defaults: Defaults {
        vocabulary: 32000,
        hidden: 4096,
        intermediate: 11008,
        layers: 32,
        heads: 32,
        kv_heads: None,
        head_dim: None,
        activation: ("hidden_act", "silu"),
        positions: 2048,
        eps: 1e-6,
        tied: false,
        padding: None,
        theta: 10_000.0,
    },
};
