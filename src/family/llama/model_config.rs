//! `model_config.yaml`, which litgpt saves with its weights, as a config of transformers.

use serde_json::{Map, Value, json};

use super::table::{Llama, Norms};
use crate::checkpoint::Listing;
use crate::family::config::Config;
use crate::family::described::Described;

/// Keys that are translated, or without effect on what the model computes.
const KNOWN: &[&str] = &[
    "name", "hf_config", "block_size", "n_layer", "n_embd", "vocab_size", "padding_multiple", "padded_vocab_size",
    "norm_class_name", "norm_eps", "norm_qk", "n_head", "head_size", "n_query_groups", "attn_bias",
    "sliding_window_size", "rope_base", "rope_adjustments", "intermediate_size", "moe_intermediate_size", "bias",
    "mlp_class_name", "n_expert", "n_expert_per_token",
];

/// Keys without an effect at this value.
const NEUTRAL: &[(&str, &str)] = &[
    ("norm_qk_type", "default"),
    ("rotary_percentage", "1"),
    ("rope_condense_ratio", "1"),
    ("routed_scaling_factor", "1"),
    ("norm_1", "true"),
    ("norm_2", "true"),
    ("gelu_approximate", "none"),
];

/// The keys, or `None` for a text that litgpt did not write.
fn parsed(source: &Listing) -> Option<Map<String, Value>> {
    let stated = yaml(source.config.as_deref()?)?;
    is_litgpt(&stated).then_some(stated)
}

fn is_litgpt(stated: &Map<String, Value>) -> bool {
    ["n_layer", "n_head", "n_embd", "mlp_class_name"].iter().all(|key| stated.contains_key(*key))
}

/// Whether a text is a `model_config.yaml`.
pub(in crate::family) fn is_model_config(text: &str) -> bool {
    !text.trim_start().starts_with('{') && yaml(text).is_some_and(|stated| is_litgpt(&stated))
}

/// As much of YAML as litgpt writes: scalars, and mappings and lists of them one level down. `None` for anything else.
fn yaml(text: &str) -> Option<Map<String, Value>> {
    let mut stated = Map::new();
    let mut last = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        if let Some(item) = line.trim_start().strip_prefix("- ") {
            match stated.get_mut(&last)? {
                Value::Array(items) => items.push(scalar(item)),
                empty => *empty = json!([scalar(item)]),
            }
            continue;
        }
        let (key, value) = line.split_once(':')?;
        if line.starts_with(' ') {
            match stated.get_mut(&last)? {
                Value::Object(inner) => drop(inner.insert(key.trim().into(), scalar(value))),
                empty => *empty = json!({ key.trim(): scalar(value) }),
            }
            continue;
        }
        last = key.trim().to_string();
        stated.insert(last.clone(), scalar(value));
    }
    Some(stated)
}

fn scalar(text: &str) -> Value {
    let text = text.trim();
    match text {
        "" | "null" | "~" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match (text.parse::<u64>(), text.parse::<f64>()) {
            (Ok(whole), _) => json!(whole),
            (_, Ok(number)) if number.is_finite() => json!(number),
            _ => json!(text.trim_matches(['\'', '"'])),
        },
    }
}

/// Its keys that no config of this family can carry.
pub(super) fn unknown(of: &Llama, source: &Listing) -> Vec<String> {
    let Some(stated) = parsed(source) else { return Vec::new() };
    let is_set = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    };
    let is_neutral = |key: &str, value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        NEUTRAL.iter().any(|(known, neutral)| *known == key && (text == *neutral || text == format!("{neutral}.0")))
    };
    let is_own = |key: &str| match key {
        "scale_embeddings" => of.gemma,
        "gelu_approximate" => of.gemma,
        "norm_topk_prob" => of.experts.is_some(),
        "norm_qk_type" | "post_attention_norm" | "post_mlp_norm" => of.norms == Norms::After,
        _ => KNOWN.contains(&key),
    };
    let unread = |(key, value): &(String, Value)| is_set(value) && !is_own(key) && !is_neutral(key, value);
    let adjusted = |key: &str| stated.get("rope_adjustments").is_some_and(|rope| rope.get(key).is_some());
    let is_odd = match stated.get("rope_adjustments").and_then(Value::as_object) {
        Some(rope) => {
            !adjusted("factor") || rope.len() > 1 && !LLAMA3.iter().all(|key| adjusted(key)) || rope.len() > 4
        }
        None => false,
    };
    let odd = is_odd.then(|| "rope_adjustments".to_string());
    stated.clone().into_iter().filter(unread).map(|(key, _)| key).chain(odd).collect()
}

/// The keys of Llama 3.1's scaling.
const LLAMA3: [&str; 4] = ["factor", "low_freq_factor", "high_freq_factor", "original_max_seq_len"];

