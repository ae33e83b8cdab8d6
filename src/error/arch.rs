use super::{Error, Exit, Fault};
use crate::tensor::{Shape, ShapeText};

/// An architecture file, or a rule on the command line, is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ArchError {
    /// A pattern cannot be read.
    #[error("pattern `{text}`: {problem}")]
    Pattern {
        /// As written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A depth list cannot be read.
    #[error("depth list `{text}`: {problem}")]
    DepthList {
        /// As written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A depth list has more or fewer items than the target has layers.
    #[error(
        "depth list `{list}` gives {items} layers, the target has {target_layers} (the source has {source_layers})"
    )]
    DepthCount {
        /// The list.
        list: String,
        /// How many items it has for this source.
        items: u64,
        /// Layers of the target's block.
        target_layers: u64,
        /// Layers of the source's block.
        source_layers: u64,
    },
    /// A depth list names a layer that the source lacks.
    #[error("depth list `{list}` names layer {index}, the source has {source_layers} layers")]
    DepthIndex {
        /// The list.
        list: String,
        /// The index as written.
        index: i64,
        /// Layers of the source's block.
        source_layers: u64,
    },
    /// Several targets of one rule have different wildcards.
    #[error("map rule `{rule}`: `{first}` and `{other}` have different wildcards")]
    MapTargets {
        /// The rule.
        rule: String,
        /// The first target.
        first: String,
        /// The one that differs.
        other: String,
    },
    /// Class names that are written as a list of a programming language.
    #[error("--labels `{typed}`: class names are written without brackets and quotes, separated by commas")]
    LabelsForm {
        /// What was typed.
        typed: String,
        /// The names as they are meant; empty where there is no way to tell.
        names: Vec<String>,
    },
    /// A class name stands twice.
    #[error("label `{label}` stands twice, at {first} and {second}")]
    LabelTwice {
        /// The class.
        label: String,
        /// Its first index.
        first: usize,
        /// Its second index.
        second: usize,
    },
    /// A flag does not have its form.
    #[error("{flag} `{typed}`: expected {expected}")]
    FlagForm {
        /// The flag.
        flag: &'static str,
        /// What was typed.
        typed: String,
        /// The form.
        expected: &'static str,
    },
    /// What a flag holds is wrong.
    #[error("{flag} `{typed}`: {error}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What was typed.
        typed: String,
        /// The form.
        expected: &'static str,
        /// What is wrong.
        error: Box<Error>,
    },
    /// `--set` names a key that neither the config nor its family has.
    #[error("--set `{typed}`: {family} has no key `{key}`{}", did_you_mean(nearest))]
    UnknownSet {
        /// What was typed.
        typed: String,
        /// The key.
        key: String,
        /// The nearest known one.
        nearest: Option<String>,
        /// The family.
        family: &'static str,
    },
    /// `--set` where there is no config.
    #[error("--set `{typed}`: it changes a Hugging Face config, and this architecture is a file of form `{form}`")]
    SetWithoutConfig {
        /// What was typed.
        typed: String,
        /// The form of the file.
        form: &'static str,
    },
    /// No snippet is known for a framework.
    #[error("no snippet for `{framework}`")]
    UnknownFramework {
        /// What was typed.
        framework: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A place in a file is wrong.
    #[error("{file}:{line}:{column}: {problem}")]
    Place {
        /// The file's name.
        file: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong there.
        problem: Problem,
    },
    /// A file is wrong as a whole.
    #[error("{file}: {problem}")]
    File {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with a file, or at a place in it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is no JSON.
    #[error("invalid JSON: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A key stands twice in one object.
    #[error("the key `{key}` stands twice")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// A key that means nothing here.
    #[error("unknown key `{key}`{}", did_you_mean(nearest))]
    UnknownKey {
        /// The key.
        key: String,
        /// The nearest known one.
        nearest: Option<String>,
        /// All that are known.
        known: Vec<String>,
    },
    /// A key is missing.
    #[error("{what} lacks the key `{key}`")]
    MissingKey {
        /// The object.
        what: String,
        /// The key.
        key: &'static str,
    },
    /// A value of another type.
    #[error("`{what}` must be {expected}, found {found}")]
    WrongType {
        /// Which value.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A word that is none of a closed set.
    #[error("unknown {what} `{word}`{}", did_you_mean(nearest))]
    UnknownWord {
        /// Of what kind.
        what: &'static str,
        /// The word.
        word: String,
        /// The nearest known one.
        nearest: Option<String>,
        /// All that are known.
        known: Vec<String>,
    },
    /// Two keys that exclude each other.
    #[error("`{first}` and `{second}` exclude each other")]
    Exclusive {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// The number of elements overflows.
    #[error("`{name}` of shape {} is larger than 64 bits can count", ShapeText(shape))]
    Overflow {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Shape,
    },
    /// A tie that cannot be.
    #[error("`{name}` is tied to `{owner}`, {problem}")]
    Tie {
        /// The tensor.
        name: String,
        /// What it is tied to.
        owner: String,
        /// Why that cannot be.
        problem: String,
    },
    /// More than a limit allows.
    #[error("{what}: {found}, at most {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// How many may be.
        limit: u64,
    },
    /// A `from` that names nothing.
    #[error("`{key}` names `{id}`, which is no id of an input or of a layer before it{}", did_you_mean(nearest))]
    UnknownId {
        /// The key: `from`, `in` or `outputs`.
        key: &'static str,
        /// The id.
        id: String,
        /// The nearest known one.
        nearest: Option<String>,
        /// All that are known here.
        known: Vec<String>,
    },
    /// A layer that takes its own result, or that of a later layer.
    #[error("`{id}` is a layer at or after this one: the layers form a loop")]
    Loop {
        /// The id.
        id: String,
    },
    /// Two ids of one name.
    #[error("the id `{id}` stands twice")]
    IdTwice {
        /// The id.
        id: String,
    },
    /// A file that is none of the three forms.
    #[error("no architecture: neither `model_type` nor `\"xfer\": 1` with `layers` or `tensors`")]
    NoForm,
    /// A version that is not known.
    #[error("`xfer` is {found}, this xfer reads version 1")]
    Version {
        /// What the file says.
        found: String,
    },
    /// A `model_type` that no family answers to.
    #[error("no family answers to model_type `{model_type}`{}", otherwise(nearest))]
    UnknownFamily {
        /// The `model_type`.
        model_type: String,
        /// The nearest known one.
        nearest: Option<String>,
        /// All that are known.
        known: Vec<String>,
    },
    /// A rule beside the keys of a Hugging Face config.
    #[error("`{key}` is a rule of xfer, and rules of a Hugging Face config stand under its key `xfer`")]
    RuleInConfig {
        /// The key.
        key: &'static str,
    },
    /// Nothing to run or to list.
    #[error("{what} is empty")]
    Empty {
        /// What.
        what: String,
    },
    /// A file has no text.
    #[error("not UTF-8 at byte {at}")]
    NotText {
        /// The first byte that is not.
        at: usize,
    },
    /// A directory or repository without anything that describes an architecture.
    #[error("neither a config.json nor weights")]
    NoArchitecture,
    /// A folder without a vocabulary.
    #[error("neither a tokenizer.json nor a vocab.txt")]
    NoTokenizer,
    /// A number, size or word that cannot be, in the words of the layer that it belongs to.
    #[error("{0}")]
    Inner(Box<Error>),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Inner(Box::new(error))
    }
}

impl From<ArchError> for Problem {
    fn from(error: ArchError) -> Problem {
        Problem::Inner(Box::new(error.into()))
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
}

impl Fault for ArchError {
    fn exit(&self) -> Exit {
        match self {
            ArchError::FlagForm { .. }
            | ArchError::LabelsForm { .. }
            | ArchError::Flag { .. }
            | ArchError::UnknownFramework { .. }
            | ArchError::SetWithoutConfig { .. } => Exit::Usage,
            ArchError::Place { problem: Problem::Inner(error), .. }
            | ArchError::File { problem: Problem::Inner(error), .. } => match error.exit() {
                exit @ (Exit::Machine | Exit::Temporary | Exit::Interrupted | Exit::Terminated) => exit,
                // a file that an architecture names and that is not there is a fault of the architecture
                Exit::Done | Exit::Usage | Exit::Input | Exit::Contract | Exit::Source => Exit::Input,
            },
            ArchError::Pattern { .. }
            | ArchError::DepthList { .. }
            | ArchError::DepthCount { .. }
            | ArchError::DepthIndex { .. }
            | ArchError::MapTargets { .. }
            | ArchError::LabelTwice { .. }
            | ArchError::Place { .. }
            | ArchError::File { .. }
            | ArchError::UnknownSet { .. } => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            ArchError::Flag { flag, expected, error, .. } => {
                let mut hints = error.hints();
                hints.push(format!("the form is {flag} {expected}"));
                hints
            }
            ArchError::Place { problem, .. } | ArchError::File { problem, .. } => problem.hints(),
            ArchError::DepthList { .. } => {
                vec!["first, last, every:K, every:K+O, spaced, stack, interleave, interpolate, expand, or items as 0-5,new,-1".into()]
            }
            ArchError::LabelsForm { names, .. } if names.is_empty() => {
                vec!["the form is --labels a,b,c: the class names, in the order of the rows".into()]
            }
            ArchError::LabelsForm { names, .. } => vec![format!("--labels '{}'", names.join(","))],
            ArchError::UnknownFramework { known, .. } => vec![format!("one of {}", known.join(", "))],
            ArchError::Pattern { .. }
            | ArchError::DepthCount { .. }
            | ArchError::DepthIndex { .. }
            | ArchError::MapTargets { .. }
            | ArchError::LabelTwice { .. }
            | ArchError::UnknownSet { .. }
            | ArchError::SetWithoutConfig { .. }
            | ArchError::FlagForm { .. } => Vec::new(),
        }
    }
}

/// What can be done with a model that no family builds.
fn otherwise(nearest: &Option<String>) -> String {
    match nearest {
        Some(_) => did_you_mean(nearest),
        None => ": a listing of its tensors can stand for its config".into(),
    }
}

impl Problem {
    fn hints(&self) -> Vec<String> {
        match self {
            Problem::UnknownKey { known, .. } if !known.is_empty() => vec![format!("known here: {}", known.join(", "))],
            Problem::UnknownWord { known, .. } => vec![format!("one of {}", known.join(", "))],
            Problem::UnknownId { known, .. } if !known.is_empty() => vec![format!("ids so far: {}", known.join(", "))],
            Problem::UnknownFamily { known, .. } => vec![
                format!("families: {}", known.join(", ")),
                "a listing is a directory with the model's weights, or the file that the lines of `xfer arch --snippet torch` write".into(),
            ],
            Problem::RuleInConfig { key } => vec![format!("write `\"xfer\": {{ \"{key}\": … }}`")],
            Problem::NoForm => vec!["`xfer arch --schema` prints the schema of architecture files".into()],
            Problem::NoArchitecture => vec!["pass a config.json, a native layers file, a listing or a safetensors file".into()],
            Problem::Inner(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}
