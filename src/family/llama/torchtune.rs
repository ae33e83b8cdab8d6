//! Llama and its relatives as torchtune saves them: a norm's weight is a `scale`, and the rotary pairs of Llama, Mistral and Gemma are
//! neighbours, as Meta's, while those of Qwen and Phi are halves, as transformers'.

use super::projections::{key_from_neighbours, key_to_neighbours, pieces, query_from_neighbours, query_to_neighbours};
use crate::family::dialect::{Dialect, Rule, halves, joined, rules};

/// Llama, Mistral and Gemma.
pub(super) const NEIGHBOURS: Dialect = Dialect {
    name: "torchtune",
    // no other dialect has norms of these names or an output projection of this name
    markers: &["layers.{i}.sa_norm.scale", "layers.{i}.mlp_norm.scale", "layers.{i}.attn.output_proj.weight"],
    alone: &["layers.0.attn.q_proj.weight", "layers.0.sa_norm.scale", "tok_embeddings.weight"],
    rules: &[COMMON, SEPARATE, NEIGHBOURS_QUERY, NEIGHBOURS_KEY],
    ..Dialect::PLAIN
};

/// Gemma, of which the names alone could be Llama's.
pub(super) const GEMMA: Dialect = Dialect { alone: &[], ..NEIGHBOURS };

/// Qwen 2, whose rotary pairs stay as they are.
pub(super) const QWEN2: Dialect = Dialect {
    alone: &["layers.0.attn.q_proj.bias", "layers.0.sa_norm.scale", "tok_embeddings.weight"],
    rules: &[COMMON, SEPARATE, HALVES],
    ..NEIGHBOURS
};

/// Qwen 3, likewise.
pub(super) const QWEN3: Dialect =
    Dialect { alone: &["layers.0.attn.q_norm.scale", "layers.0.sa_norm.scale", "tok_embeddings.weight"], ..QWEN2 };

/// Phi-3, whose projections torchtune keeps apart.
pub(super) const PHI3: Dialect = Dialect { rules: &[COMMON, PHI_QKV, PHI_GATE_UP], ..GEMMA };

const COMMON: &[Rule] = rules! {
    "model.embed_tokens.weight" => "tok_embeddings.weight",
    "model.norm.weight" => "norm.scale",
    "lm_head.weight" => "output.weight",
    "model.layers.{i}.{input,post_attention}_layernorm.weight" => "layers.{i}.{sa,mlp}_norm.scale",
    "model.layers.{i}.self_attn.o_proj.{weight,bias}" => "layers.{i}.attn.output_proj.{weight,bias}",
    "model.layers.{i}.mlp.down_proj.{weight,bias}" => "layers.{i}.mlp.w2.{weight,bias}",
};

const SEPARATE: &[Rule] = rules! {
    "model.layers.{i}.self_attn.v_proj.{weight,bias}" => "layers.{i}.attn.v_proj.{weight,bias}",
    "model.layers.{i}.mlp.{gate_proj,up_proj}.{weight,bias}" => "layers.{i}.mlp.{w1,w3}.{weight,bias}",
};

const NEIGHBOURS_QUERY: &[Rule] = rules! { query_from_neighbours, query_to_neighbours;
    "model.layers.{i}.self_attn.q_proj.{weight,bias}" => "layers.{i}.attn.q_proj.{weight,bias}",
};

const NEIGHBOURS_KEY: &[Rule] = rules! { key_from_neighbours, key_to_neighbours;
    "model.layers.{i}.self_attn.k_proj.{weight,bias}" => "layers.{i}.attn.k_proj.{weight,bias}",
};

const HALVES: &[Rule] = rules! {
    "model.layers.{i}.self_attn.{q,k}_proj.{weight,bias}" => "layers.{i}.attn.{q,k}_proj.{weight,bias}",
    "model.layers.{i}.self_attn.{q,k}_norm.weight" => "layers.{i}.attn.{q,k}_norm.scale",
};

const PHI_QKV: &[Rule] = rules! { joined, pieces;
    "model.layers.{i}.self_attn.qkv_proj.weight" => [
        "layers.{i}.attn.q_proj.weight",
        "layers.{i}.attn.k_proj.weight",
        "layers.{i}.attn.v_proj.weight"
    ],
};

const PHI_GATE_UP: &[Rule] = rules! { joined, halves;
    "model.layers.{i}.mlp.gate_up_proj.weight" => ["layers.{i}.mlp.w1.weight", "layers.{i}.mlp.w3.weight"],
};