/// The family with these parts.
fn family(stated: &Map<String, Value>) -> Option<&'static str> {
    let is = |key: &str| stated.get(key) == Some(&Value::Bool(true));
    let has_window = stated.get("sliding_window_size").is_some_and(|window| !window.is_null());
    if stated.get("norm_class_name")?.as_str()? != "RMSNorm" {
        return None;
    }
    Some(match stated.get("mlp_class_name")?.as_str()? {
        "LLaMAMLP" if is("norm_qk") && stated.get("norm_qk_type") == Some(&json!("olmo2")) => "olmo2",
        "LLaMAMLP" if is("norm_qk") => "qwen3",
        "LLaMAMLP" if is("attn_bias") => "qwen2",
        "LLaMAMLP" if has_window => "mistral",
        "LLaMAMLP" => "llama",
        "GemmaMLP" if !is("post_attention_norm") && !is("norm_qk") => "gemma",
        "LLaMAMoE" if is("norm_qk") => "qwen3_moe",
        "LLaMAMoE" => "mixtral",
        _ => return None,
    })
}

/// The config, or `None` where there is no `model_config.yaml` or it is another family's.
pub(super) fn config(of: &Described<Llama>, source: &Listing) -> Option<Config> {
    let stated = parsed(source)?;
    if family(&stated)? != of.name {
        return None;
    }
    let says = |key: &str| stated.get(key).filter(|value| !value.is_null());
    let number = |key: &str| says(key).and_then(Value::as_u64);
    let is = |key: &str| says(key) == Some(&Value::Bool(true));
    let (width, heads) = (number("n_embd")?, number("n_head")?);
    let rows = |name: &str| {
        let at = source.position(name)?;
        source.tensors.get(at).map(|tensor| tensor.rows())
    };
    let vocabulary = rows("transformer.wte.weight").or_else(|| number("padded_vocab_size"));
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| drop(config.insert(key.into(), value));
    set("architectures", json!([of.architectures.get(1)?]));
    set("model_type", json!(of.name));
    set("hidden_size", json!(width));
    set("intermediate_size", json!(rows("transformer.h.0.mlp.fc_1.weight").or_else(|| number("intermediate_size"))?));
    set("num_hidden_layers", json!(number("n_layer")?));
    set("num_attention_heads", json!(heads));
    set("num_key_value_heads", json!(number("n_query_groups").unwrap_or(heads)));
    set("head_dim", json!(number("head_size").or_else(|| width.checked_div(heads))?));
    set("vocab_size", json!(vocabulary.or_else(|| number("vocab_size"))?));
    set(of.table.defaults.activation.0, json!(of.table.defaults.activation.1));
    set("rms_norm_eps", says("norm_eps").cloned().unwrap_or(json!(1e-5)));
    set("max_position_embeddings", says("block_size").cloned().unwrap_or(json!(4096)));
    set("tie_word_embeddings", json!(source.position("lm_head.weight").is_some()));
    if of.name == "llama" {
        set("attention_bias", json!(is("bias")));
        set("mlp_bias", json!(is("bias")));
    }
    if of.name == "mistral" || of.name == "mixtral" {
        set("sliding_window", says("sliding_window_size").cloned().unwrap_or(Value::Null));
    }
    if let Some(experts) = of.table.experts {
        set(experts.count.0, json!(number("n_expert")?));
        set("num_experts_per_tok", json!(number("n_expert_per_token")?));
        let expert = rows("transformer.h.0.mlp.experts.0.fc_1.weight").or_else(|| number("moe_intermediate_size"));
        set(experts.intermediate.0, json!(expert.or_else(|| number("intermediate_size"))?));
        if let Some((key, _)) = experts.normalised {
            set(key, json!(is("norm_topk_prob")));
        }
    }
    let theta = says("rope_base").and_then(Value::as_f64).unwrap_or(10_000.0);
    set("rope_theta", json!(theta));
    set("rope_parameters", rope(&stated, theta));
    Some(Config(config))
}

/// The rotary embedding; `rope_adjustments` are Llama 3.1's.
fn rope(stated: &Map<String, Value>, theta: f64) -> Value {
    match stated.get("rope_adjustments").and_then(Value::as_object) {
        Some(adjusted) if adjusted.len() == 1 => {
            json!({ "rope_type": "linear", "rope_theta": theta, "factor": adjusted.get("factor") })
        }
        Some(adjusted) => json!({
            "rope_type": "llama3",
            "rope_theta": theta,
            "factor": adjusted.get("factor"),
            "low_freq_factor": adjusted.get("low_freq_factor"),
            "high_freq_factor": adjusted.get("high_freq_factor"),
            "original_max_position_embeddings": adjusted.get("original_max_seq_len"),
        }),
        None => json!({ "rope_type": "default", "rope_theta": theta }),
    }
}

/// The config with what was measured of embedding and head, of which litgpt stores both.
pub(super) fn retied(mut config: Config, source: &Listing, measured: Option<bool>) -> Config {
    if parsed(source).is_some() {
        config.0.insert("tie_word_embeddings".into(), measured.unwrap_or(false).into());
    }
    config
}
