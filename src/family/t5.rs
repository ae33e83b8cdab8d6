//! T5 (Raffel et al., arXiv:1910.10683) and its version 1.1: norms without a shift before each branch, no biases, and a learned number
//! for each head and distance in place of positions.

use super::block::{NormPlace, residual};
use super::config::Reader;
use super::described::Described;
use super::head::Head;
use super::initial;
use super::model::{Class, Inputs, Outputs};
use super::seq2seq::{self, Memory, Results};
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::graph::{
    Attention, AttentionKind, Buckets, Builder, Layer, LayerOptions, NodeId, Nonlinearity, Parameter, ParameterId,
    Projections,
};
use crate::init::Scheme;
use crate::tensor::Role;

/// The family.
pub(crate) const T5: Described<Defaults> = Described {
    name: "t5",
    model_types: &["t5"],
    architectures: &[
        "T5Model", "T5ForConditionalGeneration", "T5EncoderModel", "T5ForSequenceClassification",
        "T5ForTokenClassification", "T5ForQuestionAnswering",
    ],
    inputs: seq2seq::INPUTS,
    base_prefix: "transformer",
    markers: &["encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight"],
    ..Described::new(
        Defaults { vocabulary: 32128, intermediate: 2048, layers: 6, heads: 8, feed_forward: "relu", tied: true },
        build,
    )
};

/// mT5 (Xue et al., arXiv:2010.11934): T5 1.1 with words of a hundred languages.
pub(crate) const MT5: Described<Defaults> = Described {
    name: "mt5",
    model_types: &["mt5"],
    architectures: &[
        "MT5Model", "MT5ForConditionalGeneration", "MT5EncoderModel", "MT5ForSequenceClassification",
        "MT5ForTokenClassification", "MT5ForQuestionAnswering",
    ],
    table: Defaults {
        vocabulary: 250_112,
        intermediate: 1024,
        layers: 8,
        heads: 6,
        feed_forward: "gated-gelu",
        tied: false,
    },
    ..T5
};

/// The defaults of a config in transformers.
pub(crate) struct Defaults {
    vocabulary: u64,
    intermediate: u64,
    layers: u64,
    heads: u64,
    feed_forward: &'static str,
    /// Whether the decoder of words is the embedding unless the config states otherwise, and then takes what is scaled. The published mT5
    /// have one apart from it.
    tied: bool,
}

/// No text is too long for distances; this is what examples are made of.
const LONGEST: u64 = 1 << 20;

fn build(
    of: &Described<Defaults>,
    config: Reader,
    inputs: &Inputs,
    class: &Class,
    at: &mut Builder,
) -> Result<Outputs> {
    inputs.check(of.name, of.inputs)?;
    let t5 = T5Config::read(&of.table, config)?;
    let head = seq2seq::head(config, class, of.architectures)?;
    let since = at.parameters().len();
    let outputs = of_class(&t5, head, class, inputs, at)?;
    initialise(&t5, of.name, since, at);
    Ok(outputs)
}

struct T5Config {
    vocabulary: u64,
    hidden: u64,
    head_dim: u64,
    heads: u64,
    intermediate: u64,
    layers: u64,
    decoder_layers: u64,
    buckets: Buckets,
    activation: Nonlinearity,
    gated: bool,
    eps: f64,
    factor: f64,
    tied: bool,
    scales: bool,
    labels: u64,
    eos: u64,
    start: u64,
}

impl T5Config {
    fn read(defaults: &Defaults, config: Reader) -> Result<T5Config> {
        let layers = config.count("num_layers", defaults.layers)?;
        let feed_forward = config.text("feed_forward_proj", defaults.feed_forward)?;
        let (gated, activation) = match feed_forward.strip_prefix("gated-") {
            // the name of the paper's activation, which the library takes for its approximation
            Some("gelu") => (true, "gelu_new"),
            Some(activation) => (true, activation),
            None => (false, feed_forward),
        };
        // transformers takes both from `feed_forward_proj`, unless the config states them
        let gated = config.get("is_gated_act").map_or(Ok(gated), |_| config.flag("is_gated_act", gated))?;
        let activation =
            config.get("dense_act_fn").map_or(Ok(activation), |_| config.text("dense_act_fn", activation))?;
        let others = ["relu", "gated-gelu", "gated-silu"].into_iter().filter(|other| *other != defaults.feed_forward);
        config.alternatives("feed_forward_proj", others.map(serde_json::Value::from));
        let activation = super::activation::by_name(activation).ok_or_else(|| {
            config.unsupported("feed_forward_proj", feed_forward, "relu, gated-gelu, gated-silu and other activations")
        })?;
        let start = config.id("decoder_start_token_id", config.id("pad_token_id", Some(0))?)?;
        let buckets = Buckets {
            buckets: config.size("relative_attention_num_buckets", 32)?,
            max_distance: config.size("relative_attention_max_distance", 128)?,
        };
        if buckets.max_distance <= buckets.buckets {
            let (value, other_value) = (buckets.max_distance.to_string(), buckets.buckets.to_string());
            let (key, other) = ("relative_attention_max_distance", "relative_attention_num_buckets");
            return Err(FamilyError::Contradiction { family: config.family, key, value, other, other_value }.into());
        }
        // version 5 states that the two are tied, and by another key that what goes in is not scaled, where version 4 stated neither
        let tied = config.flag("tie_word_embeddings", defaults.tied)?;
        let scaled = match config.get("scale_decoder_outputs") {
            Some(_) if defaults.tied => config.flag("scale_decoder_outputs", tied)?,
            _ => tied,
        };
        Ok(T5Config {
            vocabulary: config.size("vocab_size", defaults.vocabulary)?,
            hidden: config.size("d_model", 512)?,
            head_dim: config.size("d_kv", 64)?,
            heads: config.size("num_heads", defaults.heads)?,
            intermediate: config.size("d_ff", defaults.intermediate)?,
            layers,
            decoder_layers: config.derived_count("num_decoder_layers", layers)?,
            buckets,
            activation,
            gated,
            eps: config.number("layer_norm_epsilon", 1e-6)?,
            factor: config.number("initializer_factor", 1.0)?,
            tied: tied && scaled,
            scales: defaults.tied,
            labels: config.labels()?,
            eos: config.id("eos_token_id", Some(1))?.unwrap_or(1),
            start: start.unwrap_or(0),
        })
    }
}

