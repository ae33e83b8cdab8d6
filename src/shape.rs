//! Shapes of tensors. Most are of one or two axes, and a plan of a hundred thousand tensors holds each in many places.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The sizes of a tensor's axes, outermost first; empty for a scalar. Up to two axes take no memory beside the value.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(SmallVec<[u64; 2]>);

impl Shape {
    /// The sizes.
    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// Adds a last axis.
    pub(crate) fn push(&mut self, size: u64) {
        self.0.push(size);
    }
}

impl Deref for Shape {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

impl From<&[u64]> for Shape {
    fn from(sizes: &[u64]) -> Shape {
        Shape(SmallVec::from_slice(sizes))
    }
}

impl From<Vec<u64>> for Shape {
    fn from(sizes: Vec<u64>) -> Shape {
        sizes.as_slice().into()
    }
}

impl<const AXES: usize> From<[u64; AXES]> for Shape {
    fn from(sizes: [u64; AXES]) -> Shape {
        sizes.as_slice().into()
    }
}

impl FromIterator<u64> for Shape {
    fn from_iter<I: IntoIterator<Item = u64>>(sizes: I) -> Shape {
        Shape(sizes.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Shape {
    type Item = &'a u64;
    type IntoIter = std::slice::Iter<'a, u64>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<Sizes: AsRef<[u64]>> PartialEq<Sizes> for Shape {
    fn eq(&self, sizes: &Sizes) -> bool {
        **self == *sizes.as_ref()
    }
}

impl PartialEq<[u64]> for Shape {
    fn eq(&self, sizes: &[u64]) -> bool {
        **self == *sizes
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The product of the sizes, or `None` where it overflows.
pub(crate) fn elements(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size))
}

/// A shape as people read it: `[768, 3072]`.
pub(crate) struct ShapeText<'a>(pub &'a [u64]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, size) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{size}")?;
        }
        f.write_str("]")
    }
}
