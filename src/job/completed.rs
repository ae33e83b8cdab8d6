//! Configs that do not state what their weights decide: those of sources, and that of the architecture by its sources.

use std::sync::Arc;

use crate::arch::{self, Architecture};
use crate::checkpoint::{Checkpoint, Listing, Restated};
use crate::error::Result;
use crate::family::{self, Weights};

/// A source whose config states what its weights decide. What was added is noted.
pub(super) fn source(checkpoint: Checkpoint, label: &str) -> Result<Checkpoint> {
    let listing = checkpoint.reader.listing();
    let has_config = listing.config.is_some() && family::described(listing).is_none();
    let Some((family, Some(config))) = family::recognise(listing).filter(|_| has_config) else {
        return Ok(checkpoint);
    };
    let Some(completed) = family::complete(family, &config, listing, Weights::Own)? else { return Ok(checkpoint) };
    let text = serde_json::Value::Object(completed.config.0).to_string();
    let mut notes = checkpoint.notes;
    notes.extend(completed.choices.iter().map(|choice| format!("{label}: {choice}")));
    Ok(Checkpoint { reader: Arc::new(Restated::new(checkpoint.reader, text)), notes, ..checkpoint })
}

/// The architecture, with the keys that its config does not state and a source of the same family has otherwise than by default.
pub(super) fn architecture<'a>(
    architecture: Architecture,
    mut sources: impl Iterator<Item = (&'a str, &'a Listing)>,
) -> Result<Architecture> {
    sources.try_fold(architecture, |architecture, (label, listing)| match family::recognise(listing) {
        Some((family, config)) => arch::by_source(architecture, label, (family, config.as_ref(), listing)),
        None => Ok(architecture),
    })
}
