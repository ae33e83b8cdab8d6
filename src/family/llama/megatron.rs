//! Llama and its siblings as Megatron Core's `GPTModel` saves them: q, k and v in one matrix group by group, gate above up in another, and
//! the norm before a projection within it (Transformer Engine) or beside it. Both are read, and the first is written.

use super::projections::{from_groups, grouped, halves, joined, to_groups, ungrouped};
use super::renamed;
use crate::family::{Dialect, Rule, Undetermined, same};

const QKV: &[&str] = &[
    "model.layers.{i}.self_attn.q_proj.weight",
    "model.layers.{i}.self_attn.k_proj.weight",
    "model.layers.{i}.self_attn.v_proj.weight",
];
const QKV_BIAS: &[&str] = &[
    "model.layers.{i}.self_attn.q_proj.bias",
    "model.layers.{i}.self_attn.k_proj.bias",
    "model.layers.{i}.self_attn.v_proj.bias",
];

/// What all have, and rules of their own.
macro_rules! rules {
    ($($own:expr),* $(,)?) => {
        &[
            renamed(&["model.embed_tokens.weight"], &["embedding.word_embeddings.weight"]),
            renamed(&["model.norm.weight"], &["decoder.final_layernorm.weight"]),
            renamed(&["lm_head.weight"], &["output_layer.weight"]),
            renamed(
                &["model.layers.{i}.input_layernorm.weight"],
                &["decoder.layers.{i}.self_attention.linear_qkv.layer_norm_weight"]
            ),
            renamed(&["model.layers.{i}.input_layernorm.weight"], &["decoder.layers.{i}.input_layernorm.weight"]),
            renamed(
                &["model.layers.{i}.self_attn.o_proj.weight"],
                &["decoder.layers.{i}.self_attention.linear_proj.weight"]
            ),
            renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["decoder.layers.{i}.self_attention.linear_proj.bias"]),
            renamed(
                &["model.layers.{i}.self_attn.q_norm.weight"],
                &["decoder.layers.{i}.self_attention.q_layernorm.weight"]
            ),
            renamed(
                &["model.layers.{i}.self_attn.k_norm.weight"],
                &["decoder.layers.{i}.self_attention.k_layernorm.weight"]
            ),
            $($own),*
        ]
    };
}

/// What those have whose q, k and v are apart.
macro_rules! separate {
    ($($own:expr),* $(,)?) => {
        rules!(
            Rule {
                ours: QKV,
                theirs: &["decoder.layers.{i}.self_attention.linear_qkv.weight"],
                read: from_groups,
                write: to_groups,
            },
            Rule {
                ours: QKV_BIAS,
                theirs: &["decoder.layers.{i}.self_attention.linear_qkv.bias"],
                read: from_groups,
                write: to_groups,
            },
            $($own),*
        )
    };
}

/// A norm that is a part of the projection after it, or stands before it.
macro_rules! dense_norm {
    ($($own:expr),* $(,)?) => {
        separate!(
            renamed(
                &["model.layers.{i}.post_attention_layernorm.weight"],
                &["decoder.layers.{i}.mlp.linear_fc1.layer_norm_weight"]
            ),
            renamed(
                &["model.layers.{i}.post_attention_layernorm.weight"],
                &["decoder.layers.{i}.pre_mlp_layernorm.weight"]
            ),
            $($own),*
        )
    };
}

/// Of those with a feed-forward network in each layer.
pub(super) const LLAMA: Dialect = Dialect {
    name: "megatron",
    markers: &["decoder.layers.{i}.self_attention.linear_qkv.weight"],
    alone: &[
        "decoder.layers.0.self_attention.linear_qkv.weight",
        "decoder.layers.0.mlp.linear_fc1.layer_norm_weight",
        "embedding.word_embeddings.weight",
    ],
    rules: dense_norm!(
        Rule {
            ours: &["model.layers.{i}.mlp.gate_proj.weight", "model.layers.{i}.mlp.up_proj.weight"],
            theirs: &["decoder.layers.{i}.mlp.linear_fc1.weight"],
            read: halves,
            write: joined,
        },
        Rule {
            ours: &["model.layers.{i}.mlp.gate_proj.bias", "model.layers.{i}.mlp.up_proj.bias"],
            theirs: &["decoder.layers.{i}.mlp.linear_fc1.bias"],
            read: halves,
            write: joined,
        },
        renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["decoder.layers.{i}.mlp.linear_fc2.weight"]),
        renamed(&["model.layers.{i}.mlp.down_proj.bias"], &["decoder.layers.{i}.mlp.linear_fc2.bias"]),
    ),
    buffers: &["_extra_state", "rotary_pos_emb.inv_freq"],
    ..Dialect::PLAIN
};

/// Of siblings that its names alone do not tell from Llama.
pub(super) const SIBLING: Dialect = Dialect { alone: &[], ..LLAMA };

