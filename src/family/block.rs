//! The residual branch, of which every transformer is made.

use crate::error::Result;
use crate::graph::{Builder, Layer, NodeId};

/// Where the norm of a residual branch is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum NormPlace {
    /// x ← x + branch(norm(x)).
    Before,
    /// x ← norm(x + branch(x)).
    After,
}

/// A residual branch with its norm.
pub(super) fn residual(
    place: NormPlace,
    input: NodeId,
    norm: impl FnOnce(NodeId, &mut Builder) -> Result<NodeId>,
    branch: impl FnOnce(NodeId, &mut Builder) -> Result<NodeId>,
    at: &mut Builder,
) -> Result<NodeId> {
    match place {
        NormPlace::Before => {
            let result = at.branch(|at| {
                let normed = norm(input, at)?;
                branch(normed, at)
            })?;
            at.layer("", Layer::Add, &[result, input])
        }
        NormPlace::After => {
            let result = at.branch(|at| branch(input, at))?;
            let sum = at.layer("", Layer::Add, &[result, input])?;
            norm(sum, at)
        }
    }
}
