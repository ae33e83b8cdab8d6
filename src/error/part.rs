use super::{Exit, Fault};
use crate::tensor::{ShapeText, TensorInfo};

/// A file holds only a piece of a model, or pieces do not fit together. `file` is always the name below the source.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// One process of several wrote it.
    #[error("{file} is one part of {of}{}: it does not hold the whole model", count.map(|n| format!(" ({n} files)")).unwrap_or_default())]
    Rank {
        /// The file.
        file: String,
        /// What it is a part of.
        of: &'static str,
        /// How many parts there are, where that is known.
        count: Option<u64>,
        /// How the parts are put together.
        remedy: &'static str,
    },
    /// Other parts of the same model are missing.
    #[error("{file} is one of {}{}", of.map_or("several parts".into(), |(what, count)| format!("{count} {what}")), lacking(missing))]
    Alone {
        /// The file.
        file: String,
        /// What the parts are, and how many there are.
        of: Option<(&'static str, u64)>,
        /// The missing parts, as far as their names are known.
        missing: Vec<String>,
    },
    /// The header of a GGUF file states that it was split.
    #[error(
        "{file} is part {number} of {count} of a split GGUF file, as its split.no and split.count state{}",
        lacking(missing)
    )]
    Split {
        /// The file.
        file: String,
        /// Which part it is, from 1.
        number: u64,
        /// How many there are.
        count: u64,
        /// The parts that were not found.
        missing: Vec<String>,
    },
    /// A part of a split GGUF file is in the place of another.
    #[error(
        "{file} is in the place of part {place} of {parts}, but its split.no and split.count state part {number} of {count}"
    )]
    Place {
        /// The file.
        file: String,
        /// Which part it states to be, from 1.
        number: u64,
        /// Of how many.
        count: u64,
        /// Which part its name states.
        place: u64,
        /// Of how many.
        parts: u64,
    },
    /// The parts of a split GGUF file do not have the number of tensors that they state.
    #[error("{file}: split.tensors.count states {stated} tensors, all parts together hold {held}")]
    Tensors {
        /// The first part.
        file: String,
        /// What is stated.
        stated: u64,
        /// How many there are.
        held: u64,
    },
    /// A file holds some of the tensors that an index beside it maps to shards.
    #[error("{file} holds {held} of the {all} tensors of {index}: it is a part of that model, not all of it")]
    Indexed {
        /// The file.
        file: String,
        /// The index.
        index: String,
        /// How many of its tensors the file holds.
        held: usize,
        /// How many it maps.
        all: usize,
    },
    /// The shards of an index are numbered, and not all numbers are there.
    #[error("{index} names {named} shards, but they are numbered as {count}: {missing} is not among them")]
    Count {
        /// The index.
        index: String,
        /// How many shards it names.
        named: usize,
        /// How many there are by their names.
        count: u32,
        /// The first that is missing.
        missing: String,
    },
    /// An index states more bytes than its shards hold.
    #[error("{index} states a total_size of {stated} bytes, but the tensors of its shards have {held}")]
    TotalSize {
        /// The index.
        index: String,
        /// What is stated.
        stated: u64,
        /// What the shards hold.
        held: u64,
    },
    /// A part lacks a tensor that other parts have.
    #[error("{file} lacks tensor {tensor}, of which the other parts hold pieces")]
    Lacks {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
    },
    /// The pieces of a tensor differ in type or shape.
    #[error("the pieces of tensor {}: {} {} in {}, {} {} in {}", first.name, first.dtype, ShapeText(&first.shape), files[0], other.dtype, ShapeText(&other.shape), files[1])]
    Pieces {
        /// One piece.
        first: TensorInfo,
        /// Another.
        other: TensorInfo,
        /// Their files.
        files: [String; 2],
    },
    /// It is not known along which axis a tensor was split.
    #[error("tensor {} {} of {parts} model-parallel parts: the axis along which it was split is not known", tensor.name, ShapeText(&tensor.shape))]
    Axis {
        /// The tensor as each part has it.
        tensor: TensorInfo,
        /// How many parts there are.
        parts: u64,
    },
    /// A tensor that every part should have alike differs.
    #[error(
        "tensor {tensor} must be equal in all model-parallel parts, but {first} and {second} differ: they are not of one model"
    )]
    Differ {
        /// The tensor.
        tensor: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// Layers that the config describes are not there.
    #[error(
        "{source_name} holds layers {held} of {block}, but its config has {layers}: {missing} is missing, so it is a part of a model"
    )]
    Layers {
        /// The source.
        source_name: String,
        /// The repeated block.
        block: String,
        /// The layers that are there.
        held: String,
        /// How many the config has.
        layers: u64,
        /// The first tensor that is missing.
        missing: String,
    },
    /// The layers of a block do not begin at 0.
    #[error("{source_name} holds layers {held} of {block} and none before them: it is a part of a model")]
    Later {
        /// The source.
        source_name: String,
        /// The repeated block.
        block: String,
        /// The layers that are there.
        held: String,
    },
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
