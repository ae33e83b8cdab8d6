//! One weight that is stored as codes.

use crate::checkpoint::Listing;
use crate::name::{join, parent};
use crate::tensor::Name;

/// One weight that is stored as codes.
#[derive(Debug)]
pub(crate) struct QuantizedWeight {
    /// The name that it has in a float model.
    pub name: Name,
    pub codes: usize,
    /// What stands next to them and belongs to them: scale, zero point, tables.
    pub parts: Vec<usize>,
    /// What can be made of it.
    pub reading: Reading,
}

impl QuantizedWeight {
    /// What stands next to the codes, as it is called next to a tensor of another name.
    pub(crate) fn names_beside<'a>(&'a self, listing: &'a Listing, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let codes = listing.name(self.codes);
        self.parts.iter().map(move |part| {
            let part = listing.name(*part);
            match (part.strip_prefix(codes), part.strip_prefix(parent(codes))) {
                (Some(end), _) => format!("{name}{end}"),
                (None, Some(end)) => join(parent(name), end.trim_start_matches('.')),
                (None, None) => part.to_string(),
            }
        })
    }
}

/// What can be made of codes.
#[derive(Debug, PartialEq)]
pub(crate) enum Reading {
    /// `(q − zero) · scale`.
    Product {
        scale: usize,
        /// What the scale is multiplied by first.
        factor: f64,
        zero: Option<usize>,
        /// The elements that share a scale.
        block: Vec<u64>,
    },
    /// There is no scale. Where others of the source have one, or one is announced, its name.
    Unscaled(Option<String>),
    /// A scale whose shape does not fit, or fits several ways.
    Misfit { scale: usize },
    Other {
        method: String,
        /// Bits of a weight, where they are known.
        bits: Option<u64>,
    },
}

pub(crate) fn elements(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |product, size| product.saturating_mul(*size))
}
