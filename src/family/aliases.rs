//! Keys of a config that have two names. Either is read; both with different values are an error.

/// For each family, names that transformers reads as another key (its `attribute_map`), and that key as the family here reads it.
/// `fixtures/configs/make.py` writes transformers' table, which a test compares.
const ALIASES: &[(&str, &[(&str, &str)])] = &[
    ("distilbert", &[("hidden_size", "dim"), ("num_attention_heads", "n_heads"), ("num_hidden_layers", "n_layers")]),
    (
        "gpt2",
        &[
            ("hidden_size", "n_embd"),
            ("max_position_embeddings", "n_positions"),
            ("num_attention_heads", "n_head"),
            ("num_hidden_layers", "n_layer"),
        ],
    ),
    ("qwen3_moe", &[("num_local_experts", "num_experts")]),
    ("mixtral", &[("num_experts", "num_local_experts")]),
    ("t5", T5),
    ("mt5", T5),
    (
        "bart",
        &[
            ("hidden_size", "d_model"),
            ("num_attention_heads", "encoder_attention_heads"),
            ("num_hidden_layers", "encoder_layers"),
        ],
    ),
    (
        "whisper",
        &[
            ("hidden_size", "d_model"),
            ("num_attention_heads", "encoder_attention_heads"),
            ("num_key_value_heads", "encoder_attention_heads"),
            ("num_hidden_layers", "encoder_layers"),
        ],
    ),
];

const T5: &[(&str, &str)] = &[
    ("hidden_size", "d_model"),
    ("num_attention_heads", "num_heads"),
    ("num_hidden_layers", "num_layers"),
    ("head_dim", "d_kv"),
];

/// Those of every family: transformers 5 writes the second where version 4 wrote the first.
const EVERY: &[(&str, &str)] = &[("torch_dtype", "dtype")];

/// The other names of a family's keys, each with the key.
pub(super) fn of(family: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = ALIASES.iter().find(|(name, _)| *name == family).map_or(&[][..], |(_, aliases)| aliases);
    own.iter().chain(EVERY).copied()
}

/// A key and its other names.
pub(super) fn names<'a>(family: &str, key: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::once(key).chain(of(family).filter(move |(_, of)| *of == key).map(|(alias, _)| alias))
}

/// Every name of what `key` means, itself among them.
pub(crate) fn same(family: &str, key: &str) -> Vec<String> {
    let own = of(family).find(|(alias, _)| *alias == key).map_or(key, |(_, own)| own);
    names(family, own).map(str::to_string).collect()
}
