use std::path::PathBuf;

use super::{Exit, Fault, PlanError, shell_word};

/// A command cannot be carried out as it was given.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// `--out` cannot be derived from the architecture's name.
    #[error("--out is missing, and {arch} is no file whose name could serve")]
    NoOut {
        /// What was typed.
        arch: String,
    },
    /// `--from` was not given.
    #[error("--from is missing")]
    NoSource,
    /// Two sources, and not both have a name of their own.
    #[error("--from {text}: with several sources each needs a name of its own")]
    SourceName {
        /// What was typed.
        text: String,
    },
    /// `--key`, and no source that nests dictionaries.
    #[error("--key {key}: no source has dictionaries to choose from")]
    UnusedKey {
        /// What was typed.
        key: String,
    },
    /// `none` beside other sources.
    #[error("--from none stands alone: a model from scratch has no other source")]
    NoneAmongSources,
    /// The plan needs more memory than allowed.
    #[error("the transfer needs {needed} bytes of memory, --max-memory allows {allowed}")]
    Memory {
        /// Bytes.
        needed: u64,
        /// Bytes.
        allowed: u64,
    },
    /// The coverage contract is broken, in one or several ways.
    #[error("{}", lines(violations))]
    Contract {
        /// Each of them; at least one.
        violations: Vec<PlanError>,
    },
    /// A source is not what it was when the plan was made.
    #[error("{source_name}: {file} is not the file that was planned with: expected {expected}, found {found}")]
    SourceChanged {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
        /// Its pin in the plan.
        expected: String,
        /// Its pin now.
        found: String,
    },
    /// A conversion into a format that is not written.
    #[error("{}: nothing is written as .{ending}", path.display())]
    Ending {
        /// DST.
        path: PathBuf,
        /// Its ending.
        ending: String,
    },
    /// Shards of a single file.
    #[error("--max-shard-size: {} is one file", path.display())]
    ShardsOfFile {
        /// DST.
        path: PathBuf,
    },
    /// A directory is no output of xfer.
    #[error("{}: no xfer.json: not an output of xfer", path.display())]
    NoReport {
        /// Where.
        path: PathBuf,
    },
    /// A file that is to be written has no folder, or is one.
    #[error("{flag} {}: {}", path.display(), if path.is_dir() { "it is a directory" } else { "its folder does not exist" })]
    NoFolder {
        /// `--report`.
        flag: &'static str,
        /// As typed.
        path: PathBuf,
    },
    /// A report or plan cannot be read.
    #[error("{}: {what}", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A report or plan holds no such tensor.
    #[error("no tensor is called {name}")]
    NoSuchTensor {
        /// What was typed.
        name: String,
        /// The nearest.
        nearest: Option<String>,
    },
}

impl Fault for JobError {
    fn exit(&self) -> Exit {
        match self {
            JobError::UnusedKey { .. }
            | JobError::NoOut { .. }
            | JobError::Ending { .. }
            | JobError::ShardsOfFile { .. }
            | JobError::NoSource
            | JobError::SourceName { .. }
            | JobError::NoneAmongSources => Exit::Usage,
            JobError::Memory { .. } | JobError::Contract { .. } => Exit::Contract,
            JobError::SourceChanged { .. }
            | JobError::NoReport { .. }
            | JobError::NoFolder { .. }
            | JobError::Unreadable { .. }
            | JobError::NoSuchTensor { .. } => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            JobError::NoOut { .. } => vec!["--out DIR".into()],
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
            JobError::NoFolder { path, .. } if path.is_dir() => Vec::new(),
            JobError::NoFolder { path, .. } => {
                path.parent().map(|folder| format!("mkdir -p {}", folder.display())).into_iter().collect()
            }
            JobError::SourceChanged { .. } => vec!["plan again: xfer init … --dry-run --plan FILE".into()],
            JobError::NoSuchTensor { nearest, .. } => {
                nearest.iter().map(|near| format!("the nearest name is {near}")).collect()
            }
        }
    }
}

fn lines(violations: &[PlanError]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
