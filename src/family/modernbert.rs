//! ModernBERT (Warner et al., arXiv:2412.13663): an encoder with rotary positions, norms before each branch, gated feed-forward networks,
//! and attention to the neighbourhood in two layers of three.

use super::bert::BERT;
use super::block::{NormPlace, residual};
use super::config::Reader;
use super::encoder::Tower::Other;
use super::encoder::{self, Body, Encoder, Feed, Model};
use super::head::Head;
use super::model::{Inputs, Outputs};
use super::{initial, rope};
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::graph::{Attention, AttentionKind, Builder, Layer, NodeId, ParameterId, Projections, Rope, RopeScaling};
use crate::init::Scheme;
use crate::tensor::Role;

/// The family.
pub(super) const MODERNBERT: Encoder = Encoder {
    name: "modernbert",
    model_types: &["modernbert"],
    architectures: &[
        "ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification",
        "ModernBertForMultipleChoice", "ModernBertForTokenClassification", "ModernBertForQuestionAnswering",
    ],
    base_prefix: "model",
    markers: &["embeddings.tok_embeddings.weight", "layers.0.attn.Wqkv.weight", "layers.0.mlp.Wi.weight"],
    dialects: &[],
    vocabulary: ("vocab_size", 50368),
    layers: ("num_hidden_layers", 22),
    intermediate: ("intermediate_size", 1152),
    activation: ("hidden_activation", "gelu"),
    positions: ("max_position_embeddings", 8192),
    types: None,
    eps: (Some("norm_eps"), 1e-5),
    decodes: false,
    words: "embeddings.tok_embeddings",
    pooler: None,
    towers: &[
        (Head::Language, Other(words)),
        (Head::Sequence, Other(of_text)),
        (Head::Choice, Other(of_text)),
        (Head::Token, Other(of_tokens)),
        (Head::Span, Other(of_tokens)),
    ],
    body,
    initialise,
    ..BERT
};

/// The embeddings, normed, the layers, and a last norm.
fn body(model: &Model, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let kinds = kinds(model)?;
    // also asked for where the class has no such head
    model.config.flag("classifier_bias", false)?;
    let feed = encoder::feed(model, inputs, at)?;
    let words = Layer::Embedding { num: model.vocabulary, dim: model.hidden };
    let words = at.layer("embeddings.tok_embeddings", words, &[feed.text.ids])?;
    let mut hidden = norm("embeddings.norm", model, words, at)?;
    let mut layers = Vec::new();
    for (i, kind) in kinds.into_iter().enumerate() {
        hidden = at.under(&format!("layers.{i}"), |at| layer(model, i, kind, (hidden, feed), at))?;
        layers.push(hidden);
    }
    Ok(Body { feed, hidden: norm("final_norm", model, hidden, at)?, layers })
}

/// Each layer's rotary embedding, and how many positions it sees on either side, itself counted.
fn kinds(model: &Model) -> Result<Vec<(Rope, Option<u64>)>> {
    let (config, head) = (model.config, model.hidden / model.heads);
    if let Some(value) = config.get("rope_scaling") {
        return Err(config.unsupported("rope_scaling", value, "rope_parameters, with an object for each kind of layer"));
    }
    let of = |kind: &str, key: &str, theta: f64| -> Result<Rope> {
        match config.get("rope_parameters") {
            Some(_) => rope::read(config, head, theta, Some(kind)),
            None => Ok(Rope { theta: config.number(key, theta)?, rotary: head, scaling: RopeScaling::Unscaled }),
        }
    };
    let full = of("full_attention", "global_rope_theta", 160_000.0)?;
    let local = of("sliding_attention", "local_rope_theta", 10_000.0)?;
    let window = Some(config.size("local_attention", 128)? / 2 + 1);
    let period = config.size("global_attn_every_n_layers", 3)?;
    let listed = config.get("layer_types").map(|value| types(config, value, model.layers)).transpose()?;
    let slides = |layer: u64| match &listed {
        Some(listed) => listed.get(layer as usize).copied().unwrap_or(false),
        None => !layer.is_multiple_of(period),
    };
    Ok((0..model.layers)
        .map(|layer| if slides(layer) { (local.clone(), window) } else { (full.clone(), None) })
        .collect())
}

