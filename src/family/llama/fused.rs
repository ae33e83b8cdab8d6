//! q, k and v in one matrix, gate and up in another, as Phi-3 has them, or apart, as Llama: the same network.

use super::projections::pieces;
use crate::family::dialect::{Dialect, Rule, halves, joined, rules};

/// For those whose projections are apart.
pub(super) const FUSED: Dialect = Dialect {
    name: "fused",
    markers: &["layers.{i}.self_attn.qkv_proj.weight"],
    rules: &[QKV, GATE_UP],
    ..Dialect::PLAIN
};

/// For those whose projections are together.
pub(super) const SEPARATE: Dialect = Dialect {
    name: "separate",
    markers: &["layers.{i}.self_attn.q_proj.weight"],
    rules: &[APART_QKV, APART_GATE_UP],
    ..Dialect::PLAIN
};

const QKV: &[Rule] = rules! { pieces, joined;
    [
        "layers.{i}.self_attn.q_proj.{weight,bias}",
        "layers.{i}.self_attn.k_proj.{weight,bias}",
        "layers.{i}.self_attn.v_proj.{weight,bias}"
    ] => "layers.{i}.self_attn.qkv_proj.{weight,bias}",
};

const GATE_UP: &[Rule] = rules! { halves, joined;
    ["layers.{i}.mlp.gate_proj.weight", "layers.{i}.mlp.up_proj.weight"] => "layers.{i}.mlp.gate_up_proj.weight",
};

const APART_QKV: &[Rule] = rules! { joined, pieces;
    "layers.{i}.self_attn.qkv_proj.weight" => [
        "layers.{i}.self_attn.q_proj.weight",
        "layers.{i}.self_attn.k_proj.weight",
        "layers.{i}.self_attn.v_proj.weight"
    ],
};

const APART_GATE_UP: &[Rule] = rules! { joined, halves;
    "layers.{i}.mlp.gate_up_proj.weight" => ["layers.{i}.mlp.gate_proj.weight", "layers.{i}.mlp.up_proj.weight"],
};
