//! Why a layer gave no result, and who sees what a weight gave.

use candle_core::Tensor;

use crate::error::Error;

/// Why a layer gave no result.
pub(super) enum Failure {
    /// There is no code for it, because of this.
    NotRunnable(&'static str),
    /// The tensor library refused.
    Compute(candle_core::Error),
    /// The hook did not want to go on.
    Hook(Box<Error>),
}

/// Sees the product of the weight at this place among a node's parameters, before the bias is added, and what it acted on.
pub(super) type Tap<'a> = dyn FnMut(usize, &Tensor, Tensor) -> std::result::Result<Tensor, Failure> + 'a;

impl From<candle_core::Error> for Failure {
    fn from(source: candle_core::Error) -> Failure {
        Failure::Compute(source)
    }
}
