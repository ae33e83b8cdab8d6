//! The siblings, each as what it has that Llama has not.

use super::{experts, fused, gguf_rules, litgpt, megatron, meta, torchtune};
use crate::family::Dialect;

/// One of the siblings: what it is called, and where it differs.
pub struct Llama {
    pub(super) name: &'static str,
    pub(super) model_types: &'static [&'static str],
    pub(super) architectures: &'static [&'static str],
    /// The path of the body below a head for answers.
    pub(super) span_prefix: &'static str,
    pub(super) markers: &'static [&'static str],
    pub(super) dialects: &'static [Dialect],
    /// What its GGUF files call their architecture.
    pub(super) gguf: &'static str,
    pub(super) bias: Bias,
    /// Whether each head's query and key are normed.
    pub(super) head_norms: bool,
    /// Whether q, k and v are one matrix, and gate and up another.
    pub(super) fused: bool,
    /// Whether norms scale by 1 + weight, and embeddings by √width.
    pub(super) gemma: bool,
    /// Whether each branch ends in a norm too.
    pub(super) sandwich: bool,
    pub(super) windows: Windows,
    /// The mixtures that stand in place of feed-forward networks, where there are any.
    pub(super) experts: Option<&'static Experts>,
    /// The defaults of its config in transformers.
    pub(super) defaults: Defaults,
}

/// How a sibling spells its experts, and its defaults of them.
pub(super) struct Experts {
    /// The path of a mixture below its layer.
    pub(super) path: &'static str,
    /// The names of gate, up and down of each.
    pub(super) names: [&'static str; 3],
    pub(super) count: (&'static str, u64),
    pub(super) per_token: u64,
    pub(super) intermediate: (&'static str, u64),
    /// The key that says whether the shares of the chosen sum to 1; `None` where they do.
    pub(super) normalised: Option<(&'static str, bool)>,
    /// Whether the config may leave layers without.
    pub(super) sparse: bool,
}

/// Which projections of the attention have biases.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bias {
    /// None.
    Never,
    /// Those of q, k and v.
    Inputs,
    /// All or none, as `attention_bias` says.
    Said,
}

/// Which layers see only the last `sliding_window` positions.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Windows {
    /// None.
    Never,
    /// All, where the config has a window; this one where it says nothing.
    All(Option<u64>),
    /// All with `use_sliding_window`, else none.
    Switched,
    /// With `use_sliding_window`, those from `max_window_layers` on.
    Upper,
    /// All but every sixth, with rotary embeddings of their own.
    Pattern,
}

/// The defaults of a config.
pub(super) struct Defaults {
    pub(super) vocabulary: u64,
    pub(super) hidden: u64,
    pub(super) intermediate: u64,
    pub(super) layers: u64,
    pub(super) heads: u64,
    /// `None`: as many as heads.
    pub(super) kv_heads: Option<u64>,
    /// `None`: the width over the heads.
    pub(super) head_dim: Option<u64>,
    pub(super) activation: (&'static str, &'static str),
    pub(super) positions: u64,
    pub(super) eps: f64,
    pub(super) tied: bool,
    pub(super) padding: Option<u64>,
    pub(super) theta: f64,
}

const LLAMA_DEFAULTS: Defaults = Defaults {
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
};

const QWEN_DEFAULTS: Defaults =
    Defaults { vocabulary: 151_936, intermediate: 22016, kv_heads: Some(32), positions: 32768, ..LLAMA_DEFAULTS };

/// Llama itself.
pub const LLAMA: Llama = Llama {
    name: "llama",
    model_types: &["llama"],
    architectures: &[
        "LlamaModel",
        "LlamaForCausalLM",
        "LlamaForSequenceClassification",
        "LlamaForTokenClassification",
        "LlamaForQuestionAnswering",
    ],
    span_prefix: "transformer",
    markers: &["layers.0.self_attn.q_proj.weight", "layers.0.mlp.gate_proj.weight", "layers.0.input_layernorm.weight"],
    dialects: &[meta::META, torchtune::NEIGHBOURS, litgpt::LLAMA, megatron::LLAMA, gguf_rules::LLAMA, fused::FUSED],
    gguf: "llama",
    bias: Bias::Said,
    head_norms: false,
    fused: false,
    gemma: false,
    sandwich: false,
    windows: Windows::Never,
    experts: None,
    defaults: LLAMA_DEFAULTS,
};

/// With a sliding window.
pub const MISTRAL: Llama = Llama {
    name: "mistral",
    span_prefix: "model",
    model_types: &["mistral"],
    architectures: &[
        "MistralModel",
        "MistralForCausalLM",
        "MistralForSequenceClassification",
        "MistralForTokenClassification",
        "MistralForQuestionAnswering",
    ],
    bias: Bias::Never,
    windows: Windows::All(Some(4096)),
    defaults: Defaults { intermediate: 14336, kv_heads: Some(8), positions: 131_072, ..LLAMA_DEFAULTS },
    ..LLAMA
};

/// Mistral with experts (arXiv:2401.04088).
pub const MIXTRAL: Llama = Llama {
    name: "mixtral",
    span_prefix: "model",
    model_types: &["mixtral"],
    architectures: &[
        "MixtralModel",
        "MixtralForCausalLM",
        "MixtralForSequenceClassification",
        "MixtralForTokenClassification",
        "MixtralForQuestionAnswering",
    ],
    markers: &["layers.0.self_attn.q_proj.weight", "layers.0.block_sparse_moe.experts.0.w1.weight"],
    dialects: &[experts::MIXTRAL, meta::MIXTRAL, litgpt::MIXTRAL, megatron::MIXTRAL, gguf_rules::MIXTRAL],
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
        ..LLAMA_DEFAULTS
    },
    ..LLAMA
};

/// With biases of q, k and v.
pub const QWEN2: Llama = Llama {
    name: "qwen2",
    dialects: &[torchtune::QWEN2, litgpt::SIBLING, megatron::SIBLING, gguf_rules::QWEN, fused::FUSED],
    gguf: "qwen2",
    model_types: &["qwen2"],
    architectures: &[
        "Qwen2Model",
        "Qwen2ForCausalLM",
        "Qwen2ForSequenceClassification",
        "Qwen2ForTokenClassification",
        "Qwen2ForQuestionAnswering",
    ],
    span_prefix: "transformer",
    markers: &["layers.0.self_attn.q_proj.bias", "layers.0.mlp.gate_proj.weight", "layers.0.input_layernorm.weight"],
    bias: Bias::Inputs,
    windows: Windows::Upper,
    defaults: QWEN_DEFAULTS,
    ..LLAMA
};

/// With norms of q and k.
pub const QWEN3: Llama = Llama {
    name: "qwen3",
    dialects: &[torchtune::QWEN3, litgpt::SIBLING, megatron::SIBLING, gguf_rules::QWEN, fused::FUSED],
    gguf: "qwen3",
    model_types: &["qwen3"],
    architectures: &[
        "Qwen3Model",
        "Qwen3ForCausalLM",
        "Qwen3ForSequenceClassification",
        "Qwen3ForTokenClassification",
        "Qwen3ForQuestionAnswering",
    ],
    span_prefix: "transformer",
    markers: &["layers.0.self_attn.q_norm.weight", "layers.0.mlp.gate_proj.weight", "layers.0.input_layernorm.weight"],
    bias: Bias::Said,
    head_norms: true,
    windows: Windows::Upper,
    defaults: Defaults { head_dim: Some(128), ..QWEN_DEFAULTS },
    ..LLAMA
};

/// Qwen 3 with experts.
pub const QWEN3_MOE: Llama = Llama {
    name: "qwen3_moe",
    model_types: &["qwen3_moe"],
    architectures: &[
        "Qwen3MoeModel",
        "Qwen3MoeForCausalLM",
        "Qwen3MoeForSequenceClassification",
        "Qwen3MoeForTokenClassification",
        "Qwen3MoeForQuestionAnswering",
    ],
    span_prefix: "transformer",
    markers: &["layers.0.self_attn.q_norm.weight", "layers.0.mlp.experts.0.gate_proj.weight"],
    dialects: &[experts::QWEN3_MOE, litgpt::QWEN3_MOE, megatron::QWEN3_MOE, gguf_rules::QWEN_MOE],
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
        ..QWEN_DEFAULTS
    },
    ..QWEN3
};

