use crate::error::{Exit, Fault, nearest};

/// A graph does not fit together or cannot run. Layers are called as people find them: `linear hidden.0.fc`, `relu after linear fc`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GraphError {
    #[error("{layer} has weights and no name")]
    Unnamed { layer: String },
    /// Two entries of the `state_dict`, or two inputs, have one name.
    #[error("two parameters or inputs have the name `{name}`")]
    Duplicate { name: String },
    #[error("{layer} takes {takes}, found {found}")]
    Arity { layer: String, takes: &'static str, found: usize },
    #[error("{layer} takes {takes}, but {from} gives {gives}")]
    Misfit { layer: String, takes: String, from: String, gives: String },
    #[error("{layer} takes {takes}, but {first} and {second}")]
    Join { layer: String, takes: String, first: String, second: String },
    #[error("{layer}: {key} is {value}, it must be {must}")]
    Value { layer: String, key: &'static str, value: String, must: String },
    #[error("{layer}: {what} is larger than 64 bits can count")]
    Overflow { layer: String, what: String },
    #[error("more than {limit} layers or parameters")]
    TooMany { limit: usize },
    #[error("the tie of `{name}` to `{owner}` needs `{missing}`, which is not a parameter")]
    TieUnknown { name: String, owner: String, missing: String, near: Option<String> },
    #[error("`{name}` {shape} is tied to `{owner}` {owner_shape}")]
    TieShapes { name: String, shape: String, owner: String, owner_shape: String },
    #[error("the tie of `{name}` to `{owner}` is a loop")]
    TieLoop { name: String, owner: String },
    #[error("`{name}` is tied to `{first}` and to `{second}`")]
    TiedTwice { name: String, first: String, second: String },
    #[error("two outputs have the name `{name}`")]
    DuplicateOutput { name: String },
    #[error("the batch has no `{name}`; it has {found}")]
    NoInput { name: String, found: String },
    #[error("input {name}: expected {expected}, found {found}")]
    BatchShape { name: String, expected: String, found: String },
    #[error("input {name}: id {id} is outside 0..{max}")]
    IdRange { name: String, id: i64, max: u64 },
    #[error("parameter {name}: expected {expected}, found {found}")]
    WeightShape { name: String, expected: String, found: String },
    #[error("the architecture is a listing: it has no graph, so it cannot run")]
    None,
    #[error("{layer} cannot be run yet{detail}")]
    NotRunnable { layer: String, detail: &'static str },
    #[error("{layer}: {source}")]
    Compute { layer: String, source: Box<candle_core::Error> },
}

impl Fault for GraphError {
    fn exit(&self) -> Exit {
        match self {
            GraphError::NotRunnable { .. } | GraphError::Compute { .. } => Exit::Machine,
            _ => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            GraphError::Unnamed { .. } => vec!["give it a \"name\": it becomes the path of its weights".into()],
            GraphError::None => vec!["describe the model as a Hugging Face config or in native layers".into()],
            GraphError::TieUnknown { near: Some(near), .. } => vec![format!("did you mean `{near}`?")],
            _ => Vec::new(),
        }
    }
}

impl GraphError {
    /// A tie that lacks one of its two parameters; looks for the nearest of `known`.
    pub(crate) fn tie_unknown<'a>(
        name: &str,
        owner: &str,
        missing: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> GraphError {
        GraphError::TieUnknown {
            name: name.into(),
            owner: owner.into(),
            missing: missing.into(),
            near: nearest(missing, known).map(str::to_owned),
        }
    }
}
