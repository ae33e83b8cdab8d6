//! Llama (Touvron et al., arXiv:2302.13971) and those that differ from it in a few places: Mistral (arXiv:2310.06825), Qwen 2 and 3
//! (arXiv:2407.10671, arXiv:2505.09388), Phi-3 (arXiv:2404.14219), Gemma and Gemma 3 (arXiv:2403.08295, arXiv:2503.19786).
//! Rotary positions, grouped heads, RMS norms before each branch, a gated feed-forward network.

mod experts;
mod frequencies;
mod fused;
mod gguf;
mod gguf_rules;
mod litgpt;
mod megatron;
mod meta;
mod mixture;
mod model_config;
mod params;
mod positions;
mod projections;
mod siblings;
mod torchtune;

pub(super) use model_config::is_model_config;
pub(super) use params::is_params;
pub use siblings::{GEMMA, GEMMA3, LLAMA, Llama, MISTRAL, MIXTRAL, PHI3, QWEN2, QWEN3, QWEN3_MOE};

use mixture::Mixture;
use siblings::{Bias, Defaults, Windows};

use super::config::Reader;
use super::decoder::{self, Body, Feed, Heads, Spelling};
use super::{Class, Config, Dialect, Family, Inputs, Outputs, Undetermined};
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::graph::{
    Attention, AttentionKind, Builder, HeadNorms, Layer, NodeId, Nonlinearity, Parameter, ParameterId, Projections,
    Rope,
};
use crate::init::Scheme;
use crate::tensor::Role;

const SPELLING: Spelling = Spelling {
    base_prefix: "model",
    span_prefix: "model",
    embedding: "embed_tokens",
    token_classifier: "score",
    lm_head: "lm_head",
};

impl Family for Llama {
    fn name(&self) -> &'static str {
        self.name
    }
    fn model_types(&self) -> &'static [&'static str] {
        self.model_types
    }
    fn architectures(&self) -> &'static [&'static str] {
        self.architectures
    }
    fn inputs(&self) -> &'static [&'static str] {
        decoder::INPUTS
    }
    fn base_prefix(&self) -> &'static str {
        SPELLING.base_prefix
    }
    fn markers(&self) -> &'static [&'static str] {
        self.markers
    }
    fn dialects(&self) -> &'static [Dialect] {
        self.dialects
    }
    fn undetermined(&self) -> &'static [Undetermined] {
        &[megatron::LEGACY]
    }
    fn config_of(&self, source: &Listing) -> Option<Config> {
        let beside = || params::config(self, source).or_else(|| model_config::config(self, source));
        gguf::config(self, source).or_else(beside)
    }
    fn unknown_keys(&self, source: &Listing) -> Vec<String> {
        let beside = params::unknown(source).into_iter().chain(model_config::unknown(self, source));
        beside.chain(gguf::unknown(source)).collect()
    }
    fn tables(&self) -> &'static [&'static str] {
        frequencies::TABLES
    }
    fn with_tables(&self, config: Config, tables: &[(String, Vec<f64>)]) -> Config {
        frequencies::with_tables(config, tables)
    }
    fn retied(&self, config: Config, source: &Listing, tied: Option<bool>) -> Config {
        params::retied(model_config::retied(config, source, tied), source, tied)
    }
    fn declare(&self, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
        let size = Sizes::read(self, config)?;
        let since = at.parameters().len();
        let spelling = Spelling { span_prefix: self.span_prefix, ..SPELLING };
        let heads = || {
            Ok(Heads {
                head: decoder::head(config, self.architectures)?,
                vocabulary: size.vocabulary,
                labels: config.labels()?,
                tied: config.flag("tie_word_embeddings", self.defaults.tied)?,
                padding: config.id("pad_token_id", self.defaults.padding)?,
            })
        };
        let outputs = decoder::class(class, heads, &spelling, |at| body(&size, inputs, at), at)?;
        initialise(&size, since, at);
        Ok(outputs)
    }
}

/// The config, with the defaults of transformers.
struct Sizes<'a> {
    of: &'a Llama,
    vocabulary: u64,
    padding: Option<u64>,
    hidden: u64,
    intermediate: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    bias: bool,
    out_bias: bool,
    mlp_bias: bool,
    activation: Nonlinearity,
    positions: u64,
    eps: f64,
    range: f64,
    scale: Option<f64>,
    /// The rotary embedding and the window of each layer.
    layers: Vec<(Rope, Option<u64>)>,
    mixture: Option<Mixture>,
}

