//! GPT-NeoX and Pythia as litgpt saves them. Since version 0.5.4 `attn.qkv` holds all of q, all of k, all of v; before, `attn.attn` held
//! them head by head, as the family does. Both are read, and the first is written.

use crate::adapt::{Op, RopeLayout, Run};
use crate::family::config::Config;
use crate::family::dialect::{Dialect, Rule, rules};

pub(super) const LITGPT: Dialect = Dialect {
    name: "litgpt",
    markers: &["transformer.h.{i}.attn.qkv.weight", "transformer.h.{i}.attn.attn.weight"],
    rules: &[NAMES, QKV, QKV_BY_HEAD],
    stores_ties: true,
    ..Dialect::PLAIN
};

const NAMES: &[Rule] = rules! {
    "gpt_neox.embed_in.weight" => "transformer.wte.weight",
    "embed_out.weight" => "lm_head.weight",
    "gpt_neox.final_layer_norm.{weight,bias}" => "transformer.ln_f.{weight,bias}",
    "gpt_neox.layers.{i}.{input_layernorm,post_attention_layernorm}.{weight,bias}" => "transformer.h.{i}.{norm_1,norm_2}.{weight,bias}",
    "gpt_neox.layers.{i}.attention.dense.{weight,bias}" => "transformer.h.{i}.attn.proj.{weight,bias}",
    "gpt_neox.layers.{i}.mlp.{dense_h_to_4h,dense_4h_to_h}.{weight,bias}" => "transformer.h.{i}.mlp.{fc,proj}.{weight,bias}",
};

const QKV: &[Rule] = rules! { to_heads, from_heads;
    "gpt_neox.layers.{i}.attention.query_key_value.{weight,bias}" => "transformer.h.{i}.attn.qkv.{weight,bias}",
};

const QKV_BY_HEAD: &[Rule] = rules! {
    "gpt_neox.layers.{i}.attention.query_key_value.{weight,bias}" => "transformer.h.{i}.attn.attn.{weight,bias}",
};

/// More heads than any model has: a config that states more is wrong.
const MOST_HEADS: u64 = 1 << 16;

/// How many heads and how wide each is.
fn heads(config: &Config) -> Option<(u64, u64)> {
    let number = |keys: [&str; 2]| keys.iter().find_map(|key| config.0.get(*key)?.as_u64());
    let heads = number(["num_attention_heads", "n_head"]).filter(|heads| (1..=MOST_HEADS).contains(heads))?;
    let width = number(["hidden_size", "n_embd"])?.checked_div(heads)?;
    // so that no product below overflows
    heads.checked_mul(3)?.checked_mul(width)?;
    Some((heads, width))
}

/// Pieces of the width of a head, in this order.
fn gathered(config: &Config, piece: fn(heads: u64, at: u64) -> u64) -> Vec<Vec<Op>> {
    let Some((heads, width)) = heads(config) else {
        return vec![vec![Op::RopePermute { heads: 0, rotary: 0, to: RopeLayout::ToHalves }]];
    };
    let run = |at: u64| Run { input: 0, start: piece(heads, at) * width, step: 1, len: width };
    vec![vec![Op::Gather { axis: 0, runs: (0..3 * heads).map(run).collect::<Vec<_>>().into() }]]
}

/// All of q, all of k, all of v, from q, k and v of each head.
fn from_heads(config: &Config) -> Vec<Vec<Op>> {
    gathered(config, |heads, at| (at % heads) * 3 + at / heads)
}

/// q, k and v of each head, from all of q, all of k, all of v.
fn to_heads(config: &Config) -> Vec<Vec<Op>> {
    gathered(config, |heads, at| (at % 3) * heads + at / 3)
}
