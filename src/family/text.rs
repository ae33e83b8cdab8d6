//! The inputs that every model of texts has: token ids and an attention mask.

use super::model::Inputs;
use crate::error::Result;
use crate::graph::{Builder, Dim, NodeId};
use crate::tensor::Dtype;

/// A text as a model is given it.
#[derive(Clone, Copy)]
pub(super) struct Text {
    pub ids: NodeId,
    pub mask: Option<NodeId>,
}

/// Ids below `vocabulary` and their mask, by these input names: what is wired; without any wired input both are inputs of the model, the
/// mask optional.
pub(super) fn text(names: [&str; 2], vocabulary: u64, length: Dim, inputs: &Inputs, at: &mut Builder) -> Result<Text> {
    let [ids, mask] = names;
    let axes = || vec![Dim::Batch, length];
    let ids = match inputs.get(ids) {
        Some(node) => node,
        None => at.input(ids, axes(), Dtype::I64, Some(vocabulary))?,
    };
    let mask = match inputs.get(mask) {
        None if inputs.wired.is_empty() => Some(at.input_or(mask, axes(), Dtype::I64, Some(2), Some(1))?),
        wired => wired,
    };
    Ok(Text { ids, mask })
}
