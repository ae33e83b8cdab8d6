//! GPT-2 (Radford et al., 2019) as transformers writes it: learned positions, norms before each branch, and matrices stored (in, out).

use super::config::Reader;
use super::decoder::{self, Body, Feed, Heads, Spelling};
use super::{Class, Dialect, Family, Inputs, Outputs};
use crate::error::Result;
use crate::graph::{Attention, Builder, Layer, Layout, NodeId, Nonlinearity, ParameterId, PositionIds, Projections};
use crate::init::Scheme;
use crate::tensor::Role;

/// The family.
pub struct Gpt2;

/// A language model that also gives a number for each text.
const DOUBLE_HEADS: &str = "GPT2DoubleHeadsModel";

const ARCHITECTURES: &[&str] = &[
    "GPT2Model",
    "GPT2LMHeadModel",
    DOUBLE_HEADS,
    "GPT2ForSequenceClassification",
    "GPT2ForTokenClassification",
    "GPT2ForQuestionAnswering",
];

const SPELLING: Spelling = Spelling {
    base_prefix: "transformer",
    span_prefix: "transformer",
    embedding: "wte",
    token_classifier: "classifier",
    lm_head: "lm_head",
};

impl Family for Gpt2 {
    fn name(&self) -> &'static str {
        "gpt2"
    }
    fn model_types(&self) -> &'static [&'static str] {
        &["gpt2"]
    }
    fn architectures(&self) -> &'static [&'static str] {
        ARCHITECTURES
    }
    fn inputs(&self) -> &'static [&'static str] {
        decoder::INPUTS
    }
    fn base_prefix(&self) -> &'static str {
        SPELLING.base_prefix
    }
    fn markers(&self) -> &'static [&'static str] {
        &["wpe.weight", "h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"]
    }
    fn dialects(&self) -> &'static [Dialect] {
        DIALECTS
    }
    fn in_out(&self) -> &'static [&'static str] {
        &["h.{i}.attn.c_attn.weight", "h.{i}.attn.c_proj.weight", "h.{i}.mlp.c_fc.weight", "h.{i}.mlp.c_proj.weight"]
    }
    fn declare(&self, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
        let size = Sizes::read(config)?;
        let since = at.parameters().len();
        let heads = || {
            Ok(Heads {
                head: decoder::head(config, ARCHITECTURES)?,
                vocabulary: size.vocabulary,
                labels: config.labels()?,
                tied: config.flag("tie_word_embeddings", true)?,
                padding: config.id("pad_token_id", None)?,
            })
        };
        let mut outputs = decoder::class(class, heads, &SPELLING, |at| body(&size, inputs, at), at)?;
        if *class != Class::Bare && config.architecture()? == Some(DOUBLE_HEADS) {
            let hidden = outputs.iter().find(|(name, _)| name == "hidden").map(|(_, node)| *node);
            let summary = hidden.map(|hidden| at.head(|at| summary(config, &size, hidden, at))).transpose()?;
            outputs.extend(summary.map(|summary| ("mc_logits".to_string(), summary)));
        }
        initialise(&size, since, at);
        Ok(outputs)
    }
}

/// The config, with the defaults of transformers' `GPT2Config`.
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
    /// Whether scores are divided by the root of a head's width.
    scaled: bool,
    /// Whether scores are divided by the number of the layer, counted from 1.
    scaled_by_layer: bool,
}

impl Sizes {
    fn read(config: Reader) -> Result<Sizes> {
        config.only("add_cross_attention", false, "false: a GPT-2 without an encoder beside it")?;
        let (hidden, heads) = (config.size("n_embd", 768)?, config.size("n_head", 12)?);
        if hidden % heads != 0 {
            return Err(config.wrong("n_embd", hidden, format!("a multiple of n_head, which is {heads}")));
        }
        Ok(Sizes {
            vocabulary: config.size("vocab_size", 50257)?,
            hidden,
            layers: config.count("n_layer", 12)?,
            heads,
            intermediate: config.derived_size("n_inner", hidden.saturating_mul(4))?,
            activation: config.activation("activation_function", "gelu_new")?,
            positions: config.size("n_positions", 1024)?,
            eps: config.number("layer_norm_epsilon", 1e-5)?,
            range: config.number("initializer_range", 0.02)?,
            scaled: config.flag("scale_attn_weights", true)?,
            scaled_by_layer: config.flag("scale_attn_by_inverse_layer_idx", false)?,
        })
    }
}

fn body(size: &Sizes, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let feed = decoder::feed("gpt2", size.vocabulary, size.positions, inputs, at)?;
    let words = at.layer("wte", Layer::Embedding { num: size.vocabulary, dim: size.hidden }, &[feed.ids])?;
    let placed = at.layer("wpe", Layer::Positions { num: size.positions, ids: PositionIds::PLAIN }, &[words])?;
    let mut hidden = at.layer("", Layer::Dropout, &[placed])?;
    let mut layers = Vec::new();
    for i in 0..size.layers {
        hidden = at.under(&format!("h.{i}"), |at| layer(size, i, hidden, feed, at))?;
        layers.push(hidden);
    }
    Ok(Body { feed, hidden: norm("ln_f", size, hidden, at)?, layers })
}

