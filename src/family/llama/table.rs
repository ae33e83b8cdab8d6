//! The table of Llama and its relatives: every field is a place where two of them differ.

/// Where a relative of Llama differs from it.
pub(crate) struct Llama {
    /// The path of the body below a head for answers.
    pub(super) span_prefix: &'static str,
    /// The name of its architecture in GGUF files.
    pub(super) gguf: &'static str,
    pub(super) bias: Bias,
    /// Whether the projections of the feed-forward network have biases where `mlp_bias` states them.
    pub(super) mlp_bias: bool,
    pub(super) query_key_norms: QueryKeyNorms,
    /// Whether q, k and v are one matrix, and gate and up another.
    pub(super) fused: bool,
    /// Whether norms scale by 1 + weight, and embeddings by √width.
    pub(super) gemma: bool,
    /// Whether `gelu` in a config means the approximation by tanh.
    pub(super) gelu_is_tanh: bool,
    pub(super) norms: Norms,
    pub(super) rotary: Rotary,
    pub(super) windows: Windows,
    /// The mixtures in place of feed-forward networks, where there are any.
    pub(super) experts: Option<&'static Experts>,
    /// The defaults of its config in transformers.
    pub(super) defaults: Defaults,
}

/// Where the norms of a layer are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Norms {
    Before,
    /// Before and after each branch.
    Around,
    After,
}

/// Norms of queries and keys.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum QueryKeyNorms {
    None,
    PerHead,
    AllHeads,
}

/// Which layers rotate queries and keys by their positions.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rotary {
    All,
    /// Those of `no_rope_layers` that are 1, by default all but every `no_rope_layer_interval`th.
    Listed,
}

/// The names of experts, and the defaults of their keys.
pub(super) struct Experts {
    /// The path of a mixture below its layer.
    pub(super) path: &'static str,
    /// The names of gate, up and down of each.
    pub(super) names: [&'static str; 3],
    pub(super) count: (&'static str, u64),
    pub(super) per_token: u64,
    pub(super) intermediate: (&'static str, u64),
    /// The key that states whether the shares of the chosen sum to 1; `None` where they do.
    pub(super) normalised: Option<(&'static str, bool)>,
    /// Whether the config may leave layers without experts.
    pub(super) sparse: bool,
}

/// Which projections of the attention have biases.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bias {
    Never,
    /// Those of q, k and v.
    Inputs,
    /// All or none, as `attention_bias` states.
    Stated,
}

/// Which layers see only the last `sliding_window` positions.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Windows {
    Never,
    /// All, where the config has a window; this one where it states none.
    All(Option<u64>),
    /// All with `use_sliding_window`, else none.
    Switched,
    /// With `use_sliding_window`, those from `max_window_layers` on.
    Upper,
    /// All but every sixth, which have other rotary embeddings.
    Pattern,
    /// With `use_sliding_window`, those without a rotary embedding.
    WithoutRotary,
}

/// The defaults of a config.
pub(super) struct Defaults {
    pub(super) vocabulary: u64,
    pub(super) hidden: u64,
    pub(super) intermediate: u64,
    pub(super) layers: u64,
    pub(super) heads: u64,
    /// `None`: as many as heads.
    pub(super) kv_heads: Option<u64>,
    /// `None`: the width over the heads.
    pub(super) head_dim: Option<u64>,
    pub(super) activation: (&'static str, &'static str),
    pub(super) positions: u64,
    pub(super) eps: f64,
    pub(super) tied: bool,
    pub(super) padding: Option<u64>,
    pub(super) theta: f64,
}
