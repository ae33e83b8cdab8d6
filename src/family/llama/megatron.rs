//! Llama and its relatives as Megatron Core's `GPTModel` saves them: q, k and v in one matrix group by group, gate above up in another, and
//! the norm before a projection within it (Transformer Engine) or as a module. Both are read, and the first is written.

use super::projections::{from_groups, grouped, to_groups, ungrouped};
use crate::family::dialect::{Dialect, Rule, Undetermined, halves, joined, rules};

/// Those with a feed-forward network in each layer.
pub(super) const LLAMA: Dialect = Dialect {
    name: "megatron",
    markers: &["decoder.layers.{i}.self_attention.linear_qkv.weight"],
    alone: &[
        "decoder.layers.0.self_attention.linear_qkv.weight", "decoder.layers.0.mlp.linear_fc1.layer_norm_weight",
        "embedding.word_embeddings.weight",
    ],
    rules: &[COMMON, QKV, NORM_WITHIN, NORM_BEFORE, GATE_UP, DOWN],
    buffers: &["_extra_state", "rotary_pos_emb.inv_freq"],
    ..Dialect::PLAIN
};

/// Relatives of which the names alone could be Llama's.
pub(super) const SIBLING: Dialect = Dialect { alone: &[], ..LLAMA };

/// Mixtral: experts one by one, or with their number at the end of the name (Transformer Engine's grouped products).
pub(super) const MIXTRAL: Dialect = Dialect {
    rules: &[
        COMMON, QKV, NORM_BEFORE, MIXTRAL_ROUTER, MIXTRAL_GATE_UP, MIXTRAL_DOWN, MIXTRAL_GROUPED_GATE_UP,
        MIXTRAL_GROUPED_DOWN,
    ],
    ..SIBLING
};

/// Qwen 3 with experts, likewise; its dense layers are as Llama's.
pub(super) const QWEN3_MOE: Dialect = Dialect {
    rules: &[
        COMMON, QKV, NORM_BEFORE, NORM_WITHIN, QWEN_ROUTER, QWEN_GATE_UP, QWEN_DOWN, QWEN_GROUPED_GATE_UP,
        QWEN_GROUPED_DOWN, GATE_UP, DOWN,
    ],
    ..SIBLING
};

/// Phi-3, whose q, k and v are one matrix, and gate and up another.
pub(super) const PHI3: Dialect =
    Dialect { rules: &[COMMON, PHI_QKV, NORM_WITHIN, NORM_BEFORE, PHI_GATE_UP, DOWN], ..SIBLING };

const COMMON: &[Rule] = rules! {
    "model.embed_tokens.weight" => "embedding.word_embeddings.weight",
    "model.norm.weight" => "decoder.final_layernorm.weight",
    "lm_head.weight" => "output_layer.weight",
    "model.layers.{i}.input_layernorm.weight" => "decoder.layers.{i}.self_attention.linear_qkv.layer_norm_weight",
    "model.layers.{i}.input_layernorm.weight" => "decoder.layers.{i}.input_layernorm.weight",
    "model.layers.{i}.self_attn.o_proj.{weight,bias}" => "decoder.layers.{i}.self_attention.linear_proj.{weight,bias}",
    "model.layers.{i}.self_attn.{q,k}_norm.weight" => "decoder.layers.{i}.self_attention.{q,k}_layernorm.weight",
};

const QKV: &[Rule] = rules! { from_groups, to_groups;
    [
        "model.layers.{i}.self_attn.q_proj.{weight,bias}",
        "model.layers.{i}.self_attn.k_proj.{weight,bias}",
        "model.layers.{i}.self_attn.v_proj.{weight,bias}"
    ] => "decoder.layers.{i}.self_attention.linear_qkv.{weight,bias}",
};

/// A norm that is a part of the projection after it.
const NORM_WITHIN: &[Rule] = rules! {
    "model.layers.{i}.post_attention_layernorm.weight" => "decoder.layers.{i}.mlp.linear_fc1.layer_norm_weight",
};

