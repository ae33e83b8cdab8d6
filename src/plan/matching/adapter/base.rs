//! The model that an adapter is put on.

use crate::plan::matching::known::Layouts;

/// What an adapter must know of the model that it is put on.
pub(crate) struct Base<'a> {
    /// How matrices are stored that a family stores as (in, out).
    pub layouts: &'a Layouts,
    /// Whether the family is known, so that every other matrix is (out, in).
    pub is_known: bool,
    /// Other names of tensors, each with the name of the owner, where the model ties them.
    pub ties: &'a [(String, String)],
}
