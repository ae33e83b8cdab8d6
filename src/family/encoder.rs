//! What encoders of BERT's kind have in common: their inputs, a layer whose norms come after the sums, and the heads of their tasks.

use super::config::Reader;
use super::{Class, Inputs, Outputs};
use crate::error::{FamilyError, Result};
use crate::graph::{
    Attention, AttentionKind, Builder, Dim, Layer, NodeId, Nonlinearity, PositionIds, Projections, Use,
};
use crate::tensor::{Dtype, Role};

/// The inputs of an encoder that knows types of tokens.
pub(super) const INPUTS: &[&str] = &["input_ids", "attention_mask", "token_type_ids"];

/// The config, under the names that most encoders give its keys.
pub(super) struct Sizes {
    pub vocabulary: u64,
    pub hidden: u64,
    pub layers: u64,
    pub heads: u64,
    pub intermediate: u64,
    pub activation: Nonlinearity,
    pub positions: u64,
    /// 0 where tokens have no types.
    pub types: u64,
    pub eps: f64,
    pub range: f64,
    pub causal: bool,
    pub tied: bool,
    pub labels: u64,
    /// The id of padding.
    pub padding: Option<u64>,
}

/// The names of the keys of a config, and their defaults in transformers.
pub(super) struct Keys {
    pub vocabulary: (&'static str, u64),
    pub hidden: (&'static str, u64),
    pub layers: (&'static str, u64),
    pub heads: (&'static str, u64),
    pub intermediate: (&'static str, u64),
    pub activation: (&'static str, &'static str),
    pub positions: (&'static str, u64),
    /// The types of tokens by default; `None` where the family has none.
    pub types: Option<u64>,
    /// What norms add to the variance; without a key it is fixed.
    pub eps: (Option<&'static str>, f64),
    pub padding: u64,
    /// Whether the family has decoders.
    pub decodes: bool,
}

/// BERT's.
pub(super) const KEYS: Keys = Keys {
    vocabulary: ("vocab_size", 30522),
    hidden: ("hidden_size", 768),
    layers: ("num_hidden_layers", 12),
    heads: ("num_attention_heads", 12),
    intermediate: ("intermediate_size", 3072),
    activation: ("hidden_act", "gelu"),
    positions: ("max_position_embeddings", 512),
    types: Some(2),
    eps: (Some("layer_norm_eps"), 1e-12),
    padding: 0,
    decodes: false,
};

impl Sizes {
    /// What a config says, under these keys.
    pub fn read(config: Reader, keys: &Keys) -> Result<Sizes> {
        refuse(config, keys)?;
        let size = |(key, default): (&'static str, u64)| config.size(key, default);
        let (hidden, heads) = (size(keys.hidden)?, size(keys.heads)?);
        config.divides((keys.hidden.0, hidden), (keys.heads.0, heads))?;
        Ok(Sizes {
            vocabulary: size(keys.vocabulary)?,
            hidden,
            layers: config.count(keys.layers.0, keys.layers.1)?,
            heads,
            intermediate: size(keys.intermediate)?,
            activation: config.activation(keys.activation.0, keys.activation.1)?,
            positions: size(keys.positions)?,
            types: types(config, keys)?,
            eps: keys.eps.0.map_or(Ok(keys.eps.1), |key| config.number(key, keys.eps.1))?,
            range: config.number("initializer_range", 0.02)?,
            causal: keys.decodes && config.flag("is_decoder", false)?,
            tied: config.flag("tie_word_embeddings", true)?,
            labels: config.labels()?,
            padding: config.id("pad_token_id", Some(keys.padding))?,
        })
    }
}

/// How many types of tokens there are. Where the library has a table of none it cannot run.
fn types(config: Reader, keys: &Keys) -> Result<u64> {
    const KEY: &str = "type_vocab_size";
    match keys.types {
        None => Ok(0),
        Some(0) => config.count(KEY, 0),
        Some(default) => config.size(KEY, default),
    }
}

/// What BERT and its kind exist with and is not built here.
fn refuse(config: Reader, keys: &Keys) -> Result<()> {
    let positions = config.text("position_embedding_type", "absolute")?;
    if positions != "absolute" {
        return Err(config.unsupported("position_embedding_type", positions, "absolute"));
    }
    if keys.decodes {
        config.only("add_cross_attention", false, "false: a model without an encoder beside it")?;
    }
    Ok(())
}

/// What stands on the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    /// Nothing.
    None,
    /// A language model, and whether two sentences follow each other; of ELECTRA, which tokens were replaced.
    PreTraining,
    /// A row for each token of the vocabulary.
    Language,
    /// Whether two sentences follow each other.
    NextSentence,
    /// A class of each text.
    Sequence,
    /// A number for each of several texts.
    Choice,
    /// A class of each token.
    Token,
    /// The first and the last token of an answer.
    Span,
}

/// The ends of class names and what they say.
const HEADS: &[(&str, Head)] = &[
    ("ForPreTraining", Head::PreTraining),
    ("ForMaskedLM", Head::Language),
    ("ForCausalLM", Head::Language),
    ("LMHeadModel", Head::Language),
    ("ForNextSentencePrediction", Head::NextSentence),
    ("ForSequenceClassification", Head::Sequence),
    ("ForMultipleChoice", Head::Choice),
    ("ForTokenClassification", Head::Token),
    ("ForQuestionAnswering", Head::Span),
    ("Model", Head::None),
];

/// The head of the class that the config names, one of `known`.
pub(super) fn head(config: Reader, known: &'static [&'static str]) -> Result<Head> {
    let Some(name) = config.architecture()? else { return Ok(Head::None) };
    let unknown = || FamilyError::Architecture { family: config.family, name: name.into(), known };
    let head = HEADS.iter().find(|(end, _)| name.ends_with(end)).filter(|_| known.contains(&name));
    Ok(head.ok_or_else(unknown)?.1)
}

/// What an encoder is made of.
pub(super) trait Encoder {
    /// The body, under the builder's path.
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body>;
    /// Whether the body of a class ends in a pooler.
    fn pools(&self, head: Head) -> bool;
    /// The pooler, under the body's path.
    fn pooler(&self, hidden: NodeId, at: &mut Builder) -> Result<NodeId>;
    /// The results of a head; `first` is the pooled text where the body pools.
    fn logits(&self, head: Head, body: &Body, first: Option<NodeId>, at: &mut Builder) -> Result<Outputs>;
}

/// The result of a body.
pub(super) struct Body {
    pub feed: Feed,
    pub hidden: NodeId,
    pub layers: Vec<NodeId>,
}

/// A class: the bare body with all its results named, `layer.{i}` among them, with a pooler where that is wanted; or the body below
/// its prefix, and a head.
pub(super) fn class(
    encoder: &dyn Encoder,
    class: &Class,
    head: impl FnOnce() -> Result<Head>,
    base_prefix: &str,
    inputs: &Inputs,
    at: &mut Builder,
) -> Result<Outputs> {
    if *class == Class::Bare {
        let body = encoder.body(inputs, at)?;
        let mut outputs = vec![("hidden".to_string(), body.hidden)];
        if encoder.pools(Head::None) && inputs.wants("pooled") {
            outputs.push(("pooled".to_string(), encoder.pooler(body.hidden, at)?));
        }
        outputs.extend(body.layers.iter().enumerate().map(|(i, node)| (format!("layer.{i}"), *node)));
        return Ok(outputs);
    }
    let head = head()?;
    let prefix = if head == Head::None { "" } else { base_prefix };
    let (body, pooled) = at.under(prefix, |at| {
        let body = encoder.body(inputs, at)?;
        let pooled = if encoder.pools(head) { Some(encoder.pooler(body.hidden, at)?) } else { None };
        Ok((body, pooled))
    })?;
    let mut outputs = vec![("hidden".to_string(), body.hidden)];
    outputs.extend(pooled.map(|pooled| ("pooled".to_string(), pooled)));
    outputs.extend(at.head(|at| encoder.logits(head, &body, pooled, at))?);
    Ok(outputs)
}

/// What is fed.
#[derive(Clone, Copy)]
pub(super) struct Feed {
    pub ids: NodeId,
    /// `None` where the family knows no types.
    pub types: Option<NodeId>,
    pub mask: Option<NodeId>,
}

/// The inputs, in texts of at most `longest` tokens: those that are wired; without any, all are the model's own, mask and types
/// optional; else a missing mask is all ones and missing types are all zeros.
pub(super) fn feed(config: Reader, size: &Sizes, longest: u64, inputs: &Inputs, at: &mut Builder) -> Result<Feed> {
    inputs.check(config.family, if size.types == 0 { &INPUTS[..2] } else { INPUTS })?;
    let own = inputs.wired.is_empty();
    let axes = || vec![Dim::Batch, Dim::UpTo(longest)];
    let ids = match inputs.get("input_ids") {
        Some(node) => node,
        None => at.input("input_ids", axes(), Dtype::I64, Some(size.vocabulary))?,
    };
    let mask = match inputs.get("attention_mask") {
        None if own => Some(at.input_or("attention_mask", axes(), Dtype::I64, Some(2), Some(1))?),
        wired => wired,
    };
    let types = match inputs.get("token_type_ids") {
        _ if size.types == 0 => None,
        None if own => Some(at.input_or("token_type_ids", axes(), Dtype::I64, Some(size.types), Some(0))?),
        None => Some(at.layer("", Layer::Fill { value: 0 }, &[ids])?),
        wired => wired,
    };
    Ok(Feed { ids, types, mask })
}

/// LayerNorm(word + position + token type), of this width; what is `None` is not there.
pub(super) fn embeddings(
    size: &Sizes,
    width: u64,
    positions: Option<PositionIds>,
    feed: Feed,
    at: &mut Builder,
) -> Result<NodeId> {
    let sum = embedded(size, width, positions, feed, at)?;
    let normed = norm("LayerNorm", size, sum, at)?;
    at.layer("", Layer::Dropout, &[normed])
}

/// word + position + token type, of this width; what is `None` is not there.
pub(super) fn embedded(
    size: &Sizes,
    width: u64,
    positions: Option<PositionIds>,
    feed: Feed,
    at: &mut Builder,
) -> Result<NodeId> {
    let mut sum = at.layer("word_embeddings", Layer::Embedding { num: size.vocabulary, dim: width }, &[feed.ids])?;
    at.zero_row("word_embeddings.weight", size.padding);
    if let Some(ids) = positions {
        let sources = match ids {
            PositionIds::From { .. } => vec![sum],
            PositionIds::Counted { .. } => vec![sum, feed.ids],
        };
        sum = at.layer("position_embeddings", Layer::Positions { num: size.positions, ids }, &sources)?;
        at.zero_row("position_embeddings.weight", ids.padding());
    }
    if let Some(types) = feed.types {
        let types = at.layer("token_type_embeddings", Layer::Embedding { num: size.types, dim: width }, &[types])?;
        sum = at.layer("", Layer::Add, &[sum, types])?;
    }
    Ok(sum)
}

/// The names of a layer's parts below its path.
pub(super) struct Names {
    pub attention: &'static str,
    /// Query, key, value and output, below the attention.
    pub projections: [&'static str; 4],
    pub attention_norm: &'static str,
    pub wide: &'static str,
    pub narrow: &'static str,
    pub norm: &'static str,
}

/// BERT's.
pub(super) const NAMES: Names = Names {
    attention: "attention",
    projections: ["self.query", "self.key", "self.value", "output.dense"],
    attention_norm: "attention.output.LayerNorm",
    wide: "intermediate.dense",
    narrow: "output.dense",
    norm: "output.LayerNorm",
};

/// x ← LayerNorm(x + attention(x)); x ← LayerNorm(x + W₂ · act(W₁ · x)). `table` is that of distances, where the attention has one.
pub(super) fn layer(
    names: &Names,
    size: &Sizes,
    kind: AttentionKind,
    table: Option<NodeId>,
    (input, mask): (NodeId, Option<NodeId>),
    at: &mut Builder,
) -> Result<NodeId> {
    layer_of(names, size, attention(names, size, kind), table, (input, mask), at)
}

/// The attention of such a layer.
pub(super) fn attention(names: &Names, size: &Sizes, kind: AttentionKind) -> Attention {
    let [q, k, v, out] = names.projections.map(str::to_string);
    let projections = Projections::Separate { q, k, v, out };
    Attention { causal: size.causal, kind, ..Attention::new(size.heads, size.hidden / size.heads, projections) }
}

/// The same layer around an attention that is made otherwise.
pub(super) fn layer_of(
    names: &Names,
    size: &Sizes,
    attention: Attention,
    table: Option<NodeId>,
    (input, mask): (NodeId, Option<NodeId>),
    at: &mut Builder,
) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let sources: Vec<NodeId> = std::iter::once(input).chain(table).chain(mask).collect();
        let attended = at.layer(names.attention, Layer::Attention(attention), &sources)?;
        at.layer("", Layer::Dropout, &[attended])
    })?;
    let sum = at.layer("", Layer::Add, &[attended, input])?;
    let middle = norm(names.attention_norm, size, sum, at)?;
    let transformed = at.branch(|at| {
        let wide = linear(names.wide, size.intermediate, middle, at)?;
        let active = at.layer("", Layer::Activation(size.activation), &[wide])?;
        let narrow = linear(names.narrow, size.hidden, active, at)?;
        at.layer("", Layer::Dropout, &[narrow])
    })?;
    let sum = at.layer("", Layer::Add, &[transformed, middle])?;
    norm(names.norm, size, sum, at)
}

/// act(W · x₀) of the first token.
pub(super) fn first_token(
    name: &str,
    width: u64,
    activation: Nonlinearity,
    hidden: NodeId,
    at: &mut Builder,
) -> Result<NodeId> {
    let first = at.layer("", Layer::Select { axis: 1, index: 0 }, &[hidden])?;
    let dense = linear(name, width, first, at)?;
    at.layer("", Layer::Activation(activation), &[dense])
}

/// A head of a language model.
pub(super) struct Predictions<'a> {
    /// Its path.
    pub path: &'a str,
    /// The transform and its norm, below the path.
    pub transform: [&'a str; 2],
    /// The width of the transform.
    pub width: u64,
    /// Its activation.
    pub activation: Nonlinearity,
    /// The word embedding, which the decoder is where that is tied.
    pub embedding: &'a str,
}

/// A transform, and a decoder that is the word embedding. A `bias` stands first, and is the decoder's bias; untied, transformers writes
/// it and uses it for nothing.
pub(super) fn predictions(of: &Predictions, size: &Sizes, hidden: NodeId, at: &mut Builder) -> Result<Outputs> {
    let embedding = at.full_name(of.embedding);
    at.under(of.path, |at| {
        at.layer("bias", Layer::Parameter { shape: [size.vocabulary].into(), usage: Use::None }, &[])?;
        let bias = at.full_name("bias");
        if let Some(id) = at.find(&bias) {
            at.parameter_mut(id).role = Role::Bias;
        }
        let [dense, name] = of.transform;
        let dense = linear(dense, of.width, hidden, at)?;
        let active = at.layer("", Layer::Activation(of.activation), &[dense])?;
        let normed = norm(name, size, active, at)?;
        let logits = linear("decoder", size.vocabulary, normed, at)?;
        if size.tied {
            at.tie(&at.full_name("decoder.weight"), &embedding)?;
            at.tie(&at.full_name("decoder.bias"), &bias)?;
        }
        Ok(vec![("logits".to_string(), logits)])
    })
}

/// Classes of what goes in, behind a dropout.
pub(super) fn classifier(name: &str, classes: u64, input: NodeId, at: &mut Builder) -> Result<Outputs> {
    let kept = at.layer("", Layer::Dropout, &[input])?;
    outputs(linear(name, classes, kept, at)?)
}

/// Of one result, `logits`.
pub(super) fn outputs(logits: NodeId) -> Result<Outputs> {
    Ok(vec![("logits".to_string(), logits)])
}

/// A matrix with a bias.
pub(super) fn linear(name: &str, out: u64, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::Linear { out, bias: true }, &[input])
}

/// A norm with a scale and a shift.
pub(super) fn norm(name: &str, size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: size.eps, bias: true }, &[input])
}
