//! The rotary embedding that a config states: `rope_parameters` as transformers 5 writes it, `rope_theta` and `rope_scaling`
//! as it was before.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::config::Reader;
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::graph::{Rope, RopeScaling};

/// A kind of scaling that there is no code for.
const PROPORTIONAL: &str = " with rope_scaling of type proportional";

/// The keys of a family apart from `rope_parameters`, with their defaults.
pub(super) struct Keys {
    pub theta: (&'static str, f64),
    /// That of the share of each head that is turned.
    pub share: (&'static str, f64),
    /// Whether the family turns a share at all.
    pub turns_share: bool,
}

/// A graph of it would be another in each version of transformers.
const SHARE: &str =
    " with a partial_rotary_factor, which transformers 5 does not apply to this family and version 4 did";

/// The rotary embedding of heads of `head_dim`, its base `theta` where the config states none. `layers` is the kind of layer that
/// it serves where the config tells several apart (`sliding_attention`).
pub(super) fn read(config: Reader, head_dim: u64, theta: f64, layers: Option<&str>) -> Result<Rope> {
    let turns_share = config.family == "phi3";
    of_keys(
        config,
        head_dim,
        &Keys { theta: ("rope_theta", theta), share: ("partial_rotary_factor", 1.0), turns_share },
        layers,
    )
}

/// The rotary embedding of a family with other names of the keys.
pub(super) fn of_keys(config: Reader, head_dim: u64, keys: &Keys, layers: Option<&str>) -> Result<Rope> {
    let stated = parameters(config, layers)?;
    let number = |key: &str| stated.as_ref().and_then(|stated| stated.get(key)).filter(|value| !value.is_null());
    let (theta, share) = (config.number(keys.theta.0, keys.theta.1)?, config.number(keys.share.0, keys.share.1)?);
    config.get("original_max_position_embeddings");
    // layers that slide have another key, where they have one
    for (key, inside) in [(keys.theta.0, "rope_theta"), (keys.share.0, "partial_rotary_factor")] {
        if layers != Some("sliding_attention") {
            agree(config, key, config.get(key), number(inside))?;
        }
    }
    let theta = positive(config, "rope_theta", number("rope_theta"), theta)?;
    let part = positive(config, "partial_rotary_factor", number("partial_rotary_factor"), share)?;
    if part > 1.0 {
        return Err(config.wrong("partial_rotary_factor", part, "at most 1"));
    }
    if part < 1.0 && !keys.turns_share {
        return Ok(Rope { theta, rotary: head_dim, scaling: RopeScaling::NotRunnable(SHARE) });
    }
    // truncated, as Python's int()
    let rotary = (head_dim as f64 * part) as u64;
    if part < 1.0 && (rotary < 2 || !rotary.is_multiple_of(2)) {
        let must = format!("a share that is an even number of the {head_dim} dimensions of a head");
        return Err(config.wrong(keys.share.0, part, must));
    }
    Ok(Rope { theta, rotary, scaling: scaling(config, stated.as_ref())? })
}

/// The parameters for a kind of layer, of both objects that may hold them. An error where these contradict each other.
fn parameters(config: Reader, layers: Option<&str>) -> Result<Option<Map<String, Value>>> {
    let (new, old) = (object(config, "rope_parameters", layers)?, object(config, "rope_scaling", layers)?);
    let (Some(new), Some(old)) = (new, old) else { return Ok(new.or(old).cloned()) };
    let mut all = new.clone();
    for (key, value) in old {
        let known = if key == "type" { new.get("rope_type").or_else(|| new.get("type")) } else { new.get(key) };
        agree(config, "rope_scaling", Some(value), known)?;
        all.insert(key.clone(), value.clone());
    }
    Ok(Some(all))
}

/// An object of parameters, that of a kind of layer where the config tells several apart.
fn object<'a>(config: Reader<'a>, key: &str, layers: Option<&str>) -> Result<Option<&'a Map<String, Value>>> {
    let Some(value) = config.get(key) else { return Ok(None) };
    let all = value.as_object().ok_or_else(|| config.wrong(key, value, "an object"))?;
    Ok(match layers.and_then(|layers| all.get(layers)) {
        Some(own) => Some(own.as_object().ok_or_else(|| config.wrong(key, value, "an object of objects"))?),
        None => Some(all),
    })
}

/// An error where a key and the same value in `rope_parameters` differ.
pub(super) fn agree(config: Reader, key: &'static str, beside: Option<&Value>, inside: Option<&Value>) -> Result<()> {
    let (Some(beside), Some(inside)) = (beside, inside) else { return Ok(()) };
    let are_equal = match (beside.as_f64(), inside.as_f64()) {
        (Some(beside), Some(inside)) => beside == inside,
        _ => beside == inside,
    };
    if are_equal || inside.is_null() || beside.is_null() {
        return Ok(());
    }
    let (family, value, other_value) = (config.family, beside.to_string(), inside.to_string());
    Err(FamilyError::Contradiction { family, key, value, other: "rope_parameters", other_value }.into())
}

