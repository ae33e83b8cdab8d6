//! Which files of a source are its weights, by their names alone: nothing is fetched to find out.

use std::collections::BTreeMap;

use super::format::Format;
use super::pieces::{MetaSet, Shard, refuse_ranks};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::pieces::error::PartError;
use crate::error::Result;

/// The files to open.
#[derive(Debug, PartialEq)]
pub(super) enum Choice {
    Single(String),
    Indexed(String),
    /// Shards without an index, in order.
    Parts(Vec<String>),
    /// Parts of one model with a piece of each matrix, in order.
    ModelParallel(Vec<String>),
    /// GGUF files, which are several models or the renamed parts of one: their headers state which.
    Splits(Vec<String>),
    /// Files that may be weights; only their bytes can tell.
    Unclear(Vec<String>),
}

/// How a library names the files of a model.
struct Layout {
    single: &'static str,
    index: &'static str,
    index_ending: &'static str,
    ending: &'static str,
    /// What the names of other files begin with that are weights too.
    beginning: &'static str,
}

/// In the order in which they are preferred.
const LAYOUTS: &[Layout] = &[
    Layout {
        single: "model.safetensors",
        index: "model.safetensors.index.json",
        index_ending: ".safetensors.index.json",
        ending: ".safetensors",
        beginning: "",
    },
    Layout {
        single: "pytorch_model.bin",
        index: "pytorch_model.bin.index.json",
        index_ending: ".bin.index.json",
        ending: ".bin",
        beginning: "pytorch_model",
    },
    // an index of these has not been seen: the parts of a split file are joined by their names
    Layout {
        single: "model.gguf",
        index: "model.gguf.index.json",
        index_ending: ".gguf.index.json",
        ending: ".gguf",
        beginning: "",
    },
    Layout {
        single: "flax_model.msgpack",
        index: "flax_model.msgpack.index.json",
        index_ending: ".msgpack.index.json",
        ending: ".msgpack",
        beginning: "flax_model",
    },
];

/// What training leaves beside the weights.
const TRAINING_STATE: &[&str] = &["training_args", "optimizer", "scheduler", "rng_state", "scaler", "random_states"];

/// Chooses among all names below a source called `label`. Weights stand at its top.
pub(super) fn choose(label: &str, names: &[String]) -> Result<Choice> {
    let top: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.contains('/')).collect();
    for layout in LAYOUTS {
        if let Some(choice) = layout.choose(label, &top)? {
            return Ok(choice);
        }
    }
    no_known_name(label, names, &top)
}

/// A reference to one file that is named in it.
pub(super) fn choose_single(name: &str) -> Choice {
    match LAYOUTS.iter().any(|layout| name.ends_with(layout.index_ending)) {
        true => Choice::Indexed(name.into()),
        false => Choice::Unclear(vec![name.into()]),
    }
}

impl Layout {
    fn choose(&self, label: &str, top: &[&str]) -> Result<Option<Choice>> {
        if top.contains(&self.single) {
            return Ok(Some(Choice::Single(self.single.into())));
        }
        let indices: Vec<&str> = top.iter().copied().filter(|name| name.ends_with(self.index_ending)).collect();
        if let Some(index) = indices.iter().find(|name| **name == self.index) {
            return Ok(Some(Choice::Indexed((*index).into())));
        }
        match indices.as_slice() {
            [] => self.choose_without_index(label, top),
            [index] => Ok(Some(Choice::Indexed((*index).into()))),
            several => Err(ambiguous(label, several)),
        }
    }

    fn choose_without_index(&self, label: &str, top: &[&str]) -> Result<Option<Choice>> {
        let is_weight = |name: &&&str| {
            name.ends_with(self.ending) && name.starts_with(self.beginning) && !name.starts_with("adapter_model")
        };
        let weights: Vec<&str> = top.iter().filter(is_weight).copied().collect();
        refuse_ranks(&weights)?;
        let whole: Vec<&str> = weights.iter().copied().filter(|name| Shard::of(name).is_none()).collect();
        match whole.as_slice() {
            [one] if weights.len() == 1 => Ok(Some(Choice::Single((*one).into()))),
            [] if weights.is_empty() => Ok(None),
            [] => match joined(&weights)? {
                Some(choice) => Ok(Some(choice)),
                None => Err(ambiguous(label, &weights)),
            },
            several if self.ending == ".gguf" && several.len() == weights.len() => {
                Ok(Some(Choice::Splits(several.iter().map(|name| name.to_string()).collect())))
            }
            _ => match joined(&weights)? {
                Some(choice) => Ok(Some(choice)),
                None => Err(ambiguous(label, &weights)),
            },
        }
    }
}

