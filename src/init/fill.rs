//! The values of a scheme, from the generator of a tensor.

use std::ops::Range;

use super::{Generator, Scheme, dirac, draws, orthogonal, sinusoids, sparse, truncated};
use crate::error::Result;
use crate::init::error::InitError;
use crate::tensor;

impl Generator {
    /// Elements `range` (row-major, within the part) of a part of shape `shape`, whose first element is element `base` of the tensor.
    /// `out` has the length of the range; a scheme that needs the whole part gets the whole range. Element k of a part depends on seed, name,
    /// scheme and `base + k` alone; of a scheme that needs the whole part also on the shape.
    pub fn fill(&self, scheme: &Scheme, shape: &[u64], base: u64, range: Range<u64>, out: &mut [f32]) -> Result<()> {
        scheme.check(shape)?;
        let first = first_element(scheme, shape, base, &range, out.len())?;
        match *scheme {
            Scheme::Normal { mean, std } => draws::normal(self, mean, std, first, out),
            Scheme::Uniform { low, high } => draws::uniform(self, low, high, first, out),
            Scheme::TruncatedNormal { mean, std, low, high } => {
                truncated::Truncated::new(mean, std, low, high).fill(self, first, out)
            }
            Scheme::Constant { value } => out.fill(value as f32),
            Scheme::Identity => dirac::identity(shape, range, out),
            Scheme::Dirac { groups } => dirac::dirac(groups, shape, range, out),
            Scheme::Sinusoids => sinusoids::fill(shape, range, out),
            Scheme::Sparse { sparsity, std } => sparse::fill(self, sparsity, std, shape, first, out)?,
            Scheme::Orthogonal { gain } => orthogonal::fill(self, gain, shape, first, out)?,
        }
        Ok(())
    }
}

/// The index in the tensor of the first element that is asked for, or an error where what is asked for does not exist.
fn first_element(scheme: &Scheme, shape: &[u64], base: u64, range: &Range<u64>, length: usize) -> Result<u64> {
    let (start, end) = (range.start, range.end);
    let wrong = || InitError::Range { start, end, shape: shape.into(), base, length };
    let elements = tensor::elements(shape).ok_or_else(wrong)?;
    let asked = end.checked_sub(start).ok_or_else(wrong)?;
    if end > elements || asked != length as u64 || base.checked_add(end).is_none() {
        return Err(wrong().into());
    }
    if scheme.needs_whole() && asked != elements {
        return Err(InitError::Whole { scheme: scheme.name(), elements, asked }.into());
    }
    base.checked_add(start).ok_or_else(|| wrong().into())
}
