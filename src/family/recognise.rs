//! The family of a source: by its config, else by the names of its tensors.

use super::config::Config;
use super::llama::{is_model_config, is_params};
use super::model::Family;
use super::{FAMILIES, by_model_type};
use crate::checkpoint::Listing;
use crate::name::WRAPPERS;

/// Path components of containers around a model, which do not tell what it is.
const CONTAINERS: &[&str] = &["model", "state_dict", "model_state_dict"];

/// Whether a path component wraps a model.
pub(super) fn is_wrapper(component: &str) -> bool {
    WRAPPERS.contains(&component) || CONTAINERS.contains(&component)
}

/// The family of a source without a config of transformers, with the config that its own description amounts to and the name of the file
/// that holds the description, where it is one beside the weights.
pub(crate) fn described(source: &Listing) -> Option<(&'static dyn Family, Config, Option<&'static str>)> {
    let beside = source.config.as_deref().and_then(parsed);
    let file = match (&beside, &source.config) {
        (Some(config), _) if is_params(&config.0) => Some("params.json"),
        (Some(_), _) => return None,
        (None, Some(text)) if is_model_config(text) => Some("model_config.yaml"),
        (None, _) => None,
    };
    let of = |family: &'static dyn Family| Some((family, family.config_of(source)?, file));
    FAMILIES.iter().copied().find_map(of)
}

/// The family and config of a source: by its `config.json`, else by what describes it otherwise, else by marker names of its tensors; `None` where neither is decisive, or
/// where the config names a family that xfer does not know.
pub(crate) fn recognise(source: &Listing) -> Option<(&'static dyn Family, Option<Config>)> {
    if let Some((family, config, _)) = described(source) {
        return Some((family, Some(config)));
    }
    let config = source.config.as_deref().and_then(parsed);
    let model_type = config.as_ref().and_then(|config| config.0.get("model_type")?.as_str());
    let family = match model_type {
        Some(model_type) => by_model_type(model_type)?,
        None => named(source)?,
    };
    Some((family, config))
}

/// The family whose names a source has.
fn named(source: &Listing) -> Option<&'static dyn Family> {
    let sets = FAMILIES.iter().copied().flat_map(|family| {
        let alone = family.dialects().iter().map(|dialect| dialect.alone);
        std::iter::once(family.markers()).chain(alone).map(move |markers| (family, markers))
    });
    let sets: Vec<(&dyn Family, &[&str])> = sets.filter(|(_, markers)| !markers.is_empty()).collect();
    // in one pass over names, of which a large model has a hundred thousand
    let mut paths: Vec<Vec<&str>> = vec![Vec::new(); sets.len()];
    for tensor in &source.tensors {
        for ((_, markers), paths) in sets.iter().zip(&mut paths) {
            paths.extend(markers.first().and_then(|first| tensor.name.strip_suffix(first)));
        }
    }
    let found = sets.iter().zip(&paths).find(|((family, markers), paths)| marked(*family, markers, paths, source));
    found.map(|((family, _), _)| *family)
}

fn parsed(text: &str) -> Option<Config> {
    serde_json::from_str(text).ok().map(Config)
}

/// Whether all markers of the family are below one of these paths that ends in nothing, in its base prefix or in wrappers.
fn marked(family: &dyn Family, markers: &[&str], paths: &[&str], source: &Listing) -> bool {
    paths.iter().any(|path| {
        let inner = path.strip_suffix('.').and_then(|path| path.rsplit('.').next());
        let plain = match inner {
            None => path.is_empty(),
            Some(component) => component == family.base_prefix() || is_wrapper(component),
        };
        plain && markers.iter().all(|marker| source.position(&format!("{path}{marker}")).is_some())
    })
}
