//! What decoders have in common: their inputs, and the heads that transformers puts on all of them.

use super::config::Reader;
use super::{Class, Inputs, Outputs};
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::graph::error::GraphError;
use crate::graph::{Builder, Dim, Layer, NodeId, Part};
use crate::init::Fans;
use crate::tensor::Dtype;

/// The inputs of a decoder.
pub(super) const INPUTS: &[&str] = &["input_ids", "attention_mask"];

/// The ids and the mask, where there is one.
#[derive(Clone, Copy)]
pub(super) struct Feed {
    pub ids: NodeId,
    pub mask: Option<NodeId>,
}

/// The inputs: those that are wired; without any, both are the model's own, the mask optional.
pub(super) fn feed(
    family: &'static str,
    vocabulary: u64,
    positions: u64,
    inputs: &Inputs,
    at: &mut Builder,
) -> Result<Feed> {
    inputs.check(family, INPUTS)?;
    let axes = || vec![Dim::Batch, Dim::UpTo(positions)];
    let ids = match inputs.get("input_ids") {
        Some(node) => node,
        None => at.input("input_ids", axes(), Dtype::I64, Some(vocabulary))?,
    };
    let mask = match inputs.get("attention_mask") {
        None if inputs.wired.is_empty() => Some(at.input_or("attention_mask", axes(), Dtype::I64, Some(2), Some(1))?),
        wired => wired,
    };
    Ok(Feed { ids, mask })
}

/// What stands on the body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    /// Nothing.
    None,
    /// `lm_head`, a row for each token.
    Language,
    /// `score` of the last token that is no padding.
    Sequence,
    /// A classifier of every token.
    Token,
    /// The first and the last token of an answer.
    Span,
}

/// The ends of class names and what they say.
const HEADS: &[(&str, Head)] = &[
    // the family adds the second
    ("DoubleHeadsModel", Head::Language),
    ("ForCausalLM", Head::Language),
    ("LMHeadModel", Head::Language),
    ("ForSequenceClassification", Head::Sequence),
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

/// How a decoder spells its body and heads.
pub(super) struct Spelling<'a> {
    /// The path of the body below a head.
    pub base_prefix: &'a str,
    /// The same below a head for answers, where some of llama's siblings kept an old name.
    pub span_prefix: &'a str,
    /// The path of the token embedding below the body.
    pub embedding: &'a str,
    /// The path of the classifier of tokens.
    pub token_classifier: &'a str,
    /// The path of the language model's head.
    pub lm_head: &'a str,
}

/// The sizes that heads need.
pub(super) struct Heads {
    pub head: Head,
    pub vocabulary: u64,
    pub labels: u64,
    /// Whether `lm_head` is the token embedding.
    pub tied: bool,
    /// The id of padding, which no sequence is classified by.
    pub padding: Option<u64>,
}

/// The result of a body.
pub(super) struct Body {
    pub feed: Feed,
    pub hidden: NodeId,
    pub layers: Vec<NodeId>,
}

/// A class: the bare body with all its results named, `layer.{i}` among them, or the body below its prefix and a head.
pub(super) fn class(
    class: &Class,
    heads: impl FnOnce() -> Result<Heads>,
    spelling: &Spelling,
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
        Head::Span => spelling.span_prefix,
        Head::Language | Head::Sequence | Head::Token => spelling.base_prefix,
    };
    let body = at.under(prefix, body)?;
    let logits = at.head(|at| logits(&heads, spelling, &body, at))?;
    let mut outputs = vec![("hidden".to_string(), body.hidden)];
    outputs.extend(logits.map(|logits| ("logits".to_string(), logits)));
    Ok(outputs)
}

/// Two results from one matrix, each of `rows` and with fans of its own: gate and up.
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

fn logits(heads: &Heads, spelling: &Spelling, body: &Body, at: &mut Builder) -> Result<Option<NodeId>> {
    Ok(match heads.head {
        Head::None => None,
        Head::Language => {
            let logits =
                at.layer(spelling.lm_head, Layer::Linear { out: heads.vocabulary, bias: false }, &[body.hidden])?;
            if heads.tied {
                let embedding = format!("{}.{}.weight", spelling.base_prefix, spelling.embedding);
                let head = format!("{}.weight", spelling.lm_head);
                at.tie(&at.full_name(&head), &at.full_name(&embedding))?;
            }
            Some(logits)
        }
        Head::Sequence => {
            let last = Layer::Last { padding: heads.padding };
            let last = at.layer("", last, &[body.hidden, body.feed.ids])?;
            Some(at.layer("score", Layer::Linear { out: heads.labels, bias: false }, &[last])?)
        }
        Head::Token => {
            let kept = at.layer("", Layer::Dropout, &[body.hidden])?;
            let classifier = Layer::Linear { out: heads.labels, bias: true };
            Some(at.layer(spelling.token_classifier, classifier, &[kept])?)
        }
        Head::Span => Some(at.layer("qa_outputs", Layer::Linear { out: 2, bias: true }, &[body.hidden])?),
    })
}