/// x ← x + attention(norm(x)); x ← x + W₂ · act(W₁ · norm(x)).
fn layer(size: &Sizes, index: u64, input: NodeId, feed: Feed, at: &mut Builder) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let normed = norm("ln_1", size, input, at)?;
        let sources: Vec<NodeId> = std::iter::once(normed).chain(feed.mask).collect();
        let attended = at.layer("attn", Layer::Attention(attention(size, index)), &sources)?;
        at.layer("", Layer::Dropout, &[attended])
    })?;
    let middle = at.layer("", Layer::Add, &[attended, input])?;
    let transformed = at.branch(|at| {
        let normed = norm("ln_2", size, middle, at)?;
        let wide = at.layer("mlp.c_fc", Layer::Conv1D { out: size.intermediate }, &[normed])?;
        let active = at.layer("", Layer::Activation(size.activation), &[wide])?;
        let narrow = at.layer("mlp.c_proj", Layer::Conv1D { out: size.hidden }, &[active])?;
        at.layer("", Layer::Dropout, &[narrow])
    })?;
    at.layer("", Layer::Add, &[transformed, middle])
}

/// A number for each text (or a row, where the config wants no labels of it), from one of its positions or from their mean. Where
/// the config leaves the position to the caller it is the last, as in transformers where he does not say.
fn summary(config: Reader, size: &Sizes, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
    let read = match config.text("summary_type", "cls_index")? {
        "cls_index" | "last" => Layer::Last { padding: None },
        "first" => Layer::Select { axis: 1, index: 0 },
        "mean" => Layer::Mean { axis: 1 },
        other => return Err(config.unsupported("summary_type", other, "cls_index, last, first, mean")),
    };
    let mut summary = at.layer("", read, &[hidden])?;
    let projects = config.flag("summary_use_proj", true)?;
    let one = projects && config.flag("summary_proj_to_labels", true)?;
    if projects {
        let dense = Layer::Linear { out: if one { 1 } else { size.hidden }, bias: true };
        summary = at.layer("multiple_choice_head.summary", dense, &[summary])?;
    }
    if !config.text("summary_activation", "")?.is_empty() {
        summary = at.layer("", Layer::Activation(config.activation("summary_activation", "")?), &[summary])?;
    }
    if one { at.layer("", Layer::Select { axis: 1, index: 0 }, &[summary]) } else { Ok(summary) }
}

fn attention(size: &Sizes, index: u64) -> Attention {
    let width = size.hidden / size.heads;
    let root = if size.scaled { (width as f64).sqrt() } else { 1.0 };
    let layer = if size.scaled_by_layer { index as f64 + 1.0 } else { 1.0 };
    let projections = Projections::Fused { qkv: "c_attn".into(), out: "c_proj".into() };
    Attention {
        causal: true,
        scale: Some(1.0 / (root * layer)),
        layout: Layout::InOut,
        ..Attention::new(size.heads, width, projections)
    }
}

fn norm(name: &str, size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: size.eps, bias: true }, &[input])
}

/// transformers' `_init_weights`: matrices and embeddings N(0, initializer_range), the ends of the 2 L residual branches narrower
/// by √(2 L), norms 1, biases 0. A range of 0 counts as unsaid there.
fn initialise(size: &Sizes, since: ParameterId, at: &mut Builder) {
    let std = if size.range > 0.0 { size.range } else { 0.02 };
    let ends = std / (2.0 * size.layers.max(1) as f64).sqrt();
    let by = format!("gpt2: initializer_range {std} / √(2 · {} layers)", size.layers);
    at.init_rule(since, Scheme::Normal { mean: 0.0, std: ends }, &by, |p| p.name.ends_with("c_proj.weight"));
    let by = format!("gpt2: initializer_range {std}");
    at.init_rule(since, Scheme::Normal { mean: 0.0, std }, &by, |parameter| {
        matches!(parameter.role, Role::Linear | Role::Embedding | Role::Position)
    });
    at.init_rule(since, Scheme::Constant { value: 1.0 }, "gpt2: norms start at 1", |p| p.role == Role::Norm);
    at.init_rule(since, Scheme::Constant { value: 0.0 }, "gpt2: biases start at 0", |p| p.role == Role::Bias);
}

/// nanoGPT's and OpenAI's own.
const DIALECTS: &[Dialect] = &[NANOGPT, super::openai::GPT2];

/// Karpathy's nanoGPT has the names of transformers and matrices stored as `Linear` does, (out, in). Only a matrix that is not
/// square tells the two apart: here q, k and v stand below each other, there beside each other.
const NANOGPT: Dialect = Dialect {
    name: "nanogpt",
    markers: &["h.{i}.attn.c_attn.weight"],
    marker_shape: |shape| matches!(shape, [rows, columns] if columns.checked_mul(3) == Some(*rows)),
    layout: Some(Layout::OutIn),
    ..Dialect::PLAIN
};
