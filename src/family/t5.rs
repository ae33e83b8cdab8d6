//! T5 (Raffel et al., arXiv:1910.10683) and its version 1.1: norms without a shift before each branch, no biases, and a learned number
//! for each head and distance in place of positions.

use super::config::Reader;
use super::described::Described;
use super::head::Head;
use super::seq2seq::{self, Limits};
use super::{Class, Inputs, Outputs, initial};
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::graph::{
    Attention, AttentionKind, Buckets, Builder, Layer, NodeId, Nonlinearity, Parameter, ParameterId, Projections, Said,
};
use crate::init::Scheme;
use crate::tensor::Role;

/// The family.
pub const T5: Described = Described {
    name: "t5",
    model_types: &["t5"],
    architectures: &[
        "T5Model",
        "T5ForConditionalGeneration",
        "T5EncoderModel",
        "T5ForSequenceClassification",
        "T5ForTokenClassification",
        "T5ForQuestionAnswering",
    ],
    inputs: seq2seq::INPUTS,
    base_prefix: "transformer",
    markers: &["encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight"],
    dialects: &[],
    build: |config, inputs, class, at| build(&T5_DEFAULTS, T5.architectures, config, inputs, class, at),
};

/// mT5 (Xue et al., arXiv:2010.11934): T5 1.1 with words of a hundred languages.
pub const MT5: Described = Described {
    name: "mt5",
    model_types: &["mt5"],
    architectures: &[
        "MT5Model",
        "MT5ForConditionalGeneration",
        "MT5EncoderModel",
        "MT5ForSequenceClassification",
        "MT5ForTokenClassification",
        "MT5ForQuestionAnswering",
    ],
    build: |config, inputs, class, at| build(&MT5_DEFAULTS, MT5.architectures, config, inputs, class, at),
    ..T5
};

/// The defaults of a config in transformers.
struct Defaults {
    vocabulary: u64,
    intermediate: u64,
    layers: u64,
    heads: u64,
    feed_forward: &'static str,
    /// Whether what a tied decoder of words takes is scaled.
    scales: bool,
}

const T5_DEFAULTS: Defaults =
    Defaults { vocabulary: 32128, intermediate: 2048, layers: 6, heads: 8, feed_forward: "relu", scales: true };

const MT5_DEFAULTS: Defaults = Defaults {
    vocabulary: 250_112,
    intermediate: 1024,
    layers: 8,
    heads: 6,
    feed_forward: "gated-gelu",
    scales: false,
};

/// No text is too long for distances; this is what examples are made of.
const LONGEST: u64 = 1 << 20;

fn build(
    defaults: &Defaults,
    architectures: &'static [&'static str],
    config: Reader,
    inputs: &Inputs,
    class: &Class,
    at: &mut Builder,
) -> Result<Outputs> {
    inputs.check(config.family, seq2seq::INPUTS)?;
    let size = Sizes::read(defaults, config)?;
    let head = seq2seq::head(config, class, architectures)?;
    let since = at.parameters().len();
    let outputs = of_class(&size, head, class, inputs, at)?;
    initialise(&size, config.family, since, at);
    Ok(outputs)
}

