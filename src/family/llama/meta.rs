//! Llama as Meta publishes it, and Mistral as Mistral AI does (`consolidated.*`, `params.json`): other names, and rotary embeddings
//! whose pairs are neighbours, where transformers' are halves of a head.

use super::projections::{key_from_neighbours, key_to_neighbours, query_from_neighbours, query_to_neighbours};
use crate::family::dialect::{Dialect, Rule, rules};

/// Llama and Mistral.
pub(super) const META: Dialect = Dialect {
    name: "meta",
    markers: &["layers.{i}.attention.wq.weight"],
    alone: &["layers.0.attention.wq.weight", "layers.0.feed_forward.w1.weight", "tok_embeddings.weight"],
    rules: &[COMMON, QUERY, KEY, FEED_FORWARD],
    buffers: &["rope.freqs"],
    ..Dialect::PLAIN
};

pub(super) const MIXTRAL: Dialect = Dialect {
    alone: &["layers.0.attention.wq.weight", "layers.0.feed_forward.experts.0.w1.weight", "tok_embeddings.weight"],
    rules: &[COMMON, QUERY, KEY, EXPERTS],
    ..META
};

const COMMON: &[Rule] = rules! {
    "model.embed_tokens.weight" => "tok_embeddings.weight",
    "model.norm.weight" => "norm.weight",
    "lm_head.weight" => "output.weight",
    "model.layers.{i}.{input,post_attention}_layernorm.weight" => "layers.{i}.{attention,ffn}_norm.weight",
    "model.layers.{i}.self_attn.{v,o}_proj.{weight,bias}" => "layers.{i}.attention.w{v,o}.{weight,bias}",
};

const QUERY: &[Rule] = rules! { query_from_neighbours, query_to_neighbours;
    "model.layers.{i}.self_attn.q_proj.{weight,bias}" => "layers.{i}.attention.wq.{weight,bias}",
};

const KEY: &[Rule] = rules! { key_from_neighbours, key_to_neighbours;
    "model.layers.{i}.self_attn.k_proj.{weight,bias}" => "layers.{i}.attention.wk.{weight,bias}",
};

const FEED_FORWARD: &[Rule] = rules! {
    "model.layers.{i}.mlp.{gate,down,up}_proj.{weight,bias}" => "layers.{i}.feed_forward.{w1,w2,w3}.{weight,bias}",
};

const EXPERTS: &[Rule] = rules! {
    "model.layers.{i}.block_sparse_moe.gate.weight" => "layers.{i}.feed_forward.gate.weight",
    "model.layers.{i}.block_sparse_moe.experts.{e}.{w1,w2,w3}.weight" => "layers.{i}.feed_forward.experts.{e}.{w1,w2,w3}.weight",
};
