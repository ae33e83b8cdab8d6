use super::{Exit, Fault};
use crate::tensor::{Shape, ShapeText};

/// An initialisation cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// No scheme has this name.
    #[error("unknown scheme `{name}`")]
    UnknownScheme {
        /// What was written.
        name: String,
        /// The nearest name that exists.
        nearest: Option<&'static str>,
    },
    /// The scheme has no such parameter.
    #[error("scheme {scheme} has no parameter `{parameter}`")]
    UnknownParameter {
        /// The scheme as it was written.
        scheme: String,
        /// What was written.
        parameter: String,
        /// The nearest parameter of the scheme.
        nearest: Option<&'static str>,
        /// Every parameter of the scheme.
        known: Vec<&'static str>,
    },
    /// A parameter that has no default was left out.
    #[error("scheme {scheme} needs `{parameter}`")]
    MissingParameter {
        /// The scheme as it was written.
        scheme: String,
        /// What it needs.
        parameter: &'static str,
    },
    /// A parameter's value cannot be.
    #[error("scheme {scheme}: {parameter}={value} is not {expected}")]
    BadValue {
        /// The scheme as it was written.
        scheme: String,
        /// The parameter.
        parameter: String,
        /// What was written.
        value: String,
        /// What it would have to be.
        expected: &'static str,
        /// The nearest value, where values have names.
        nearest: Option<&'static str>,
    },
    /// Two parameters say different things about one quantity, or one has no effect beside the other.
    #[error("scheme {scheme}: `{first}` and `{second}` cannot stand together: {reason}")]
    Conflict {
        /// The scheme as it was written.
        scheme: String,
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A scheme is not written as `name(parameter=value, …)`.
    #[error("cannot read scheme `{text}`: {reason}")]
    Malformed {
        /// What was written, cut to a readable length.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A scheme needs fans, and the tensor has none.
    #[error(
        "scheme {scheme} needs a fan, and a tensor of shape {} that is no weight of a linear or convolutional layer has none",
        ShapeText(shape)
    )]
    NoFans {
        /// The scheme, in its canonical spelling.
        scheme: String,
        /// The shape of the tensor.
        shape: Shape,
    },
    /// A layer's fans exceed 64 bits, or its groups do not divide its channels.
    #[error("no fans for {layer} of {input} inputs, {output} outputs, {kernel} kernel elements and {groups} groups")]
    ImpossibleFans {
        /// The kind of the layer.
        layer: &'static str,
        /// Input channels, as given.
        input: u64,
        /// Output channels, as given.
        output: u64,
        /// The product of the kernel's sizes.
        kernel: u64,
        /// Groups of channels.
        groups: u64,
    },
    /// A scheme is defined for tensors of other ranks only.
    #[error("scheme {scheme} needs a tensor of {expected} axes, found shape {}", ShapeText(shape))]
    Rank {
        /// The scheme.
        scheme: &'static str,
        /// How many axes it needs.
        expected: &'static str,
        /// The shape of the tensor.
        shape: Shape,
    },
    /// The groups of `dirac` do not divide the output channels.
    #[error("scheme dirac: {groups} groups do not divide {channels} output channels")]
    Groups {
        /// How many groups.
        groups: u64,
        /// The size of axis 0.
        channels: u64,
    },
    /// A resolved scheme holds a number that cannot be, as in an edited plan.
    #[error("scheme {scheme}: {parameter} is {value}, not {expected}")]
    Impossible {
        /// The scheme.
        scheme: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// What it would have to be.
        expected: &'static str,
    },
    /// No 32-bit float lies between the bounds.
    #[error("scheme {scheme}: no 32-bit float lies between {low} and {high}")]
    EmptyInterval {
        /// The scheme.
        scheme: &'static str,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Elements were asked for that the tensor does not have, or a buffer of the wrong length was given.
    #[error("cannot draw elements {start} to {end} of shape {} at {base} into {length} places", ShapeText(shape))]
    Range {
        /// The first element.
        start: u64,
        /// One past the last.
        end: u64,
        /// The shape of the part.
        shape: Shape,
        /// The index in the tensor of the part's first element.
        base: u64,
        /// The length of the buffer.
        length: usize,
    },
    /// A piece was asked for of a scheme whose values only exist all at once.
    #[error("scheme {scheme} makes its {elements} elements at once, and {asked} were asked for")]
    Whole {
        /// The scheme.
        scheme: &'static str,
        /// How many elements the part has.
        elements: u64,
        /// How many were asked for.
        asked: u64,
    },
    /// A matrix is too large to be factorised in this machine's memory.
    #[error("scheme {scheme}: a matrix of shape {} does not fit into memory", ShapeText(shape))]
    TooLarge {
        /// The scheme.
        scheme: &'static str,
        /// The shape of the part.
        shape: Shape,
    },
}

impl Fault for InitError {
    fn exit(&self) -> Exit {
        match self {
            InitError::Range { .. } | InitError::Whole { .. } | InitError::TooLarge { .. } => Exit::Machine,
            InitError::UnknownScheme { .. }
            | InitError::UnknownParameter { .. }
            | InitError::MissingParameter { .. }
            | InitError::BadValue { .. }
            | InitError::Conflict { .. }
            | InitError::Malformed { .. }
            | InitError::NoFans { .. }
            | InitError::ImpossibleFans { .. }
            | InitError::Rank { .. }
            | InitError::Groups { .. }
            | InitError::Impossible { .. }
            | InitError::EmptyInterval { .. } => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            InitError::UnknownScheme { nearest: Some(nearest), .. } => vec![format!("did you mean {nearest}?")],
            InitError::UnknownScheme { nearest: None, .. } => vec![format!("one of {}", crate::init::NAMES.join(", "))],
            InitError::UnknownParameter { nearest, known, .. } => match (nearest, known.is_empty()) {
                (Some(nearest), _) => vec![format!("did you mean {nearest}?")],
                (None, false) => vec![format!("it has {}", known.join(", "))],
                (None, true) => vec!["it takes no parameters".into()],
            },
            InitError::BadValue { nearest: Some(nearest), .. } => vec![format!("did you mean {nearest}?")],
            InitError::MissingParameter { scheme, parameter } => vec![format!("write {scheme}({parameter}=…)")],
            InitError::Malformed { .. } => {
                vec!["write name or name(parameter=value, …), as he_normal(mode=fan_out, a=0.2)".into()]
            }
            InitError::NoFans { .. } => vec!["normal(std=0.02), zeros, ones or constant(value=…) need no fan".into()],
            InitError::Rank { .. } => {
                vec!["choose a scheme without a rank, as normal(std=0.02), for this tensor".into()]
            }
            InitError::Groups { channels, .. } => vec![format!("choose a divisor of {channels}: dirac(groups=…)")],
            InitError::BadValue { nearest: None, .. }
            | InitError::Conflict { .. }
            | InitError::ImpossibleFans { .. }
            | InitError::Impossible { .. }
            | InitError::EmptyInterval { .. }
            | InitError::Range { .. }
            | InitError::Whole { .. }
            | InitError::TooLarge { .. } => Vec::new(),
        }
    }
}
