//! What decoders have in common: their inputs, and the heads that transformers puts on all of them.

use super::config::Reader;
use super::head::{self, Head};
use super::model::{Class, Inputs, Outputs};
use super::text::{Text, text};
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{Builder, Dim, Layer, NodeId, Part};
use crate::init::Fans;

/// The inputs of a decoder.
pub(super) const INPUTS: &[&str] = &["input_ids", "attention_mask"];

/// The inputs of a decoder whose texts have at most so many tokens.
pub(super) fn feed(
    family: &'static str,
    vocabulary: u64,
    longest: u64,
    inputs: &Inputs,
    at: &mut Builder,
) -> Result<Text> {
    inputs.check(family, INPUTS)?;
    text(["input_ids", "attention_mask"], vocabulary, Dim::UpTo(longest), inputs, at)
}

/// The paths of a decoder's body and heads.
pub(super) struct Names {
    /// The path of the body below a head.
    pub base_prefix: &'static str,
    /// The path of the body below a head for answers, where some relatives of Llama kept an old name.
    pub span_prefix: &'static str,
    /// The path of the token embedding below the body.
    pub embedding: &'static str,
    /// The path of the classifier of tokens.
    pub token_classifier: &'static str,
    /// The path of the language model's head.
    pub lm_head: &'static str,
}

/// What heads need of a config.
pub(super) struct Heads {
    head: Head,
    vocabulary: u64,
    labels: u64,
    /// Whether `lm_head` is the token embedding.
    tied: bool,
    /// The id of padding, which no sequence is classified by.
    padding: Option<u64>,
}

impl Heads {
    /// Those of the class that the config names, one of `known`; `tied` and `padding` are defaults.
    pub(crate) fn read(
        config: Reader,
        known: &'static [&'static str],
        vocabulary: u64,
        tied: bool,
        padding: Option<u64>,
    ) -> Result<Heads> {
        let head = head::of(config, known)?;
        if !matches!(head, Head::None | Head::Language | Head::Sequence | Head::Token | Head::Span) {
            return Err(head::unknown(config, known));
        }
        Ok(Heads {
            head,
            vocabulary,
            labels: config.labels()?,
            tied: config.flag("tie_word_embeddings", tied)?,
            padding: config.id("pad_token_id", padding)?,
        })
    }
}

/// The result of a body.
pub(super) struct Body {
    pub text: Text,
    pub hidden: NodeId,
    pub layers: Vec<NodeId>,
}

/// A class: the bare body with all its results named, `layer.{i}` among them, or the body below its prefix and a head.
pub(super) fn class(
    class: &Class,
    heads: impl FnOnce() -> Result<Heads>,
    names: &Names,
    body: impl FnOnce(&mut Builder) -> Result<Body>,
    at: &mut Builder,
) -> Result<Outputs> {
    if *class == Class::Bare {
        let body = body(at)?;
        let layers = body.layers.iter().enumerate().map(|(i, node)| (format!("layer.{i}"), *node));
        return Ok(std::iter::once(("hidden".to_string(), body.hidden)).chain(layers).collect());
    }
    let heads = heads()?;
    let prefix = match heads.head {
        Head::None => "",
        Head::Span => names.span_prefix,
        _ => names.base_prefix,
    };
    let body = at.under(prefix, body)?;
    let logits = at.head(|at| logits(&heads, names, &body, at))?;
    let mut outputs = vec![("hidden".to_string(), body.hidden)];
    outputs.extend(logits.map(|logits| ("logits".to_string(), logits)));
    Ok(outputs)
}

/// Two results from one matrix, each of `rows` with its own fans: gate and up.
pub(super) fn halves(name: &str, rows: u64, bias: bool, input: NodeId, at: &mut Builder) -> Result<(NodeId, NodeId)> {
    let both = rows.checked_mul(2).ok_or_else(|| {
        let (layer, what) = (at.full_name(name), format!("two halves of {rows} each"));
        GraphError::Overflow { layer, what }
    })?;
    let wide = at.layer(name, Layer::Linear { out: both, bias }, &[input])?;
    if let Some(id) = at.find(&at.full_name(&format!("{name}.weight"))) {
        let parameter = at.parameter_mut(id);
        let fan_in = parameter.shape.last().copied().unwrap_or(0);
        parameter.parts = vec![Part { rows, fans: Fans { fan_in, fan_out: rows } }; 2];
    }
    let first = at.layer("", Layer::Narrow { axis: 2, start: 0, len: rows }, &[wide])?;
    let second = at.layer("", Layer::Narrow { axis: 2, start: rows, len: rows }, &[wide])?;
    Ok((first, second))
}

fn logits(heads: &Heads, names: &Names, body: &Body, at: &mut Builder) -> Result<Option<NodeId>> {
    Ok(match heads.head {
        Head::Language => {
            let logits =
                at.layer(names.lm_head, Layer::Linear { out: heads.vocabulary, bias: false }, &[body.hidden])?;
            if heads.tied {
                let embedding = format!("{}.{}.weight", names.base_prefix, names.embedding);
                let head = format!("{}.weight", names.lm_head);
                at.tie(&at.full_name(&head), &at.full_name(&embedding))?;
            }
            Some(logits)
        }
        Head::Sequence => {
            let last = Layer::Last { padding: heads.padding };
            let last = at.layer("", last, &[body.hidden, body.text.ids])?;
            Some(at.layer("score", Layer::Linear { out: heads.labels, bias: false }, &[last])?)
        }
        Head::Token => {
            let kept = at.layer("", Layer::Dropout, &[body.hidden])?;
            let classifier = Layer::Linear { out: heads.labels, bias: true };
            Some(at.layer(names.token_classifier, classifier, &[kept])?)
        }
        Head::Span => Some(at.layer("qa_outputs", Layer::Linear { out: 2, bias: true }, &[body.hidden])?),
        // without a head, or refused by `Heads::read`
        Head::None
        | Head::Encoder
        | Head::PreTraining
        | Head::Generation
        | Head::NextSentence
        | Head::Choice
        | Head::Audio => None,
    })
}
