use super::{Exit, Fault, quoted};
use crate::tensor::Dtype;

/// Layer-sequential unit variance cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum LsuvError {
    /// `lsuv` without a batch.
    #[error("--data is missing: `lsuv` measures the model on a batch, and {name} is to be initialised by it")]
    NoBatch {
        /// The first tensor that is to be scaled.
        name: String,
    },
    /// The output of a layer does not vary.
    #[error("{name}: dead: the variance of its output over the batch is {variance:e}")]
    Dead {
        /// The weight.
        name: String,
        /// The variance.
        variance: f64,
    },
    /// The output of a layer is not finite.
    #[error("{name}: its output over the batch is not finite")]
    NonFinite {
        /// The weight.
        name: String,
    },
    /// No result of the model depends on a layer.
    #[error("{name}: dead: no output of the model depends on it")]
    NotReached {
        /// The weight.
        name: String,
    },
    /// The scaled weight does not fit its type.
    #[error("{name}: scaled by {factor:e}, {count} of its elements do not fit {dtype}")]
    Overflow {
        /// The weight.
        name: String,
        /// The factor.
        factor: f64,
        /// How many elements became infinite.
        count: u64,
        /// The type.
        dtype: Dtype,
    },
    /// The variance is still not what it was to be.
    #[error("{name}: the variance of its output is {after:e} after scaling, expected {target:e} within {tolerance}")]
    OutsideTolerance {
        /// The weight.
        name: String,
        /// The variance that it was to have.
        target: f64,
        /// The variance that it has.
        after: f64,
        /// The tolerance, as a share of the target.
        tolerance: f64,
    },
    /// A pattern of `--allow-dead` matches no tensor that is scaled.
    #[error("--allow-dead `{pattern}` matches no tensor that lsuv scales")]
    AllowsNothing {
        /// The pattern.
        pattern: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// The plan writes no file from which the model could be built.
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
