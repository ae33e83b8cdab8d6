//! ModernBERT (Warner et al., arXiv:2412.13663): an encoder with rotary positions, norms before each branch, gated feed-forward networks,
//! and attention to the neighbourhood in two layers of three.

use super::config::Reader;
use super::described::Described;
use super::encoder::{self, Body, Encoder, Feed, Head, Sizes};
use super::{Class, Inputs, Outputs, initial, rope};
use crate::error::{FamilyError, Result};
use crate::graph::{Attention, AttentionKind, Builder, Layer, NodeId, ParameterId, Projections, Rope, RopeScaling};
use crate::init::Scheme;
use crate::tensor::Role;

/// The family.
pub const MODERNBERT: Described = Described {
    name: "modernbert",
    model_types: &["modernbert"],
    architectures: &[
        "ModernBertModel",
        "ModernBertForMaskedLM",
        "ModernBertForSequenceClassification",
        "ModernBertForMultipleChoice",
        "ModernBertForTokenClassification",
        "ModernBertForQuestionAnswering",
    ],
    inputs: &["input_ids", "attention_mask"],
    base_prefix: "model",
    markers: &["embeddings.tok_embeddings.weight", "layers.0.attn.Wqkv.weight", "layers.0.mlp.Wi.weight"],
    dialects: &[],
    build,
};

const KEYS: encoder::Keys = encoder::Keys {
    vocabulary: ("vocab_size", 50368),
    layers: ("num_hidden_layers", 22),
    intermediate: ("intermediate_size", 1152),
    activation: ("hidden_activation", "gelu"),
    positions: ("max_position_embeddings", 8192),
    types: None,
    eps: (Some("norm_eps"), 1e-5),
    ..encoder::KEYS
};

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let size = Sizes::read(config, &KEYS)?;
    let flag = |key| config.flag(key, false);
    let modern = ModernBert {
        config,
        layers: kinds(config, &size)?,
        norm_bias: flag("norm_bias")?,
        mlp_bias: flag("mlp_bias")?,
        attention_bias: flag("attention_bias")?,
        head_bias: flag("classifier_bias")?,
        size,
    };
    let since = at.parameters().len();
    let head = || encoder::head(config, MODERNBERT.architectures);
    let outputs = encoder::class(&modern, class, head, MODERNBERT.base_prefix, inputs, at)?;
    initialise(&modern, since, at)?;
    Ok(outputs)
}

struct ModernBert<'a> {
    config: Reader<'a>,
    size: Sizes,
    /// The rotary embedding and the window of each layer.
    layers: Vec<(Rope, Option<u64>)>,
    norm_bias: bool,
    mlp_bias: bool,
    attention_bias: bool,
    head_bias: bool,
}

