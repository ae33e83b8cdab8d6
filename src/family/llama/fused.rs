//! q, k and v in one matrix, gate and up in another, as Phi-3 has them, or apart, as Llama: the same network.

use super::projections::{halves, joined, pieces};
use crate::family::{Dialect, Rule};

/// Of those whose projections are apart.
pub(super) const FUSED: Dialect = Dialect {
    name: "fused",
    markers: &["layers.{i}.self_attn.qkv_proj.weight"],
    rules: &[
        Rule { ours: QKV, theirs: &["layers.{i}.self_attn.qkv_proj.weight"], read: pieces, write: joined },
        Rule { ours: QKV_BIAS, theirs: &["layers.{i}.self_attn.qkv_proj.bias"], read: pieces, write: joined },
        Rule { ours: GATE_UP, theirs: &["layers.{i}.mlp.gate_up_proj.weight"], read: halves, write: joined },
    ],
    ..Dialect::PLAIN
};

/// Of those whose projections are together.
pub(super) const SEPARATE: Dialect = Dialect {
    name: "separate",
    markers: &["layers.{i}.self_attn.q_proj.weight"],
    rules: &[
        Rule { ours: &["layers.{i}.self_attn.qkv_proj.weight"], theirs: QKV, read: joined, write: pieces },
        Rule { ours: &["layers.{i}.mlp.gate_up_proj.weight"], theirs: GATE_UP, read: joined, write: halves },
    ],
    ..Dialect::PLAIN
};

const QKV: &[&str] =
    &["layers.{i}.self_attn.q_proj.weight", "layers.{i}.self_attn.k_proj.weight", "layers.{i}.self_attn.v_proj.weight"];
const QKV_BIAS: &[&str] =
    &["layers.{i}.self_attn.q_proj.bias", "layers.{i}.self_attn.k_proj.bias", "layers.{i}.self_attn.v_proj.bias"];
const GATE_UP: &[&str] = &["layers.{i}.mlp.gate_proj.weight", "layers.{i}.mlp.up_proj.weight"];
