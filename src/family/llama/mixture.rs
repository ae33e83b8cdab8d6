//! Which layers are mixtures of experts, and of how many experts.

use super::table::{Defaults, Experts};
use crate::error::Result;
use crate::family::config::Reader;
use crate::family::error::FamilyError;
use crate::graph;
use crate::init::Nonlinearity;

/// The mixtures of a model.
pub(super) struct Mixture {
    /// The path of each below its layer.
    pub path: &'static str,
    pub experts: graph::Experts,
    pub layers: Vec<bool>,
}

/// The mixtures that a config states.
pub(super) fn read(of: &Experts, defaults: &Defaults, config: Reader, activation: Nonlinearity) -> Result<Mixture> {
    let experts = config.size(of.count.0, of.count.1)?;
    let per_token = config.size("num_experts_per_tok", of.per_token)?;
    if per_token > experts {
        return Err(FamilyError::Contradiction {
            family: config.family,
            key: "num_experts_per_tok",
            value: per_token.to_string(),
            other: of.count.0,
            other_value: experts.to_string(),
        }
        .into());
    }
    let normalised = match of.normalised {
        Some((key, default)) => config.flag(key, default)?,
        None => true,
    };
    let intermediate = config.size(of.intermediate.0, of.intermediate.1)?;
    let experts = graph::Experts { experts, per_token, intermediate, activation, normalised, names: of.names };
    Ok(Mixture { path: of.path, experts, layers: layers(of, defaults, config)? })
}

/// All layers, or those that `decoder_sparse_step` selects and `mlp_only_layers` does not list.
fn layers(of: &Experts, defaults: &Defaults, config: Reader) -> Result<Vec<bool>> {
    let count = config.count("num_hidden_layers", defaults.layers)?;
    if !of.sparse {
        return Ok(vec![true; count as usize]);
    }
    const MUST: &str = "a list of layers";
    let step = config.size("decoder_sparse_step", 1)?;
    let dense: Vec<u64> = match config.get("mlp_only_layers") {
        None => Vec::new(),
        Some(value) => {
            let list = value.as_array().and_then(|list| list.iter().map(serde_json::Value::as_u64).collect());
            list.ok_or_else(|| config.wrong("mlp_only_layers", value, MUST))?
        }
    };
    Ok((0..count).map(|layer| (layer + 1) % step == 0 && !dense.contains(&layer)).collect())
}
