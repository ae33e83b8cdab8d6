//! Keys that a config does not state: taken from the weights that stand beside it, else from a source of the same family, where these
//! say otherwise than the default. Every one is reported; what cannot be taken is an error.

use serde_json::Value;

use super::{Architecture, FamilyBlock, Form, hugging_face};
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::family::{self, Config, Divergence, Family};

/// The architecture with the keys that its config does not state and that its own weights decide.
pub(crate) fn by_own_weights(architecture: Architecture, weights: &Listing) -> Result<Architecture> {
    let Some(FamilyBlock { family, config, .. }) = own_block(&architecture) else { return Ok(architecture) };
    let completed = family::complete(*family, config, weights, family::Weights::Own)?;
    let mut architecture = match completed {
        Some(completed) => rebuilt(architecture, completed.config, completed.choices)?,
        None => architecture,
    };
    architecture.has_weights = true;
    Ok(architecture)
}

/// The architecture with the keys that its config does not state and that a source of the same family has otherwise than by default.
/// An architecture that has weights of its own is left as it is.
pub(crate) fn by_source(
    mut architecture: Architecture,
    name: &str,
    (family, config, weights): (&'static dyn Family, Option<&Config>, &Listing),
) -> Result<Architecture> {
    if architecture.has_weights {
        return Ok(architecture);
    }
    for block in
        architecture.blocks.iter().filter(|block| !block.path.is_empty() && block.family.name() == family.name())
    {
        let found = config.map_or_else(Vec::new, |config| family::divergences(family, &block.config, config));
        if let Some(one) = found.into_iter().find(|one| one.changes_tensors) {
            return Err(unstated(family, one, &format!("{name}, of which {} is made", block.path)));
        }
    }
    let Some(block) = own_block(&architecture).filter(|block| block.family.name() == family.name()).cloned() else {
        return Ok(architecture);
    };
    let Some(config) = config else {
        return match family::complete(family, &block.config, weights, family::Weights::Source)? {
            Some(completed) => rebuilt(architecture, completed.config, completed.choices),
            None => Ok(architecture),
        };
    };
    for one in family::divergences(family, &block.config, config) {
        let default = one.default.as_ref().map_or("none".to_string(), Value::to_string);
        let fact = format!("config key `{}` is not stated", one.key);
        let mut with = architecture.config.clone().unwrap_or_else(|| block.config.clone());
        with.0.insert(one.key.clone(), one.source.clone());
        let note = format!("{fact}: it is {} as in {name}, where the default is {default}", one.source);
        architecture = match rebuilt(architecture.clone(), with, vec![note]) {
            Ok(architecture) => architecture,
            Err(_) if one.changes_tensors => return Err(unstated(family, one, name)),
            Err(_) => {
                let note =
                    format!("{fact}: the default {default} applies, where the config of {name} has {}", one.source);
                architecture.notes.push(note);
                architecture
            }
        };
    }
    Ok(architecture)
}

fn unstated(family: &'static dyn Family, one: Divergence, where_from: &str) -> crate::error::Error {
    let default = one.default.as_ref().map_or("none".to_string(), Value::to_string);
    let values = one.source.to_string();
    FamilyError::Unstated { family: family.name(), key: one.key, default, tensor: where_from.into(), values }.into()
}

/// The family of a Hugging Face config.
fn own_block(architecture: &Architecture) -> Option<&FamilyBlock> {
    let block = architecture.blocks.first().filter(|block| block.path.is_empty());
    block.filter(|_| architecture.form == Form::HuggingFace)
}

/// This architecture with another config.
fn rebuilt(architecture: Architecture, config: Config, choices: Vec<String>) -> Result<Architecture> {
    let Some(block) = own_block(&architecture) else { return Ok(architecture) };
    let built = hugging_face::built(block.family, config)?;
    let (parameters, graph, blocks, config) = (built.parameters, built.graph, built.blocks, built.config);
    let mut rebuilt = Architecture { parameters, graph, blocks, config, ..architecture };
    rebuilt.notes.extend(choices);
    Ok(rebuilt)
}