const NORM_BEFORE: &[Rule] = rules! {
    "model.layers.{i}.post_attention_layernorm.weight" => "decoder.layers.{i}.pre_mlp_layernorm.weight",
};

const GATE_UP: &[Rule] = rules! { halves, joined;
    [
        "model.layers.{i}.mlp.gate_proj.{weight,bias}",
        "model.layers.{i}.mlp.up_proj.{weight,bias}"
    ] => "decoder.layers.{i}.mlp.linear_fc1.{weight,bias}",
};

const DOWN: &[Rule] = rules! {
    "model.layers.{i}.mlp.down_proj.{weight,bias}" => "decoder.layers.{i}.mlp.linear_fc2.{weight,bias}",
};

const MIXTRAL_ROUTER: &[Rule] = rules! {
    "model.layers.{i}.block_sparse_moe.gate.weight" => "decoder.layers.{i}.mlp.router.weight",
};

const MIXTRAL_GATE_UP: &[Rule] = rules! { halves, joined;
    [
        "model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
        "model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"
    ] => "decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc1.weight",
};

const MIXTRAL_DOWN: &[Rule] = rules! {
    "model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight" => "decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc2.weight",
};

const MIXTRAL_GROUPED_GATE_UP: &[Rule] = rules! { halves, joined;
    [
        "model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
        "model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"
    ] => "decoder.layers.{i}.mlp.experts.linear_fc1.weight{e}",
};

const MIXTRAL_GROUPED_DOWN: &[Rule] = rules! {
    "model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight" => "decoder.layers.{i}.mlp.experts.linear_fc2.weight{e}",
};

const QWEN_ROUTER: &[Rule] = rules! {
    "model.layers.{i}.mlp.gate.weight" => "decoder.layers.{i}.mlp.router.weight",
};

const QWEN_GATE_UP: &[Rule] = rules! { halves, joined;
    [
        "model.layers.{i}.mlp.experts.{e}.gate_proj.weight",
        "model.layers.{i}.mlp.experts.{e}.up_proj.weight"
    ] => "decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc1.weight",
};

const QWEN_DOWN: &[Rule] = rules! {
    "model.layers.{i}.mlp.experts.{e}.down_proj.weight" => "decoder.layers.{i}.mlp.experts.local_experts.{e}.linear_fc2.weight",
};

const QWEN_GROUPED_GATE_UP: &[Rule] = rules! { halves, joined;
    [
        "model.layers.{i}.mlp.experts.{e}.gate_proj.weight",
        "model.layers.{i}.mlp.experts.{e}.up_proj.weight"
    ] => "decoder.layers.{i}.mlp.experts.linear_fc1.weight{e}",
};

const QWEN_GROUPED_DOWN: &[Rule] = rules! {
    "model.layers.{i}.mlp.experts.{e}.down_proj.weight" => "decoder.layers.{i}.mlp.experts.linear_fc2.weight{e}",
};

const PHI_QKV: &[Rule] = rules! { ungrouped, grouped;
    "model.layers.{i}.self_attn.qkv_proj.weight" => "decoder.layers.{i}.self_attention.linear_qkv.weight",
};

const PHI_GATE_UP: &[Rule] = rules! {
    "model.layers.{i}.mlp.gate_up_proj.weight" => "decoder.layers.{i}.mlp.linear_fc1.weight",
};

/// Megatron-LM before Megatron Core.
pub(super) const LEGACY: Undetermined = Undetermined {
    markers: &[
        "language_model.encoder.layers.{i}.self_attention.query_key_value.weight",
        "language_model.transformer.layers.{i}.attention.query_key_value.weight",
        "language_model.encoder.layers.{i}.attention.query_key_value.weight",
    ],
    by: "Megatron-LM before Megatron Core",
    why: "the order of its rows depends on a checkpoint_version that is not stored with the tensors",
    remedy: "convert it with Megatron-LM's tools/checkpoint/convert.py --saver core, and pass the result",
};