/// With fused projections.
pub const PHI3: Llama = Llama {
    name: "phi3",
    dialects: &[torchtune::PHI3, litgpt::PHI3, megatron::PHI3, gguf_rules::PHI, fused::SEPARATE],
    gguf: "phi3",
    model_types: &["phi3"],
    architectures: &["Phi3Model", "Phi3ForCausalLM", "Phi3ForSequenceClassification", "Phi3ForTokenClassification"],
    span_prefix: "model",
    markers: &["layers.0.self_attn.qkv_proj.weight", "layers.0.mlp.gate_up_proj.weight"],
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
        ..LLAMA_DEFAULTS
    },
    ..LLAMA
};

/// With norms around zero and scaled embeddings.
pub const GEMMA: Llama = Llama {
    name: "gemma",
    dialects: &[torchtune::GEMMA, litgpt::SIBLING, gguf_rules::GEMMA, fused::FUSED],
    gguf: "gemma",
    model_types: &["gemma"],
    architectures: &["GemmaModel", "GemmaForCausalLM", "GemmaForSequenceClassification", "GemmaForTokenClassification"],
    bias: Bias::Said,
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
        ..LLAMA_DEFAULTS
    },
    ..LLAMA
};

/// The text part of Gemma 3: besides, norms on both sides of a branch and of q and k, and windows in five layers of six.
pub const GEMMA3: Llama = Llama {
    name: "gemma3_text",
    dialects: &[litgpt::GEMMA3, gguf_rules::GEMMA3, fused::FUSED],
    gguf: "gemma3",
    model_types: &["gemma3_text"],
    architectures: &["Gemma3TextModel", "Gemma3ForCausalLM", "Gemma3TextForSequenceClassification"],
    span_prefix: "model",
    markers: &["layers.0.self_attn.q_norm.weight", "layers.0.pre_feedforward_layernorm.weight"],
    head_norms: true,
    sandwich: true,
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
        ..GEMMA.defaults
    },
    ..GEMMA
};
