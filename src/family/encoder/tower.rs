//! What the classes of an encoder add to its body.

use super::body::{linear, norm, parameter};
use super::table::{Active, Body, Model, Tower, Words};
use crate::error::Result;
use crate::family::head::{self, Head};
use crate::family::model::Outputs;
use crate::graph::{Builder, Layer, NodeId, Nonlinearity};
use crate::tensor::Role;

/// The tower of a head, or `None` for the body alone; a head without a tower is an error.
pub(crate) fn of(model: &Model, head: Head) -> Result<Option<&'static Tower>> {
    if head == Head::None {
        return Ok(None);
    }
    match model.of.towers.iter().find(|(known, _)| *known == head) {
        Some((_, tower)) => Ok(Some(tower)),
        None => Err(head::unknown(model.config, model.of.architectures)),
    }
}

impl Tower {
    /// Whether it reads the pooled text.
    pub(crate) fn pools(&self) -> bool {
        match self {
            Tower::WordsAndPair(..) | Tower::Pair(_) | Tower::Pooled(_) => true,
            Tower::Words(_) | Tower::First { .. } | Tower::Each(_) | Tower::Span(_) | Tower::Other(_) => false,
        }
    }
}

impl Active {
    pub(crate) fn read(self, model: &Model) -> Result<Nonlinearity> {
        match self {
            Active::Fixed(activation) => Ok(activation),
            Active::Layers => Ok(model.activation),
            Active::Key(key, default) => model.config.activation(key, default),
        }
    }
}

/// The outputs of a tower; `pooled` is the pooled text where there is a pooler.
pub(crate) fn logits(
    tower: &Tower,
    model: &Model,
    head: Head,
    (body, pooled): (&Body, Option<NodeId>),
    at: &mut Builder,
) -> Result<Outputs> {
    let (hidden, pooled) = (body.hidden, pooled.unwrap_or(body.hidden));
    let classes = if head == Head::Choice { 1 } else { model.labels };
    match tower {
        Tower::Words(of) => outputs(words(of, model, hidden, at)?),
        Tower::WordsAndPair(of, name, output, classes) => {
            let words = words(of, model, hidden, at)?;
            let pair = linear(name, classes.unwrap_or(model.labels), pooled, at)?;
            Ok(vec![("prediction_logits".to_string(), words), (output.to_string(), pair)])
        }
        Tower::Pair(name) => outputs(linear(name, 2, pooled, at)?),
        Tower::Pooled(name) => classifier(name, classes, pooled, at),
        Tower::First { dense, activation, out } => {
            let dense = first_token(dense, model.hidden, activation.read(model)?, hidden, at)?;
            classifier(out, classes, dense, at)
        }
        Tower::Each(name) => classifier(name, classes, hidden, at),
        Tower::Span(name) => outputs(linear(name, classes, hidden, at)?),
        Tower::Other(build) => build(model, head, body, at),
    }
}

/// act(W · x₀) of the first token.
pub(crate) fn first_token(
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

/// A head of a language model. Where the decoder is not tied, transformers stores the bias of the head and does not use it.
pub(crate) fn words(of: &Words, model: &Model, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
    if let Some(bias) = of.bias {
        parameter(bias, model.vocabulary, Role::Bias, None, at)?;
    }
    let dense = linear(of.dense, model.width, hidden, at)?;
    let active = at.layer("", Layer::Activation(of.activation.read(model)?), &[dense])?;
    let normed = norm(of.norm, model, active, at)?;
    let logits = linear(of.decoder, model.vocabulary, normed, at)?;
    if model.tied {
        at.tie(&at.full_name(&format!("{}.weight", of.decoder)), &embedding(model, at))?;
        if let Some(bias) = of.bias {
            at.tie(&at.full_name(&format!("{}.bias", of.decoder)), &at.full_name(bias))?;
        }
    }
    Ok(logits)
}

/// The full name of the embedding of tokens, seen from a head.
pub(crate) fn embedding(model: &Model, at: &Builder) -> String {
    at.full_name(&format!("{}.{}.weight", model.of.base_prefix, model.of.words))
}

/// A dropout and logits of so many classes.
pub(crate) fn classifier(name: &str, classes: u64, input: NodeId, at: &mut Builder) -> Result<Outputs> {
    let kept = at.layer("", Layer::Dropout, &[input])?;
    outputs(linear(name, classes, kept, at)?)
}

/// One output, `logits`.
pub(crate) fn outputs(logits: NodeId) -> Result<Outputs> {
    Ok(vec![("logits".to_string(), logits)])
}
