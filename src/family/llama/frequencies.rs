//! The rotary embedding of a GGUF file: its kind of scaling from the metadata, and the factors that llama.cpp divides each frequency by, which
//! it stores as tensors.

use serde_json::{Map, Value, json};

use super::table::{Llama, Windows};
use crate::family::config::Config;

/// The factors by which frequencies are divided: at every length (Llama 3.1), or at long and at short ones (Phi-3).
pub(super) const TABLES: &[&str] = &[ALL, LONG, SHORT];
const ALL: &str = "rope_freqs.weight";
const LONG: &str = "rope_factors_long.weight";
const SHORT: &str = "rope_factors_short.weight";

/// Kinds of scaling in the metadata that are translated.
const KINDS: &[&str] = &["none", "linear", "yarn", "longrope"];

/// Whether the metadata names a kind of scaling that is none of these.
pub(super) fn is_unknown(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| !KINDS.contains(&kind))
}

/// Adds the rotary embedding that the metadata state. Gemma 3 has two, of which they state one.
pub(super) fn state<'a>(of: &Llama, config: &mut Map<String, Value>, own: impl Fn(&str) -> Option<&'a str>) {
    let number = |key: &str| own(key).and_then(|text| text.parse::<f64>().ok());
    let kind = own("rope.scaling.type").filter(|kind| *kind != "none");
    let original = own("rope.scaling.original_context_length").and_then(|text| text.parse::<u64>().ok());
    let mut scaling = Map::new();
    match kind {
        Some("linear") => drop(scaling.insert("factor".into(), json!(number("rope.scaling.factor")))),
        Some("yarn") => {
            scaling.insert("factor".into(), json!(number("rope.scaling.factor")));
            scaling.extend(original.map(|original| ("original_max_position_embeddings".into(), json!(original))));
        }
        // its factors are tensors
        _ => {}
    }
    let is_scaled = !scaling.is_empty();
    let kind = kind.filter(|_| is_scaled).unwrap_or("default");
    scaling.insert("rope_type".into(), json!(kind));
    if of.windows == Windows::Pattern {
        config.extend(is_scaled.then(|| ("rope_scaling".to_string(), scaling.into())));
        return;
    }
    let theta = config.get("rope_theta").cloned().unwrap_or_else(|| json!(of.defaults.theta));
    scaling.insert("rope_theta".into(), theta);
    config.insert("rope_parameters".into(), scaling.into());
    if of.fused {
        let share = number("rope.dimension_count").zip(config.get("head_dim").and_then(Value::as_f64));
        if let Some((rotary, width)) = share.filter(|(rotary, width)| rotary < width) {
            // rounded up, so that truncating the product gives the number again
            config.insert("partial_rotary_factor".into(), json!((rotary + 0.5) / width));
        }
        let original = original.map(|original| ("original_max_position_embeddings".to_string(), json!(original)));
        config.extend(original);
    }
}

/// The config with the factors of frequencies.
pub(super) fn with_tables(mut config: Config, tables: &[(String, Vec<f64>)]) -> Config {
    let table = |name: &str| tables.iter().find(|(known, _)| known == name).map(|(_, values)| values.as_slice());
    let theta = config.0.get("rope_theta").cloned().unwrap_or_else(|| json!(10_000.0));
    let number = |key: &str| config.0.get(key).and_then(Value::as_f64);
    let width = number("head_dim").or_else(|| Some(number("hidden_size")? / number("num_attention_heads")?));
    let longest = number("max_position_embeddings").unwrap_or(0.0);
    let rope = match (table(ALL), table(LONG), table(SHORT)) {
        (_, Some(long), Some(short)) => {
            let mut rope = json!({ "rope_type": "longrope", "long_factor": long, "short_factor": short });
            let original = config.0.get("original_max_position_embeddings").cloned();
            if let (Some(rope), Some(original)) = (rope.as_object_mut(), original) {
                rope.insert("original_max_position_embeddings".into(), original);
            }
            rope
        }
        (Some(factors), _, _) => of_factors(factors, theta.as_f64().unwrap_or(10_000.0), width, longest),
        _ => return config,
    };
    if let Value::Object(mut rope) = rope {
        rope.insert("rope_theta".into(), theta);
        config.0.insert("rope_parameters".into(), rope.into());
    }
    config
}

/// The kind of scaling that divides frequencies by these factors: Llama 3.1's where its numbers give them, else one that states each.
fn of_factors(factors: &[f64], theta: f64, width: Option<f64>, longest: f64) -> Value {
    const CLOSE: f64 = 1e-3;
    let largest = factors.iter().copied().fold(1.0, f64::max);
    let is_close = |a: f64, b: f64| (a - b).abs() <= CLOSE * b.abs();
    if factors.iter().all(|factor| is_close(*factor, 1.0)) {
        return json!({ "rope_type": "default" });
    }
    // one pair tells a factor for all from none of Llama 3.1's only where the fastest is divided too
    if factors.iter().all(|factor| is_close(*factor, largest)) {
        return json!({ "rope_type": "linear", "factor": largest });
    }
    let width = width.unwrap_or(2.0 * factors.len() as f64);
    let rounded = if is_close(largest, largest.round()) { largest.round() } else { largest };
    let expected = |(pair, found): (usize, &f64)| is_close(*found, llama3(pair, rounded, theta, width));
    if factors.iter().enumerate().all(expected) {
        return json!({
            "rope_type": "llama3",
            "factor": rounded,
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": ORIGINAL as u64,
        });
    }
    json!({
        "rope_type": "longrope",
        "long_factor": factors,
        "short_factor": factors,
        "attention_factor": 1.0,
        "original_max_position_embeddings": longest as u64,
    })
}

/// The numbers of every model with Llama 3.1's scaling.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
const ORIGINAL: f64 = 8192.0;

/// The factor of a pair by Llama 3.1's rule: 1 where its wave is short, all of it where it is long, in between where it is neither.
#[expect(clippy::disallowed_methods, reason = "it is compared with a tolerance, and nothing of it is written")]
fn llama3(pair: usize, factor: f64, theta: f64, width: f64) -> f64 {
    let wave = 2.0 * std::f64::consts::PI * theta.powf(2.0 * pair as f64 / width);
    let share = ((ORIGINAL / wave - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
    1.0 / ((1.0 - share) / factor + share)
}