/// Which layers of a list slide.
fn types(config: Reader, value: &serde_json::Value, count: u64) -> Result<Vec<bool>> {
    const MUST: &str = "a list of \"full_attention\" and \"sliding_attention\"";
    let list = value.as_array().ok_or_else(|| config.wrong("layer_types", value, MUST))?;
    if list.len() as u64 != count {
        return Err(FamilyError::Contradiction {
            family: config.family,
            key: "num_hidden_layers",
            value: count.to_string(),
            other: "layer_types",
            other_value: format!("{} layers", list.len()),
        }
        .into());
    }
    let slides = |kind: &serde_json::Value| match kind.as_str() {
        Some("full_attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        _ => Err(config.wrong("layer_types", kind, MUST)),
    };
    list.iter().map(slides).collect()
}

/// x ← x + attention(norm(x)); x ← x + W₂ · (act(a) ⊙ b), where a and b are the halves of W₁ · norm(x). The first layer's attention
/// has no norm: the embeddings were normed.
fn layer(
    model: &Model,
    index: usize,
    (rope, window): (Rope, Option<u64>),
    (input, feed): (NodeId, Feed),
    at: &mut Builder,
) -> Result<NodeId> {
    let bias = model.config.flag("attention_bias", false)?;
    let projections = Projections::Fused { qkv: "Wqkv".into(), out: "Wo".into() };
    let attention = Attention {
        window,
        kind: AttentionKind::Rope(rope),
        bias,
        out_bias: bias,
        ..Attention::new(model.heads, model.hidden / model.heads, projections)
    };
    let attend = |input, at: &mut Builder| {
        let sources: Vec<NodeId> = std::iter::once(input).chain(feed.text.mask).collect();
        at.layer("attn", Layer::Attention(attention), &sources)
    };
    let normed = |input, at: &mut Builder| if index == 0 { Ok(input) } else { norm("attn_norm", model, input, at) };
    let middle = residual(NormPlace::Before, input, normed, attend, at)?;
    let bias = model.config.flag("mlp_bias", false)?;
    let transform = |input, at: &mut Builder| {
        let (active, gate) = super::decoder::halves("mlp.Wi", model.intermediate, bias, input, at)?;
        let active = at.layer("", Layer::Activation(model.activation), &[active])?;
        let gated = at.layer("", Layer::Mul, &[active, gate])?;
        at.layer("mlp.Wo", Layer::Linear { out: model.hidden, bias }, &[gated])
    };
    residual(NormPlace::Before, middle, |input, at| norm("mlp_norm", model, input, at), transform, at)
}

fn norm(name: &str, model: &Model, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: model.eps, bias: model.config.flag("norm_bias", false)? }, &[input])
}

/// norm(act(W · x)).
fn dense(model: &Model, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    let activation = model.config.activation("classifier_activation", "gelu")?;
    let bias = model.config.flag("classifier_bias", false)?;
    let dense = at.layer("head.dense", Layer::Linear { out: model.hidden, bias }, &[input])?;
    let active = at.layer("", Layer::Activation(activation), &[dense])?;
    norm("head.norm", model, active, at)
}

/// Logits of each token of the vocabulary.
fn words(model: &Model, _head: Head, body: &Body, at: &mut Builder) -> Result<Outputs> {
    let dense = dense(model, body.hidden, at)?;
    let bias = model.config.flag("decoder_bias", true)?;
    let logits = at.layer("decoder", Layer::Linear { out: model.vocabulary, bias }, &[dense])?;
    if model.tied {
        at.tie(&at.full_name("decoder.weight"), &encoder::embedding(model, at))?;
    }
    encoder::outputs(logits)
}

/// Classes of the first token, or of the mean of all that are not padding.
fn of_text(model: &Model, head: Head, body: &Body, at: &mut Builder) -> Result<Outputs> {
    let pooled = match (model.config.text("classifier_pooling", "cls")?, body.feed.text.mask) {
        ("cls", _) => at.layer("", Layer::Select { axis: 1, index: 0 }, &[body.hidden])?,
        ("mean", Some(mask)) => at.layer("", Layer::MaskedMean, &[body.hidden, mask])?,
        ("mean", None) => at.layer("", Layer::Mean { axis: 1 }, &[body.hidden])?,
        (other, _) => return Err(model.config.unsupported("classifier_pooling", other, "cls, mean")),
    };
    let dense = dense(model, pooled, at)?;
    encoder::classifier("classifier", if head == Head::Choice { 1 } else { model.labels }, dense, at)
}

/// Classes of each token.
fn of_tokens(model: &Model, _head: Head, body: &Body, at: &mut Builder) -> Result<Outputs> {
    let dense = dense(model, body.hidden, at)?;
    encoder::classifier("classifier", model.labels, dense, at)
}

/// transformers' `_init_weights`: normals cut at `initializer_cutoff_factor` deviations, the ends of branches and heads narrower by
/// √(2 L), the classifier 1 / √width.
fn initialise(model: &Model, since: ParameterId, at: &mut Builder) -> Result<()> {
    const CUT: &str = "initializer_cutoff_factor";
    let is_null = model.config.states(CUT) && model.config.get(CUT).is_none();
    let cut = if is_null { 3.0 } else { model.config.number(CUT, 2.0)? };
    let drawn = |std: f64| Scheme::TruncatedNormal { mean: 0.0, std, low: -cut * std, high: cut * std };
    let std = initial::deviation(model.range);
    let ends = std / (2.0 * model.layers.max(1) as f64).sqrt();
    let last = 1.0 / (model.hidden as f64).sqrt();
    let is = |name: &str, ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let by = format!("modernbert: 1 / √{} of a classifier, cut at {cut} deviations", model.hidden);
    at.init_rule(since, drawn(last), &by, |p| p.role == Role::Linear && is(&p.name, &["classifier.weight"]));
    let by = format!("modernbert: initializer_range {std} / √(2 · {} layers), cut at {cut} deviations", model.layers);
    at.init_rule(since, drawn(ends), &by, |p| {
        p.role == Role::Linear && is(&p.name, &["Wo.weight", "head.dense.weight", "decoder.weight"])
    });
    let by = format!("modernbert: initializer_range {std}, cut at {cut} deviations");
    at.init_rule(since, drawn(std), &by, |p| matches!(p.role, Role::Linear | Role::Embedding));
    initial::norms_and_biases(model.of.name, since, at);
    Ok(())
}
