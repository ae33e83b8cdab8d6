//! Schemes as people write them: `he_normal(mode=fan_out, a=0.2)`.

/// A scheme as written, before the layer is known.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemeSpec {
    /// As it was written.
    pub text: String,
}
