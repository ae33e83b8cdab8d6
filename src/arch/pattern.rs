//! Patterns over dotted names.

use std::collections::BTreeMap;

/// What the wildcards of a pattern stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings(pub BTreeMap<String, String>);

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
}
