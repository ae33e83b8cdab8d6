//! The graph on candle, node by node: weights come through one closure and go after their last use.

use std::collections::BTreeMap;

use super::{Graph, Node, Parameter};
use crate::error::Result;

/// Where the value of a parameter comes from: stored, planned or generated is the caller's affair.
pub type Weights<'a> = dyn Fn(&Parameter) -> Result<candle_core::Tensor> + 'a;

/// Sees the result of every node, and may replace it.
pub trait Hook {
    /// Called after each node, in execution order.
    fn after(
        &mut self,
        node: &Node,
        inputs: &[candle_core::Tensor],
        output: candle_core::Tensor,
    ) -> Result<candle_core::Tensor>;
}

/// Runs the graph on a batch (by input name) and gives its outputs by name.
pub fn run(
    _graph: &Graph,
    _parameters: &[Parameter],
    _weights: &Weights,
    _batch: &BTreeMap<String, candle_core::Tensor>,
    _hook: Option<&mut dyn Hook>,
) -> Result<BTreeMap<String, candle_core::Tensor>> {
    todo!()
}
