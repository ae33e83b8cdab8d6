//! The error of every module behind one type. An error states a fact with names and both numbers, in lower case; `hints` are the
//! remedies, ready to type; `exit` is what a scheduler branches on. Each module has its own enum beside the code that raises it.

use std::any::Any;
use std::fmt;
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

/// What an error of any module says beside its text.
pub trait Fault: Any + std::error::Error + Send + Sync {
    /// The exit code.
    fn exit(&self) -> Exit;
    /// The remedies, each a line to read or to type; empty where there is none.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
    /// The facts, each a line: several where several things break the contract.
    fn facts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// Everything that can go wrong: the error of any module.
#[derive(Debug)]
pub struct Error(Box<dyn Fault>);

impl<F: Fault> From<F> for Error {
    fn from(fault: F) -> Error {
        Error(Box::new(fault))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Error {
    /// An error of the operating system, with the verb and the path.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Error {
        IoError { action, path: path.as_ref().to_path_buf(), source }.into()
    }

    /// The error as that of one module, or `None` where it is of another.
    pub fn downcast_ref<F: Fault>(&self) -> Option<&F> {
        let fault: &dyn Any = &*self.0;
        fault.downcast_ref()
    }

    /// The error as that of one module, or itself where it is of another.
    pub fn downcast<F: Fault>(self) -> std::result::Result<F, Error> {
        if self.downcast_ref::<F>().is_none() {
            return Err(self);
        }
        let fault: Box<dyn Any> = self.0;
        fault.downcast().map(|fault| *fault).map_err(|_| Interrupted(0).into())
    }

    /// The number of the signal that asked the process to stop, or the error where it is another one.
    pub fn signal(self) -> Result<i32> {
        self.downcast::<Interrupted>().map(|Interrupted(signal)| signal)
    }

    /// Whether a signal asked the process to stop.
    pub fn is_interruption(&self) -> bool {
        self.downcast_ref::<Interrupted>().is_some()
    }

    /// The facts, each a line: several where several things break the contract.
    pub fn facts(&self) -> Vec<String> {
        self.0.facts()
    }

    /// The exit code of this error.
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// The remedies, each a line.
    pub fn hints(&self) -> Vec<String> {
        self.0.hints()
    }
}

/// A signal asked the process to stop; the value is the signal's number.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted(pub i32);

impl Fault for Interrupted {
    fn exit(&self) -> Exit {
        match self.0 {
            15 => Exit::Terminated,
            _ => Exit::Interrupted,
        }
    }
}

/// The operating system refused something: the verb (`read`, `write`, `create`), where, and why.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
pub(crate) struct IoError {
    pub(crate) action: &'static str,
    path: PathBuf,
    pub(crate) source: std::io::Error,
}

impl Fault for IoError {
    fn exit(&self) -> Exit {
        Exit::Machine
    }

    fn hints(&self) -> Vec<String> {
        io_hints(&self.source, &self.path)
    }
}

fn io_hints(source: &std::io::Error, path: &Path) -> Vec<String> {
    match source.kind() {
        std::io::ErrorKind::StorageFull => {
            vec![format!("free space on the file system of {}, or choose another --out", path.display())]
        }
        std::io::ErrorKind::FileTooLarge => {
            vec![format!(
                "raise `ulimit -f`, or choose a file system that supports larger files than that of {}",
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
/// them in its numbers, for `layer.11` is not a slip of `layer.12`.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = candidates.into_iter().filter_map(|candidate| Some((edits(name, candidate)?, candidate)));
    let alike = |candidate: &str| strsim::jaro_winkler(name, candidate);
    let nearer = |a: &(usize, &str), b: &(usize, &str)| {
        a.0.cmp(&b.0).then_with(|| alike(b.1).total_cmp(&alike(a.1))).then_with(|| a.1.cmp(b.1))
    };
    slips.min_by(nearer).map(|(_, candidate)| candidate)
}

/// How many edits lead from a name to a candidate, where they are few enough for a typing error.
pub(crate) fn edits(name: &str, candidate: &str) -> Option<usize> {
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
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A text as a shell reads it: as it is where nothing in it is special, else in single quotes.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_string() } else { quoted(text) }
}

/// A text from a file at a length that fits a message: eighty characters.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_string(),
    }
}
