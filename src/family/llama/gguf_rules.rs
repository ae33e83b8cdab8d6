//! The names of Llama and its relatives in GGUF files (llama.cpp's `gguf-py/gguf/tensor_mapping.py`), in groups that architectures share.

use super::frequencies::TABLES;
use super::projections::{key_from_neighbours, key_to_neighbours, query_from_neighbours, query_to_neighbours};
use crate::adapt::Op;
use crate::family::config::Config;
use crate::family::dialect::{Dialect, Rule, rules};

const fn dialect(rules: &'static [&'static [Rule]]) -> Dialect {
    Dialect { name: "gguf", markers: &["blk.{i}.attn_q.weight"], rules, buffers: TABLES, ..Dialect::PLAIN }
}

/// Llama, Mistral and SmolLM3, whose rotary pairs are neighbours.
pub(super) const LLAMA: Dialect =
    dialect(&[EMBEDDINGS, VALUE_OUTPUT, NEIGHBOURS_QUERY, NEIGHBOURS_KEY, FEED_FORWARD, NORMS]);
pub(super) const MIXTRAL: Dialect =
    dialect(&[EMBEDDINGS, VALUE_OUTPUT, NEIGHBOURS_QUERY, NEIGHBOURS_KEY, NORMS, MIXTRAL_EXPERTS]);
/// Qwen 2 and 3.
pub(super) const QWEN: Dialect = dialect(&[EMBEDDINGS, VALUE_OUTPUT, QUERY_KEY, FEED_FORWARD, NORMS, HEAD_NORMS]);
pub(super) const QWEN_MOE: Dialect =
    dialect(&[EMBEDDINGS, VALUE_OUTPUT, QUERY_KEY, FEED_FORWARD, NORMS, HEAD_NORMS, QWEN_EXPERTS]);
pub(super) const OLMO2: Dialect =
    dialect(&[EMBEDDINGS, VALUE_OUTPUT, QUERY_KEY, FEED_FORWARD, NORMS_AFTER, HEAD_NORMS]);
pub(super) const PHI: Dialect =
    Dialect { markers: &["blk.{i}.attn_qkv.weight"], ..dialect(&[EMBEDDINGS, NORMS, FUSED]) };
pub(super) const GEMMA: Dialect =
    dialect(&[EMBEDDINGS, VALUE_OUTPUT, QUERY_KEY, FEED_FORWARD, CENTRED, CENTRED_BEFORE]);
pub(super) const GEMMA3: Dialect =
    dialect(&[EMBEDDINGS, VALUE_OUTPUT, QUERY_KEY, FEED_FORWARD, CENTRED, CENTRED_AROUND]);

const EMBEDDINGS: &[Rule] = rules! {
    "model.embed_tokens.weight" => "token_embd.weight",
    "lm_head.weight" => "output.weight",
};

const VALUE_OUTPUT: &[Rule] = rules! {
    "model.layers.{i}.self_attn.{v,o}_proj.{weight,bias}" => "blk.{i}.attn_{v,output}.{weight,bias}",
};

const QUERY_KEY: &[Rule] = rules! {
    "model.layers.{i}.self_attn.{q,k}_proj.{weight,bias}" => "blk.{i}.attn_{q,k}.{weight,bias}",
};

/// Queries and keys whose rotary pairs are neighbours.
const NEIGHBOURS_QUERY: &[Rule] = rules! { query_from_neighbours, query_to_neighbours;
    "model.layers.{i}.self_attn.q_proj.{weight,bias}" => "blk.{i}.attn_q.{weight,bias}",
};

const NEIGHBOURS_KEY: &[Rule] = rules! { key_from_neighbours, key_to_neighbours;
    "model.layers.{i}.self_attn.k_proj.{weight,bias}" => "blk.{i}.attn_k.{weight,bias}",
};

const FEED_FORWARD: &[Rule] = rules! {
    "model.layers.{i}.mlp.{gate,up,down}_proj.weight" => "blk.{i}.ffn_{gate,up,down}.weight",
};

const NORMS: &[Rule] = rules! {
    "model.norm.weight" => "output_norm.weight",
    "model.layers.{i}.{input,post_attention}_layernorm.weight" => "blk.{i}.{attn,ffn}_norm.weight",
};

/// OLMo 2's.
const NORMS_AFTER: &[Rule] = rules! {
    "model.norm.weight" => "output_norm.weight",
    "model.layers.{i}.post_{attention,feedforward}_layernorm.weight" => "blk.{i}.post_{attention,ffw}_norm.weight",
};

const HEAD_NORMS: &[Rule] = rules! {
    "model.layers.{i}.self_attn.{q,k}_norm.weight" => "blk.{i}.attn_{q,k}_norm.weight",
};

const MIXTRAL_EXPERTS: &[Rule] = rules! {
    "model.layers.{i}.block_sparse_moe.gate.weight" => "blk.{i}.ffn_gate_inp.weight",
    "model.layers.{i}.block_sparse_moe.experts.{e}.{w1,w3,w2}.weight" => "blk.{i}.ffn_{gate,up,down}_exps.weight",
};

const QWEN_EXPERTS: &[Rule] = rules! {
    "model.layers.{i}.mlp.gate.weight" => "blk.{i}.ffn_gate_inp.weight",
    "model.layers.{i}.mlp.experts.{e}.{gate,up,down}_proj.weight" => "blk.{i}.ffn_{gate,up,down}_exps.weight",
};

const FUSED: &[Rule] = rules! {
    "model.layers.{i}.self_attn.{qkv,o}_proj.weight" => "blk.{i}.attn_{qkv,output}.weight",
    "model.layers.{i}.mlp.{gate_up,down}_proj.weight" => "blk.{i}.ffn_{up,down}.weight",
};

/// Norms that scale by 1 + weight, where llama.cpp stores the sum.
const CENTRED: &[Rule] = rules! { less_one, plus_one;
    "model.norm.weight" => "output_norm.weight",
    "model.layers.{i}.input_layernorm.weight" => "blk.{i}.attn_norm.weight",
};

const CENTRED_BEFORE: &[Rule] = rules! { less_one, plus_one;
    "model.layers.{i}.post_attention_layernorm.weight" => "blk.{i}.ffn_norm.weight",
};

const CENTRED_AROUND: &[Rule] = rules! { less_one, plus_one;
    "model.layers.{i}.post_attention_layernorm.weight" => "blk.{i}.post_attention_norm.weight",
    "model.layers.{i}.pre_feedforward_layernorm.weight" => "blk.{i}.ffn_norm.weight",
    "model.layers.{i}.post_feedforward_layernorm.weight" => "blk.{i}.post_ffw_norm.weight",
    "model.layers.{i}.self_attn.{q,k}_norm.weight" => "blk.{i}.attn_{q,k}_norm.weight",
};

fn less_one(_config: &Config) -> Vec<Vec<Op>> {
    vec![vec![Op::Affine { scale: 1.0, offset: -1.0 }]]
}

fn plus_one(_config: &Config) -> Vec<Vec<Op>> {
    vec![vec![Op::Affine { scale: 1.0, offset: 1.0 }]]
}
