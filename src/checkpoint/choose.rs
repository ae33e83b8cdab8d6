//! Which files of a source are its weights, by their names alone: nothing is fetched to find out.

use std::collections::BTreeMap;

use super::format::Format;
use crate::error::{CheckpointError, Result};

/// The files to open.
#[derive(Debug, PartialEq)]
pub(super) enum Choice {
    /// One safetensors file.
    Single(String),
    /// An index of safetensors shards.
    Indexed(String),
    /// Shards without an index, in order.
    Parts(Vec<String>),
    /// Files that may be weights; only their bytes can tell.
    Unclear(Vec<String>),
}

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const INDEX_ENDING: &str = ".safetensors.index.json";
/// What training leaves beside the weights.
const TRAINING_STATE: &[&str] = &["training_args", "optimizer", "scheduler", "rng_state", "scaler", "random_states"];

/// Chooses among all names below a source called `label`. Weights stand at its top.
pub(super) fn choose(label: &str, names: &[String]) -> Result<Choice> {
    let top: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.contains('/')).collect();
    if top.contains(&SINGLE) {
        return Ok(Choice::Single(SINGLE.into()));
    }
    let indices: Vec<&str> = top.iter().copied().filter(|name| name.ends_with(INDEX_ENDING)).collect();
    if let Some(index) = indices.iter().find(|name| **name == INDEX) {
        return Ok(Choice::Indexed((*index).into()));
    }
    match indices.as_slice() {
        [] => choose_without_index(label, names, &top),
        [index] => Ok(Choice::Indexed((*index).into())),
        several => Err(ambiguous(label, several)),
    }
}

/// A reference to one file that is named in it.
pub(super) fn choose_single(name: &str) -> Choice {
    match name.ends_with(INDEX_ENDING) {
        true => Choice::Indexed(name.into()),
        false => Choice::Unclear(vec![name.into()]),
    }
}

fn choose_without_index(label: &str, names: &[String], top: &[&str]) -> Result<Choice> {
    let is_weight = |name: &&&str| name.ends_with(".safetensors") && !name.starts_with("adapter_model");
    let weights: Vec<&str> = top.iter().filter(is_weight).copied().collect();
    let whole: Vec<&str> = weights.iter().copied().filter(|name| part_of(name).is_none()).collect();
    let sets = part_sets(&weights);
    match (whole.as_slice(), sets.len()) {
        ([one], _) => Ok(Choice::Single((*one).into())),
        ([], 1) => sets.into_iter().next().map_or_else(|| no_safetensors(label, names, top), complete),
        ([], 0) => no_safetensors(label, names, top),
        _ => Err(ambiguous(label, &weights)),
    }
}

fn ambiguous(label: &str, files: &[&str]) -> crate::error::Error {
    let files = files.iter().map(|name| name.to_string()).collect();
    CheckpointError::SeveralModels { label: label.into(), files }.into()
}

/// The stem, number and total of `STEM-00001-of-00003.safetensors`.
fn part_of(name: &str) -> Option<(&str, u32, u32)> {
    let (rest, total) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    Some((stem, number.parse().ok()?, total.parse().ok()?))
}

/// Sets of shards: stem and total to number and name.
type PartSets<'a> = BTreeMap<(&'a str, u32), BTreeMap<u32, &'a str>>;

fn part_sets<'a>(names: &[&'a str]) -> PartSets<'a> {
    let mut sets = PartSets::new();
    for name in names {
        if let Some((stem, number, total)) = part_of(name) {
            sets.entry((stem, total)).or_default().insert(number, *name);
        }
    }
    sets
}

/// All shards of a set in order; a gap is an error. Counting begins at 1, in files of some writers at 0.
fn complete(((stem, total), parts): ((&str, u32), BTreeMap<u32, &str>)) -> Result<Choice> {
    let first = u32::from(!parts.contains_key(&0));
    for number in first..total.saturating_add(first) {
        if !parts.contains_key(&number) {
            let shard = format!("{stem}-{number:05}-of-{total:05}.safetensors");
            let by = parts.values().next().copied().unwrap_or_default().to_string();
            return Err(CheckpointError::MissingShard { by, shard, tensors: None }.into());
        }
    }
    Ok(Choice::Parts(parts.values().map(|name| name.to_string()).collect()))
}

/// Nothing is called safetensors: say what stands there instead, or which files only their bytes can tell.
fn no_safetensors(label: &str, names: &[String], top: &[&str]) -> Result<Choice> {
    let any = |test: &dyn Fn(&str) -> bool| names.iter().find(|name| test(name)).cloned();
    let label = label.to_string();
    if let Some(file) = any(&|name| !name.contains('/') && name.starts_with("adapter_")) {
        return Err(CheckpointError::Adapter { file, tensor: None }.into());
    }
    if let Some(file) = any(&|name| name.ends_with(".distcp")) {
        return Err(CheckpointError::Distributed { label, file }.into());
    }
    let candidates: Vec<String> = top.iter().filter(|name| is_weights(name)).map(|name| name.to_string()).collect();
    let whole = candidates.iter().any(|name| name.starts_with("pytorch_model"));
    let zero = any(&|name| name.contains("zero_pp_rank_") || name.ends_with("zero_to_fp32.py"));
    match zero {
        Some(file) if !whole => Err(CheckpointError::Zero { label, file }.into()),
        _ if candidates.is_empty() => Err(no_weights(label, names)),
        _ => Ok(Choice::Unclear(candidates)),
    }
}

fn no_weights(label: String, names: &[String]) -> crate::error::Error {
    let deeper = names.iter().find(|name| name.contains('/') && is_weights(name)).cloned();
    CheckpointError::NoWeights { label, found: summary(names), deeper }.into()
}

/// Whether a name ends like weights and is no state of training.
pub(super) fn is_weights(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    Format::of_name(last).is_some() && !TRAINING_STATE.iter().any(|state| last.starts_with(state))
}

/// What to say of the weight files that were not chosen; `chosen` are the files that were.
pub(super) fn passed_over(names: &[String], chosen: &[String]) -> Vec<String> {
    let rest: Vec<String> = names.iter().filter(|name| is_weights(name) && !chosen.contains(*name)).cloned().collect();
    let mut notes = Vec::new();
    if chosen.iter().any(|name| name == SINGLE) && names.iter().any(|name| name == INDEX) {
        notes.push(format!("{SINGLE} is read, and the shards of {INDEX} are not, as transformers does"));
    }
    if !rest.is_empty() {
        notes.push(format!("passed over {}", summary(&rest)));
    }
    notes
}

/// The first names, and how many more there are.
fn summary(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
