//! GPT-NeoX (Black et al., arXiv:2204.06745), also Pythia: rotary positions over a part of each head, q, k and v of a head together, and
//! both branches of a layer from its input.

mod litgpt;

use super::config::Reader;
use super::decoder::{self, Body, Heads, Names};
use super::described::Described;
use super::dialect::{Dialect, rules};
use super::model::{Class, Inputs, Outputs};
use super::text::Text;
use super::{initial, rope};
use crate::error::Result;
use crate::graph::{Attention, AttentionKind, Builder, Layer, NodeId, Nonlinearity, Projections, Rope};

/// The family.
pub(crate) const GPT_NEOX: Described = Described {
    name: "gpt_neox",
    model_types: &["gpt_neox"],
    architectures: &[
        "GPTNeoXModel", "GPTNeoXForCausalLM", "GPTNeoXForSequenceClassification", "GPTNeoXForTokenClassification",
        "GPTNeoXForQuestionAnswering",
    ],
    inputs: decoder::INPUTS,
    base_prefix: NAMES.base_prefix,
    markers: &["layers.0.attention.query_key_value.weight", "layers.0.mlp.dense_h_to_4h.weight", "embed_in.weight"],
    dialects: DIALECTS,
    ..Described::new((), build)
};

const NAMES: Names = Names {
    base_prefix: "gpt_neox",
    span_prefix: "gpt_neox",
    embedding: "embed_in",
    token_classifier: "classifier",
    lm_head: "embed_out",
};

fn build(of: &Described, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let neox = NeoXConfig::read(config)?;
    let since = at.parameters().len();
    let heads = || Heads::read(config, of.architectures, neox.vocabulary, false, None);
    let outputs = decoder::class(class, heads, &NAMES, |at| body(&neox, inputs, at), at)?;
    initial::base(of.name, neox.range, since, at);
    Ok(outputs)
}

/// The config, with the defaults of transformers' `GPTNeoXConfig`.
struct NeoXConfig {
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

impl NeoXConfig {
    fn read(config: Reader) -> Result<NeoXConfig> {
        let (hidden, heads) = (config.size("hidden_size", 6144)?, config.size("num_attention_heads", 64)?);
        config.divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
        Ok(NeoXConfig {
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

fn body(neox: &NeoXConfig, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let text = decoder::feed(GPT_NEOX.name, neox.vocabulary, neox.positions, inputs, at)?;
    let embedding = Layer::Embedding { num: neox.vocabulary, dim: neox.hidden };
    let mut hidden = at.layer(NAMES.embedding, embedding, &[text.ids])?;
    let mut layers = Vec::new();
    for i in 0..neox.layers {
        hidden = at.under(&format!("layers.{i}"), |at| layer(neox, hidden, text, at))?;
        layers.push(hidden);
    }
    Ok(Body { text, hidden: norm("final_layer_norm", neox, hidden, at)?, layers })
}

/// x ← x + attention(norm(x)) + feed_forward(norm'(x)); one after the other without `use_parallel_residual`.
fn layer(neox: &NeoXConfig, input: NodeId, text: Text, at: &mut Builder) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let normed = norm("input_layernorm", neox, input, at)?;
        let sources: Vec<NodeId> = std::iter::once(normed).chain(text.mask).collect();
        at.layer("attention", Layer::Attention(attention(neox)), &sources)
    })?;
    let middle = at.layer("", Layer::Add, &[attended, input])?;
    let from = if neox.parallel { input } else { middle };
    let transformed = at.branch(|at| {
        let normed = norm("post_attention_layernorm", neox, from, at)?;
        let wide = at.layer("mlp.dense_h_to_4h", Layer::Linear { out: neox.intermediate, bias: true }, &[normed])?;
        let active = at.layer("", Layer::Activation(neox.activation), &[wide])?;
        at.layer("mlp.dense_4h_to_h", Layer::Linear { out: neox.hidden, bias: true }, &[active])
    })?;
    at.layer("", Layer::Add, &[transformed, middle])
}

fn attention(neox: &NeoXConfig) -> Attention {
    let projections = Projections::PerHead { qkv: "query_key_value".into(), out: "dense".into() };
    Attention {
        causal: true,
        kind: AttentionKind::Rope(neox.rope.clone()),
        bias: neox.bias,
        out_bias: neox.bias,
        ..Attention::new(neox.heads, neox.hidden / neox.heads, projections)
    }
}

fn norm(name: &str, neox: &NeoXConfig, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: neox.eps, bias: true }, &[input])
}

/// litgpt's, and that of transformers 5 in memory, where the head has the name that other decoders have; what it saves has the old name.
const DIALECTS: &[Dialect] = &[
    litgpt::LITGPT,
    Dialect {
        name: "lm_head",
        markers: &["lm_head.weight"],
        rules: &[rules! { "embed_out.weight" => "lm_head.weight" }],
        ..Dialect::PLAIN
    },
];
