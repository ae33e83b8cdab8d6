use super::{Exit, Fault, nearest};

/// A graph does not fit together or cannot run. Layers are called as people find them: `linear hidden.0.fc`, `relu after linear fc`.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A layer with weights has no name.
    #[error("{layer} has weights and no name")]
    Unnamed {
        /// The layer.
        layer: String,
    },
    /// Two entries of the `state_dict`, or two inputs, have one name.
    #[error("two parameters or inputs are called `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A layer takes another number of inputs.
    #[error("{layer} takes {takes}, found {found}")]
    Arity {
        /// The layer.
        layer: String,
        /// What it takes.
        takes: &'static str,
        /// How many there are.
        found: usize,
    },
    /// An input has a shape or a type that the layer cannot take.
    #[error("{layer} takes {takes}, but {from} gives {gives}")]
    Misfit {
        /// The layer.
        layer: String,
        /// The shape or type that it takes.
        takes: String,
        /// The layer before it.
        from: String,
        /// What that gives.
        gives: String,
    },
    /// The inputs of a join do not fit each other.
    #[error("{layer} takes {takes}, but {first} and {second}")]
    Join {
        /// The join.
        layer: String,
        /// What it takes.
        takes: String,
        /// One input and its shape, as `linear a gives [batch, 3]`.
        first: String,
        /// The other.
        second: String,
    },
    /// A number of a layer cannot be.
    #[error("{layer}: {key} is {value}, it must be {must}")]
    Value {
        /// The layer.
        layer: String,
        /// Which number.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        must: String,
    },
    /// A size exceeds 64 bits.
    #[error("{layer}: {what} is larger than 64 bits can count")]
    Overflow {
        /// The layer.
        layer: String,
        /// Which size, with its factors.
        what: String,
    },
    /// The model is too large to be written down.
    #[error("more than {limit} layers or parameters")]
    TooMany {
        /// The most there may be.
        limit: usize,
    },
    /// A tie names a parameter that there is not.
    #[error("the tie of `{name}` to `{owner}` needs `{missing}`, which is no parameter")]
    TieUnknown {
        /// The name that is tied.
        name: String,
        /// Its owner.
        owner: String,
        /// Which of them there is not.
        missing: String,
        /// The nearest name that there is.
        near: Option<String>,
    },
    /// Two tied parameters differ in shape.
    #[error("`{name}` {shape} is tied to `{owner}` {owner_shape}")]
    TieShapes {
        /// The name that is tied.
        name: String,
        /// Its shape.
        shape: String,
        /// Its owner.
        owner: String,
        /// The owner's shape.
        owner_shape: String,
    },
    /// A tie leads back to itself.
    #[error("the tie of `{name}` to `{owner}` is a loop")]
    TieLoop {
        /// The name that is tied.
        name: String,
        /// Its owner.
        owner: String,
    },
    /// A parameter is tied twice.
    #[error("`{name}` is tied to `{first}` and to `{second}`")]
    TiedTwice {
        /// The name.
        name: String,
        /// The one owner.
        first: String,
        /// The other.
        second: String,
    },
    /// Two outputs have one name.
    #[error("two outputs are called `{name}`")]
    DuplicateOutput {
        /// The name.
        name: String,
    },
    /// The batch lacks an input.
    #[error("the batch has no `{name}`; it has {found}")]
    NoInput {
        /// The input.
        name: String,
        /// What the batch has.
        found: String,
    },
    /// An array of the batch has another shape or type than its input.
    #[error("input {name}: expected {expected}, found {found}")]
    BatchShape {
        /// The input.
        name: String,
        /// What the model takes.
        expected: String,
        /// What the batch has.
        found: String,
    },
    /// An id is out of range.
    #[error("input {name}: id {id} is outside 0..{max}")]
    IdRange {
        /// The input.
        name: String,
        /// The id.
        id: i64,
        /// One more than the largest.
        max: u64,
    },
    /// The value of a parameter has another shape than the parameter.
    #[error("parameter {name}: expected {expected}, found {found}")]
    WeightShape {
        /// The parameter.
        name: String,
        /// Its shape.
        expected: String,
        /// The value's shape.
        found: String,
    },
    /// A listing says nothing of how its tensors work together.
    #[error("the architecture is a listing: it has no graph, so it cannot run")]
    None,
    /// The executor does not know the layer.
    #[error("{layer} cannot be run yet{detail}")]
    NotRunnable {
        /// The layer.
        layer: String,
        /// Which property of it is the reason.
        detail: &'static str,
    },
    /// The tensor library refused a computation.
    #[error("{layer}: {source}")]
    Compute {
        /// The layer.
        layer: String,
        /// What it said.
        source: Box<candle_core::Error>,
    },
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
