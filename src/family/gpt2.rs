//! GPT-2 (Radford et al., 2019) as transformers writes it: learned positions, norms before each branch, and matrices stored (in, out).

use super::config::Reader;
use super::decoder::{self, Body, Heads, Names};
use super::described::Described;
use super::dialect::Dialect;
use super::initial::{self, deviation};
use super::model::{Class, Inputs, Outputs};
use super::text::Text;
use crate::error::Result;
use crate::graph::{Attention, Builder, Layer, Layout, NodeId, Nonlinearity, ParameterId, PositionIds, Projections};
use crate::init::Scheme;
use crate::tensor::Role;

/// The family.
pub(crate) const GPT2: Described = Described {
    name: "gpt2",
    model_types: &["gpt2"],
    architectures: &[
        "GPT2Model", "GPT2LMHeadModel", DOUBLE_HEADS, "GPT2ForSequenceClassification", "GPT2ForTokenClassification",
        "GPT2ForQuestionAnswering",
    ],
    inputs: decoder::INPUTS,
    base_prefix: NAMES.base_prefix,
    markers: &["wpe.weight", "h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"],
    dialects: &[NANOGPT, super::openai::GPT2],
    in_out: &[
        "h.{i}.attn.c_attn.weight", "h.{i}.attn.c_proj.weight", "h.{i}.mlp.c_fc.weight", "h.{i}.mlp.c_proj.weight",
    ],
    ..Described::new((), build)
};

/// A language model that also gives a number for each text.
const DOUBLE_HEADS: &str = "GPT2DoubleHeadsModel";

const NAMES: Names = Names {
    base_prefix: "transformer",
    span_prefix: "transformer",
    embedding: "wte",
    token_classifier: "classifier",
    lm_head: "lm_head",
};

fn build(of: &Described, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let gpt2 = Gpt2Config::read(config)?;
    let since = at.parameters().len();
    let heads = || Heads::read(config, of.architectures, gpt2.vocabulary, true, None);
    let mut outputs = decoder::class(class, heads, &NAMES, |at| body(&gpt2, inputs, at), at)?;
    if *class != Class::Bare && config.architecture()? == Some(DOUBLE_HEADS) {
        let hidden = outputs.iter().find(|(name, _)| name == "hidden").map(|(_, node)| *node);
        let summary = hidden.map(|hidden| at.head(|at| summary(config, &gpt2, hidden, at))).transpose()?;
        outputs.extend(summary.map(|summary| ("mc_logits".to_string(), summary)));
    }
    initialise(&gpt2, since, at);
    Ok(outputs)
}

