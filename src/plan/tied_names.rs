//! The other names of tied tensors, for a file that can hold one tensor under several: the `state_dict` of a tied model has them all, and
//! a strict `load_state_dict` wants them.

use std::collections::BTreeMap;

use crate::family;
use crate::plan::assignment::{Assignment, Step};
use crate::plan::inputs::SourceView;
use crate::plan::matching::known::described;
use crate::plan::value::Value;
use crate::tensor::TensorInfo;

/// For each tensor that is written, the names that the config of the source ties to it and that are not written. Without a config that a
/// family knows there are none.
pub(crate) fn tied_names(source: &SourceView, written: &[Assignment]) -> Vec<Assignment> {
    let Some((family, Some(config))) = family::recognise(source.listing) else { return Vec::new() };
    let Ok(parameters) = described(family, &config) else { return Vec::new() };
    let mut known: BTreeMap<&str, &Assignment> = written.iter().map(|one| (one.target.name.as_str(), one)).collect();
    let mut added = Vec::new();
    for alias in &parameters {
        let Some(owner) = alias.tied_to.and_then(|owner| parameters.get(owner)) else { continue };
        // either of the two may be the one that is stored
        let (name, of) = match (known.get(owner.name.as_str()), known.get(alias.name.as_str())) {
            (Some(of), None) => (&alias.name, *of),
            (None, Some(of)) => (&owner.name, *of),
            (Some(_), Some(_)) | (None, None) => continue,
        };
        if of.target.shape == alias.shape {
            added.push(tied(TensorInfo { name: name.clone(), ..of.target.clone() }, of));
            known.insert(name.as_str(), of);
        }
    }
    added
}

fn tied(target: TensorInfo, of: &Assignment) -> Assignment {
    let value = Value::Tied { to: of.target.name.to_string() };
    let reason = format!("the config ties it to {}", of.target.name);
    Assignment { head: of.head, ..Assignment::new(target, value, Step::Tie, reason) }
}
