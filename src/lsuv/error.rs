use crate::error::{Exit, Fault, quoted};
use crate::tensor::Dtype;

/// Layer-sequential unit variance cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LsuvError {
    #[error("--data is missing: `lsuv` measures the model on a batch, and {name} is to be initialised by it")]
    NoBatch { name: String },
    #[error("{name}: dead: the variance of its output over the batch is {variance:e}")]
    Dead { name: String, variance: f64 },
    #[error("{name}: its output over the batch is not finite")]
    NonFinite { name: String },
    #[error("{name}: dead: no output of the model depends on it")]
    NotReached { name: String },
    #[error("{name}: scaled by {factor:e}, {count} of its elements do not fit {dtype}")]
    Overflow { name: String, factor: f64, count: u64, dtype: Dtype },
    #[error("{name}: the variance of its output is {after:e} after scaling, expected {target:e} within {tolerance}")]
    OutsideTolerance { name: String, target: f64, after: f64, tolerance: f64 },
    #[error("--allow-dead `{pattern}` matches no tensor that lsuv scales")]
    AllowsNothing { pattern: String, nearest: Option<String> },
    #[error("the plan writes neither config.json nor arch.json with a graph: `lsuv` has nothing to run")]
    NoGraph,
}

impl LsuvError {
    fn name(&self) -> Option<&str> {
        match self {
            LsuvError::Dead { name, .. }
            | LsuvError::NonFinite { name }
            | LsuvError::NotReached { name }
            | LsuvError::Overflow { name, .. }
            | LsuvError::OutsideTolerance { name, .. } => Some(name),
            LsuvError::NoBatch { .. } | LsuvError::AllowsNothing { .. } | LsuvError::NoGraph => None,
        }
    }
}

impl Fault for LsuvError {
    fn exit(&self) -> Exit {
        match self {
            LsuvError::NoBatch { .. } => Exit::Usage,
            LsuvError::AllowsNothing { .. } | LsuvError::NoGraph => Exit::Input,
            LsuvError::Dead { .. }
            | LsuvError::NonFinite { .. }
            | LsuvError::NotReached { .. }
            | LsuvError::Overflow { .. }
            | LsuvError::OutsideTolerance { .. } => Exit::Contract,
        }
    }

    fn hints(&self) -> Vec<String> {
        match (self, self.name()) {
            (_, Some(name)) => {
                let init = format!("--init {}", quoted(&format!("{name}=auto")));
                vec![init, format!("--allow-dead {}", quoted(name))]
            }
            (LsuvError::NoBatch { .. }, None) => vec![
                "--data FILE: safetensors with one array for each input of the model, examples first".into(),
                "--data random:64 draws a batch from the declared inputs".into(),
            ],
            (LsuvError::AllowsNothing { nearest, .. }, None) => {
                let near = nearest.iter().map(|name| format!("did you mean `{name}`?"));
                near.chain(["with `?` in front a pattern may match nothing".to_string()]).collect()
            }
            (_, None) => Vec::new(),
        }
    }
}