/// The config, with the defaults of transformers' `GPT2Config`.
struct Gpt2Config {
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

impl Gpt2Config {
    fn read(config: Reader) -> Result<Gpt2Config> {
        config.only("add_cross_attention", false, "false: a GPT-2 without an encoder beside it")?;
        let (hidden, heads) = (config.size("n_embd", 768)?, config.size("n_head", 12)?);
        if hidden % heads != 0 {
            return Err(config.wrong("n_embd", hidden, format!("a multiple of n_head, which is {heads}")));
        }
        Ok(Gpt2Config {
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

fn body(gpt2: &Gpt2Config, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let text = decoder::feed("gpt2", gpt2.vocabulary, gpt2.positions, inputs, at)?;
    let words = at.layer("wte", Layer::Embedding { num: gpt2.vocabulary, dim: gpt2.hidden }, &[text.ids])?;
    let placed = at.layer("wpe", Layer::Positions { num: gpt2.positions, ids: PositionIds::PLAIN }, &[words])?;
    let mut hidden = at.layer("", Layer::Dropout, &[placed])?;
    let mut layers = Vec::new();
    for i in 0..gpt2.layers {
        hidden = at.under(&format!("h.{i}"), |at| layer(gpt2, i, hidden, text, at))?;
        layers.push(hidden);
    }
    Ok(Body { text, hidden: norm("ln_f", gpt2, hidden, at)?, layers })
}

/// x ← x + attention(norm(x)); x ← x + W₂ · act(W₁ · norm(x)).
fn layer(gpt2: &Gpt2Config, index: u64, input: NodeId, text: Text, at: &mut Builder) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let normed = norm("ln_1", gpt2, input, at)?;
        let sources: Vec<NodeId> = std::iter::once(normed).chain(text.mask).collect();
        let attended = at.layer("attn", Layer::Attention(attention(gpt2, index)), &sources)?;
        at.layer("", Layer::Dropout, &[attended])
    })?;
    let middle = at.layer("", Layer::Add, &[attended, input])?;
    let transformed = at.branch(|at| {
        let normed = norm("ln_2", gpt2, middle, at)?;
        let wide = at.layer("mlp.c_fc", Layer::Conv1D { out: gpt2.intermediate }, &[normed])?;
        let active = at.layer("", Layer::Activation(gpt2.activation), &[wide])?;
        let narrow = at.layer("mlp.c_proj", Layer::Conv1D { out: gpt2.hidden }, &[active])?;
        at.layer("", Layer::Dropout, &[narrow])
    })?;
    at.layer("", Layer::Add, &[transformed, middle])
}

/// A number for each text (or a row, without `summary_proj_to_labels`), from one of its positions or from their mean. With `cls_index`,
/// where callers of transformers may choose the position, it is the last, which is the default there.
fn summary(config: Reader, gpt2: &Gpt2Config, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
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
        let dense = Layer::Linear { out: if one { 1 } else { gpt2.hidden }, bias: true };
        summary = at.layer("multiple_choice_head.summary", dense, &[summary])?;
    }
    if !config.text("summary_activation", "")?.is_empty() {
        summary = at.layer("", Layer::Activation(config.activation("summary_activation", "")?), &[summary])?;
    }
    if one { at.layer("", Layer::Select { axis: 1, index: 0 }, &[summary]) } else { Ok(summary) }
}

fn attention(gpt2: &Gpt2Config, index: u64) -> Attention {
    let width = gpt2.hidden / gpt2.heads;
    let root = if gpt2.scaled { (width as f64).sqrt() } else { 1.0 };
    let layer = if gpt2.scaled_by_layer { index as f64 + 1.0 } else { 1.0 };
    let projections = Projections::Fused { qkv: "c_attn".into(), out: "c_proj".into() };
    Attention {
        causal: true,
        scale: Some(1.0 / (root * layer)),
        layout: Layout::InOut,
        ..Attention::new(gpt2.heads, width, projections)
    }
}

fn norm(name: &str, gpt2: &Gpt2Config, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: gpt2.eps, bias: true }, &[input])
}

/// transformers' `_init_weights`: matrices and embeddings N(0, initializer_range), the ends of the 2 L residual branches narrower
/// by √(2 L), norms 1, biases 0. A range of 0 counts as none there.
fn initialise(gpt2: &Gpt2Config, since: ParameterId, at: &mut Builder) {
    let std = deviation(gpt2.range);
    let ends = std / (2.0 * gpt2.layers.max(1) as f64).sqrt();
    let by = format!("gpt2: initializer_range {std} / √(2 · {} layers)", gpt2.layers);
    at.init_rule(since, Scheme::Normal { mean: 0.0, std: ends }, &by, |p| p.name.ends_with("c_proj.weight"));
    let by = format!("gpt2: initializer_range {std}");
    at.init_rule(since, Scheme::Normal { mean: 0.0, std }, &by, |parameter| {
        matches!(parameter.role, Role::Linear | Role::Embedding | Role::Position)
    });
    initial::norms_and_biases("gpt2", since, at);
}

/// Karpathy's nanoGPT has the names of transformers and matrices stored as `Linear` does, (out, in). Only a matrix that is not
/// square tells the two apart: here q, k and v are blocks of rows, there of columns.
const NANOGPT: Dialect = Dialect {
    name: "nanogpt",
    markers: &["h.{i}.attn.c_attn.weight"],
    marker_shape: |shape| matches!(shape, [rows, columns] if columns.checked_mul(3) == Some(*rows)),
    layout: Some(Layout::OutIn),
    ..Dialect::PLAIN
};
