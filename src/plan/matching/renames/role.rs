//! What the names of projections say that they are, in the words that the field has for them.

/// What a projection of a transformer's layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Query,
    Key,
    Value,
    Output,
    /// Query, key and value in this order, one after the other.
    Fused,
    /// Projections in one matrix, of an order or interleaving that names do not say.
    Interleaved,
    /// The gate of a gated feed-forward network.
    Gate,
    /// The product that the gate multiplies.
    Up,
    /// The first product of a feed-forward network without a gate.
    First,
    /// The last product of a feed-forward network.
    Down,
    Tokens,
}

impl Role {
    /// Whether rotary positions order its rows.
    pub(crate) fn is_rotated(self) -> bool {
        matches!(self, Role::Query | Role::Key | Role::Fused | Role::Interleaved)
    }

    /// Whether it is several projections in one.
    pub(crate) fn is_fused(self) -> bool {
        matches!(self, Role::Fused | Role::Interleaved)
    }
}

/// Words by role; a name of several words is its whole last component.
const WORDS: &[(Role, &[&str])] = &[
    (
        Role::Query,
        &["attn_q", "linear_q", "q", "q_lin", "q_linear", "q_proj", "query", "query_proj", "to_q", "w_q", "wq"],
    ),
    (Role::Key, &["attn_k", "k", "k_lin", "k_linear", "k_proj", "key", "key_proj", "linear_k", "to_k", "w_k", "wk"]),
    (
        Role::Value,
        &["attn_v", "linear_v", "to_v", "v", "v_lin", "v_linear", "v_proj", "value", "value_proj", "w_v", "wv"],
    ),
    (
        Role::Output,
        &[
            "attn_out", "attn_output", "linear_out", "o", "o_proj", "out_lin", "out_proj", "output_proj", "to_out",
            "w_o", "wo",
        ],
    ),
    (Role::Fused, &["attn_qkv", "in_proj_bias", "in_proj_weight", "qkv", "qkv_proj", "to_qkv", "wqkv"]),
    (
        Role::Interleaved,
        &[
            "c_attn", "gate_up", "gate_up_proj", "in_proj", "kv_proj", "linear_fc1", "linear_qkv", "query_key_value",
            "to_kv", "w12", "wi", "wkv",
        ],
    ),
    (
        Role::Tokens,
        &[
            "embed_in", "embed_tokens", "tok_embeddings", "token_embd", "token_embedding", "token_embeddings",
            "word_embedding", "word_embeddings", "wte",
        ],
    ),
    (Role::Gate, &["ffn_gate", "gate", "gate_proj", "w_gate"]),
    (Role::Up, &["ffn_up", "up", "up_proj", "w_up"]),
    (Role::First, &["c_fc", "dense_h_to_4h", "fc1", "fc_in", "lin1", "linear1"]),
    (Role::Down, &["dense_4h_to_h", "down", "down_proj", "fc2", "fc_out", "ffn_down", "lin2", "linear2", "w_down"]),
];

/// Words that mean the output of an attention or of a feed-forward network, by where they stand.
const BY_PLACE: &[&str] = &["c_proj", "dense", "out", "proj"];

/// Words that say where in a layer a module stands.
const POSITIONS: &[&str] = &[
    "after", "attention", "attn", "before", "cross", "embedding", "feed", "feedforward", "ff", "ffn", "final",
    "forward", "in", "input", "k", "key", "mlp", "out", "output", "post", "pre", "q", "query", "sa", "self", "v",
    "value",
];

/// Whether the last components of two names say that they stand in different places: `input_layernorm` is not a `post_ffn_norm`.
pub(crate) fn stand_apart(a: &str, b: &str) -> bool {
    let words = |path: &str| -> Vec<String> {
        let last = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        last.split('_').filter(|word| POSITIONS.contains(word)).map(str::to_string).collect()
    };
    let (a, b) = (words(a), words(b));
    !a.is_empty() && !b.is_empty() && a != b
}

/// The role of a module by its path below the layer, or `None` where the name is not a word of the field.
pub(crate) fn role(path: &str) -> Option<Role> {
    let lower = path.to_ascii_lowercase();
    let mut components = lower.rsplit('.');
    let last = components.next()?;
    let known = WORDS.iter().find(|(_, words)| words.contains(&last)).map(|(role, _)| *role);
    if known.is_some() || !BY_PLACE.contains(&last) {
        return known;
    }
    // BERT's `attention.output.dense` is the output of the attention, its `output.dense` that of the layer
    let above: Vec<&str> = components.collect();
    let is_attention = above.iter().any(|component| component.contains("attn") || component.contains("attention"));
    let is_network = above.iter().any(|component| component.contains("mlp") || component.contains("ffn"));
    match (is_attention, is_network, last, above.first()) {
        (true, false, "dense", Some(&"output")) | (true, false, "proj" | "c_proj" | "out", _) => Some(Role::Output),
        (false, true, "proj" | "c_proj" | "out", _) => Some(Role::Down),
        (false, _, "dense", Some(&"output")) => Some(Role::Down),
        (false, _, "dense", Some(&"intermediate")) => Some(Role::First),
        _ => None,
    }
}
