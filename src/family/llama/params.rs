//! `params.json`, which Meta and Mistral AI publish with their weights, as a config of transformers. What it leaves out is taken from the
//! shapes of the weights, else from the release that it belongs to.

use serde_json::{Map, Value, json};

use super::table::Llama;
use crate::checkpoint::Listing;
use crate::family::config::Config;
use crate::family::described::Described;

/// Keys without a counterpart in a config: they size a cache or a shard, or follow from what is stored.
const WITHOUT_EFFECT: &[&str] =
    &["max_batch_size", "multiple_of", "ffn_dim_multiplier", "model_parallel_size", "causal", "flash"];

/// Keys that are translated.
const TRANSLATED: &[&str] = &[
    "dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim", "vocab_size", "norm_eps", "rope_theta",
    "use_scaled_rope", "rope_scaling_factor", "rope_high_freq_factor", "max_seq_len", "max_position_embeddings",
    "sliding_window", "moe", "tied_embeddings", "model_type",
];

/// The keys of a `params.json`, or `None` for another text.
fn parsed(source: &Listing) -> Option<Map<String, Value>> {
    let stated: Map<String, Value> = serde_json::from_str(source.config.as_deref()?).ok()?;
    is_params(&stated).then_some(stated)
}

/// Whether these are the keys of a `params.json` rather than of a config.
pub(in crate::family) fn is_params(stated: &Map<String, Value>) -> bool {
    ["dim", "n_layers", "n_heads"].iter().all(|key| stated.contains_key(*key)) && !stated.contains_key("hidden_size")
}

/// Its keys that no config of this family can carry.
pub(super) fn unknown(source: &Listing) -> Vec<String> {
    let Some(stated) = parsed(source) else { return Vec::new() };
    let is_known = |key: &str| TRANSLATED.contains(&key) || WITHOUT_EFFECT.contains(&key);
    let is_set = |value: &Value| !value.is_null() && *value != Value::Bool(false);
    stated.into_iter().filter(|(key, value)| !is_known(key) && is_set(value)).map(|(key, _)| key).collect()
}

/// The config, or `None` where there is no `params.json` or it is another family's.
pub(super) fn config(of: &Described<Llama>, source: &Listing) -> Option<Config> {
    let stated = parsed(source)?;
    let says = |key: &str| stated.get(key).filter(|value| !value.is_null());
    let is_mistral = ["hidden_dim", "sliding_window", "moe"].iter().any(|key| stated.contains_key(*key));
    let name = match (is_mistral, says("moe")) {
        (_, Some(_)) => "mixtral",
        (true, None) => "mistral",
        (false, None) => "llama",
    };
    if of.name != name {
        return None;
    }
    let number = |key: &str| says(key).and_then(Value::as_u64);
    let (dim, heads) = (number("dim")?, number("n_heads")?);
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| drop(config.insert(key.into(), value));
    set("architectures", json!([of.architectures.get(1)?]));
    set("model_type", json!(of.name));
    set("hidden_size", json!(dim));
    set("intermediate_size", json!(intermediate(&stated, source)?));
    set("num_hidden_layers", json!(number("n_layers")?));
    set("num_attention_heads", json!(heads));
    set("num_key_value_heads", json!(number("n_kv_heads").unwrap_or(heads)));
    set("head_dim", json!(number("head_dim").or_else(|| dim.checked_div(heads))?));
    let vocabulary = rows(source, &["tok_embeddings.weight"]).or_else(|| number("vocab_size"))?;
    set("vocab_size", json!(vocabulary));
    set("hidden_act", json!("silu"));
    set("rms_norm_eps", says("norm_eps").cloned().unwrap_or(json!(1e-5)));
    set("tie_word_embeddings", json!(is_tied(source) || may_tie(&stated, source)));
    for (key, value) in special(&stated, vocabulary) {
        set(key, value);
    }
    if is_mistral {
        set("sliding_window", says("sliding_window").cloned().unwrap_or(Value::Null));
    } else {
        set("attention_bias", json!(false));
        set("mlp_bias", json!(false));
    }
    if let Some(moe) = says("moe").and_then(Value::as_object) {
        set("num_local_experts", moe.get("num_experts")?.clone());
        set("num_experts_per_tok", moe.get("num_experts_per_tok")?.clone());
    }
    set("max_position_embeddings", json!(longest(&stated, is_mistral)));
    let theta = says("rope_theta").cloned().unwrap_or_else(|| json!(theta(&stated, is_mistral)));
    set("rope_theta", theta.clone());
    set("rope_parameters", rope(&stated, theta, is_tied(source)));
    Some(Config(config))
}

/// Whether the weights have no separate head.
fn is_tied(source: &Listing) -> bool {
    named(source, "tok_embeddings.weight").is_some() && named(source, "output.weight").is_none()
}

/// Whether embedding and head are both stored and may be copies, as in Llama 3.2; this is then measured.
fn may_tie(stated: &Map<String, Value>, source: &Listing) -> bool {
    let shape = |name: &str| source.tensors.get(named(source, name)?).map(|tensor| &tensor.shape);
    stated.get("use_scaled_rope") == Some(&Value::Bool(true))
        && shape("tok_embeddings.weight").is_some_and(|table| shape("output.weight") == Some(table))
}

