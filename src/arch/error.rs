use crate::error::{Error, Exit, Fault};
use crate::tensor::{Shape, ShapeText};

/// An architecture file, or a rule on the command line, is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchError {
    #[error("pattern `{text}`: {problem}")]
    Pattern { text: String, problem: String },
    #[error("depth list `{text}`: {problem}")]
    DepthList { text: String, problem: String },
    #[error(
        "depth list `{list}` gives {items} layers, the target has {target_layers} (the source has {source_layers})"
    )]
    DepthCount { list: String, items: u64, target_layers: u64, source_layers: u64 },
    #[error("depth list `{list}` names layer {index}, the source has {source_layers} layers")]
    DepthIndex { list: String, index: i64, source_layers: u64 },
    #[error("map rule `{rule}`: `{first}` and `{other}` have different wildcards")]
    MapTargets { rule: String, first: String, other: String },
    #[error("--labels `{typed}`: class names are written without brackets and quotes, separated by commas")]
    LabelsForm { typed: String, names: Vec<String> },
    #[error("label `{label}` appears twice, at {first} and {second}")]
    LabelTwice { label: String, first: usize, second: usize },
    #[error("{flag} `{typed}`: expected {expected}")]
    FlagForm { flag: &'static str, typed: String, expected: &'static str },
    #[error("{flag} `{typed}`: {error}")]
    Flag { flag: &'static str, typed: String, expected: &'static str, error: Box<Error> },
    #[error("--set `{typed}`: {family} has no key `{key}`{}", did_you_mean(nearest))]
    UnknownSet { typed: String, key: String, nearest: Option<String>, family: &'static str },
    #[error("--set `{typed}`: it changes a Hugging Face config, and this architecture is a file of form `{form}`")]
    SetWithoutConfig { typed: String, form: &'static str },
    #[error("no snippet for `{framework}`")]
    UnknownFramework { framework: String, known: Vec<&'static str> },
    #[error("{file}:{line}:{column}: {problem}")]
    Place { file: String, line: usize, column: usize, problem: Problem },
    #[error("{file}: {problem}")]
    File { file: String, problem: Problem },
}

/// What is wrong with a file, or at a place in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("invalid JSON: {message}")]
    Syntax { message: String },
    #[error("the key `{key}` appears twice")]
    KeyTwice { key: String },
    #[error("unknown key `{key}`{}", did_you_mean(nearest))]
    UnknownKey { key: String, nearest: Option<String>, known: Vec<String> },
    #[error("{what} lacks the key `{key}`")]
    MissingKey { what: String, key: &'static str },
    #[error("`{what}` must be {expected}, found {found}")]
    WrongType { what: String, expected: String, found: String },
    #[error("unknown {what} `{word}`{}", did_you_mean(nearest))]
    UnknownWord { what: &'static str, word: String, nearest: Option<String>, known: Vec<String> },
    #[error("`{first}` and `{second}` exclude each other")]
    Exclusive { first: String, second: String },
    #[error("`{name}` of shape {} is larger than 64 bits can count", ShapeText(shape))]
    Overflow { name: String, shape: Shape },
    #[error("`{name}` is tied to `{owner}`, {problem}")]
    Tie { name: String, owner: String, problem: String },
    #[error("{what}: {found}, at most {limit}")]
    Limit { what: &'static str, found: u64, limit: u64 },
    #[error("`{key}` names `{id}`, which is not an id of an input or of a layer before it{}", did_you_mean(nearest))]
    UnknownId { key: &'static str, id: String, nearest: Option<String>, known: Vec<String> },
    /// A layer that takes its own result, or that of a later layer.
    #[error("`{id}` is a layer at or after this one: the layers form a loop")]
    Loop { id: String },
    #[error("the id `{id}` appears twice")]
    IdTwice { id: String },
    #[error("no architecture: neither `model_type` nor `\"xfer\": 1` with `layers` or `tensors`")]
    NoForm,
    #[error("`xfer` is {found}, this xfer reads version 1")]
    Version { found: String },
    #[error("no family answers to model_type `{model_type}`{}", otherwise(nearest))]
    UnknownFamily { model_type: String, nearest: Option<String>, known: Vec<String> },
    #[error("`{key}` is a rule of xfer, and rules of a Hugging Face config belong under its key `xfer`")]
    RuleInConfig { key: &'static str },
    #[error("{what} is empty")]
    Empty { what: String },
    #[error("not UTF-8 at byte {at}")]
    NotText { at: usize },
    #[error("neither a config.json nor weights")]
    NoArchitecture,
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
        None => ": a listing of its tensors can replace its config".into(),
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