impl<'a> Sizes<'a> {
    fn read(of: &'a Llama, config: Reader) -> Result<Sizes<'a>> {
        let defaults = &of.defaults;
        refuse(of, config)?;
        let (heads, kv_heads) = heads(defaults, config)?;
        let hidden = config.size("hidden_size", defaults.hidden)?;
        let head_dim = match (config.get("head_dim"), defaults.head_dim) {
            (None, None) if hidden % heads != 0 => {
                let must = format!("a multiple of num_attention_heads, which is {heads}, or head_dim stated");
                return Err(config.wrong("hidden_size", hidden, must));
            }
            (_, Some(default)) => config.size("head_dim", default)?,
            (_, None) => config.derived_size("head_dim", hidden / heads)?,
        };
        let said = of.bias == Bias::Said && config.flag("attention_bias", false)?;
        Ok(Sizes {
            of,
            vocabulary: config.size("vocab_size", defaults.vocabulary)?,
            padding: config.id("pad_token_id", defaults.padding)?,
            hidden,
            intermediate: config.size("intermediate_size", defaults.intermediate)?,
            heads,
            kv_heads,
            head_dim,
            bias: said || of.bias == Bias::Inputs,
            out_bias: said,
            mlp_bias: of.name == LLAMA.name && config.flag("mlp_bias", false)?,
            activation: activation(of, config)?,
            positions: config.size("max_position_embeddings", defaults.positions)?,
            eps: config.number("rms_norm_eps", defaults.eps)?,
            range: config.number("initializer_range", 0.02)?,
            scale: scale(of, config)?,
            layers: positions::layers(of, config, head_dim)?,
            mixture: of
                .experts
                .map(|experts| mixture::read(experts, defaults, config, activation(of, config)?))
                .transpose()?,
        })
    }
}

/// What a sibling exists with and is not built here.
fn refuse(of: &Llama, config: Reader) -> Result<()> {
    if of.gemma && config.flag("use_bidirectional_attention", false)? {
        return Err(config.unsupported("use_bidirectional_attention", true, "false: attention to what came before"));
    }
    for key in ["attn_logit_softcapping", "final_logit_softcapping"].into_iter().filter(|_| of.sandwich) {
        if let Some(value) = config.get(key) {
            return Err(config.unsupported(key, value, "null: logits that are not capped"));
        }
    }
    Ok(())
}

/// Query heads, and key and value heads, which divide them. A null means as many.
fn heads(defaults: &Defaults, config: Reader) -> Result<(u64, u64)> {
    const KEY: &str = "num_key_value_heads";
    let heads = config.size("num_attention_heads", defaults.heads)?;
    let kv_heads = match defaults.kv_heads.filter(|_| !config.states(KEY)) {
        Some(default) => config.size(KEY, default)?,
        None => config.derived_size(KEY, heads)?,
    };
    if heads % kv_heads != 0 {
        let must = format!("a divisor of num_attention_heads, which is {heads}");
        return Err(config.wrong(KEY, kv_heads, must));
    }
    Ok((heads, kv_heads))
}

/// Gemma's configs of its first weeks say `gelu` and mean the approximation by tanh.
fn activation(of: &Llama, config: Reader) -> Result<Nonlinearity> {
    let (key, default) = of.defaults.activation;
    match config.activation(key, default)? {
        Nonlinearity::Gelu if of.name == GEMMA.name => Ok(Nonlinearity::GeluTanh),
        activation => Ok(activation),
    }
}

/// Gemma 3 divides by the root of a number of its config, not of the width of a head.
fn scale(of: &Llama, config: Reader) -> Result<Option<f64>> {
    if of.windows != Windows::Pattern {
        return Ok(None);
    }
    const KEY: &str = "query_pre_attn_scalar";
    match config.number(KEY, 256.0)? {
        0.0 => Err(config.wrong(KEY, 0, "above 0")),
        scalar => Ok(Some(1.0 / scalar.sqrt())),
    }
}

fn body(size: &Sizes, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let feed = decoder::feed(size.of.name, size.vocabulary, size.positions, inputs, at)?;
    let embedding = Layer::Embedding { num: size.vocabulary, dim: size.hidden };
    let mut hidden = at.layer(SPELLING.embedding, embedding, &[feed.ids])?;
    at.zero_row(&format!("{}.weight", SPELLING.embedding), size.padding);
    if size.of.gemma {
        hidden = at.layer("", Layer::Scale { factor: (size.hidden as f64).sqrt() }, &[hidden])?;
    }
    let mut layers = Vec::new();
    for (i, (rope, window)) in size.layers.iter().enumerate() {
        let attention = attention(size, rope.clone(), *window);
        hidden = at.under(&format!("layers.{i}"), |at| layer(size, i, attention, hidden, feed, at))?;
        layers.push(hidden);
    }
    Ok(Body { feed, hidden: norm("norm", size, hidden, at)?, layers })
}

/// x ← x + attention(norm(x)); x ← x + W · (act(gate · norm(x)) ⊙ up · norm(x)).
fn layer(
    size: &Sizes,
    index: usize,
    attention: Attention,
    input: NodeId,
    feed: Feed,
    at: &mut Builder,
) -> Result<NodeId> {
    let since = at.parameters().len();
    let attended = at.branch(|at| {
        let normed = norm("input_layernorm", size, input, at)?;
        let sources: Vec<NodeId> = std::iter::once(normed).chain(feed.mask).collect();
        let attended = at.layer("self_attn", Layer::Attention(attention), &sources)?;
        if size.of.sandwich { norm("post_attention_layernorm", size, attended, at) } else { Ok(attended) }
    })?;
    let middle = at.layer("", Layer::Add, &[attended, input])?;
    let transformed = at.branch(|at| {
        let before = if size.of.sandwich { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let normed = norm(before, size, middle, at)?;
        let transformed = match &size.mixture {
            Some(mixture) if mixture.layers.get(index).copied().unwrap_or(true) => {
                at.layer(mixture.path, Layer::Experts(mixture.experts.clone()), &[normed])?
            }
            _ => at.under("mlp", |at| feed_forward(size, normed, at))?,
        };
        if size.of.sandwich { norm("post_feedforward_layernorm", size, transformed, at) } else { Ok(transformed) }
    })?;
    let output = at.layer("", Layer::Add, &[transformed, middle])?;
    at.sort_parameters(since, |parameter| rank(size, parameter));
    Ok(output)
}

/// A layer's norms stand after its projections, and Phi-3's output before its input.
fn rank(size: &Sizes, parameter: &Parameter) -> usize {
    match parameter.name.as_str() {
        name if name.ends_with("layernorm.weight") => 2,
        name if size.of.fused && name.ends_with("o_proj.weight") => 0,
        _ => 1,
    }
}

fn attention(size: &Sizes, rope: Rope, window: Option<u64>) -> Attention {
    let out = "o_proj".to_string();
    let projections = if size.of.fused {
        Projections::Fused { qkv: "qkv_proj".into(), out }
    } else {
        Projections::Separate { q: "q_proj".into(), k: "k_proj".into(), v: "v_proj".into(), out }
    };
    let norms = HeadNorms { q: "q_norm".into(), k: "k_norm".into(), eps: size.eps, centred: size.of.gemma };
    Attention {
        kv_heads: size.kv_heads,
        causal: true,
        window,
        kind: AttentionKind::Rope(rope),
        scale: size.scale,
        bias: size.bias,
        out_bias: size.out_bias,
        norms: Some(norms).filter(|_| size.of.head_norms),
        ..Attention::new(size.heads, size.head_dim, projections)
    }
}

fn feed_forward(size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    let (gate, up) = if size.of.fused {
        decoder::halves("gate_up_proj", size.intermediate, size.mlp_bias, input, at)?
    } else {
        (
            linear("gate_proj", size.intermediate, size, input, at)?,
            linear("up_proj", size.intermediate, size, input, at)?,
        )
    };
    let active = at.layer("", Layer::Activation(size.activation), &[gate])?;
    let gated = at.layer("", Layer::Mul, &[active, up])?;
    linear("down_proj", size.hidden, size, gated, at)
}

fn linear(name: &str, out: u64, size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::Linear { out, bias: size.mlp_bias }, &[input])
}

fn norm(name: &str, size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::RmsNorm { eps: size.eps, centred: size.of.gemma }, &[input])
}

/// transformers' `_init_weights`: matrices and embeddings N(0, initializer_range) at every depth, biases 0, norms a scale of 1. A
/// range of 0 counts as unsaid there.
fn initialise(size: &Sizes, since: ParameterId, at: &mut Builder) {
    let (name, std) = (size.of.name, if size.range > 0.0 { size.range } else { 0.02 });
    let drawn = Scheme::Normal { mean: 0.0, std };
    at.init_rule(since, drawn, &format!("{name}: initializer_range {std}"), |parameter| {
        matches!(parameter.role, Role::Linear | Role::Embedding)
    });
    let (value, by) = if size.of.gemma { (0.0, "norms are centred at 0") } else { (1.0, "norms start at 1") };
    at.init_rule(since, Scheme::Constant { value }, &format!("{name}: {by}"), |parameter| parameter.role == Role::Norm);
    at.init_rule(since, Scheme::Constant { value: 0.0 }, &format!("{name}: biases start at 0"), |parameter| {
        parameter.role == Role::Bias
    });
}
