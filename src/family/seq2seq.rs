//! What models that read one sequence and write another have in common: their inputs, and the classes that transformers has of them.

use super::config::Reader;
use super::{Class, Inputs, Outputs};
use crate::error::{FamilyError, Result};
use crate::graph::{Builder, Dim, Layer, NodeId};
use crate::tensor::Dtype;

/// The inputs of a model of two texts.
pub(super) const INPUTS: &[&str] = &["input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"];

/// What is fed to one side.
#[derive(Clone, Copy)]
pub(super) struct Feed {
    pub ids: NodeId,
    pub mask: Option<NodeId>,
}

/// The sizes that inputs depend on.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub vocabulary: u64,
    /// The longest text to read.
    pub source: u64,
    /// The longest text to write.
    pub target: u64,
}

/// The text to read: what is wired, else the model's own, the mask optional.
pub(super) fn source(limits: Limits, inputs: &Inputs, at: &mut Builder) -> Result<Feed> {
    side(["input_ids", "attention_mask"], limits.vocabulary, Dim::UpTo(limits.source), inputs, at)
}

/// The text that was written so far.
pub(super) fn target(limits: Limits, inputs: &Inputs, at: &mut Builder) -> Result<Feed> {
    side(["decoder_input_ids", "decoder_attention_mask"], limits.vocabulary, Dim::Target(limits.target), inputs, at)
}

fn side(names: [&str; 2], vocabulary: u64, length: Dim, inputs: &Inputs, at: &mut Builder) -> Result<Feed> {
    let [ids, mask] = names;
    let axes = || vec![Dim::Batch, length];
    let fed = match inputs.get(ids) {
        Some(node) => node,
        None => at.input(ids, axes(), Dtype::I64, Some(vocabulary))?,
    };
    let mask = match inputs.get(mask) {
        None if inputs.wired.is_empty() => Some(at.input_or(mask, axes(), Dtype::I64, Some(2), Some(1))?),
        wired => wired,
    };
    Ok(Feed { ids: fed, mask })
}

/// What stands on the body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    /// Nothing.
    None,
    /// Nothing, and the encoder alone.
    Encoder,
    /// A row for each token that may be written next.
    Language,
    /// The same on the decoder alone.
    Decoder,
    /// A class of each text, from its last `eos` token.
    Sequence,
    /// A class of each token that is read.
    Token,
    /// The first and the last token of an answer.
    Span,
    /// A class of each recording.
    Audio,
}

/// The ends of class names and what they say.
const HEADS: &[(&str, Head)] = &[
    ("ForConditionalGeneration", Head::Language),
    ("ForCausalLM", Head::Decoder),
    ("ForSequenceClassification", Head::Sequence),
    ("ForTokenClassification", Head::Token),
    ("ForQuestionAnswering", Head::Span),
    ("ForAudioClassification", Head::Audio),
    ("EncoderModel", Head::Encoder),
    ("Model", Head::None),
];

/// The head of the class that is built, one of `known`; a bare block has none.
pub(super) fn head(config: Reader, class: &Class, known: &'static [&'static str]) -> Result<Head> {
    let name = match class {
        Class::Bare => None,
        Class::OfConfig => config.architecture()?,
    };
    let Some(name) = name else { return Ok(Head::None) };
    let unknown = || FamilyError::Architecture { family: config.family, name: name.into(), known };
    let head = HEADS.iter().find(|(end, _)| name.ends_with(end)).filter(|_| known.contains(&name));
    Ok(head.ok_or_else(unknown)?.1)
}

/// The results of a bare body: `hidden` and `encoder_hidden`, and of each layer.
pub(super) fn results(
    class: &Class,
    (encoded, encoder): (NodeId, &[NodeId]),
    (hidden, decoder): (NodeId, &[NodeId]),
) -> Outputs {
    let mut outputs = vec![("hidden".to_string(), hidden), ("encoder_hidden".to_string(), encoded)];
    if *class == Class::Bare {
        let named = |side: &str, (i, node): (usize, &NodeId)| (format!("{side}layer.{i}"), *node);
        outputs.extend(encoder.iter().enumerate().map(|layer| named("encoder_", layer)));
        outputs.extend(decoder.iter().enumerate().map(|layer| named("", layer)));
    }
    outputs
}

/// `dense`, tanh and `out_proj` of the last position that holds the `eos` token.
pub(super) fn classify(
    (hidden, ids): (NodeId, NodeId),
    eos: u64,
    width: u64,
    labels: u64,
    at: &mut Builder,
) -> Result<NodeId> {
    let last = at.layer("", Layer::At { token: eos }, &[hidden, ids])?;
    at.under("classification_head", |at| {
        let dense = at.layer("dense", Layer::Linear { out: width, bias: true }, &[last])?;
        let active = at.layer("", Layer::Activation(crate::init::Nonlinearity::Tanh), &[dense])?;
        at.layer("out_proj", Layer::Linear { out: labels, bias: true }, &[active])
    })
}
