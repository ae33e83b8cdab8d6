//! BART (Lewis et al., arXiv:1910.13461): an encoder and a decoder whose norms come after the sums, with learned positions of which two
//! rows are never used.

use super::config::Reader;
use super::described::Described;
use super::head::Head;
use super::seq2seq::{self, Limits};
use super::{Class, Inputs, Outputs, initial};
use crate::error::Result;
use crate::graph::{Attention, Builder, Layer, NodeId, Nonlinearity, PositionIds, Projections, Use};
use crate::tensor::Role;

/// The family.
pub const BART: Described = Described {
    name: "bart",
    model_types: &["bart"],
    architectures: &[
        "BartModel",
        "BartForConditionalGeneration",
        "BartForSequenceClassification",
        "BartForQuestionAnswering",
        "BartForCausalLM",
    ],
    inputs: seq2seq::INPUTS,
    base_prefix: "model",
    markers: &["encoder.layernorm_embedding.weight", "decoder.layers.0.encoder_attn.q_proj.weight"],
    dialects: &[],
    build,
};

const POSITIONS: PositionIds = PositionIds::From { offset: 2 };

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    inputs.check(BART.name, seq2seq::INPUTS)?;
    let size = Sizes::read(config)?;
    let head = seq2seq::head(config, class, BART.architectures)?;
    let since = at.parameters().len();
    let outputs = of_class(&size, head, class, inputs, at)?;
    initial::base(BART.name, size.range, since, at);
    Ok(outputs)
}

/// One side of the model.
#[derive(Clone, Copy)]
struct Side {
    path: &'static str,
    layers: u64,
    heads: u64,
    intermediate: u64,
    decodes: bool,
}

/// The config, with the defaults of transformers' `BartConfig`.
struct Sizes {
    vocabulary: u64,
    hidden: u64,
    encoder: Side,
    decoder: Side,
    activation: Nonlinearity,
    positions: u64,
    range: f64,
    scaled: bool,
    tied: bool,
    labels: u64,
    eos: u64,
    start: u64,
    padding: Option<u64>,
}

impl Sizes {
    fn read(config: Reader) -> Result<Sizes> {
        let hidden = config.size("d_model", 1024)?;
        let side = |path, keys: [&'static str; 3], decodes| -> Result<Side> {
            let heads = config.size(keys[1], 16)?;
            config.divides(("d_model", hidden), (keys[1], heads))?;
            let (layers, intermediate) = (config.count(keys[0], 12)?, config.size(keys[2], 4096)?);
            Ok(Side { path, layers, heads, intermediate, decodes })
        };
        for (key, value) in [("normalize_before", false), ("static_position_embeddings", false)] {
            if config.flag(key, value)? != value {
                return Err(config.unsupported(key, !value, value.to_string()));
            }
        }
        let start = config.id("decoder_start_token_id", Some(2))?;
        Ok(Sizes {
            vocabulary: config.size("vocab_size", 50265)?,
            hidden,
            encoder: side("encoder", ["encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"], false)?,
            decoder: side("decoder", ["decoder_layers", "decoder_attention_heads", "decoder_ffn_dim"], true)?,
            activation: config.activation("activation_function", "gelu")?,
            positions: config.size("max_position_embeddings", 1024)?,
            range: config.number("init_std", 0.02)?,
            scaled: config.flag("scale_embedding", false)?,
            tied: config.flag("tie_word_embeddings", true)?,
            labels: config.labels_or(3)?,
            eos: config.id("eos_token_id", Some(2))?.unwrap_or(2),
            start: start.unwrap_or(2),
            padding: config.id("pad_token_id", Some(1))?,
        })
    }
}

fn of_class(size: &Sizes, head: Head, class: &Class, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let limits = Limits { vocabulary: size.vocabulary, source: size.positions, target: size.positions };
    if head == Head::Language {
        return decoder_alone(size, limits, inputs, at);
    }
    let source = seq2seq::source(limits, inputs, at)?;
    let (ids, mask) = match head {
        Head::Sequence | Head::Span => (at.layer("", Layer::ShiftRight { first: size.start }, &[source.ids])?, None),
        _ => {
            let target = seq2seq::target(limits, inputs, at)?;
            (target.ids, target.mask)
        }
    };
    let prefix = if head == Head::None { "" } else { "model" };
    let (encoder, decoder) = at.under(prefix, |at| {
        at.layer("shared", Layer::Embedding { num: size.vocabulary, dim: size.hidden }, &[source.ids])?;
        at.zero_row("shared.weight", size.padding);
        let shared = Some(at.full_name("shared.weight")).filter(|_| size.tied);
        let encoder = stack(size, size.encoder, (source.ids, source.mask), None, shared.as_deref(), at)?;
        let memory = Some((encoder.0, source.mask));
        Ok((encoder, stack(size, size.decoder, (ids, mask), memory, shared.as_deref(), at)?))
    })?;
    let hidden = decoder.0;
    let mut outputs = seq2seq::results(class, (encoder.0, &encoder.1), (hidden, &decoder.1));
    let logits = at.head(|at| match head {
        Head::Generation => {
            let words = words(size, "model.shared.weight", hidden, at)?;
            let bias = Layer::Parameter { shape: [1, size.vocabulary].into(), usage: Use::Add };
            let logits = at.layer("final_logits_bias", bias, &[words])?;
            if let Some(id) = at.find(&at.full_name("final_logits_bias")) {
                at.parameter_mut(id).role = Role::Bias;
                at.parameter_mut(id).parts = Vec::new();
            }
            Ok(Some(logits))
        }
        Head::Sequence => seq2seq::classify((hidden, source.ids), size.eos, size.hidden, size.labels, at).map(Some),
        Head::Span => at.layer("qa_outputs", Layer::Linear { out: 2, bias: true }, &[hidden]).map(Some),
        _ => Ok(None),
    })?;
    outputs.extend(logits.map(|logits| ("logits".to_string(), logits)));
    Ok(outputs)
}

