use std::path::PathBuf;

use crate::error::{Exit, Fault, shell_word};
use crate::tensor::{Dtype, Shape, ShapeText};

/// An output cannot be laid out, written or published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    #[error("tensor {tensor} would be written twice")]
    DuplicateTensor { tensor: String },
    #[error("{format} has no {dtype}: tensor {tensor}")]
    NoSuchType { format: &'static str, tensor: String, dtype: Dtype },
    #[error("a tensor cannot have the name {tensor}")]
    ReservedName { tensor: String },
    /// A target has no whole number of bytes, or more than 64 bits can count.
    #[error("tensor {tensor}: {dtype} {} is not a whole number of bytes below 2^64", ShapeText(shape))]
    Uncountable { tensor: String, dtype: Dtype, shape: Shape },
    #[error("the output would be larger than 2^63 bytes")]
    TooLarge,
    #[error("{file}: the header of {tensors} tensors would take {bytes} bytes, readers take at most {limit}")]
    HeaderTooLarge { file: String, tensors: usize, bytes: u64, limit: u64 },
    /// The format does not allow what a header would state.
    #[error("{file}: {source}")]
    Header { file: String, source: safetensors::SafeTensorError },
    #[error("{} is being written by another process, in {}", out.display(), folder.display())]
    Busy { out: PathBuf, folder: PathBuf },
    #[error("{} exists and is not an output of xfer: it contains {example}", out.display())]
    Foreign { out: PathBuf, example: String },
    /// DIR holds an output of xfer, which may not be replaced.
    #[error("{} exists", out.display())]
    Exists { out: PathBuf },
    #[error("{} exists, and {name} in it is not the file that would be written", out.display())]
    Altered { out: PathBuf, name: String },
    #[error("{} is not a directory", path.display())]
    NotADirectory { path: PathBuf },
    #[error("{} is a link that leads nowhere", path.display())]
    DanglingLink { path: PathBuf },
    #[error("{} names no directory that could be created", path.display())]
    NoName { path: PathBuf },
    #[error("`{name}` cannot be the name of a file of the output")]
    UnsafeName { name: String },
    #[error("{}: {len} bytes at {offset} are outside of its {bytes}", file.display())]
    BeyondEnd { file: PathBuf, offset: u64, len: u64, bytes: u64 },
}

impl Fault for SaveError {
    fn exit(&self) -> Exit {
        match self {
            SaveError::Busy { .. } => Exit::Temporary,
            SaveError::BeyondEnd { .. } => Exit::Machine,
            SaveError::NoName { .. } => Exit::Usage,
            SaveError::DuplicateTensor { .. }
            | SaveError::ReservedName { .. }
            | SaveError::NoSuchType { .. }
            | SaveError::Uncountable { .. }
            | SaveError::TooLarge
            | SaveError::HeaderTooLarge { .. }
            | SaveError::Header { .. }
            | SaveError::Foreign { .. }
            | SaveError::Exists { .. }
            | SaveError::Altered { .. }
            | SaveError::NotADirectory { .. }
            | SaveError::DanglingLink { .. }
            | SaveError::UnsafeName { .. } => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            SaveError::HeaderTooLarge { .. } => vec!["write smaller shards, as --max-shard-size 1GB".into()],
            SaveError::NoSuchType { dtype: Dtype::F16 | Dtype::Bf16 | Dtype::F64, .. } => {
                vec!["--dtype f32, or a .safetensors file".into()]
            }
            // no cast is known that would keep their values
            SaveError::NoSuchType { .. } => vec!["write a .safetensors file, which has every type".into()],
            SaveError::Busy { .. } => vec!["wait for the other run, or choose another --out".into()],
            SaveError::Foreign { out, .. } => {
                vec![format!("choose another --out, or move {} away; --force does not replace it", out.display())]
            }
            SaveError::Exists { .. } | SaveError::Altered { .. } => {
                vec!["add --force to replace it, or choose another --out".into()]
            }
            SaveError::NotADirectory { .. } | SaveError::NoName { .. } => vec!["choose another --out".into()],
            SaveError::DanglingLink { path } => vec![format!("rm {}", shell_word(&path.display().to_string()))],
            SaveError::DuplicateTensor { .. }
            | SaveError::ReservedName { .. }
            | SaveError::Uncountable { .. }
            | SaveError::TooLarge
            | SaveError::Header { .. }
            | SaveError::UnsafeName { .. }
            | SaveError::BeyondEnd { .. } => Vec::new(),
        }
    }
}
