//! The rotary embedding and the window of each layer.

use super::table::{Llama, Rotary, Windows};
use crate::error::{Error, Result};
use crate::family::config::Reader;
use crate::family::error::FamilyError;
use crate::family::rope;
use crate::graph::{Rope, RopeScaling};

/// The rotary embedding and the window of each layer.
pub(super) fn layers(of: &Llama, config: Reader, head_dim: u64) -> Result<Vec<(Option<Rope>, Option<u64>)>> {
    let count = config.count("num_hidden_layers", of.defaults.layers)?;
    let rotates = rotates(of, config, count)?;
    let sliding = sliding(of, config, &rotates)?;
    let pattern = of.windows == Windows::Pattern;
    let kind = |name| if pattern { Some(name) } else { None };
    let full = rope::read(config, head_dim, of.defaults.theta, kind("full_attention"))?;
    let local = if pattern { local_rope(config, head_dim)? } else { full.clone() };
    let default = match of.windows {
        Windows::All(default) => default,
        Windows::WithoutRotary => None,
        Windows::Never | Windows::Switched | Windows::Upper | Windows::Pattern => Some(4096),
    };
    let stated = || config.get("sliding_window").map(|_| config.size("sliding_window", 1)).transpose();
    let window = match of.windows {
        Windows::Never => None,
        _ if config.states("sliding_window") => stated()?,
        _ => default,
    };
    let layer = |(slides, rotates): (bool, bool)| {
        let (rope, window) = if slides { (&local, window) } else { (&full, None) };
        (rotates.then(|| rope.clone()), window)
    };
    Ok(sliding.into_iter().zip(rotates).map(layer).collect())
}

/// Gemma 3's for the layers with windows.
fn local_rope(config: Reader, head_dim: u64) -> Result<Rope> {
    const KEY: &str = "rope_local_base_freq";
    let theta = config.number(KEY, 10_000.0)?;
    let parameters = config.get("rope_parameters").and_then(|parameters| parameters.get("sliding_attention"));
    rope::agree(config, KEY, config.get(KEY), parameters.and_then(|parameters| parameters.get("rope_theta")))?;
    if parameters.is_some() && config.get("rope_scaling").is_none() {
        return rope::read(config, head_dim, 10_000.0, Some("sliding_attention"));
    }
    Ok(Rope { theta, rotary: head_dim, scaling: RopeScaling::Unscaled })
}

/// Which layers have windows: by `layer_types`, else by the family's rule.
fn sliding(of: &Llama, config: Reader, rotates: &[bool]) -> Result<Vec<bool>> {
    let by_rule: Box<dyn Fn(u64) -> bool> = match of.windows {
        Windows::Never => Box::new(|_| false),
        Windows::All(_) => Box::new(|_| true),
        Windows::Switched => {
            let slides = config.flag("use_sliding_window", false)?;
            Box::new(move |_| slides)
        }
        Windows::Upper => {
            let (slides, from) = (config.flag("use_sliding_window", false)?, config.count("max_window_layers", 28)?);
            Box::new(move |layer| slides && layer >= from)
        }
        Windows::Pattern => {
            let period = config.size("sliding_window_pattern", 6)?;
            Box::new(move |layer| (layer + 1) % period != 0)
        }
        Windows::WithoutRotary => {
            let slides = config.flag("use_sliding_window", false)?;
            Box::new(move |layer| slides && rotates.get(layer as usize) == Some(&false))
        }
    };
    let count = rotates.len() as u64;
    let listed = matches!(of.windows, Windows::Upper | Windows::Pattern | Windows::WithoutRotary);
    match config.get("layer_types").filter(|_| listed) {
        Some(value) => layer_types(config, value, count),
        None => Ok((0..count).map(by_rule).collect()),
    }
}

/// Which layers rotate queries and keys.
fn rotates(of: &Llama, config: Reader, count: u64) -> Result<Vec<bool>> {
    const KEY: &str = "no_rope_layers";
    const MUST: &str = "a list of 1 for layers with a rotary embedding and 0 for the others";
    if of.rotary == Rotary::All {
        return Ok(vec![true; count as usize]);
    }
    let interval = config.size("no_rope_layer_interval", 4)?;
    let Some(value) = config.get(KEY) else {
        return Ok((1..=count).map(|layer| layer % interval != 0).collect());
    };
    let list = value.as_array().ok_or_else(|| config.wrong(KEY, value, MUST))?;
    if (list.len() as u64) < count {
        return Err(other_length(config, count, KEY, list.len()));
    }
    let rotates = |value: &serde_json::Value| match value.as_u64() {
        Some(flag @ 0..=1) => Ok(flag == 1),
        _ => Err(config.wrong(KEY, value, MUST)),
    };
    list.iter().take(count as usize).map(rotates).collect()
}

/// The error of a list whose length is not the number of layers.
fn other_length(config: Reader, count: u64, other: &'static str, length: usize) -> Error {
    FamilyError::Contradiction {
        family: config.family,
        key: "num_hidden_layers",
        value: count.to_string(),
        other,
        other_value: format!("{length} layers"),
    }
    .into()
}

fn layer_types(config: Reader, value: &serde_json::Value, count: u64) -> Result<Vec<bool>> {
    const MUST: &str = "a list of \"full_attention\" and \"sliding_attention\"";
    let list = value.as_array().ok_or_else(|| config.wrong("layer_types", value, MUST))?;
    if list.len() as u64 != count {
        return Err(other_length(config, count, "layer_types", list.len()));
    }
    let slides = |kind: &serde_json::Value| match kind.as_str() {
        Some("full_attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        _ => Err(config.wrong("layer_types", kind, MUST)),
    };
    list.iter().map(slides).collect()
}
