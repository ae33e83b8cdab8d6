//! Llama and its relatives as litgpt saves them: q, k and v in one matrix. Since version 0.5.4 it is `attn.qkv` and holds all of q, all of k,
//! all of v; before it was `attn.attn` and held them group by group. Both are read, and the first is written. The head is always stored.

use super::projections::{from_groups, grouped, pieces, to_groups, ungrouped};
use crate::family::dialect::{Dialect, Rule, halves, joined, rules};

/// Those with a norm before each branch.
pub(super) const LLAMA: Dialect = Dialect {
    name: "litgpt",
    markers: &["transformer.h.{i}.attn.qkv.weight", "transformer.h.{i}.attn.attn.weight"],
    alone: &["transformer.h.0.norm_1.weight", "transformer.h.0.mlp.fc_1.weight", "transformer.wte.weight"],
    rules: &[COMMON, QKV, QKV_BY_GROUP, SEPARATE, SECOND_NORM],
    stores_ties: true,
    ..Dialect::PLAIN
};

/// Relatives of which the names alone could be Llama's.
pub(super) const SIBLING: Dialect = Dialect { alone: &[], ..LLAMA };

/// Gemma 3, with norms on both sides of a branch.
pub(super) const GEMMA3: Dialect =
    Dialect { rules: &[COMMON, QKV, QKV_BY_GROUP, SEPARATE, NORMS_AFTER, NORM_BETWEEN], ..SIBLING };

/// OLMo 2, with norms after each branch.
pub(super) const OLMO2: Dialect = Dialect { rules: &[COMMON, QKV, QKV_BY_GROUP, SEPARATE, NORMS_AFTER], ..SIBLING };

pub(super) const MIXTRAL: Dialect = Dialect {
    alone: &["transformer.h.0.norm_1.weight", "transformer.h.0.mlp.experts.0.fc_1.weight", "transformer.wte.weight"],
    rules: &[COMMON, QKV, QKV_BY_GROUP, SEPARATE, SECOND_NORM, MIXTRAL_EXPERTS],
    ..LLAMA
};

pub(super) const QWEN3_MOE: Dialect =
    Dialect { rules: &[COMMON, QKV, QKV_BY_GROUP, SEPARATE, SECOND_NORM, QWEN_EXPERTS], ..SIBLING };

/// Phi-3, whose gate and up litgpt keeps apart.
pub(super) const PHI3: Dialect =
    Dialect { rules: &[COMMON, PHI_QKV, PHI_QKV_BY_GROUP, PHI_GATE_UP, PHI_DOWN, SECOND_NORM], ..SIBLING };

const COMMON: &[Rule] = rules! {
    "model.embed_tokens.weight" => "transformer.wte.weight",
    "model.norm.weight" => "transformer.ln_f.weight",
    "model.layers.{i}.self_attn.o_proj.{weight,bias}" => "transformer.h.{i}.attn.proj.{weight,bias}",
    "model.layers.{i}.input_layernorm.weight" => "transformer.h.{i}.norm_1.weight",
};

const QKV: &[Rule] = rules! { pieces, joined;
    [
        "model.layers.{i}.self_attn.q_proj.{weight,bias}",
        "model.layers.{i}.self_attn.k_proj.{weight,bias}",
        "model.layers.{i}.self_attn.v_proj.{weight,bias}"
    ] => "transformer.h.{i}.attn.qkv.{weight,bias}",
};

const QKV_BY_GROUP: &[Rule] = rules! { from_groups, to_groups;
    [
        "model.layers.{i}.self_attn.q_proj.{weight,bias}",
        "model.layers.{i}.self_attn.k_proj.{weight,bias}",
        "model.layers.{i}.self_attn.v_proj.{weight,bias}"
    ] => "transformer.h.{i}.attn.attn.{weight,bias}",
};

const SEPARATE: &[Rule] = rules! {
    "model.layers.{i}.self_attn.{q,k}_norm.weight" => "transformer.h.{i}.attn.norm_{q,k}.weight",
    "model.layers.{i}.mlp.{gate_proj,up_proj,down_proj}.{weight,bias}" => "transformer.h.{i}.mlp.{fc_1,fc_2,proj}.{weight,bias}",
};

const SECOND_NORM: &[Rule] = rules! {
    "model.layers.{i}.post_attention_layernorm.weight" => "transformer.h.{i}.norm_2.weight",
};

const NORMS_AFTER: &[Rule] = rules! {
    "model.layers.{i}.post_{attention,feedforward}_layernorm.weight" => "transformer.h.{i}.post_{attention,mlp}_norm.weight",
};

const NORM_BETWEEN: &[Rule] = rules! {
    "model.layers.{i}.pre_feedforward_layernorm.weight" => "transformer.h.{i}.norm_2.weight",
};

const MIXTRAL_EXPERTS: &[Rule] = rules! {
    "model.layers.{i}.block_sparse_moe.gate.weight" => "transformer.h.{i}.mlp.gate.weight",
    "model.layers.{i}.block_sparse_moe.experts.{e}.{w1,w3,w2}.weight" => "transformer.h.{i}.mlp.experts.{e}.{fc_1,fc_2,proj}.weight",
};

const QWEN_EXPERTS: &[Rule] = rules! {
    "model.layers.{i}.mlp.gate.weight" => "transformer.h.{i}.mlp.gate.weight",
    "model.layers.{i}.mlp.experts.{e}.{gate_proj,up_proj,down_proj}.weight" => "transformer.h.{i}.mlp.experts.{e}.{fc_1,fc_2,proj}.weight",
};

const PHI_QKV: &[Rule] = rules! {
    "model.layers.{i}.self_attn.qkv_proj.weight" => "transformer.h.{i}.attn.qkv.weight",
};

const PHI_QKV_BY_GROUP: &[Rule] = rules! { ungrouped, grouped;
    "model.layers.{i}.self_attn.qkv_proj.weight" => "transformer.h.{i}.attn.attn.weight",
};

const PHI_GATE_UP: &[Rule] = rules! { joined, halves;
    "model.layers.{i}.mlp.gate_up_proj.weight" => ["transformer.h.{i}.mlp.fc_1.weight", "transformer.h.{i}.mlp.fc_2.weight"],
};

const PHI_DOWN: &[Rule] = rules! {
    "model.layers.{i}.mlp.down_proj.weight" => "transformer.h.{i}.mlp.proj.weight",
};
