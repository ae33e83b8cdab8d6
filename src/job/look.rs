//! `inspect` and `diff`: commands that only look.

mod spelling;

use std::collections::HashMap;
use std::sync::Arc;

use crate::checkpoint::{Checkpoint, Listing, Reader};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::difference::{Changed, Differences, Reshaped, Retyped};
use crate::report::inspection::Inspection;
use crate::tensor::TensorInfo;
use crate::transfer;

/// What a checkpoint holds, from its headers; with `stats`, from all its values too.
pub fn inspect(opened: &Checkpoint, stats: bool, threads: usize, progress: &dyn Progress) -> Result<Inspection> {
    let mut inspection = Inspection::of(opened.reader.listing(), &opened.files, &opened.notes)?;
    if stats {
        let found = transfer::statistics(&opened.reader, threads, progress)?;
        for (tensor, statistics) in inspection.tensors.iter_mut().zip(found) {
            tensor.stats = statistics;
        }
        inspection.has_stats = true;
    }
    Ok(inspection)
}

/// How two checkpoints differ, from their headers; with `values`, from all values of tensors of one shape too. Two dialects of one
/// family are both compared as Hugging Face spells and stores it.
pub fn diff(
    a: &Arc<dyn Reader>,
    b: &Arc<dyn Reader>,
    values: bool,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Differences> {
    let spelling::Alike { readers: [a, b], notes } = spelling::alike(a, b)?;
    let mut found = by_name(&a, &b, values, threads, progress)?;
    found.notes = notes;
    Ok(found)
}

fn by_name(
    a: &Arc<dyn Reader>,
    b: &Arc<dyn Reader>,
    values: bool,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Differences> {
    let (left, right) = (&a.listing().tensors, &b.listing().tensors);
    let by_name: HashMap<&str, &TensorInfo> = right.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut found = Differences::default();
    let mut comparable = Vec::new();
    for tensor in left {
        let name = tensor.name.clone();
        let Some(other) = by_name.get(tensor.name.as_str()) else {
            if !is_other_name(&tensor.name, a.listing(), b.listing()) {
                found.removed.push(tensor.clone());
            }
            continue;
        };
        found.common += 1;
        if tensor.shape == other.shape {
            comparable.push(tensor.name.as_str());
        } else {
            found.reshaped.push(Reshaped { name: name.to_string(), a: tensor.shape.clone(), b: other.shape.clone() });
        }
        if tensor.dtype != other.dtype {
            found.retyped.push(Retyped { name: name.to_string(), a: tensor.dtype, b: other.dtype });
        }
    }
    let is_new = |tensor: &&TensorInfo| {
        a.listing().position(&tensor.name).is_none() && !is_other_name(&tensor.name, b.listing(), a.listing())
    };
    found.added = right.iter().filter(is_new).cloned().collect();
    if values {
        let differences = transfer::differences(&comparable, [a, b], threads, progress)?;
        let mut changed = Vec::new();
        for (name, difference) in comparable.into_iter().zip(differences) {
            match difference {
                Some(difference) if difference.elements > 0 => changed.push(Changed { name: name.into(), difference }),
                Some(_) => {}
                None => found.incomparable.push(name.into()),
            }
        }
        found.changed = Some(changed);
    }
    found.same = [&found.added, &found.removed].iter().all(|list| list.is_empty())
        && found.reshaped.is_empty()
        && found.retyped.is_empty()
        && found.changed.as_ref().is_none_or(Vec::is_empty);
    Ok(found)
}

/// Whether a tensor that only one checkpoint names shares its bytes there with one that both name: a PyTorch file stores ties so.
fn is_other_name(name: &str, within: &Listing, other: &Listing) -> bool {
    let owner = |name: &str| within.ties.get(name).map_or_else(|| name.to_string(), Clone::clone);
    let shared = owner(name);
    let names = within.ties.iter().filter(|(_, of)| **of == shared).map(|(alias, _)| alias.as_str());
    names.chain([shared.as_str()]).any(|known| known != name && other.position(known).is_some())
}
