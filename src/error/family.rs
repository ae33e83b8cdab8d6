use super::{Exit, Fault, nearest};

/// A family cannot be built from its config.
#[derive(Debug, thiserror::Error)]
pub enum FamilyError {
    /// A value of the config cannot be.
    #[error("{family} config: {key} is {value}, it must be {must}")]
    Value {
        /// The family.
        family: &'static str,
        /// The key.
        key: String,
        /// What it is, as JSON.
        value: String,
        /// What it may be.
        must: String,
    },
    /// The config asks for something that the family exists with, and xfer does not know.
    #[error("{family} config: {key} {value} is not supported")]
    Unsupported {
        /// The family.
        family: &'static str,
        /// The key.
        key: &'static str,
        /// What it is, as JSON.
        value: String,
        /// What is supported.
        known: String,
    },
    /// Two values of the config contradict each other.
    #[error("{family} config: {key} is {value}, but {other} is {other_value}")]
    Contradiction {
        /// The family.
        family: &'static str,
        /// One key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The other key.
        other: &'static str,
        /// Its value.
        other_value: String,
    },
    /// A key is missing, its default contradicts the weights, and these do not decide its value.
    #[error("{family} config: {key} is not stated, and its default {default} contradicts {tensor}")]
    Unstated {
        /// The family.
        family: &'static str,
        /// The key.
        key: String,
        /// Its default, as JSON.
        default: String,
        /// A tensor of the weights.
        tensor: String,
        /// The values that fit, as JSON.
        values: String,
    },
    /// `architectures` names a class that the family does not have.
    #[error("{family} config: unknown architecture `{name}`")]
    Architecture {
        /// The family.
        family: &'static str,
        /// The class.
        name: String,
        /// Those that there are.
        known: &'static [&'static str],
    },
    /// An input is wired that the family does not have.
    #[error("{family} has no input `{name}`")]
    Input {
        /// The family.
        family: &'static str,
        /// The input.
        name: String,
        /// Those that there are.
        known: &'static [&'static str],
    },
    /// A result is asked for that the family does not have.
    #[error("{family} has no output `{name}`; it has {known}")]
    Output {
        /// The family.
        family: &'static str,
        /// The result.
        name: String,
        /// Those that there are.
        known: String,
    },
}

impl Fault for FamilyError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            FamilyError::Architecture { name, known, .. } | FamilyError::Input { name, known, .. } => {
                let mut hints = Vec::new();
                hints.extend(nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?")));
                hints.push(format!("known: {}", known.join(", ")));
                hints
            }
            FamilyError::Unsupported { known, .. } => vec![
                format!("supported: {known}"),
                "a listing of the model's tensors can stand for the config: xfer arch --snippet torch".into(),
            ],
            FamilyError::Unstated { key, values, .. } => {
                vec![format!("state it in the config, or with --set {key}=VALUE; what fits: {values}")]
            }
            FamilyError::Contradiction { .. } | FamilyError::Value { .. } | FamilyError::Output { .. } => Vec::new(),
        }
    }
}
