//! Whether a source holds all layers of its model: a part under another name, without an index, is known by what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Listing;
use crate::checkpoint::pieces::error::PartError;
use crate::error::Result;
use crate::family;
use crate::plan::convert::dialect::respell;
use crate::plan::inputs::SourceView;
use crate::plan::matching::blocks::{places, spell};
use crate::plan::matching::known::parameter_names;
use crate::ranges;

/// What containers of layers are called.
const CONTAINERS: &[&str] = &["layers", "layer", "blocks", "block", "h", "resblocks"];

/// The layers of each block that have a tensor of each name: by path and name, the numbers.
type Layers = BTreeMap<(String, String), BTreeSet<u64>>;

/// An error where the config describes layers of which the source holds some and lacks others, or where, without a config, layers do not
/// begin at 0.
pub(crate) fn require(source: &SourceView) -> Result<()> {
    let listing = source.listing;
    match family::recognise(listing) {
        // `params.json` has other keys, of which a family would take its defaults
        Some((family, Some(config))) if listing.config.is_none() || config.0.contains_key("model_type") => {
            let expected = parameter_names(family, &config);
            let Some(held) = respelt(listing) else { return Ok(()) };
            lacking(source, &layers(expected.iter().map(String::as_str)), &layers(held.iter().map(String::as_str)))
        }
        _ => later(source, &layers(listing.tensors.iter().map(|tensor| tensor.name.as_str()))),
    }
}

/// The names of a source in the spelling of its family, or `None` where they cannot be spelt so.
fn respelt(listing: &Listing) -> Option<Vec<String>> {
    let respelt = respell(listing, family::HUGGING_FACE, None).ok()?;
    Some(respelt.into_iter().map(|one| one.info.name.to_string()).collect())
}

fn layers<'a>(names: impl Iterator<Item = &'a str>) -> Layers {
    let mut layers = Layers::new();
    for name in names {
        for place in places(name) {
            layers.entry((place.path.to_string(), place.tail.to_string())).or_default().insert(place.index);
        }
    }
    layers
}

fn lacking(source: &SourceView, expected: &Layers, held: &Layers) -> Result<()> {
    for ((block, tail), layers) in expected {
        // the file may have been saved with or without the prefix of a class
        let found = held.iter().find(|((path, name), _)| name == tail && is_same(path, block));
        let Some((_, found)) = found else { continue };
        if let Some(missing) = layers.difference(found).next() {
            return Err(PartError::Layers {
                source_name: source.reference.clone(),
                block: block.clone(),
                held: ranges::runs(found.iter().copied()),
                layers: layers.len() as u64,
                missing: spell(block, *missing, tail),
            }
            .into());
        }
    }
    Ok(())
}

fn is_same(a: &str, b: &str) -> bool {
    let ends =
        |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    ends(a, b) || ends(b, a)
}

fn later(source: &SourceView, held: &Layers) -> Result<()> {
    let is_block = |path: &str| CONTAINERS.contains(&path.rsplit('.').next().unwrap_or(path));
    let blocks: BTreeSet<&str> = held.keys().map(|(path, _)| path.as_str()).filter(|path| is_block(path)).collect();
    for block in blocks {
        let own = || held.iter().filter(|((path, _), _)| path == block);
        let all: BTreeSet<u64> = own().flat_map(|(_, layers)| layers.iter().copied()).collect();
        let shared = own().filter(|((_, tail), layers)| tail.contains('.') && layers.len() > 1).count();
        if shared > 1 && all.first().is_some_and(|first| *first > 0) {
            let (source_name, block, held) =
                (source.reference.clone(), block.to_string(), ranges::runs(all.iter().copied()));
            return Err(PartError::Later { source_name, block, held }.into());
        }
    }
    Ok(())
}
