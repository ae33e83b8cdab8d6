//! A layer in its place, as inference of shapes sees it, and what follows for it.

use crate::error::{Error, Result};
use crate::graph::error::GraphError;
use crate::graph::{Dim, DimsText, Layer, NodeId};

/// What a node gives to the next.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::graph) struct Flow {
    pub shape: Vec<Dim>,
    /// Whether it is numbers or ids.
    pub kind: Kind,
}

/// What the elements of an activation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graph) enum Kind {
    Float,
    /// Ids below `max`, where that is known.
    Ids {
        /// One more than the largest.
        max: Option<u64>,
    },
}

/// What follows from a layer's inputs.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::graph) struct Inferred {
    pub flow: Flow,
    /// The size of the axis that its weights act on: the last one, or the channels.
    pub width: u64,
}

/// A layer in its place, as inference sees it.
pub(in crate::graph) struct Site<'a> {
    pub layer: &'a Layer,
    /// How messages call it.
    pub here: &'a dyn Fn() -> String,
    /// How messages call a node.
    pub describe: &'a dyn Fn(NodeId) -> String,
    /// Its inputs and what they give.
    pub inputs: Vec<(NodeId, &'a Flow)>,
}

impl Site<'_> {
    /// What its first input gives. Arity is checked before.
    pub(crate) fn first(&self) -> &Flow {
        self.inputs[0].1
    }

    /// The error that input `index` is not what the layer takes.
    pub(crate) fn misfit(&self, index: usize, takes: impl Into<String>) -> Error {
        let (node, flow) = self.inputs[index];
        let kind = match flow.kind {
            Kind::Float => "",
            Kind::Ids { .. } => " ids",
        };
        GraphError::Misfit {
            layer: (self.here)(),
            takes: takes.into(),
            from: (self.describe)(node),
            gives: format!("{}{kind}", DimsText(&flow.shape)),
        }
        .into()
    }

    /// The error that a number of the layer cannot be.
    pub(crate) fn value(&self, key: &'static str, value: impl ToString, must: impl Into<String>) -> Error {
        GraphError::Value { layer: (self.here)(), key, value: value.to_string(), must: must.into() }.into()
    }

    pub(crate) fn overflow(&self, what: impl Into<String>) -> Error {
        GraphError::Overflow { layer: (self.here)(), what: what.into() }.into()
    }

    /// `value`, or an error where it is 0.
    pub(crate) fn positive(&self, key: &'static str, value: u64) -> Result<u64> {
        if value == 0 { Err(self.value(key, value, "at least 1")) } else { Ok(value) }
    }

    /// The product of two sizes.
    pub(crate) fn product(&self, what: &'static str, a: u64, b: u64) -> Result<u64> {
        a.checked_mul(b).ok_or_else(|| self.overflow(format!("{what} {a} × {b}")))
    }

    /// The known size of an axis of the first input.
    pub(crate) fn known(&self, axis: usize, takes: &str) -> Result<u64> {
        match self.first().shape.get(axis) {
            Some(Dim::Known(size)) => Ok(*size),
            _ => Err(self.misfit(0, takes)),
        }
    }

    /// The known size of the last axis of the first input, which is not the batch.
    pub(crate) fn last(&self, takes: &str) -> Result<u64> {
        let rank = self.first().shape.len();
        self.known(rank.wrapping_sub(1), takes)
    }
}

/// The first input's result with another shape.
pub(super) fn reshaped(site: &Site, shape: Vec<Dim>, width: u64) -> Inferred {
    Inferred { flow: Flow { shape, kind: site.first().kind }, width }
}
