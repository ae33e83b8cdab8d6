//! Two dialects of one family in one spelling, so that they can be compared.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::checkpoint::{Listing, Reader};
use crate::error::Result;
use crate::family::{self, HUGGING_FACE};
use crate::plan::{self, Conversion, Plan, SourceView};
use crate::transfer::Planned;

/// Two checkpoints as they are compared.
pub(super) struct Alike {
    /// Both, respelt where their dialects differ.
    pub(super) readers: [Arc<dyn Reader>; 2],
    /// What was done, and what could not be.
    pub(super) notes: Vec<String>,
}

/// Brings both to Hugging Face's spelling and layout where they are of one family and of different dialects. The config that one
/// lacks is that of the other. Where it cannot be done, both stay, and the note says why.
pub(super) fn alike(a: &Arc<dyn Reader>, b: &Arc<dyn Reader>) -> Result<Alike> {
    let unchanged = |notes| Alike { readers: [a.clone(), b.clone()], notes };
    let [Some((family, of_a)), Some((other, of_b))] = [plan::recognise(a.listing())?, plan::recognise(b.listing())?]
    else {
        return Ok(unchanged(Vec::new()));
    };
    if family != other || of_a == of_b {
        return Ok(unchanged(Vec::new()));
    }
    let words = |dialects: &[String]| if dialects.is_empty() { HUGGING_FACE.into() } else { dialects.join(", ") };
    let dialects = format!("dialects of {family}: {} and {}", words(&of_a), words(&of_b));
    match (respelt(a, b.listing()), respelt(b, a.listing())) {
        (Ok(left), Ok(right)) => {
            let note = format!("{dialects}; both are compared in the naming and layout of {HUGGING_FACE}");
            Ok(Alike { readers: [left, right], notes: vec![note] })
        }
        (Err(why), _) | (_, Err(why)) => Ok(unchanged(vec![format!("{dialects}; compared as they are stored: {why}")])),
    }
}

/// A checkpoint as Hugging Face spells and stores it, computed where it is read.
fn respelt(reader: &Arc<dyn Reader>, other: &Listing) -> Result<Arc<dyn Reader>> {
    let mut listing = reader.listing().clone();
    let has_config = family::recognise(&listing).is_some_and(|(_, config)| config.is_some());
    if !has_config {
        listing.config = config_text(other);
    }
    let source = SourceView {
        name: "source".into(),
        reference: String::new(),
        location: String::new(),
        commit: None,
        files: Vec::new(),
        key: None,
        listing: &listing,
        vocabulary: None,
        companions: Vec::new(),
        adapter: None,
    };
    let asked = Conversion {
        dtype: None,
        to: Some(HUGGING_FACE.into()),
        only: Vec::new(),
        max_shard_size: u64::MAX,
        with_companions: false,
    };
    let mut plan = plan::convert(&source, &asked, |_| Ok(Vec::new()))?;
    unwrap_names(&mut plan);
    Ok(Arc::new(Planned::new(plan, vec![reader.clone()])))
}

/// Takes what training wraps around a model out of the names, where they stay distinct.
fn unwrap_names(plan: &mut Plan) {
    let names: Vec<String> =
        plan.assignments.iter().map(|assignment| plan::unwrapped(&assignment.target.name)).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() == names.len() {
        plan.assignments.iter_mut().zip(names).for_each(|(assignment, name)| assignment.target.name = name.into());
    }
}

/// The config of a checkpoint, also one that its metadata amount to.
fn config_text(listing: &Listing) -> Option<String> {
    let amounts = || serde_json::to_string(&serde_json::Value::Object(family::recognise(listing)?.1?.0)).ok();
    listing.config.clone().or_else(amounts)
}
