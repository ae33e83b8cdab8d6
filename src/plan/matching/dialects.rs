//! The families and dialects of both sides, and names and values carried from one spelling to the other.

use std::collections::BTreeSet;

use crate::arch::{Architecture, Pattern};
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::{self, Config, Dialect, Family};
use crate::hash::HashSet;
use crate::plan::error::PlanError;
use crate::plan::matching::respelling::Respelling;
use crate::plan::matching::templates::Templates;

/// The family of a source as recognised, with its config.
pub(crate) fn family_of(source: &Listing) -> Option<(&'static dyn Family, Option<Config>)> {
    family::recognise(source)
}

/// The family of a checkpoint and the dialects in which it is spelt, each once; `None` where no family is recognised.
pub(crate) fn recognise(listing: &Listing) -> Result<Option<(String, Vec<String>)>> {
    let Some((family, _)) = family_of(listing) else { return Ok(None) };
    let found = find_dialects(family, || listing.tensors.iter().map(|one| (one.name.as_str(), one.shape.as_slice())))?;
    let mut dialects: Vec<String> = Vec::new();
    for (_, dialect) in found {
        if !dialects.iter().any(|known| known == dialect.name) {
            dialects.push(dialect.name.into());
        }
    }
    Ok(Some((family.name().into(), dialects)))
}

/// What is to be respelt, family by family: the source's own and those of the target's blocks.
pub(crate) fn respellings(
    source: &Listing,
    own: Option<&(&'static dyn Family, Option<Config>)>,
    target: &Architecture,
) -> Result<Vec<Respelling>> {
    // a config of the target says nothing of how the source is laid out
    let mut families: Vec<(&'static dyn Family, Option<Config>)> = own.cloned().into_iter().collect();
    for block in &target.blocks {
        if !families.iter().any(|(family, _)| family.name() == block.family.name()) {
            families.push((block.family, None));
        }
    }
    let mut all = Vec::new();
    for (family, config) in families {
        let spelt = |name: &str| target.parameters.iter().any(|parameter| parameter.name == *name);
        refuse_undetermined(family, source, spelt)?;
        let read =
            find_dialects(family, || source.tensors.iter().map(|one| (one.name.as_str(), one.shape.as_slice())))?;
        let write =
            find_dialects(family, || target.parameters.iter().map(|one| (one.name.as_str(), one.shape.as_slice())))?;
        let names =
            |found: &[(String, &Dialect)]| found.iter().map(|(_, dialect)| dialect.name).collect::<HashSet<_>>();
        if names(&read) != names(&write) {
            let config = config.unwrap_or_else(|| Config(serde_json::Map::new()));
            all.push(Respelling { family, config, read, write });
        }
    }
    Ok(all)
}

/// The dialects whose markers stand among the names and shapes, with the path before the marker; the first of the family for each path.
pub(crate) fn find_dialects<'a, I: Iterator<Item = (&'a str, &'a [u64])>>(
    family: &'static dyn Family,
    names: impl Fn() -> I,
) -> Result<Vec<(String, &'static Dialect)>> {
    let mut found: Vec<(String, &'static Dialect)> = Vec::new();
    for dialect in family.dialects() {
        let markers = Templates::parse(dialect.markers.iter().enumerate().map(|(id, text)| (id, 0, *text)))?;
        for (name, _) in names().filter(|(_, shape)| (dialect.marker_shape)(shape)) {
            let path = markers.path(name).filter(|path| !found.iter().any(|(known, _)| known == path));
            found.extend(path.map(|path| (path.to_string(), dialect)));
        }
    }
    Ok(found)
}

/// An error for a layout of the family that nothing determines, unless the target is spelt so too.
pub(crate) fn refuse_undetermined(
    family: &'static dyn Family,
    source: &Listing,
    spelt: impl Fn(&str) -> bool,
) -> Result<()> {
    for layout in family.undetermined() {
        let markers = Templates::parse(layout.markers.iter().enumerate().map(|(id, text)| (id, 0, *text)))?;
        let found = source.tensors.iter().find(|tensor| markers.path(&tensor.name).is_some());
        if let Some(tensor) = found.filter(|tensor| !spelt(&tensor.name)) {
            let (by, why, remedy) = (layout.by, layout.why, layout.remedy);
            return Err(PlanError::LayoutRefused { by, source_name: tensor.name.to_string(), why, remedy }.into());
        }
    }
    Ok(())
}

/// A name of the family's own as a dialect has it, where the dialect has another name for it.
pub(crate) fn spelt(dialect: &Dialect, name: &str) -> Result<Option<String>> {
    for one in dialect.correspondences() {
        if let ([ours], [theirs]) = (one.ours.as_slice(), one.theirs.as_slice())
            && let Some(bindings) = Pattern::parse(ours)?.matches(name)
        {
            return Ok(Pattern::parse(theirs)?.substitute(&bindings));
        }
    }
    Ok(None)
}

/// The paths below which names fit the family's own side of a dialect, each once, in order.
pub(crate) fn paths<'a>(dialect: &Dialect, names: impl Iterator<Item = &'a str>) -> Result<BTreeSet<String>> {
    let all = dialect.correspondences();
    let ours = all.iter().enumerate();
    let ours =
        ours.flat_map(|(id, one)| one.ours.iter().enumerate().map(move |(slot, text)| (id, slot, text.as_str())));
    let templates = Templates::parse(ours)?;
    Ok(names.filter_map(|name| templates.path(name)).map(str::to_string).collect())
}
