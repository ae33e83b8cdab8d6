//! Llama as Meta publishes it, and Mistral as Mistral AI does (`consolidated.*`, `params.json`): other names, and rotary embeddings
//! whose pairs are neighbours, where transformers' are halves of a head.

use crate::adapt::{Op, RopeLayout};
use crate::family::{Config, Dialect, Rule, same};

/// The dialect of all siblings whose q, k and v are separate and without biases.
pub(super) const META: Dialect = Dialect {
    name: "meta",
    markers: &["layers.{i}.attention.wq.weight"],
    alone: &["layers.0.attention.wq.weight", "layers.0.feed_forward.w1.weight", "tok_embeddings.weight"],
    rules: &[
        renamed(&["model.embed_tokens.weight"], &["tok_embeddings.weight"]),
        renamed(&["model.norm.weight"], &["norm.weight"]),
        renamed(&["lm_head.weight"], &["output.weight"]),
        renamed(&["model.layers.{i}.input_layernorm.weight"], &["layers.{i}.attention_norm.weight"]),
        renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["layers.{i}.ffn_norm.weight"]),
        renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["layers.{i}.feed_forward.w1.weight"]),
        renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["layers.{i}.feed_forward.w2.weight"]),
        renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["layers.{i}.feed_forward.w3.weight"]),
        renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["layers.{i}.attention.wv.weight"]),
        renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["layers.{i}.attention.wo.weight"]),
        Rule {
            ours: &["model.layers.{i}.self_attn.q_proj.weight"],
            theirs: &["layers.{i}.attention.wq.weight"],
            read: |config| turned(config, Heads::Query, RopeLayout::ToHalves),
            write: |config| turned(config, Heads::Query, RopeLayout::ToNeighbours),
        },
        Rule {
            ours: &["model.layers.{i}.self_attn.k_proj.weight"],
            theirs: &["layers.{i}.attention.wk.weight"],
            read: |config| turned(config, Heads::Key, RopeLayout::ToHalves),
            write: |config| turned(config, Heads::Key, RopeLayout::ToNeighbours),
        },
    ],
    ..Dialect::PLAIN
};

const fn renamed(ours: &'static [&'static str], theirs: &'static [&'static str]) -> Rule {
    Rule { ours, theirs, read: same, write: same }
}

/// Which heads.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Heads {
    /// Those of queries.
    Query,
    /// Those of keys and values.
    Key,
}

/// The number of heads and the width of each. The numbers are those of transformers' config or of `params.json`.
fn heads(config: &Config, of: Heads) -> Option<(u64, u64)> {
    let number = |keys: [&str; 2]| keys.iter().find_map(|key| config.0.get(*key)?.as_u64());
    let queries = number(["num_attention_heads", "n_heads"]);
    let keys = number(["num_key_value_heads", "n_kv_heads"]).or(queries);
    let width = || number(["hidden_size", "dim"])?.checked_div(queries?);
    let heads = if of == Heads::Query { queries } else { keys };
    heads.zip(number(["head_dim", "head_dim"]).or_else(width))
}

/// The rows of a projection, or `None` where the config does not say them.
pub(super) fn rows(config: &Config, of: Heads) -> Option<u64> {
    let (heads, width) = heads(config, of)?;
    heads.checked_mul(width)
}

/// The rows of each head in the other order. Where the config does not say the heads there are 0, which no operation takes.
pub(super) fn turned(config: &Config, of: Heads, to: RopeLayout) -> Vec<Vec<Op>> {
    let (heads, rotary) = heads(config, of).unwrap_or_default();
    vec![vec![Op::RopePermute { heads, rotary, to }]]
}