/// Of Mixtral: experts one by one, or with their number at the end of the name (Transformer Engine's grouped products).
pub(super) const MIXTRAL: Dialect = Dialect {
    rules: separate!(
        renamed(
            &["model.layers.{i}.post_attention_layernorm.weight"],
            &["decoder.layers.{i}.pre_mlp_layernorm.weight"]
        ),
        renamed(&["model.layers.{i}.block_sparse_moe.gate.weight"], &["decoder.layers.{i}.mlp.router.weight"]),
        Rule {
            ours: &[
                "model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
                "model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"
            ],
            theirs: &["decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc1.weight"],
            read: halves,
            write: joined,
        },
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight"],
            &["decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc2.weight"]
        ),
        Rule {
            ours: &[
                "model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
                "model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"
            ],
            theirs: &["decoder.layers.{i}.mlp.experts.linear_fc1.weight{e}"],
            read: halves,
            write: joined,
        },
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight"],
            &["decoder.layers.{i}.mlp.experts.linear_fc2.weight{e}"]
        ),
    ),
    ..SIBLING
};

/// Of Qwen 3 with experts, likewise; its dense layers are as Llama's.
pub(super) const QWEN3_MOE: Dialect = Dialect {
    rules: separate!(
        renamed(
            &["model.layers.{i}.post_attention_layernorm.weight"],
            &["decoder.layers.{i}.pre_mlp_layernorm.weight"]
        ),
        renamed(
            &["model.layers.{i}.post_attention_layernorm.weight"],
            &["decoder.layers.{i}.mlp.linear_fc1.layer_norm_weight"]
        ),
        renamed(&["model.layers.{i}.mlp.gate.weight"], &["decoder.layers.{i}.mlp.router.weight"]),
        Rule {
            ours: &[
                "model.layers.{i}.mlp.experts.{e}.gate_proj.weight",
                "model.layers.{i}.mlp.experts.{e}.up_proj.weight"
            ],
            theirs: &["decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc1.weight"],
            read: halves,
            write: joined,
        },
        renamed(
            &["model.layers.{i}.mlp.experts.{e}.down_proj.weight"],
            &["decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc2.weight"]
        ),
        Rule {
            ours: &[
                "model.layers.{i}.mlp.experts.{e}.gate_proj.weight",
                "model.layers.{i}.mlp.experts.{e}.up_proj.weight"
            ],
            theirs: &["decoder.layers.{i}.mlp.experts.linear_fc1.weight{e}"],
            read: halves,
            write: joined,
        },
        renamed(
            &["model.layers.{i}.mlp.experts.{e}.down_proj.weight"],
            &["decoder.layers.{i}.mlp.experts.linear_fc2.weight{e}"]
        ),
        Rule {
            ours: &["model.layers.{i}.mlp.gate_proj.weight", "model.layers.{i}.mlp.up_proj.weight"],
            theirs: &["decoder.layers.{i}.mlp.linear_fc1.weight"],
            read: halves,
            write: joined,
        },
        renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["decoder.layers.{i}.mlp.linear_fc2.weight"]),
    ),
    ..SIBLING
};

/// Of Phi-3, whose q, k and v are one matrix, and gate and up another.
pub(super) const PHI3: Dialect = Dialect {
    rules: rules!(
        Rule {
            ours: &["model.layers.{i}.self_attn.qkv_proj.weight"],
            theirs: &["decoder.layers.{i}.self_attention.linear_qkv.weight"],
            read: ungrouped,
            write: grouped,
        },
        renamed(
            &["model.layers.{i}.post_attention_layernorm.weight"],
            &["decoder.layers.{i}.mlp.linear_fc1.layer_norm_weight"]
        ),
        renamed(
            &["model.layers.{i}.post_attention_layernorm.weight"],
            &["decoder.layers.{i}.pre_mlp_layernorm.weight"]
        ),
        Rule {
            ours: &["model.layers.{i}.mlp.gate_up_proj.weight"],
            theirs: &["decoder.layers.{i}.mlp.linear_fc1.weight"],
            read: same,
            write: same,
        },
        renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["decoder.layers.{i}.mlp.linear_fc2.weight"]),
    ),
    ..SIBLING
};

/// Megatron-LM before Megatron Core.
pub(super) const LEGACY: Undetermined = Undetermined {
    markers: &[
        "language_model.encoder.layers.{i}.self_attention.query_key_value.weight",
        "language_model.transformer.layers.{i}.attention.query_key_value.weight",
        "language_model.encoder.layers.{i}.attention.query_key_value.weight",
    ],
    by: "Megatron-LM before Megatron Core",
    why: "the order of its rows depends on a checkpoint_version that does not stand beside the tensors",
    remedy: "convert it with Megatron-LM's tools/checkpoint/convert.py --saver core, and pass the result",
};