fn of_class(t5: &T5Config, head: Head, class: &Class, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let source = seq2seq::source(t5.vocabulary, LONGEST, inputs, at)?;
    let prefix = if matches!(head, Head::Sequence | Head::Token) { T5.base_prefix } else { "" };
    let written = match head {
        Head::Encoder | Head::Token => None,
        Head::Sequence | Head::Span => {
            Some((at.layer("", Layer::ShiftRight { first: t5.start }, &[source.ids])?, None))
        }
        _ => {
            let target = seq2seq::target(t5.vocabulary, LONGEST, inputs, at)?;
            Some((target.ids, target.mask))
        }
    };
    let (encoder, decoder) = at.under(prefix, |at| {
        at.layer("shared", Layer::Embedding { num: t5.vocabulary, dim: t5.hidden }, &[source.ids])?;
        let encoder = stack(t5, ("encoder", t5.layers), (source.ids, source.mask), None, at)?;
        let memory = Some((encoder.hidden, source.mask));
        let decode = |written| stack(t5, ("decoder", t5.decoder_layers), written, memory, at);
        let decoder = written.map(decode).transpose()?;
        Ok((encoder, decoder))
    })?;
    let Some(decoder) = decoder else {
        let mut outputs = vec![("hidden".to_string(), encoder.hidden)];
        if head == Head::Token {
            let kept = at.layer("", Layer::Dropout, &[encoder.hidden])?;
            let classifier = Layer::Linear { out: t5.labels, bias: true };
            let logits = at.head(|at| at.layer("classifier", classifier, &[kept]))?;
            outputs.push(("logits".into(), logits));
        }
        return Ok(outputs);
    };
    let mut outputs = seq2seq::outputs(class, &encoder, &decoder);
    let hidden = decoder.hidden;
    let logits = at.head(|at| match head {
        Head::Generation => words(t5, hidden, at).map(Some),
        Head::Sequence => seq2seq::classify((hidden, source.ids), t5.eos, t5.hidden, t5.labels, at).map(Some),
        Head::Span => at.layer("qa_outputs", Layer::Linear { out: t5.labels, bias: true }, &[hidden]).map(Some),
        _ => Ok(None),
    })?;
    outputs.extend(logits.map(|logits| ("logits".to_string(), logits)));
    Ok(outputs)
}

/// Logits of the words. Where they are the embedding, T5 scales what goes in.
fn words(t5: &T5Config, mut hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
    if t5.tied && t5.scales {
        hidden = at.layer("", Layer::Scale { factor: 1.0 / (t5.hidden as f64).sqrt() }, &[hidden])?;
    }
    seq2seq::words("lm_head", t5.vocabulary, t5.tied.then_some("shared.weight"), hidden, at)
}