/// `BartForCausalLM`: the decoder with nothing to read.
fn decoder_alone(size: &Sizes, limits: Limits, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let source = seq2seq::source(limits, inputs, at)?;
    let (hidden, _) = at.under("model", |at| stack(size, size.decoder, (source.ids, source.mask), None, None, at))?;
    let logits = at.head(|at| words(size, "model.decoder.embed_tokens.weight", hidden, at))?;
    Ok(vec![("hidden".into(), hidden), ("logits".into(), logits)])
}

fn words(size: &Sizes, embedding: &str, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
    let logits = at.layer("lm_head", Layer::Linear { out: size.vocabulary, bias: false }, &[hidden])?;
    if size.tied {
        at.tie(&at.full_name("lm_head.weight"), &at.full_name(embedding))?;
    }
    Ok(logits)
}

/// One side: its last result and those of its layers.
fn stack(
    size: &Sizes,
    side: Side,
    (ids, mask): (NodeId, Option<NodeId>),
    memory: Option<(NodeId, Option<NodeId>)>,
    shared: Option<&str>,
    at: &mut Builder,
) -> Result<(NodeId, Vec<NodeId>)> {
    at.under(side.path, |at| {
        let words = Layer::Embedding { num: size.vocabulary, dim: size.hidden };
        let mut hidden = at.layer("embed_tokens", words, &[ids])?;
        at.zero_row("embed_tokens.weight", size.padding);
        if let Some(shared) = shared {
            at.tie(&at.full_name("embed_tokens.weight"), shared)?;
        }
        if size.scaled {
            hidden = at.layer("", Layer::Scale { factor: (size.hidden as f64).sqrt() }, &[hidden])?;
        }
        let num = size.positions.saturating_add(POSITIONS.reserved());
        hidden = at.layer("embed_positions", Layer::Positions { num, ids: POSITIONS }, &[hidden])?;
        hidden = norm("layernorm_embedding", hidden, at)?;
        let mut results = Vec::new();
        for i in 0..side.layers {
            hidden = at.under(&format!("layers.{i}"), |at| layer(size, side, (hidden, mask), memory, at))?;
            results.push(hidden);
        }
        Ok((hidden, results))
    })
}

/// x ← norm(x + attention(x)); in the decoder x ← norm(x + attention(x, memory)); x ← norm(x + W₂ · act(W₁ · x)).
fn layer(
    size: &Sizes,
    side: Side,
    (input, mask): (NodeId, Option<NodeId>),
    memory: Option<(NodeId, Option<NodeId>)>,
    at: &mut Builder,
) -> Result<NodeId> {
    let sources: Vec<NodeId> = std::iter::once(input).chain(mask).collect();
    let own = Attention { causal: side.decodes, ..attention(size, side) };
    let attended = at.branch(|at| at.layer("self_attn", Layer::Attention(own), &sources))?;
    let sum = at.layer("", Layer::Add, &[attended, input])?;
    let mut hidden = norm("self_attn_layer_norm", sum, at)?;
    if side.decodes {
        // without a memory the weights are there and nobody needs what they give
        let (read, mask) = memory.unwrap_or((hidden, None));
        let sources: Vec<NodeId> = [hidden, read].into_iter().chain(mask).collect();
        let cross = Attention { cross: true, ..attention(size, side) };
        let attended = at.branch(|at| at.layer("encoder_attn", Layer::Attention(cross), &sources))?;
        let sum = at.layer("", Layer::Add, &[attended, hidden])?;
        let normed = norm("encoder_attn_layer_norm", sum, at)?;
        hidden = if memory.is_some() { normed } else { hidden };
    }
    let transformed = at.branch(|at| {
        let wide = at.layer("fc1", Layer::Linear { out: side.intermediate, bias: true }, &[hidden])?;
        let active = at.layer("", Layer::Activation(size.activation), &[wide])?;
        at.layer("fc2", Layer::Linear { out: size.hidden, bias: true }, &[active])
    })?;
    let sum = at.layer("", Layer::Add, &[transformed, hidden])?;
    norm("final_layer_norm", sum, at)
}

fn attention(size: &Sizes, side: Side) -> Attention {
    let projections =
        Projections::Separate { q: "q_proj".into(), k: "k_proj".into(), v: "v_proj".into(), out: "out_proj".into() };
    Attention::new(side.heads, size.hidden / side.heads, projections)
}

fn norm(name: &str, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: 1e-5, bias: true }, &[input])
}
