use std::path::PathBuf;

use crate::error::{Exit, Fault, shell_word};
use crate::plan::error::PlanError;

/// A command cannot be carried out as it was given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("--from is missing")]
    NoSource,
    /// Two sources, and not both have a name of their own.
    #[error("--from {text}: with several sources each needs its own name")]
    SourceName { text: String },
    /// `--key`, and no source that nests dictionaries.
    #[error("--key {key}: no source has dictionaries to choose from")]
    UnusedKey { key: String },
    #[error("--from none cannot be combined with other sources")]
    NoneAmongSources,
    #[error("the transfer needs {needed} bytes of memory, --max-memory allows {allowed}")]
    Memory { needed: u64, allowed: u64 },
    /// The coverage contract is broken, in one or several ways.
    #[error("{}", lines(violations))]
    Contract { violations: Vec<PlanError> },
    #[error("{source_name}: {file} is not the file that was planned with: expected {expected}, found {found}")]
    SourceChanged { source_name: String, file: String, expected: String, found: String },
    #[error("{}: nothing is written as .{ending}", path.display())]
    Ending { path: PathBuf, ending: String },
    #[error("--max-shard-size: {} is one file", path.display())]
    ShardsOfFile { path: PathBuf },
    #[error("{}: no xfer.json: not an output of xfer", path.display())]
    NoReport { path: PathBuf },
    /// A file that is to be written has no folder, or is one.
    #[error("{}: {what}", path.display())]
    Unreadable { path: PathBuf, what: String },
}

impl Fault for JobError {
    fn exit(&self) -> Exit {
        match self {
            JobError::UnusedKey { .. }
            | JobError::Ending { .. }
            | JobError::ShardsOfFile { .. }
            | JobError::NoSource
            | JobError::SourceName { .. }
            | JobError::NoneAmongSources => Exit::Usage,
            JobError::Memory { .. } | JobError::Contract { .. } => Exit::Contract,
            JobError::SourceChanged { .. } | JobError::NoReport { .. } | JobError::Unreadable { .. } => Exit::Input,
        }
    }

    fn facts(&self) -> Vec<String> {
        match self {
            JobError::Contract { violations } => violations.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            JobError::Ending { path, .. } => vec![
                format!("one file: {}", shell_word(&path.with_extension("safetensors").display().to_string())),
                format!("a directory of this name: {}", shell_word(&format!("{}/", path.display()))),
            ],
            JobError::ShardsOfFile { path } => {
                vec![format!("a directory: {}", shell_word(&path.with_extension("").display().to_string()))]
            }
            JobError::NoSource => vec!["--from bert-base, --from DIR, or --from none for a model from scratch".into()],
            JobError::SourceName { text } => {
                vec![format!("--from {} --from head=OTHER", shell_word(&format!("body={text}")))]
            }
            JobError::UnusedKey { .. }
            | JobError::NoneAmongSources
            | JobError::NoReport { .. }
            | JobError::Unreadable { .. } => Vec::new(),
            JobError::Memory { needed, .. } => {
                vec!["--threads 1 needs less".into(), format!("--max-memory {}", crate::tensor::megabytes(*needed))]
            }
            JobError::Contract { violations } => {
                let mut hints: Vec<String> = violations.iter().flat_map(Fault::hints).collect();
                hints.dedup();
                hints
            }
            JobError::SourceChanged { .. } => vec!["plan again: xfer init … --dry-run --plan FILE".into()],
        }
    }
}

fn lines(violations: &[PlanError]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