/// Each layer's rotary embedding, and how many positions it sees on either side, itself counted.
fn kinds(config: Reader, size: &Sizes) -> Result<Vec<(Rope, Option<u64>)>> {
    let head = size.hidden / size.heads;
    if let Some(value) = config.get("rope_scaling") {
        return Err(config.unsupported(
            "rope_scaling",
            value,
            "rope_parameters, with an object for each kind of layer",
        ));
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
    let listed = config.get("layer_types").map(|value| types(config, value, size.layers)).transpose()?;
    let slides = |layer: u64| match &listed {
        Some(listed) => listed.get(layer as usize).copied().unwrap_or(false),
        None => !layer.is_multiple_of(period),
    };
    Ok((0..size.layers)
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

impl Encoder for ModernBert<'_> {
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
        let size = &self.size;
        let feed = encoder::feed(self.config, size, size.positions, inputs, at)?;
        let words = Layer::Embedding { num: size.vocabulary, dim: size.hidden };
        let words = at.layer("embeddings.tok_embeddings", words, &[feed.ids])?;
        let mut hidden = self.norm("embeddings.norm", words, at)?;
        let mut layers = Vec::new();
        for (i, (rope, window)) in self.layers.iter().enumerate() {
            let attention = self.attention(rope.clone(), *window);
            hidden = at.under(&format!("layers.{i}"), |at| self.layer(i, attention, hidden, feed, at))?;
            layers.push(hidden);
        }
        Ok(Body { feed, hidden: self.norm("final_norm", hidden, at)?, layers })
    }

    fn pools(&self, _head: Head) -> bool {
        false
    }

    fn pooler(&self, hidden: NodeId, _at: &mut Builder) -> Result<NodeId> {
        Ok(hidden)
    }

    fn logits(&self, head: Head, body: &Body, _pooled: Option<NodeId>, at: &mut Builder) -> Result<Outputs> {
        let size = &self.size;
        match head {
            Head::None | Head::PreTraining | Head::NextSentence => Ok(Vec::new()),
            Head::Language => {
                let dense = self.head(body.hidden, at)?;
                let bias = self.config.flag("decoder_bias", true)?;
                let logits = at.layer("decoder", Layer::Linear { out: size.vocabulary, bias }, &[dense])?;
                if size.tied {
                    let embedding = at.full_name("model.embeddings.tok_embeddings.weight");
                    at.tie(&at.full_name("decoder.weight"), &embedding)?;
                }
                encoder::outputs(logits)
            }
            Head::Sequence | Head::Choice => {
                let pooled = self.pooled(body, at)?;
                let dense = self.head(pooled, at)?;
                encoder::classifier("classifier", if head == Head::Choice { 1 } else { size.labels }, dense, at)
            }
            Head::Token | Head::Span => {
                let dense = self.head(body.hidden, at)?;
                encoder::classifier("classifier", size.labels, dense, at)
            }
        }
    }
}

impl ModernBert<'_> {
    /// x ← x + attention(norm(x)); x ← x + W₂ · (act(a) ⊙ b), where a and b are the halves of W₁ · norm(x). The first layer's attention
    /// has no norm: the embeddings were normed.
    fn layer(&self, index: usize, attention: Attention, input: NodeId, feed: Feed, at: &mut Builder) -> Result<NodeId> {
        let size = &self.size;
        let attended = at.branch(|at| {
            let normed = if index == 0 { input } else { self.norm("attn_norm", input, at)? };
            let sources: Vec<NodeId> = std::iter::once(normed).chain(feed.mask).collect();
            at.layer("attn", Layer::Attention(attention), &sources)
        })?;
        let middle = at.layer("", Layer::Add, &[attended, input])?;
        let transformed = at.branch(|at| {
            let normed = self.norm("mlp_norm", middle, at)?;
            let rows = size.intermediate;
            let (active, gate) = super::decoder::halves("mlp.Wi", rows, self.mlp_bias, normed, at)?;
            let active = at.layer("", Layer::Activation(size.activation), &[active])?;
            let gated = at.layer("", Layer::Mul, &[active, gate])?;
            at.layer("mlp.Wo", Layer::Linear { out: size.hidden, bias: self.mlp_bias }, &[gated])
        })?;
        at.layer("", Layer::Add, &[transformed, middle])
    }

    fn attention(&self, rope: Rope, window: Option<u64>) -> Attention {
        let projections = Projections::Fused { qkv: "Wqkv".into(), out: "Wo".into() };
        Attention {
            window,
            kind: AttentionKind::Rope(rope),
            bias: self.attention_bias,
            out_bias: self.attention_bias,
            ..Attention::new(self.size.heads, self.size.hidden / self.size.heads, projections)
        }
    }

    /// norm(act(W · x)).
    fn head(&self, input: NodeId, at: &mut Builder) -> Result<NodeId> {
        let activation = self.config.activation("classifier_activation", "gelu")?;
        let dense = at.layer("head.dense", Layer::Linear { out: self.size.hidden, bias: self.head_bias }, &[input])?;
        let active = at.layer("", Layer::Activation(activation), &[dense])?;
        self.norm("head.norm", active, at)
    }

    /// The first token, or the mean of all that are no padding.
    fn pooled(&self, body: &Body, at: &mut Builder) -> Result<NodeId> {
        match (self.config.text("classifier_pooling", "cls")?, body.feed.mask) {
            ("cls", _) => at.layer("", Layer::Select { axis: 1, index: 0 }, &[body.hidden]),
            ("mean", Some(mask)) => at.layer("", Layer::MaskedMean, &[body.hidden, mask]),
            ("mean", None) => at.layer("", Layer::Mean { axis: 1 }, &[body.hidden]),
            (other, _) => Err(self.config.unsupported("classifier_pooling", other, "cls, mean")),
        }
    }

    fn norm(&self, name: &str, input: NodeId, at: &mut Builder) -> Result<NodeId> {
        at.layer(name, Layer::LayerNorm { eps: self.size.eps, bias: self.norm_bias }, &[input])
    }
}

/// transformers' `_init_weights`: normals cut at `initializer_cutoff_factor` deviations, the ends of branches and heads narrower by
/// √(2 L), the classifier 1 / √width.
fn initialise(of: &ModernBert, since: ParameterId, at: &mut Builder) -> Result<()> {
    const CUT: &str = "initializer_cutoff_factor";
    let is_null = of.config.states(CUT) && of.config.get(CUT).is_none();
    let cut = if is_null { 3.0 } else { of.config.number(CUT, 2.0)? };
    let drawn = |std: f64| Scheme::TruncatedNormal { mean: 0.0, std, low: -cut * std, high: cut * std };
    let std = initial::deviation(of.size.range);
    let ends = std / (2.0 * of.size.layers.max(1) as f64).sqrt();
    let last = 1.0 / (of.size.hidden as f64).sqrt();
    let is = |name: &str, ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let by = format!("modernbert: 1 / √{} of a classifier, cut at {cut} deviations", of.size.hidden);
    at.init_rule(since, drawn(last), &by, |p| p.role == Role::Linear && is(&p.name, &["classifier.weight"]));
    let by = format!("modernbert: initializer_range {std} / √(2 · {} layers), cut at {cut} deviations", of.size.layers);
    at.init_rule(since, drawn(ends), &by, |p| {
        p.role == Role::Linear && is(&p.name, &["Wo.weight", "head.dense.weight", "decoder.weight"])
    });
    let by = format!("modernbert: initializer_range {std}, cut at {cut} deviations");
    at.init_rule(since, drawn(std), &by, |p| matches!(p.role, Role::Linear | Role::Embedding));
    initial::norms_and_biases(MODERNBERT.name, since, at);
    Ok(())
}
