use crate::error::{Exit, Fault};
use crate::tensor::{Shape, ShapeText};

/// An initialisation cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    #[error("unknown scheme `{name}`")]
    UnknownScheme { name: String, nearest: Option<&'static str> },
    #[error("scheme {scheme} has no parameter `{parameter}`")]
    UnknownParameter { scheme: String, parameter: String, nearest: Option<&'static str>, known: Vec<&'static str> },
    #[error("scheme {scheme} needs `{parameter}`")]
    MissingParameter { scheme: String, parameter: &'static str },
    #[error("scheme {scheme}: {parameter}={value} is not {expected}")]
    BadValue { scheme: String, parameter: String, value: String, expected: &'static str, nearest: Option<&'static str> },
    /// Two parameters say different things about one quantity, or one has no effect beside the other.
    #[error("scheme {scheme}: `{first}` and `{second}` exclude each other: {reason}")]
    Conflict { scheme: String, first: &'static str, second: &'static str, reason: &'static str },
    /// A scheme is not written as `name(parameter=value, …)`.
    #[error("cannot read scheme `{text}`: {reason}")]
    Malformed { text: String, reason: &'static str },
    /// A scheme needs fans, and the tensor has none.
    #[error(
        "scheme {scheme} needs a fan, and a tensor of shape {} that is not a weight of a linear or convolutional layer has none",
        ShapeText(shape)
    )]
    NoFans { scheme: String, shape: Shape },
    #[error("scheme {scheme} needs a tensor of {expected} axes, found shape {}", ShapeText(shape))]
    Rank { scheme: &'static str, expected: &'static str, shape: Shape },
    #[error("scheme dirac: {groups} groups do not divide {channels} output channels")]
    Groups { groups: u64, channels: u64 },
    /// A resolved scheme holds a number that cannot be, as in an edited plan.
    #[error("scheme {scheme}: {parameter} is {value}, not {expected}")]
    Impossible { scheme: &'static str, parameter: &'static str, value: f64, expected: &'static str },
    #[error("scheme {scheme}: no 32-bit float lies between {low} and {high}")]
    EmptyInterval { scheme: &'static str, low: f64, high: f64 },
    /// Elements were asked for that the tensor does not have, or a buffer of the wrong length was given.
    #[error("cannot draw elements {start} to {end} of shape {} at {base} into {length} places", ShapeText(shape))]
    Range { start: u64, end: u64, shape: Shape, base: u64, length: usize },
    #[error("scheme {scheme} makes its {elements} elements at once, and {asked} were asked for")]
    Whole { scheme: &'static str, elements: u64, asked: u64 },
    #[error("scheme {scheme}: a matrix of shape {} does not fit into memory", ShapeText(shape))]
    TooLarge { scheme: &'static str, shape: Shape },
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
            | InitError::Impossible { .. }
            | InitError::EmptyInterval { .. }
            | InitError::Range { .. }
            | InitError::Whole { .. }
            | InitError::TooLarge { .. } => Vec::new(),
        }
    }
}
