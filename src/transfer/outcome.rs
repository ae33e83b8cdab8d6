//! How a transfer runs, and what is known after it.

/// How a transfer runs; nothing here changes a byte of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker threads, at least one.
    pub threads: usize,
    /// Whether a cast may overflow to infinity.
    pub allow_overflow: bool,
}

/// The digest of one source tensor, whole, in its stored type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputDigest {
    pub source: usize,
    pub tensor: String,
    /// `blake3:…`.
    pub digest: String,
}

/// What is known of an assignment after it was written. Tied ones have no digest of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `blake3:…` of the tensor's bytes; `None` for a tied one.
    pub digest: Option<String>,
    /// Every source tensor that its value mentions, in order of mention.
    pub inputs: Vec<InputDigest>,
    /// How many elements are NaN or infinite.
    pub non_finite: u64,
}