fn positive(config: Reader, key: &str, value: Option<&Value>, default: f64) -> Result<f64> {
    let number = match value {
        Some(value) => value.as_f64().ok_or_else(|| config.wrong(key, value, "a number above 0"))?,
        None => default,
    };
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err(config.wrong(key, number, "a number above 0")) }
}

fn scaling(config: Reader, stated: Option<&Map<String, Value>>) -> Result<RopeScaling> {
    let Some(stated) = stated else { return Ok(RopeScaling::Unscaled) };
    let kind = stated.get("rope_type").or_else(|| stated.get("type")).and_then(Value::as_str).unwrap_or("default");
    let number = |key: &str| {
        let value = stated.get(key).and_then(Value::as_f64).filter(|number| number.is_finite() && *number > 0.0);
        value.ok_or_else(|| config.wrong(&format!("rope_scaling.{key}"), text(stated.get(key)), "a number above 0"))
    };
    Ok(match kind {
        "default" => RopeScaling::Unscaled,
        // it stretches texts beyond max_position_embeddings alone, and the graph takes none
        "dynamic" => RopeScaling::Unscaled,
        "linear" => RopeScaling::Linear { factor: number("factor")? },
        // LongRoPE's name in Phi-3's first configs
        "longrope" | "su" => long(config, stated)?,
        "yarn" if stated.contains_key("short_factor") => long(config, stated)?,
        "yarn" => yarn(config, stated)?,
        "proportional" => RopeScaling::NotRunnable(PROPORTIONAL),
        "llama3" => {
            let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
            if low >= high {
                let must = format!("below high_freq_factor, which is {high}");
                return Err(config.wrong("rope_scaling.low_freq_factor", low, must));
            }
            let original = original(config, stated)?;
            RopeScaling::Llama3 { factor: number("factor")?, low, high, original }
        }
        _ => RopeScaling::NotRunnable(" with a rope_scaling of unknown type"),
    })
}

/// A number that may be missing or null.
fn optional(config: Reader, stated: &Map<String, Value>, key: &str) -> Result<Option<f64>> {
    match stated.get(key).filter(|value| !value.is_null()) {
        Some(value) => positive(config, &format!("rope_scaling.{key}"), Some(value), 1.0).map(Some),
        None => Ok(None),
    }
}

/// The longest text that the model may be given.
fn longest(config: Reader) -> Result<f64> {
    Ok(config.size("max_position_embeddings", 2048)? as f64)
}

/// The length that it was trained on: of the config (Phi-3's have a default), of the object of parameters, or what its texts may have.
fn original(config: Reader, stated: &Map<String, Value>) -> Result<f64> {
    const KEY: &str = "original_max_position_embeddings";
    match config.get(KEY) {
        Some(_) => Ok(config.size(KEY, 1)? as f64),
        None if config.family == "phi3" => Ok(4096.0),
        None => match optional(config, stated, KEY)? {
            Some(original) => Ok(original),
            None => longest(config),
        },
    }
}

/// LongRoPE's; cosines and sines grow with the root of 1 + ln(factor) / ln(original) without an attention_factor.
#[expect(clippy::disallowed_methods, reason = "a factor of activations, which reach an output through `lsuv` alone")]
fn long(config: Reader, stated: &Map<String, Value>) -> Result<RopeScaling> {
    let factors = |key: &str| {
        let wrong = |value| config.wrong(&format!("rope_scaling.{key}"), text(value), "a list of numbers above 0");
        let value = stated.get(key);
        let list = value.and_then(Value::as_array).ok_or_else(|| wrong(value))?;
        let number = |item: &Value| item.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        list.iter().map(|item| number(item).ok_or_else(|| wrong(Some(item)))).collect::<Result<Arc<[f64]>>>()
    };
    let original = original(config, stated)?;
    let factor = optional(config, stated, "factor")?.unwrap_or(longest(config)? / original);
    let attention = match optional(config, stated, "attention_factor")? {
        Some(attention) => attention,
        None if factor > 1.0 && original > 1.0 => (1.0 + factor.ln() / original.ln()).sqrt(),
        None => 1.0,
    };
    Ok(RopeScaling::Long { short: factors("short_factor")?, long: factors("long_factor")?, original, attention })
}

/// YaRN's, with the defaults of transformers.
fn yarn(config: Reader, stated: &Map<String, Value>) -> Result<RopeScaling> {
    let number = |key: &str| optional(config, stated, key);
    let original = original(config, stated)?;
    let factor = number("factor")?.unwrap_or(longest(config)? / original);
    let attention = number("attention_factor")?;
    let scales = match (number("mscale")?, number("mscale_all_dim")?) {
        (Some(above), Some(below)) => [above, below],
        _ => [1.0, 0.0],
    };
    let (fast, slow) = (number("beta_fast")?.unwrap_or(32.0), number("beta_slow")?.unwrap_or(1.0));
    let truncated = stated.get("truncate").and_then(Value::as_bool).unwrap_or(true);
    Ok(RopeScaling::Yarn { factor, fast, slow, original, attention, scales, truncated })
}

fn text(value: Option<&Value>) -> String {
    value.map_or("missing".into(), Value::to_string)
}
