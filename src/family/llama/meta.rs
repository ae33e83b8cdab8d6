//! Llama as Meta publishes it, and Mistral as Mistral AI does (`consolidated.*`, `params.json`): other names, and rotary embeddings
//! whose pairs are neighbours, where transformers' are halves of a head.

use super::projections::rope;
use super::renamed;
use crate::family::{Dialect, Rule};

/// What all have, and rules of their own.
macro_rules! rules {
    ($($own:expr),* $(,)?) => {
        &[
            renamed(&["model.embed_tokens.weight"], &["tok_embeddings.weight"]),
            renamed(&["model.norm.weight"], &["norm.weight"]),
            renamed(&["lm_head.weight"], &["output.weight"]),
            renamed(&["model.layers.{i}.input_layernorm.weight"], &["layers.{i}.attention_norm.weight"]),
            renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["layers.{i}.ffn_norm.weight"]),
            renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["layers.{i}.attention.wv.weight"]),
            renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["layers.{i}.attention.wo.weight"]),
            Rule {
                ours: &["model.layers.{i}.self_attn.q_proj.weight"],
                theirs: &["layers.{i}.attention.wq.weight"],
                read: rope::read_q,
                write: rope::write_q,
            },
            Rule {
                ours: &["model.layers.{i}.self_attn.k_proj.weight"],
                theirs: &["layers.{i}.attention.wk.weight"],
                read: rope::read_k,
                write: rope::write_k,
            },
            Rule {
                ours: &["model.layers.{i}.self_attn.q_proj.bias"],
                theirs: &["layers.{i}.attention.wq.bias"],
                read: rope::read_q,
                write: rope::write_q,
            },
            Rule {
                ours: &["model.layers.{i}.self_attn.k_proj.bias"],
                theirs: &["layers.{i}.attention.wk.bias"],
                read: rope::read_k,
                write: rope::write_k,
            },
            renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["layers.{i}.attention.wv.bias"]),
            renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["layers.{i}.attention.wo.bias"]),
            $($own),*
        ]
    };
}

/// The dialect of Llama and Mistral.
pub(super) const META: Dialect = Dialect {
    name: "meta",
    markers: &["layers.{i}.attention.wq.weight"],
    alone: &["layers.0.attention.wq.weight", "layers.0.feed_forward.w1.weight", "tok_embeddings.weight"],
    rules: rules!(
        renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["layers.{i}.feed_forward.w1.weight"]),
        renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["layers.{i}.feed_forward.w2.weight"]),
        renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["layers.{i}.feed_forward.w3.weight"]),
        renamed(&["model.layers.{i}.mlp.gate_proj.bias"], &["layers.{i}.feed_forward.w1.bias"]),
        renamed(&["model.layers.{i}.mlp.down_proj.bias"], &["layers.{i}.feed_forward.w2.bias"]),
        renamed(&["model.layers.{i}.mlp.up_proj.bias"], &["layers.{i}.feed_forward.w3.bias"]),
    ),
    buffers: &["rope.freqs"],
    ..Dialect::PLAIN
};

/// The dialect of Mixtral.
pub(super) const MIXTRAL: Dialect = Dialect {
    alone: &["layers.0.attention.wq.weight", "layers.0.feed_forward.experts.0.w1.weight", "tok_embeddings.weight"],
    rules: rules!(
        renamed(&["model.layers.{i}.block_sparse_moe.gate.weight"], &["layers.{i}.feed_forward.gate.weight"]),
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight"],
            &["layers.{i}.feed_forward.experts.{e}.w1.weight"]
        ),
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight"],
            &["layers.{i}.feed_forward.experts.{e}.w2.weight"]
        ),
        renamed(
            &["model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"],
            &["layers.{i}.feed_forward.experts.{e}.w3.weight"]
        ),
    ),
    ..META
};
