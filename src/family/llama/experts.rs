//! Mixtures of experts as transformers 5 holds them in memory: all experts of a layer in one tensor, gate and up together.

use crate::family::dialect::{Dialect, Rule, halves, joined, rules};

pub(super) const MIXTRAL: Dialect = Dialect {
    name: "stacked_experts",
    markers: &["layers.{i}.mlp.experts.gate_up_proj"],
    rules: &[MIXTRAL_ROUTER, MIXTRAL_GATE_UP, MIXTRAL_DOWN],
    ..Dialect::PLAIN
};

pub(super) const QWEN3_MOE: Dialect = Dialect { rules: &[QWEN_GATE_UP, QWEN_DOWN], ..MIXTRAL };

const MIXTRAL_ROUTER: &[Rule] = rules! {
    "layers.{i}.block_sparse_moe.gate.weight" => "layers.{i}.mlp.gate.weight",
};

const MIXTRAL_GATE_UP: &[Rule] = rules! { halves, joined;
    [
        "layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
        "layers.{i}.block_sparse_moe.experts.{e}.w3.weight"
    ] => "layers.{i}.mlp.experts.gate_up_proj",
};

const MIXTRAL_DOWN: &[Rule] = rules! {
    "layers.{i}.block_sparse_moe.experts.{e}.w2.weight" => "layers.{i}.mlp.experts.down_proj",
};

const QWEN_GATE_UP: &[Rule] = rules! { halves, joined;
    [
        "layers.{i}.mlp.experts.{e}.gate_proj.weight",
        "layers.{i}.mlp.experts.{e}.up_proj.weight"
    ] => "layers.{i}.mlp.experts.gate_up_proj",
};

const QWEN_DOWN: &[Rule] = rules! {
    "layers.{i}.mlp.experts.{e}.down_proj.weight" => "layers.{i}.mlp.experts.down_proj",
};
