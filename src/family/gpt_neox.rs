//! GPT-NeoX (Black et al., arXiv:2204.06745), also Pythia: rotary positions over a part of each head, q, k and v of a head together, and
//! both branches of a layer from its input.

mod litgpt;

use super::config::Reader;
use super::decoder::{self, Body, Feed, Heads, Spelling};
use super::described::Described;
use super::dialect::{Dialect, rules};
use super::{Class, Inputs, Outputs, initial, rope};
use crate::error::Result;
use crate::graph::{Attention, AttentionKind, Builder, Layer, NodeId, Nonlinearity, Projections, Rope};

/// The family.
pub const GPT_NEOX: Described = Described {
    name: "gpt_neox",
    model_types: &["gpt_neox"],
    architectures: &[
        "GPTNeoXModel",
        "GPTNeoXForCausalLM",
        "GPTNeoXForSequenceClassification",
        "GPTNeoXForTokenClassification",
        "GPTNeoXForQuestionAnswering",
    ],
    inputs: decoder::INPUTS,
    base_prefix: SPELLING.base_prefix,
    markers: &["layers.0.attention.query_key_value.weight", "layers.0.mlp.dense_h_to_4h.weight", "embed_in.weight"],
    dialects: DIALECTS,
    build,
};

const SPELLING: Spelling = Spelling {
    base_prefix: "gpt_neox",
    span_prefix: "gpt_neox",
    embedding: "embed_in",
    token_classifier: "classifier",
    lm_head: "embed_out",
};

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let size = Sizes::read(config)?;
    let since = at.parameters().len();
    let heads = || {
        Ok(Heads {
            head: decoder::head(config, GPT_NEOX.architectures)?,
            vocabulary: size.vocabulary,
            labels: config.labels()?,
            tied: config.flag("tie_word_embeddings", false)?,
            padding: config.id("pad_token_id", None)?,
        })
    };
    let outputs = decoder::class(class, heads, &SPELLING, |at| body(&size, inputs, at), at)?;
    initial::base(GPT_NEOX.name, size.range, since, at);
    Ok(outputs)
}

/// The config, with the defaults of transformers' `GPTNeoXConfig`.
struct Sizes {
    vocabulary: u64,
    hidden: u64,
    layers: u64,
    heads: u64,
    intermediate: u64,
    activation: Nonlinearity,
    positions: u64,
    eps: f64,
    range: f64,
    bias: bool,
    parallel: bool,
    rope: Rope,
}

const ROPE: rope::Keys =
    rope::Keys { theta: ("rotary_emb_base", 10_000.0), share: ("rotary_pct", 0.25), turns_share: true };

impl Sizes {
    fn read(config: Reader) -> Result<Sizes> {
        let (hidden, heads) = (config.size("hidden_size", 6144)?, config.size("num_attention_heads", 64)?);
        config.divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
        Ok(Sizes {
            vocabulary: config.size("vocab_size", 50432)?,
            hidden,
            layers: config.count("num_hidden_layers", 44)?,
            heads,
            intermediate: config.size("intermediate_size", 24576)?,
            activation: config.activation("hidden_act", "gelu")?,
            positions: config.size("max_position_embeddings", 2048)?,
            eps: config.number("layer_norm_eps", 1e-5)?,
            range: config.number("initializer_range", 0.02)?,
            bias: config.flag("attention_bias", true)?,
            parallel: config.flag("use_parallel_residual", true)?,
            rope: rope::of_keys(config, hidden / heads, &ROPE, None)?,
        })
    }
}

fn body(size: &Sizes, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let feed = decoder::feed(GPT_NEOX.name, size.vocabulary, size.positions, inputs, at)?;
    let embedding = Layer::Embedding { num: size.vocabulary, dim: size.hidden };
    let mut hidden = at.layer(SPELLING.embedding, embedding, &[feed.ids])?;
    let mut layers = Vec::new();
    for i in 0..size.layers {
        hidden = at.under(&format!("layers.{i}"), |at| layer(size, hidden, feed, at))?;
        layers.push(hidden);
    }
    Ok(Body { feed, hidden: norm("final_layer_norm", size, hidden, at)?, layers })
}

/// x ← x + attention(norm(x)) + feed_forward(norm'(x)); one after the other where the config says so.
fn layer(size: &Sizes, input: NodeId, feed: Feed, at: &mut Builder) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let normed = norm("input_layernorm", size, input, at)?;
        let sources: Vec<NodeId> = std::iter::once(normed).chain(feed.mask).collect();
        at.layer("attention", Layer::Attention(attention(size)), &sources)
    })?;
    let middle = at.layer("", Layer::Add, &[attended, input])?;
    let from = if size.parallel { input } else { middle };
    let transformed = at.branch(|at| {
        let normed = norm("post_attention_layernorm", size, from, at)?;
        let wide = at.layer("mlp.dense_h_to_4h", Layer::Linear { out: size.intermediate, bias: true }, &[normed])?;
        let active = at.layer("", Layer::Activation(size.activation), &[wide])?;
        at.layer("mlp.dense_4h_to_h", Layer::Linear { out: size.hidden, bias: true }, &[active])
    })?;
    at.layer("", Layer::Add, &[transformed, middle])
}

fn attention(size: &Sizes) -> Attention {
    let projections = Projections::PerHead { qkv: "query_key_value".into(), out: "dense".into() };
    Attention {
        causal: true,
        kind: AttentionKind::Rope(size.rope.clone()),
        bias: size.bias,
        out_bias: size.bias,
        ..Attention::new(size.heads, size.hidden / size.heads, projections)
    }
}

fn norm(name: &str, size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: size.eps, bias: true }, &[input])
}

/// litgpt's, and that of transformers 5, which calls the head in memory as those of other decoders; what it writes is called as ever.
const DIALECTS: &[Dialect] = &[
    litgpt::LITGPT,
    Dialect {
        name: "lm_head",
        markers: &["lm_head.weight"],
        rules: &[rules! { "embed_out.weight" => "lm_head.weight" }],
        ..Dialect::PLAIN
    },
];