/// The config with the result of that measurement; without one, embedding and head are tied where only the embedding is stored.
pub(super) fn retied(mut config: Config, source: &Listing, measured: Option<bool>) -> Config {
    let Some(stated) = parsed(source) else { return config };
    let tied = measured.unwrap_or_else(|| is_tied(source));
    config.0.insert("tie_word_embeddings".into(), tied.into());
    let theta = config.0.get("rope_theta").cloned().unwrap_or_default();
    config.0.insert("rope_parameters".into(), rope(&stated, theta, tied));
    config
}

/// The index of a tensor of this name, alone or below a path.
fn named(source: &Listing, name: &str) -> Option<usize> {
    let below = |end: &str| end.is_empty() || end.ends_with('.');
    source
        .position(name)
        .or_else(|| source.tensors.iter().position(|tensor| tensor.name.strip_suffix(name).is_some_and(below)))
}

/// The rows of the first of these tensors that is stored.
fn rows(source: &Listing, names: &[&str]) -> Option<u64> {
    let found = names.iter().find_map(|name| named(source, name))?;
    source.tensors.get(found).map(|tensor| tensor.rows())
}

/// The width of the feed-forward network: that of the weights, else as stated, else as Meta's code computes it.
fn intermediate(stated: &Map<String, Value>, source: &Listing) -> Option<u64> {
    const GATES: &[&str] = &["layers.0.feed_forward.w1.weight", "layers.0.feed_forward.experts.0.w1.weight"];
    let number = |key: &str| stated.get(key).and_then(Value::as_u64);
    if let Some(rows) = rows(source, GATES).or_else(|| number("hidden_dim")) {
        return Some(rows);
    }
    let wide = number("dim")?.checked_mul(8)? / 3;
    let multiplier = stated.get("ffn_dim_multiplier").and_then(Value::as_f64);
    // truncated, as Python's int()
    let wide = multiplier.map_or(wide, |multiplier| (wide as f64 * multiplier) as u64);
    wide.checked_next_multiple_of(number("multiple_of")?)
}

/// The ids of the first and the last token: of the tokenizer with 128,000 tokens that came with Llama 3, or of SentencePiece.
fn special(stated: &Map<String, Value>, vocabulary: u64) -> [(&'static str, Value); 2] {
    let is_llama3 = vocabulary > 128_000 && !stated.contains_key("hidden_dim");
    let (first, last) = if is_llama3 { (128_000, 128_001) } else { (1, 2) };
    let id = |id: u64| if id < vocabulary { json!(id) } else { Value::Null };
    [("bos_token_id", id(first)), ("eos_token_id", id(last))]
}

/// The longest text: as stated, else that of the release with these numbers. Llama 1 has an epsilon of 1e-6, Code Llama a base of a
/// million, Llama 3 one of half a million.
fn longest(stated: &Map<String, Value>, is_mistral: bool) -> u64 {
    let number = |key: &str| stated.get(key).and_then(Value::as_f64);
    let stated_length = ["max_position_embeddings", "max_seq_len"].iter().find_map(|key| stated.get(*key)?.as_u64());
    let is_scaled = stated.get("use_scaled_rope").and_then(Value::as_bool).unwrap_or(false);
    match (stated_length, number("rope_theta")) {
        (Some(length), _) => length,
        (None, _) if is_mistral => 32_768,
        (None, _) if is_scaled => 131_072,
        (None, Some(theta)) if theta >= 1_000_000.0 => 16_384,
        (None, Some(theta)) if theta >= 500_000.0 => 8192,
        (None, _) if number("norm_eps").is_some_and(|eps| eps < 5e-6) => 2048,
        (None, _) => 4096,
    }
}

/// The base of the rotary embedding where none is stated: in Mistral's code a million without a window.
fn theta(stated: &Map<String, Value>, is_mistral: bool) -> f64 {
    let has_window = stated.get("sliding_window").is_some_and(|window| !window.is_null());
    if is_mistral && !has_window { 1_000_000.0 } else { 10_000.0 }
}

/// The rotary embedding. Meta's code scales by a factor that `params.json` does not state: 8 in Llama 3.1 and 3.3, 32 in Llama 3.2, whose
/// models are those with one matrix for embedding and head.
fn rope(stated: &Map<String, Value>, theta: Value, is_tied: bool) -> Value {
    if !stated.get("use_scaled_rope").and_then(Value::as_bool).unwrap_or(false) {
        return json!({ "rope_type": "default", "rope_theta": theta });
    }
    let number = |key: &str, default: f64| stated.get(key).and_then(Value::as_f64).unwrap_or(default);
    json!({
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": number("rope_scaling_factor", if is_tied { 32.0 } else { 8.0 }),
        "low_freq_factor": 1.0,
        "high_freq_factor": number("rope_high_freq_factor", 4.0),
        "original_max_position_embeddings": 8192,
    })
}
