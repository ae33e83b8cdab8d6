//! Mixtures of experts as transformers 5 holds them in memory: all experts of a layer in one tensor, gate and up together.

use crate::adapt::Op;
use crate::family::{Config, Dialect, Rule, same};

/// Mixtral's.
pub(super) const MIXTRAL: Dialect = Dialect {
    name: "stacked_experts",
    markers: &["layers.{i}.mlp.experts.gate_up_proj"],
    rules: &[
        Rule {
            ours: &["layers.{i}.block_sparse_moe.gate.weight"],
            theirs: &["layers.{i}.mlp.gate.weight"],
            read: same,
            write: same,
        },
        Rule {
            ours: &[
                "layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
                "layers.{i}.block_sparse_moe.experts.{e}.w3.weight",
            ],
            theirs: &["layers.{i}.mlp.experts.gate_up_proj"],
            read: halves,
            write: joined,
        },
        Rule {
            ours: &["layers.{i}.block_sparse_moe.experts.{e}.w2.weight"],
            theirs: &["layers.{i}.mlp.experts.down_proj"],
            read: same,
            write: same,
        },
    ],
    ..Dialect::PLAIN
};

/// Qwen's.
pub(super) const QWEN3_MOE: Dialect = Dialect {
    name: "stacked_experts",
    markers: &["layers.{i}.mlp.experts.gate_up_proj"],
    rules: &[
        Rule {
            ours: &["layers.{i}.mlp.experts.{e}.gate_proj.weight", "layers.{i}.mlp.experts.{e}.up_proj.weight"],
            theirs: &["layers.{i}.mlp.experts.gate_up_proj"],
            read: halves,
            write: joined,
        },
        Rule {
            ours: &["layers.{i}.mlp.experts.{e}.down_proj.weight"],
            theirs: &["layers.{i}.mlp.experts.down_proj"],
            read: same,
            write: same,
        },
    ],
    ..Dialect::PLAIN
};

/// Of one expert's rows, the first half and the second.
fn halves(_config: &Config) -> Vec<Vec<Op>> {
    vec![Vec::new(); 2]
}

/// Gate above up.
fn joined(_config: &Config) -> Vec<Vec<Op>> {
    vec![vec![Op::Concat { axis: 0 }]]
}
