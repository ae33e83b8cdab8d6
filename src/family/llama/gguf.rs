//! The config that the metadata of a GGUF file amounts to, for Llama and its relatives.

use serde_json::{Map, Value, json};

use super::frequencies;
use super::siblings::Llama;
use crate::checkpoint::Listing;
use crate::family::Config;

/// A config from the metadata of a GGUF file of this architecture, or `None` where it is no such file. A missing number is left to the
/// family's default, and to the error that the shapes then give.
pub(super) fn config(of: &Llama, source: &Listing) -> Option<Config> {
    let get = |key: &str| source.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let architecture = get("general.architecture")
        .filter(|name| *name == of.gguf && source.format == crate::checkpoint::CheckpointFormat::Gguf)?;
    let own = |key: &str| get(&format!("{architecture}.{key}"));
    // Mistral's and Mixtral's files call themselves llama
    let has_experts = own("expert_count").and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 0);
    if has_experts != of.experts.is_some() {
        return None;
    }
    let mut config = Map::new();
    config.insert("architectures".into(), json!([of.architectures.get(1)?]));
    config.insert("model_type".into(), json!(of.model_types.first()?));
    let mut number = |key: &str, value: Option<&str>| {
        let parsed = value.and_then(|text| serde_json::from_str::<Value>(text).ok());
        // a base is a float in every config
        let parsed = parsed.map(|number| if key == "rope_theta" { json!(number.as_f64()) } else { number });
        if let Some(parsed) = parsed.filter(Value::is_number) {
            config.insert(key.into(), parsed);
        }
    };
    for (key, theirs) in NUMBERS {
        number(key, own(theirs));
    }
    if let Some(experts) = of.experts {
        number(experts.count.0, own("expert_count"));
        if experts.intermediate.0 != "intermediate_size" {
            number(experts.intermediate.0, own("expert_feed_forward_length"));
        }
    }
    for (key, theirs) in TOKENS {
        number(key, get(theirs));
    }
    let rows = source.position("token_embd.weight").and_then(|at| source.tensors.get(at)).map(|table| table.rows());
    if let Some(rows) = rows {
        config.insert("vocab_size".into(), json!(rows));
    }
    config.insert("tie_word_embeddings".into(), json!(source.position("output.weight").is_none()));
    frequencies::state(of, &mut config, own);
    Some(Config(config))
}

/// What the metadata of such a file say that no config carries.
pub(super) fn unknown(source: &Listing) -> Option<String> {
    let get = |key: &str| source.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let key = format!(
        "{}.rope.scaling.type",
        get("general.architecture").filter(|_| source.format == crate::checkpoint::CheckpointFormat::Gguf)?
    );
    frequencies::is_unknown(get(&key)).then_some(key)
}

/// Keys of a config, and what llama.cpp calls them below the architecture's name.
const NUMBERS: &[(&str, &str)] = &[
    ("hidden_size", "embedding_length"),
    ("num_hidden_layers", "block_count"),
    ("intermediate_size", "feed_forward_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "attention.key_length"),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    ("max_position_embeddings", "context_length"),
    ("rope_theta", "rope.freq_base"),
    ("sliding_window", "attention.sliding_window"),
    ("num_experts_per_tok", "expert_used_count"),
];

/// The same for special tokens.
const TOKENS: &[(&str, &str)] = &[
    ("bos_token_id", "tokenizer.ggml.bos_token_id"),
    ("eos_token_id", "tokenizer.ggml.eos_token_id"),
    ("pad_token_id", "tokenizer.ggml.padding_token_id"),
];
