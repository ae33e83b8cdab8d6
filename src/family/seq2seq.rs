//! What models that read one sequence and write another have in common: their inputs, and the classes that transformers has of them.

use super::config::Reader;
use super::head::{self, Head};
use super::text::{Text, text};
use super::{Class, Inputs, Outputs};
use crate::error::Result;
use crate::graph::{Builder, Dim, Layer, NodeId};

/// The inputs of a model of two texts.
pub(super) const INPUTS: &[&str] = &["input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"];

/// The sizes that inputs depend on.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub vocabulary: u64,
    /// The longest text to read.
    pub source: u64,
    /// The longest text to write.
    pub target: u64,
}

/// The text to read.
pub(super) fn source(limits: Limits, inputs: &Inputs, at: &mut Builder) -> Result<Text> {
    text(["input_ids", "attention_mask"], limits.vocabulary, Dim::UpTo(limits.source), inputs, at)
}

/// The text that was written so far.
pub(super) fn target(limits: Limits, inputs: &Inputs, at: &mut Builder) -> Result<Text> {
    let names = ["decoder_input_ids", "decoder_attention_mask"];
    text(names, limits.vocabulary, Dim::Target(limits.target), inputs, at)
}

/// The head of the class that is built, one of `known`; a bare block has none.
pub(super) fn head(config: Reader, class: &Class, known: &'static [&'static str]) -> Result<Head> {
    match class {
        Class::Bare => Ok(Head::None),
        Class::OfConfig => head::of(config, known),
    }
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