/// The one model that all these files are parts of, by their names, or `None`; one that lacks a part is an error.
fn joined(names: &[&str]) -> Result<Option<Choice>> {
    let Some(first) = names.first() else { return Ok(None) };
    if let Some(shard) = Shard::of(first) {
        let found = shard.set(names.iter().copied());
        return match found.len() == names.len() {
            true => complete(&shard, &found).map(Some),
            false => Ok(None),
        };
    }
    let Some(set) = MetaSet::of(first) else { return Ok(None) };
    let is_alike = |name: &&str| MetaSet::of(name).is_some_and(|other| other == set);
    if !names.iter().all(is_alike) {
        return Ok(None);
    }
    let files = set.files(names)?;
    Ok(Some(if files.len() == 1 { Choice::Unclear(files) } else { Choice::ModelParallel(files) }))
}

/// What to open for one file that is named by itself: all of the model that it is a part of by its name. `beside` are the names in
/// its folder.
pub(super) fn choose_followed(name: &str, beside: &[String]) -> Result<Choice> {
    let names = || beside.iter().map(String::as_str);
    if let Some(shard) = Shard::of(name).filter(|shard| shard.count > 1) {
        let mut found = shard.set(names());
        found.entry(shard.number).or_insert(name);
        return complete(&shard, &found);
    }
    if let Some(set) = MetaSet::of(name) {
        let alike: Vec<&str> = names().filter(|other| MetaSet::of(other).is_some_and(|other| other == set)).collect();
        if alike.len() > 1 {
            return Ok(Choice::ModelParallel(set.files(&alike)?));
        }
    }
    Ok(choose_single(name))
}

/// All shards of a set in order; a gap is an error. Counting begins at 1, in files of some writers at 0.
fn complete(shard: &Shard, found: &BTreeMap<u32, &str>) -> Result<Choice> {
    let missing = shard.missing(found);
    match missing.is_empty() {
        true => Ok(Choice::Parts(found.values().map(|name| name.to_string()).collect())),
        false => {
            let file = found.values().next().copied().unwrap_or_default().to_string();
            Err(PartError::Alone { file, of: Some(("shards", shard.count.into())), missing }.into())
        }
    }
}

fn ambiguous(label: &str, files: &[&str]) -> crate::error::Error {
    let files = files.iter().map(|name| name.to_string()).collect();
    CheckpointError::SeveralModels { label: label.into(), files }.into()
}

/// Nothing has a name that weights have: say what stands there instead, or which files only their bytes can tell.
fn no_known_name(label: &str, names: &[String], top: &[&str]) -> Result<Choice> {
    let any = |test: &dyn Fn(&str) -> bool| names.iter().find(|name| test(name)).cloned();
    let label = label.to_string();
    if let Some(file) = any(&|name| !name.contains('/') && name.starts_with("adapter_")) {
        return Err(CheckpointError::Adapter { file, tensor: None }.into());
    }
    if let Some(file) = any(&|name| name.ends_with(".distcp")) {
        return Err(CheckpointError::Distributed { label, file }.into());
    }
    let candidates: Vec<String> = top.iter().filter(|name| is_weights(name)).map(|name| name.to_string()).collect();
    let zero = any(&|name| name.contains("zero_pp_rank_") || name.ends_with("zero_to_fp32.py"));
    if let Some(file) = zero {
        return Err(CheckpointError::Zero { label, file }.into());
    }
    let top: Vec<&str> = candidates.iter().map(String::as_str).collect();
    refuse_ranks(&top)?;
    if candidates.is_empty() {
        refuse_ranks(&names.iter().map(String::as_str).filter(|name| is_weights(name)).collect::<Vec<_>>())?;
        return Err(no_weights(label, names));
    }
    match joined(&top)? {
        Some(choice) => Ok(choice),
        None => Ok(Choice::Unclear(candidates)),
    }
}

fn no_weights(label: String, names: &[String]) -> crate::error::Error {
    let deeper = names.iter().find(|name| name.contains('/') && is_weights(name)).cloned();
    CheckpointError::NoWeights { label, found: summary(names), deeper }.into()
}

/// Whether a name ends like weights and is not a state of training.
pub(super) fn is_weights(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    Format::of_name(last).is_some() && !TRAINING_STATE.iter().any(|state| last.starts_with(state))
}

/// What to say of the weight files that were not chosen; `chosen` are the files that were.
pub(super) fn passed_over(names: &[String], chosen: &[String]) -> Vec<String> {
    let rest: Vec<String> = names.iter().filter(|name| is_weights(name) && !chosen.contains(*name)).cloned().collect();
    let mut notes = Vec::new();
    for Layout { single, index, .. } in LAYOUTS {
        if chosen.iter().any(|name| name == single) && names.iter().any(|name| name == index) {
            notes.push(format!("{single} is read, and the shards of {index} are not, as transformers does"));
        }
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
