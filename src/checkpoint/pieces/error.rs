use crate::error::{Exit, Fault};
use crate::tensor::{ShapeText, TensorInfo};

/// A file holds only a piece of a model, or pieces do not fit together. `file` is always the name below the source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error("{file} is one part of {of}{}: it does not hold the whole model", count.map(|n| format!(" ({n} files)")).unwrap_or_default())]
    Rank { file: String, of: &'static str, count: Option<u64>, remedy: &'static str },
    #[error("{file} is one of {}{}", of.map_or("several parts".into(), |(what, count)| format!("{count} {what}")), lacking(missing))]
    Alone { file: String, of: Option<(&'static str, u64)>, missing: Vec<String> },
    #[error(
        "{file} is part {number} of {count} of a split GGUF file, as its split.no and split.count state{}",
        lacking(missing)
    )]
    Split { file: String, number: u64, count: u64, missing: Vec<String> },
    #[error(
        "{file} is in the place of part {place} of {parts}, but its split.no and split.count state part {number} of {count}"
    )]
    Place { file: String, number: u64, count: u64, place: u64, parts: u64 },
    #[error("{file}: split.tensors.count states {stated} tensors, all parts together hold {held}")]
    Tensors { file: String, stated: u64, held: u64 },
    #[error("{file} contains {held} of the {all} tensors of {index}: it is a part of that model, not all of it")]
    Indexed { file: String, index: String, held: usize, all: usize },
    /// The shards of an index are numbered, and not all numbers are there.
    #[error("{index} names {named} shards, but they are numbered as {count}: {missing} is not among them")]
    Count { index: String, named: usize, count: u32, missing: String },
    #[error("{index} states a total_size of {stated} bytes, but the tensors of its shards have {held}")]
    TotalSize { index: String, stated: u64, held: u64 },
    #[error("{file} lacks tensor {tensor}, of which the other parts hold pieces")]
    Lacks { file: String, tensor: String },
    #[error("the pieces of tensor {}: {} {} in {}, {} {} in {}", first.name, first.dtype, ShapeText(&first.shape), files[0], other.dtype, ShapeText(&other.shape), files[1])]
    Pieces { first: TensorInfo, other: TensorInfo, files: [String; 2] },
    #[error("tensor {} {} of {parts} model-parallel parts: the axis along which it was split is not known", tensor.name, ShapeText(&tensor.shape))]
    Axis { tensor: TensorInfo, parts: u64 },
    #[error(
        "tensor {tensor} must be equal in all model-parallel parts, but {first} and {second} differ: they are not of one model"
    )]
    Differ { tensor: String, first: String, second: String },
    #[error(
        "{source_name} contains layers {held} of {block}, but its config has {layers}: {missing} is missing, so it is a part of a model"
    )]
    Layers { source_name: String, block: String, held: String, layers: u64, missing: String },
    #[error("{source_name} contains layers {held} of {block} and none before them: it is a part of a model")]
    Later { source_name: String, block: String, held: String },
}

fn lacking(missing: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = missing.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (missing.len(), missing.len().saturating_sub(SHOWN)) {
        (0, _) => String::new(),
        (1, _) => format!(": {shown} is missing"),
        (_, 0) => format!(": {shown} are missing"),
        (_, more) => format!(": {shown} and {more} more are missing"),
    }
}

impl Fault for PartError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            PartError::Rank { remedy, .. } => vec![(*remedy).into()],
            PartError::Alone { .. } | PartError::Split { .. } => {
                vec!["fetch or copy the other parts into the same directory, under the names that they were published with".into()]
            }
            PartError::Indexed { index, .. } => {
                vec![format!("give the directory or {index}, with all its shards under the names that it states")]
            }
            PartError::Place { .. } | PartError::Tensors { .. } => vec!["fetch or copy the parts again".into()],
            PartError::Count { .. } | PartError::TotalSize { .. } => {
                vec!["fetch the index and the shards again, from one revision".into()]
            }
            PartError::Layers { .. } | PartError::Later { .. } => vec![
                "give all files of the model: its directory, its index, or its other parts".into(),
                "`xfer convert … --only '**'` writes what is there, as a part".into(),
            ],
            PartError::Lacks { .. } | PartError::Pieces { .. } | PartError::Axis { .. } | PartError::Differ { .. } => {
                Vec::new()
            }
        }
    }
}
