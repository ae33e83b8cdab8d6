//! Philox4x32-10, keyed by seed and name: any slice of any tensor on its own. The bits are final.

use std::ops::Range;

use super::Scheme;
use crate::error::Result;

/// The random numbers of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Generator {}

impl Generator {
    /// The name of the bits, in every report.
    pub const VERSION: &'static str = "philox4x32-10/1";

    /// The numbers for the tensor called `name` under `seed`.
    pub fn new(_seed: u64, _name: &str) -> Generator {
        todo!()
    }

    /// Elements `range` (row-major, within the part) of a part of shape `shape`, whose first element is element `base` of the tensor.
    /// `out` has the length of the range; a scheme that needs the whole part gets the whole range.
    pub fn fill(
        &self,
        _scheme: &Scheme,
        _shape: &[u64],
        _base: u64,
        _range: Range<u64>,
        _out: &mut [f32],
    ) -> Result<()> {
        todo!()
    }
}
