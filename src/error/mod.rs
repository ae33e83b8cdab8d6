//! One error for the library. Every variant says a fact with names and both numbers, in lower case; `hints` are the
//! remedies, ready to type; `exit` is what a scheduler branches on. One file for each layer that can fail.

mod adapt;
mod adapter;
mod arch;
mod archive;
mod batch;
mod checkpoint;
mod damage;
mod family;
mod fit;
mod format;
mod graph;
mod init;
mod job;
mod lsuv;
mod part;
mod plan;
mod quantized;
mod save;
mod source;
mod tensor;
mod torch;
mod transfer;

pub use adapt::{AdaptError, ArgumentProblem};
pub use adapter::AdapterError;
pub use arch::{ArchError, Problem};
pub use archive::ArchiveError;
pub use batch::BatchError;
pub use checkpoint::CheckpointError;
pub use damage::DamageError;
pub use family::FamilyError;
pub use fit::FitError;
pub use format::FormatError;
pub use graph::GraphError;
pub use init::InitError;
pub use job::JobError;
pub use lsuv::LsuvError;
pub use part::PartError;
pub use plan::PlanError;
pub use quantized::QuantizedError;
pub use save::SaveError;
pub use source::SourceError;
pub use tensor::TensorError;
pub use torch::{PickleProblem, StoredProblem, TorchError};
pub use transfer::TransferError;

use std::path::{Path, PathBuf};

/// The result of everything in this library that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What the process exits with; the numbers are part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or already up to date.
    Done = 0,
    /// A fault of the machine or of xfer.
    Machine = 1,
    /// The command line is wrong or lacks something.
    Usage = 2,
    /// An input is wrong.
    Input = 3,
    /// Coverage, ambiguity, a failed check, a difference.
    Contract = 4,
    /// The source does not exist or may not be read.
    Source = 5,
    /// A retry can help.
    Temporary = 75,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

/// What every layer's error can say about itself.
pub trait Fault {
    /// The exit code.
    fn exit(&self) -> Exit;
    /// The remedies, each a line to read or to type; empty where there is none.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A shape, a type or a number of bytes does not work out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A source cannot be found or fetched.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file holds only a part of a model.
    #[error(transparent)]
    Part(#[from] PartError),
    /// A zip archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A PyTorch file cannot be read.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// A file does not keep to its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An initialisation cannot be carried out.
    #[error(transparent)]
    Init(#[from] InitError),
    /// An operation does not fit its inputs.
    #[error(transparent)]
    Adapt(#[from] AdaptError),
    /// An adapter cannot be put on a base.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A graph does not fit together or cannot run.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A family cannot be built from its config.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// An architecture file is wrong.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// A plan cannot be made, or breaks the coverage contract.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An output cannot be written or published.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A transfer cannot be carried out.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A batch cannot be read or drawn.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A layer cannot be brought to its variance.
    #[error(transparent)]
    Lsuv(#[from] LsuvError),
    /// A command cannot be carried out as it was given.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The operating system refused something.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// The verb: `read`, `write`, `create`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A signal asked the process to stop; the value is the signal's number.
    #[error("interrupted")]
    Interrupted(i32),
}

impl Error {
    /// Puts the verb and the path on an error of the operating system.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Error {
        Error::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    fn fault(&self) -> Option<&dyn Fault> {
        match self {
            Error::Tensor(e) => Some(e),
            Error::Source(e) => Some(e),
            Error::Checkpoint(e) => Some(e),
            Error::Part(e) => Some(e),
            Error::Archive(e) => Some(e),
            Error::Torch(e) => Some(e),
            Error::Format(e) => Some(e),
            Error::Init(e) => Some(e),
            Error::Adapt(e) => Some(e),
            Error::Adapter(e) => Some(e),
            Error::Graph(e) => Some(e),
            Error::Arch(e) => Some(e),
            Error::Plan(e) => Some(e),
            Error::Save(e) => Some(e),
            Error::Transfer(e) => Some(e),
            Error::Batch(e) => Some(e),
            Error::Lsuv(e) => Some(e),
            Error::Job(e) => Some(e),
            Error::Family(e) => Some(e),
            Error::Io { .. } | Error::Interrupted(_) => None,
        }
    }

    /// The facts, each a line: several where several things break the contract.
    pub fn facts(&self) -> Vec<String> {
        match self {
            Error::Job(JobError::Contract { violations }) => violations.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        }
    }

    /// The exit code of this error.
    pub fn exit(&self) -> Exit {
        match (self, self.fault()) {
            (_, Some(fault)) => fault.exit(),
            (Error::Interrupted(15), None) => Exit::Terminated,
            (Error::Interrupted(_), None) => Exit::Interrupted,
            (_, None) => Exit::Machine,
        }
    }

    /// The remedies, each a line.
    pub fn hints(&self) -> Vec<String> {
        match (self, self.fault()) {
            (_, Some(fault)) => fault.hints(),
            (Error::Io { source, path, .. }, None) => io_hints(source, path),
            (_, None) => Vec::new(),
        }
    }
}

fn io_hints(source: &std::io::Error, path: &Path) -> Vec<String> {
    match source.kind() {
        std::io::ErrorKind::StorageFull => {
            vec![format!("free space on the file system of {}, or choose another --out", path.display())]
        }
        std::io::ErrorKind::FileTooLarge => {
            vec![format!(
                "raise `ulimit -f`, or choose a file system that holds larger files than that of {}",
                path.display()
            )]
        }
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            vec![format!("check who may write to {}, or choose another --out", path.display())]
        }
        _ => Vec::new(),
    }
}

/// The name among `candidates` of which `name` is a typing error: one edit in a short word, at most three in a long one, and none of
/// them in its numbers, for `layer.11` is no slip of `layer.12`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = candidates.into_iter().filter_map(|candidate| Some((edits(name, candidate)?, candidate)));
    let alike = |candidate: &str| strsim::jaro_winkler(name, candidate);
    let nearer = |a: &(usize, &str), b: &(usize, &str)| {
        a.0.cmp(&b.0).then_with(|| alike(b.1).total_cmp(&alike(a.1))).then_with(|| a.1.cmp(b.1))
    };
    slips.min_by(nearer).map(|(_, candidate)| candidate)
}

/// How many edits lead from a name to a candidate, where they are few enough for a typing error.
pub fn edits(name: &str, candidate: &str) -> Option<usize> {
    let letters = name.chars().count();
    let most = match letters {
        0..=2 => return None,
        3..=5 => 1,
        6..=11 => 2,
        _ => 3,
    };
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>();
    if letters.abs_diff(candidate.chars().count()) > most || digits(name) != digits(candidate) {
        return None;
    }
    // names of a model are many and long, and most of them far apart
    let count = |text: &str| {
        let mut counts = [0i32; 128];
        text.bytes().for_each(|byte| counts[usize::from(byte.to_ascii_lowercase() & 127)] += 1);
        counts
    };
    let apart: i32 = count(name).iter().zip(count(candidate)).map(|(a, b)| (a - b).abs()).sum();
    if apart > 2 * most as i32 {
        return None;
    }
    let distance = strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase());
    (distance <= most).then_some(distance)
}

/// A text as one word of a shell, in single quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A text as a shell reads it: as it is where nothing in it is special, else in single quotes.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_string() } else { quoted(text) }
}

/// A text from a file at a length that fits a message: eighty characters.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_string(),
    }
}
