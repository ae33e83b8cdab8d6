//! The inputs, the embeddings and the layers of an encoder.

use super::table::{Body, Feed, Model, Projection};
use crate::error::Result;
use crate::family::block::{NormPlace, residual};
use crate::family::model::Inputs;
use crate::family::text::text;
use crate::graph::{Attention, Builder, Dim, Layer, LayerOptions, NodeId, ParameterId, PositionIds, Projections, Use};
use crate::tensor::{Dtype, Role};

/// The inputs of an encoder whose tokens have types.
pub(crate) const INPUTS: &[&str] = &["input_ids", "attention_mask", "token_type_ids"];

/// BERT's body: embeddings, brought to the width of the layers where they have another, and the layers.
pub(crate) fn body(model: &Model, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let feed = feed(model, inputs, at)?;
    let embedded = at.under("embeddings", |at| embeddings(model, feed, at))?;
    let first = match model.of.projection {
        Projection::IfNeeded(_) if model.width == model.hidden => embedded,
        Projection::IfNeeded(name) | Projection::Always(name) => linear(name, model.hidden, embedded, at)?,
    };
    let layers = (model.of.stack)(model, first, feed, at)?;
    Ok(Body { feed, hidden: layers.last().copied().unwrap_or(first), layers })
}

/// The layers of BERT, one after the other.
pub(crate) fn stack(model: &Model, first: NodeId, feed: Feed, at: &mut Builder) -> Result<Vec<NodeId>> {
    layers_of(model, first, |_, hidden, at| layer(model, hidden, feed, at), at)
}

/// Layers below their numbered paths, each given its number and the result of the one before.
pub(crate) fn layers_of(
    model: &Model,
    first: NodeId,
    mut build: impl FnMut(u64, NodeId, &mut Builder) -> Result<NodeId>,
    at: &mut Builder,
) -> Result<Vec<NodeId>> {
    let mut layers: Vec<NodeId> = Vec::new();
    for i in 0..model.layers {
        let hidden = layers.last().copied().unwrap_or(first);
        layers.push(at.under(&format!("{}.{i}", model.of.layer), |at| build(i, hidden, at))?);
    }
    Ok(layers)
}

/// The inputs: those that are wired; without any, all are inputs of the model, mask and types optional. Where some are wired, a missing
/// mask is all ones and missing types are all zeros.
pub(crate) fn feed(model: &Model, inputs: &Inputs, at: &mut Builder) -> Result<Feed> {
    inputs.check(model.of.name, if model.types == 0 { &INPUTS[..2] } else { INPUTS })?;
    let longest = Dim::UpTo(model.positions - model.position_ids.reserved());
    let text = text(["input_ids", "attention_mask"], model.vocabulary, longest, inputs, at)?;
    let axes = vec![Dim::Batch, longest];
    let types = match inputs.get("token_type_ids") {
        _ if model.types == 0 => None,
        None if inputs.wired.is_empty() => {
            Some(at.input_or("token_type_ids", axes, Dtype::I64, Some(model.types), Some(0))?)
        }
        None => Some(at.layer("", Layer::Fill { value: 0 }, &[text.ids])?),
        wired => wired,
    };
    Ok(Feed { text, types })
}

/// LayerNorm(word + position + token type).
fn embeddings(model: &Model, feed: Feed, at: &mut Builder) -> Result<NodeId> {
    let sum = embedded(model, Some(model.position_ids), feed, at)?;
    let normed = norm("LayerNorm", model, sum, at)?;
    at.layer("", Layer::Dropout, &[normed])
}

/// word + position + token type; without what is `None`.
pub(crate) fn embedded(model: &Model, positions: Option<PositionIds>, feed: Feed, at: &mut Builder) -> Result<NodeId> {
    let words = Layer::Embedding { num: model.vocabulary, dim: model.width };
    let mut sum = at.layer("word_embeddings", words, &[feed.text.ids])?;
    at.zero_row("word_embeddings.weight", model.padding);
    if let Some(ids) = positions {
        let sources = match ids {
            PositionIds::From { .. } => vec![sum],
            PositionIds::Counted { .. } => vec![sum, feed.text.ids],
        };
        sum = at.layer("position_embeddings", Layer::Positions { num: model.positions, ids }, &sources)?;
        at.zero_row("position_embeddings.weight", ids.padding());
    }
    if let Some(types) = feed.types {
        let table = Layer::Embedding { num: model.types, dim: model.width };
        let types = at.layer("token_type_embeddings", table, &[types])?;
        sum = at.layer("", Layer::Add, &[sum, types])?;
    }
    Ok(sum)
}

/// x ← LayerNorm(x + attention(x)); x ← LayerNorm(x + W₂ · act(W₁ · x)).
pub(crate) fn layer(model: &Model, input: NodeId, feed: Feed, at: &mut Builder) -> Result<NodeId> {
    let sources: Vec<NodeId> = std::iter::once(input).chain(feed.text.mask).collect();
    layer_around(model, attention(model), &sources, None, at)
}

/// The attention of such a layer.
pub(crate) fn attention(model: &Model) -> Attention {
    let [q, k, v, out] = model.of.projections.map(str::to_string);
    let projections = Projections::Separate { q, k, v, out };
    Attention { causal: model.causal, ..Attention::new(model.heads, model.hidden / model.heads, projections) }
}

/// The layer around another attention, the first of whose sources is the layer's input. A shared parameter is that of another layer, with
/// its name below the attention.
pub(crate) fn layer_around(
    model: &Model,
    attention: Attention,
    sources: &[NodeId],
    shared: Option<(&'static str, ParameterId)>,
    at: &mut Builder,
) -> Result<NodeId> {
    let (of, input) = (model.of, sources[0]);
    let attend = |_, at: &mut Builder| {
        let options = LayerOptions { shared: shared.into_iter().collect(), ..LayerOptions::default() };
        let attended = at.layer_with(of.attention, Layer::Attention(attention), sources, options)?;
        at.layer("", Layer::Dropout, &[attended])
    };
    let named = |name| move |input, at: &mut Builder| norm(name, model, input, at);
    let middle = residual(NormPlace::After, input, named(of.attention_norm), attend, at)?;
    let transform = |input, at: &mut Builder| {
        let wide = linear(of.wide, model.intermediate, input, at)?;
        let active = at.layer("", Layer::Activation(model.activation), &[wide])?;
        let narrow = linear(of.narrow, model.hidden, active, at)?;
        at.layer("", Layer::Dropout, &[narrow])
    };
    residual(NormPlace::After, middle, named(of.norm), transform, at)
}

/// A matrix with a bias.
pub(crate) fn linear(name: &str, out: u64, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::Linear { out, bias: true }, &[input])
}

/// A norm with a scale and a shift.
pub(crate) fn norm(name: &str, model: &Model, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: model.eps, bias: true }, &[input])
}

/// A vector that is added to `input`; without an input it is stored and not used.
pub(crate) fn parameter(name: &str, size: u64, role: Role, input: Option<NodeId>, at: &mut Builder) -> Result<NodeId> {
    let usage = if input.is_some() { Use::Add } else { Use::None };
    let sources: Vec<NodeId> = input.into_iter().collect();
    let node = at.layer(name, Layer::Parameter { shape: [size].into(), usage }, &sources)?;
    if let Some(id) = at.find(&at.full_name(name)) {
        at.parameter_mut(id).role = role;
    }
    Ok(node)
}
