use crate::error::{Exit, Fault, nearest};

/// A family cannot be built from its config.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FamilyError {
    #[error("{family} config: {key} is {value}, it must be {must}")]
    Value { family: &'static str, key: String, value: String, must: String },
    /// The config asks for something that the family exists with, and xfer does not know.
    #[error("{family} config: {key} {value} is not supported")]
    Unsupported { family: &'static str, key: &'static str, value: String, known: String },
    #[error("{family} config: {key} is {value}, but {other} is {other_value}")]
    Contradiction { family: &'static str, key: &'static str, value: String, other: &'static str, other_value: String },
    /// A key is missing, its default contradicts the weights, and these do not decide its value.
    #[error("{family} config: {key} is not stated, and its default {default} contradicts {tensor}")]
    Unstated { family: &'static str, key: String, default: String, tensor: String, values: String },
    #[error("{family} config: unknown architecture `{name}`")]
    Architecture { family: &'static str, name: String, known: &'static [&'static str] },
    #[error("{family} has no input `{name}`")]
    Input { family: &'static str, name: String, known: &'static [&'static str] },
    #[error("{family} has no output `{name}`; it has {known}")]
    Output { family: &'static str, name: String, known: String },
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
                "a listing of the model's tensors can replace the config: xfer arch --snippet torch".into(),
            ],
            FamilyError::Unstated { key, values, .. } => {
                vec![format!("state it in the config, or with --set {key}=VALUE; what fits: {values}")]
            }
            FamilyError::Contradiction { .. } | FamilyError::Value { .. } | FamilyError::Output { .. } => Vec::new(),
        }
    }
}
