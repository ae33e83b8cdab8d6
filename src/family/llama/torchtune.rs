//! Llama and its siblings as torchtune saves them: a norm's weight is a `scale`, and the rotary pairs of Llama, Mistral and Gemma are
//! neighbours, as Meta's, while those of Qwen and Phi are halves, as transformers'.

use super::projections::{halves, joined, pieces, rope};
use super::renamed;
use crate::family::{Dialect, Rule};

/// Norms of these names and an output projection of this name are torchtune's alone.
const MARKERS: &[&str] =
    &["layers.{i}.sa_norm.scale", "layers.{i}.mlp_norm.scale", "layers.{i}.attn.output_proj.weight"];

/// What all have, and rules of their own.
macro_rules! rules {
    ($($own:expr),* $(,)?) => {
        &[
            renamed(&["model.embed_tokens.weight"], &["tok_embeddings.weight"]),
            renamed(&["model.norm.weight"], &["norm.scale"]),
            renamed(&["lm_head.weight"], &["output.weight"]),
            renamed(&["model.layers.{i}.input_layernorm.weight"], &["layers.{i}.sa_norm.scale"]),
            renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["layers.{i}.mlp_norm.scale"]),
            renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["layers.{i}.attn.output_proj.weight"]),
            renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["layers.{i}.attn.output_proj.bias"]),
            renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["layers.{i}.mlp.w2.weight"]),
            renamed(&["model.layers.{i}.mlp.down_proj.bias"], &["layers.{i}.mlp.w2.bias"]),
            $($own),*
        ]
    };
}

/// What those have whose projections are apart.
macro_rules! separate {
    ($($own:expr),* $(,)?) => {
        rules!(
            renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["layers.{i}.attn.v_proj.weight"]),
            renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["layers.{i}.attn.v_proj.bias"]),
            renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["layers.{i}.mlp.w1.weight"]),
            renamed(&["model.layers.{i}.mlp.gate_proj.bias"], &["layers.{i}.mlp.w1.bias"]),
            renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["layers.{i}.mlp.w3.weight"]),
            renamed(&["model.layers.{i}.mlp.up_proj.bias"], &["layers.{i}.mlp.w3.bias"]),
            $($own),*
        )
    };
}

/// Of Llama, Mistral and Gemma.
pub(super) const NEIGHBOURS: Dialect = Dialect {
    name: "torchtune",
    markers: MARKERS,
    alone: &["layers.0.attn.q_proj.weight", "layers.0.sa_norm.scale", "tok_embeddings.weight"],
    rules: separate!(
        Rule {
            ours: &["model.layers.{i}.self_attn.q_proj.weight"],
            theirs: &["layers.{i}.attn.q_proj.weight"],
            read: rope::read_q,
            write: rope::write_q,
        },
        Rule {
            ours: &["model.layers.{i}.self_attn.q_proj.bias"],
            theirs: &["layers.{i}.attn.q_proj.bias"],
            read: rope::read_q,
            write: rope::write_q,
        },
        Rule {
            ours: &["model.layers.{i}.self_attn.k_proj.weight"],
            theirs: &["layers.{i}.attn.k_proj.weight"],
            read: rope::read_k,
            write: rope::write_k,
        },
        Rule {
            ours: &["model.layers.{i}.self_attn.k_proj.bias"],
            theirs: &["layers.{i}.attn.k_proj.bias"],
            read: rope::read_k,
            write: rope::write_k,
        },
    ),
    ..Dialect::PLAIN
};

/// Of Gemma, which its names alone do not tell from Llama.
pub(super) const GEMMA: Dialect = Dialect { alone: &[], ..NEIGHBOURS };

/// Of Qwen 2, whose rotary pairs stay as they are.
pub(super) const QWEN2: Dialect = Dialect {
    alone: &["layers.0.attn.q_proj.bias", "layers.0.sa_norm.scale", "tok_embeddings.weight"],
    rules: HALVES,
    ..NEIGHBOURS
};

/// Of Qwen 3, likewise.
pub(super) const QWEN3: Dialect =
    Dialect { alone: &["layers.0.attn.q_norm.scale", "layers.0.sa_norm.scale", "tok_embeddings.weight"], ..QWEN2 };

const HALVES: &[Rule] = separate!(
    renamed(&["model.layers.{i}.self_attn.q_proj.weight"], &["layers.{i}.attn.q_proj.weight"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.bias"], &["layers.{i}.attn.q_proj.bias"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.weight"], &["layers.{i}.attn.k_proj.weight"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.bias"], &["layers.{i}.attn.k_proj.bias"]),
    renamed(&["model.layers.{i}.self_attn.q_norm.weight"], &["layers.{i}.attn.q_norm.scale"]),
    renamed(&["model.layers.{i}.self_attn.k_norm.weight"], &["layers.{i}.attn.k_norm.scale"]),
);

/// Of Phi-3, whose projections torchtune keeps apart.
pub(super) const PHI3: Dialect = Dialect {
    alone: &[],
    rules: rules!(
        Rule {
            ours: &["model.layers.{i}.self_attn.qkv_proj.weight"],
            theirs: &[
                "layers.{i}.attn.q_proj.weight",
                "layers.{i}.attn.k_proj.weight",
                "layers.{i}.attn.v_proj.weight",
            ],
            read: joined,
            write: pieces,
        },
        Rule {
            ours: &["model.layers.{i}.mlp.gate_up_proj.weight"],
            theirs: &["layers.{i}.mlp.w1.weight", "layers.{i}.mlp.w3.weight"],
            read: joined,
            write: halves,
        },
    ),
    ..NEIGHBOURS
};