/// The config, with the defaults of transformers' `T5Config`.
struct Sizes {
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

impl Sizes {
    fn read(defaults: &Defaults, config: Reader) -> Result<Sizes> {
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
        let tied = config.flag("tie_word_embeddings", true)?;
        let scaled = match config.get("scale_decoder_outputs") {
            Some(_) if defaults.scales => config.flag("scale_decoder_outputs", tied)?,
            _ => tied,
        };
        Ok(Sizes {
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
            scales: defaults.scales,
            labels: config.labels()?,
            eos: config.id("eos_token_id", Some(1))?.unwrap_or(1),
            start: start.unwrap_or(0),
        })
    }
}

fn of_class(size: &Sizes, head: Head, class: &Class, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let limits = Limits { vocabulary: size.vocabulary, source: LONGEST, target: LONGEST };
    let source = seq2seq::source(limits, inputs, at)?;
    let prefix = if matches!(head, Head::Sequence | Head::Token) { "transformer" } else { "" };
    let encoder_only = matches!(head, Head::Encoder | Head::Token);
    let decoder_ids = match head {
        _ if encoder_only => None,
        Head::Sequence | Head::Span => {
            Some((at.layer("", Layer::ShiftRight { first: size.start }, &[source.ids])?, None))
        }
        _ => {
            let target = seq2seq::target(limits, inputs, at)?;
            Some((target.ids, target.mask))
        }
    };
    let ((encoded, encoder), decoded) = at.under(prefix, |at| {
        at.layer("shared", Layer::Embedding { num: size.vocabulary, dim: size.hidden }, &[source.ids])?;
        let encoder = stack(size, Side::Encoder, source.ids, source.mask, None, at)?;
        let decoder = match decoder_ids {
            Some((ids, mask)) => Some(stack(size, Side::Decoder, ids, mask, Some((encoder.0, source.mask)), at)?),
            None => None,
        };
        Ok((encoder, decoder))
    })?;
    let Some((hidden, decoder)) = decoded else {
        let mut outputs = vec![("hidden".to_string(), encoded)];
        if head == Head::Token {
            let kept = at.layer("", Layer::Dropout, &[encoded])?;
            let classifier = Layer::Linear { out: size.labels, bias: true };
            let logits = at.head(|at| at.layer("classifier", classifier, &[kept]))?;
            outputs.push(("logits".into(), logits));
        }
        return Ok(outputs);
    };
    let mut outputs = seq2seq::results(class, (encoded, &encoder), (hidden, &decoder));
    let logits = at.head(|at| match head {
        Head::Generation => lm_head(size, hidden, at).map(Some),
        Head::Sequence => seq2seq::classify((hidden, source.ids), size.eos, size.hidden, size.labels, at).map(Some),
        Head::Span => at.layer("qa_outputs", Layer::Linear { out: size.labels, bias: true }, &[hidden]).map(Some),
        _ => Ok(None),
    })?;
    outputs.extend(logits.map(|logits| ("logits".to_string(), logits)));
    Ok(outputs)
}

/// The words, which are the embedding where that is tied; then what goes in is scaled.
fn lm_head(size: &Sizes, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
    let hidden = match size.tied && size.scales {
        true => at.layer("", Layer::Scale { factor: 1.0 / (size.hidden as f64).sqrt() }, &[hidden])?,
        false => hidden,
    };
    let logits = at.layer("lm_head", Layer::Linear { out: size.vocabulary, bias: false }, &[hidden])?;
    if size.tied {
        at.tie(&at.full_name("lm_head.weight"), &at.full_name("shared.weight"))?;
    }
    Ok(logits)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Encoder,
    Decoder,
}

/// One side: its last result and those of its layers. `memory` is what the decoder reads, and its mask.
fn stack(
    size: &Sizes,
    side: Side,
    ids: NodeId,
    mask: Option<NodeId>,
    memory: Option<(NodeId, Option<NodeId>)>,
    at: &mut Builder,
) -> Result<(NodeId, Vec<NodeId>)> {
    let (path, layers) = match side {
        Side::Encoder => ("encoder", size.layers),
        Side::Decoder => ("decoder", size.decoder_layers),
    };
    let shared = at.full_name("shared.weight");
    at.under(path, |at| {
        let words = Layer::Embedding { num: size.vocabulary, dim: size.hidden };
        let mut hidden = at.layer("embed_tokens", words, &[ids])?;
        at.tie(&at.full_name("embed_tokens.weight"), &shared)?;
        let table = at.full_name("block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let mut results = Vec::new();
        for i in 0..layers {
            let table = at.find(&table);
            hidden = at.under(&format!("block.{i}"), |at| block(size, side, table, (hidden, mask), memory, at))?;
            results.push(hidden);
        }
        Ok((norm("final_layer_norm", size, hidden, at)?, results))
    })
}

/// x ← x + attention(norm(x)); in the decoder x ← x + attention(norm(x), memory); x ← x + feed_forward(norm(x)).
fn block(
    size: &Sizes,
    side: Side,
    table: Option<ParameterId>,
    (input, mask): (NodeId, Option<NodeId>),
    memory: Option<(NodeId, Option<NodeId>)>,
    at: &mut Builder,
) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let normed = norm("layer.0.layer_norm", size, input, at)?;
        let attention =
            Attention { causal: side == Side::Decoder, kind: AttentionKind::Relative(size.buckets), ..attention(size) };
        let sources: Vec<NodeId> = std::iter::once(normed).chain(mask).collect();
        // the first layer's distances are everyone's
        let shared = table.map(|id| ("relative_attention_bias.weight", id)).into_iter().collect();
        let said = Said { shared, ..Said::default() };
        at.layer_as("layer.0.SelfAttention", Layer::Attention(attention), &sources, said)
    })?;
    let mut hidden = at.layer("", Layer::Add, &[attended, input])?;
    let mut last = 1;
    if let Some((memory, mask)) = memory {
        let attended = at.branch(|at| {
            let normed = norm("layer.1.layer_norm", size, hidden, at)?;
            let attention = Attention { cross: true, ..attention(size) };
            let sources: Vec<NodeId> = [normed, memory].into_iter().chain(mask).collect();
            at.layer("layer.1.EncDecAttention", Layer::Attention(attention), &sources)
        })?;
        hidden = at.layer("", Layer::Add, &[attended, hidden])?;
        last = 2;
    }
    let transformed = at.branch(|at| {
        at.under(&format!("layer.{last}"), |at| {
            let normed = norm("layer_norm", size, hidden, at)?;
            at.under("DenseReluDense", |at| feed_forward(size, normed, at))
        })
    })?;
    at.layer("", Layer::Add, &[transformed, hidden])
}

