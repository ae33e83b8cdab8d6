//! The one way to make parameters and nodes.

/// Declares parameters and nodes together, under a path.
#[derive(Default)]
pub struct Builder {}
