//! Llama and its siblings as litgpt saves them: q, k and v in one matrix. Since version 0.5.4 it is `attn.qkv` and holds all of q, all of k,
//! all of v; before it was `attn.attn` and held them group by group. Both are read, and the first is written. The head is always stored.

use super::projections::{from_groups, grouped, halves, joined, pieces, to_groups, ungrouped};
use super::renamed;
use crate::family::{Dialect, Rule, same};

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
            renamed(&["model.embed_tokens.weight"], &["transformer.wte.weight"]),
            renamed(&["model.norm.weight"], &["transformer.ln_f.weight"]),
            renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["transformer.h.{i}.attn.proj.weight"]),
            renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["transformer.h.{i}.attn.proj.bias"]),
            $($own),*
        ]
    };
}

/// What those have whose q, k and v are apart.
macro_rules! separate {
    ($($own:expr),* $(,)?) => {
        rules!(
            Rule { ours: QKV, theirs: &["transformer.h.{i}.attn.qkv.weight"], read: pieces, write: joined },
            Rule { ours: QKV_BIAS, theirs: &["transformer.h.{i}.attn.qkv.bias"], read: pieces, write: joined },
            Rule { ours: QKV, theirs: &["transformer.h.{i}.attn.attn.weight"], read: from_groups, write: to_groups },
            Rule { ours: QKV_BIAS, theirs: &["transformer.h.{i}.attn.attn.bias"], read: from_groups, write: to_groups },
            renamed(&["model.layers.{i}.self_attn.q_norm.weight"], &["transformer.h.{i}.attn.norm_q.weight"]),
            renamed(&["model.layers.{i}.self_attn.k_norm.weight"], &["transformer.h.{i}.attn.norm_k.weight"]),
            renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["transformer.h.{i}.mlp.fc_1.weight"]),
            renamed(&["model.layers.{i}.mlp.gate_proj.bias"], &["transformer.h.{i}.mlp.fc_1.bias"]),
            renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["transformer.h.{i}.mlp.fc_2.weight"]),
            renamed(&["model.layers.{i}.mlp.up_proj.bias"], &["transformer.h.{i}.mlp.fc_2.bias"]),
            renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["transformer.h.{i}.mlp.proj.weight"]),
            renamed(&["model.layers.{i}.mlp.down_proj.bias"], &["transformer.h.{i}.mlp.proj.bias"]),
            renamed(&["model.layers.{i}.input_layernorm.weight"], &["transformer.h.{i}.norm_1.weight"]),
            $($own),*
        )
    };
}

/// Of those with a norm before each branch.
pub(super) const LLAMA: Dialect = Dialect {
    name: "litgpt",
    markers: &["transformer.h.{i}.attn.qkv.weight", "transformer.h.{i}.attn.attn.weight"],
    alone: &["transformer.h.0.norm_1.weight", "transformer.h.0.mlp.fc_1.weight", "transformer.wte.weight"],
    rules: separate!(renamed(
        &["model.layers.{i}.post_attention_layernorm.weight"],
        &["transformer.h.{i}.norm_2.weight"]
    )),
    stores_ties: true,
    ..Dialect::PLAIN
};

/// Of siblings that its names alone do not tell from Llama.
pub(super) const SIBLING: Dialect = Dialect { alone: &[], ..LLAMA };

/// Of Gemma 3, with norms on both sides of a branch.
pub(super) const GEMMA3: Dialect = Dialect {
    alone: &[],
    rules: separate!(
        renamed(
            &["model.layers.{i}.post_attention_layernorm.weight"],
            &["transformer.h.{i}.post_attention_norm.weight"]
        ),
        renamed(&["model.layers.{i}.pre_feedforward_layernorm.weight"], &["transformer.h.{i}.norm_2.weight"]),
        renamed(&["model.layers.{i}.post_feedforward_layernorm.weight"], &["transformer.h.{i}.post_mlp_norm.weight"]),
    ),
    ..LLAMA
};

/// Of Mixtral.
pub(super) const MIXTRAL: Dialect = Dialect {
    alone: &["transformer.h.0.norm_1.weight", "transformer.h.0.mlp.experts.0.fc_1.weight", "transformer.wte.weight"],
    rules: separate!(
        renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["transformer.h.{i}.norm_2.weight"]),
        renamed(&["model.layers.{i}.block_sparse_moe.gate.weight"], &["transformer.h.{i}.mlp.gate.weight"]),
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight"],
            &["transformer.h.{i}.mlp.experts.{e}.fc_1.weight"]
        ),
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"],
            &["transformer.h.{i}.mlp.experts.{e}.fc_2.weight"]
        ),
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight"],
            &["transformer.h.{i}.mlp.experts.{e}.proj.weight"]
        ),
    ),
    ..LLAMA
};

/// Of Qwen 3 with experts.
pub(super) const QWEN3_MOE: Dialect = Dialect {
    alone: &[],
    rules: separate!(
        renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["transformer.h.{i}.norm_2.weight"]),
        renamed(&["model.layers.{i}.mlp.gate.weight"], &["transformer.h.{i}.mlp.gate.weight"]),
        renamed(
            &["model.layers.{i}.mlp.experts.{e}.gate_proj.weight"],
            &["transformer.h.{i}.mlp.experts.{e}.fc_1.weight"]
        ),
        renamed(
            &["model.layers.{i}.mlp.experts.{e}.up_proj.weight"],
            &["transformer.h.{i}.mlp.experts.{e}.fc_2.weight"]
        ),
        renamed(
            &["model.layers.{i}.mlp.experts.{e}.down_proj.weight"],
            &["transformer.h.{i}.mlp.experts.{e}.proj.weight"]
        ),
    ),
    ..LLAMA
};

/// Of Phi-3, whose gate and up litgpt keeps apart.
pub(super) const PHI3: Dialect = Dialect {
    alone: &[],
    rules: rules!(
        Rule {
            ours: &["model.layers.{i}.self_attn.qkv_proj.weight"],
            theirs: &["transformer.h.{i}.attn.qkv.weight"],
            read: same,
            write: same,
        },
        Rule {
            ours: &["model.layers.{i}.self_attn.qkv_proj.weight"],
            theirs: &["transformer.h.{i}.attn.attn.weight"],
            read: ungrouped,
            write: grouped,
        },
        Rule {
            ours: &["model.layers.{i}.mlp.gate_up_proj.weight"],
            theirs: &["transformer.h.{i}.mlp.fc_1.weight", "transformer.h.{i}.mlp.fc_2.weight"],
            read: joined,
            write: halves,
        },
        renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["transformer.h.{i}.mlp.proj.weight"]),
        renamed(&["model.layers.{i}.input_layernorm.weight"], &["transformer.h.{i}.norm_1.weight"]),
        renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["transformer.h.{i}.norm_2.weight"]),
    ),
    ..LLAMA
};
