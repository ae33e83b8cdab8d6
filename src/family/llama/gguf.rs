//! The config that the metadata of a GGUF file amounts to, for Llama and its relatives.

use serde_json::{Map, Value, json};

use super::frequencies;
use super::table::Llama;
use crate::checkpoint::{CheckpointFormat, Listing};
use crate::family::config::Config;
use crate::family::described::Described;

/// A config from the metadata of a GGUF file of this architecture, or `None` for another file. A missing number is the family's
/// default, which the shapes of the tensors then contradict where it is wrong.
pub(super) fn config(of: &Described<Llama>, source: &Listing) -> Option<Config> {
    let get = |key: &str| metadata(source, key);
    let architecture = architecture(source).filter(|name| *name == of.table.gguf)?;
    let own = |key: &str| get(&format!("{architecture}.{key}"));
    // the architecture of Mistral's and Mixtral's files is `llama` too
    let has_experts = own("expert_count").and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 0);
    if has_experts != of.table.experts.is_some() {
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
    if let Some(experts) = of.table.experts {
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
    frequencies::state(&of.table, &mut config, own);
    Some(Config(config))
}

fn metadata<'a>(source: &'a Listing, key: &str) -> Option<&'a str> {
    source.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

/// The architecture that a GGUF file states.
fn architecture(source: &Listing) -> Option<&str> {
    metadata(source, "general.architecture").filter(|_| source.format == CheckpointFormat::Gguf)
}

/// What the metadata of such a file state and no config carries: another kind of rotary scaling, and the windows of OLMo 3, whose files
/// have OLMo 2's architecture.
pub(super) fn unknown(of: &Llama, source: &Listing) -> Vec<String> {
    let get = |key: &str| metadata(source, key);
    let Some(architecture) = architecture(source) else { return Vec::new() };
    let key = |end: &str| format!("{architecture}.{end}");
    let (scaling, window) = (key("rope.scaling.type"), key("attention.sliding_window"));
    let has_window = of.gguf == OLMO && architecture == OLMO && get(&window).is_some();
    let scaling = frequencies::is_unknown(get(&scaling)).then_some(scaling);
    scaling.into_iter().chain(has_window.then_some(window)).collect()
}

const OLMO: &str = "olmo2";

/// Keys of a config, and their names in GGUF below the architecture's name.
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

/// Keys for special tokens, likewise.
const TOKENS: &[(&str, &str)] = &[
    ("bos_token_id", "tokenizer.ggml.bos_token_id"),
    ("eos_token_id", "tokenizer.ggml.eos_token_id"),
    ("pad_token_id", "tokenizer.ggml.padding_token_id"),
];