/// One side, of so many layers; `memory` is what the decoder reads.
fn stack(
    t5: &T5Config,
    (path, count): (&str, u64),
    (ids, mask): (NodeId, Option<NodeId>),
    memory: Option<Memory>,
    at: &mut Builder,
) -> Result<Results> {
    let shared = at.full_name("shared.weight");
    at.under(path, |at| {
        let words = Layer::Embedding { num: t5.vocabulary, dim: t5.hidden };
        let mut hidden = at.layer("embed_tokens", words, &[ids])?;
        at.tie(&at.full_name("embed_tokens.weight"), &shared)?;
        let table = at.full_name("block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let mut layers = Vec::new();
        for i in 0..count {
            let table = at.find(&table);
            hidden = at.under(&format!("block.{i}"), |at| block(t5, table, (hidden, mask), memory, at))?;
            layers.push(hidden);
        }
        Ok(Results { hidden: norm(t5, "final_layer_norm")(hidden, at)?, layers })
    })
}

/// Residual branches of attention, in the decoder of attention to the memory, and of a feed-forward network.
fn block(
    t5: &T5Config,
    table: Option<ParameterId>,
    (input, mask): (NodeId, Option<NodeId>),
    memory: Option<Memory>,
    at: &mut Builder,
) -> Result<NodeId> {
    let attend = |input, at: &mut Builder| {
        let kind = AttentionKind::Relative(t5.buckets);
        let attention = Attention { causal: memory.is_some(), kind, ..attention(t5) };
        let sources: Vec<NodeId> = std::iter::once(input).chain(mask).collect();
        // all layers use the table of the first
        let shared = table.map(|id| ("relative_attention_bias.weight", id)).into_iter().collect();
        let options = LayerOptions { shared, ..LayerOptions::default() };
        at.layer_with("layer.0.SelfAttention", Layer::Attention(attention), &sources, options)
    };
    let mut hidden = residual(NormPlace::Before, input, norm(t5, "layer.0.layer_norm"), attend, at)?;
    let mut last = 1;
    if let Some((read, mask)) = memory {
        let attend = |input, at: &mut Builder| {
            let attention = Attention { cross: true, ..attention(t5) };
            let sources: Vec<NodeId> = [input, read].into_iter().chain(mask).collect();
            at.layer("layer.1.EncDecAttention", Layer::Attention(attention), &sources)
        };
        hidden = residual(NormPlace::Before, hidden, norm(t5, "layer.1.layer_norm"), attend, at)?;
        last = 2;
    }
    at.under(&format!("layer.{last}"), |at| {
        let transform = |input, at: &mut Builder| at.under("DenseReluDense", |at| feed_forward(t5, input, at));
        residual(NormPlace::Before, hidden, norm(t5, "layer_norm"), transform, at)
    })
}

fn attention(t5: &T5Config) -> Attention {
    let projections = Projections::Separate { q: "q".into(), k: "k".into(), v: "v".into(), out: "o".into() };
    Attention { scale: Some(1.0), bias: false, out_bias: false, ..Attention::new(t5.heads, t5.head_dim, projections) }
}

fn feed_forward(t5: &T5Config, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    let wide = Layer::Linear { out: t5.intermediate, bias: false };
    let raised = at.layer(if t5.gated { "wi_0" } else { "wi" }, wide.clone(), &[input])?;
    let mut active = at.layer("", Layer::Activation(t5.activation), &[raised])?;
    if t5.gated {
        let gate = at.layer("wi_1", wide, &[input])?;
        active = at.layer("", Layer::Mul, &[active, gate])?;
    }
    let kept = at.layer("", Layer::Dropout, &[active])?;
    at.layer("wo", Layer::Linear { out: t5.hidden, bias: false }, &[kept])
}

fn norm(t5: &T5Config, name: &str) -> impl Fn(NodeId, &mut Builder) -> Result<NodeId> {
    let norm = Layer::RmsNorm { eps: t5.eps, centred: false };
    move |input, at| at.layer(name, norm.clone(), &[input])
}

/// transformers' `_init_weights`, Mesh TensorFlow's in fact: each matrix by the width of what goes in, times `initializer_factor`.
fn initialise(t5: &T5Config, family: &str, since: ParameterId, at: &mut Builder) {
    let (factor, width) = (t5.factor, t5.hidden as f64);
    let (head, heads) = (t5.head_dim as f64, t5.heads as f64);
    let rules: &[(&[&str], f64, &str)] = &[
        (&["shared.weight", "embed_tokens.weight", "lm_head.weight"], factor, "words"),
        (&["classifier.weight"], factor, "a classifier of tokens"),
        (&["Attention.q.weight"], factor / (width * head).sqrt(), "queries (d_model · d_kv)^-1/2"),
        (&["Attention.o.weight"], factor / (heads * head).sqrt(), "(num_heads · d_kv)^-1/2"),
        (&[".wo.weight"], factor / (t5.intermediate as f64).sqrt(), "d_ff^-1/2"),
        (&[".weight"], factor / width.sqrt(), "d_model^-1/2"),
    ];
    for (ends, std, what) in rules {
        let of = |p: &Parameter| {
            matches!(p.role, Role::Linear | Role::Embedding | Role::Token)
                && ends.iter().any(|end| p.name.ends_with(end))
        };
        at.init_rule(since, Scheme::Normal { mean: 0.0, std: *std }, &format!("{family}: {what}, factor {factor}"), of);
    }
    let norms = Scheme::Constant { value: factor };
    at.init_rule(since, norms, &format!("{family}: norms start at initializer_factor"), |p| p.role == Role::Norm);
    initial::norms_and_biases(family, since, at);
}