fn attention(size: &Sizes) -> Attention {
    let projections = Projections::Separate { q: "q".into(), k: "k".into(), v: "v".into(), out: "o".into() };
    Attention {
        scale: Some(1.0),
        bias: false,
        out_bias: false,
        ..Attention::new(size.heads, size.head_dim, projections)
    }
}

fn feed_forward(size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    let wide = Layer::Linear { out: size.intermediate, bias: false };
    let raised = at.layer(if size.gated { "wi_0" } else { "wi" }, wide.clone(), &[input])?;
    let mut active = at.layer("", Layer::Activation(size.activation), &[raised])?;
    if size.gated {
        let gate = at.layer("wi_1", wide, &[input])?;
        active = at.layer("", Layer::Mul, &[active, gate])?;
    }
    let kept = at.layer("", Layer::Dropout, &[active])?;
    at.layer("wo", Layer::Linear { out: size.hidden, bias: false }, &[kept])
}

fn norm(name: &str, size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::RmsNorm { eps: size.eps, centred: false }, &[input])
}

/// transformers' `_init_weights`, Mesh TensorFlow's in fact: each matrix by the width of what goes in, times `initializer_factor`.
fn initialise(size: &Sizes, family: &str, since: ParameterId, at: &mut Builder) {
    let (factor, width) = (size.factor, size.hidden as f64);
    let (head, heads) = (size.head_dim as f64, size.heads as f64);
    let rules: &[(&[&str], f64, &str)] = &[
        (&["shared.weight", "embed_tokens.weight", "lm_head.weight"], factor, "words"),
        (&["classifier.weight"], factor, "a classifier of tokens"),
        (&["Attention.q.weight"], factor / (width * head).sqrt(), "queries (d_model · d_kv)^-1/2"),
        (&["Attention.o.weight"], factor / (heads * head).sqrt(), "(num_heads · d_kv)^-1/2"),
        (&[".wo.weight"], factor / (size.intermediate as f64).sqrt(), "d_ff^-1/2"),
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
