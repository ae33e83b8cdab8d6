use std::path::PathBuf;

use super::{Exit, Fault, shell_word};
use crate::tensor::{Dtype, Shape, ShapeText};

/// An output cannot be laid out, written or published.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Two targets have one name.
    #[error("tensor {tensor} would be written twice")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// The file's format has no such element type.
    #[error("{format} has no {dtype}: tensor {tensor}")]
    NoSuchType {
        /// The format.
        format: &'static str,
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
    },
    /// A target has the name that the header keeps for itself.
    #[error("no tensor may be called {tensor}")]
    ReservedName {
        /// The name.
        tensor: String,
    },
    /// A target has no whole number of bytes, or more than 64 bits can count.
    #[error("tensor {tensor}: {dtype} {} is no whole number of bytes below 2^64", ShapeText(shape))]
    Uncountable {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Shape,
    },
    /// All tensors together take more than a file system can address.
    #[error("the output would be larger than 2^63 bytes")]
    TooLarge,
    /// A header would be longer than `huggingface_hub` reads.
    #[error("{file}: the header of {tensors} tensors would take {bytes} bytes, readers take at most {limit}")]
    HeaderTooLarge {
        /// The file.
        file: String,
        /// How many tensors it lists.
        tensors: usize,
        /// What it would take.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Another process writes the same DIR.
    #[error("{} is being written by another process, in {}", out.display(), folder.display())]
    Busy {
        /// DIR.
        out: PathBuf,
        /// The folder that the other process holds.
        folder: PathBuf,
    },
    /// DIR holds something that xfer did not write.
    #[error("{} exists and is no output of xfer: it holds {example}", out.display())]
    Foreign {
        /// DIR.
        out: PathBuf,
        /// A name in it.
        example: String,
    },
    /// DIR holds an output of xfer, which may not be replaced.
    #[error("{} exists", out.display())]
    Exists {
        /// DIR.
        out: PathBuf,
    },
    /// A file of DIR is not the one that would be written.
    #[error("{} exists, and {name} in it is not the file that would be written", out.display())]
    Altered {
        /// DIR.
        out: PathBuf,
        /// The file.
        name: String,
    },
    /// A file stands where a directory must.
    #[error("{} is no directory", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
    /// DIR is a link to nothing.
    #[error("{} is a link that leads nowhere", path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// DIR has no last component.
    #[error("{} names no directory that could be created", path.display())]
    NoName {
        /// As typed.
        path: PathBuf,
    },
    /// A file of the output has a name that leads elsewhere or is kept for xfer.
    #[error("`{name}` cannot be the name of a file of the output")]
    UnsafeName {
        /// The name.
        name: String,
    },
    /// Bytes beyond the length that a file was given.
    #[error("{}: {len} bytes at {offset} are outside of its {bytes}", file.display())]
    BeyondEnd {
        /// The file.
        file: PathBuf,
        /// Where they begin.
        offset: u64,
        /// How many.
        len: u64,
        /// The length of the file.
        bytes: u64,
    },
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
            | SaveError::UnsafeName { .. }
            | SaveError::BeyondEnd { .. } => Vec::new(),
        }
    }
}
