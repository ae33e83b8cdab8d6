use super::{Exit, Fault, FitError};

/// A plan cannot be made, or breaks the coverage contract.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// What was matched cannot be fitted, or a plan that was read cannot be run.
    #[error(transparent)]
    Fit(#[from] FitError),
}

impl Fault for PlanError {
    fn exit(&self) -> Exit {
        match self {
            PlanError::Fit(error) => error.exit(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            PlanError::Fit(error) => error.hints(),
        }
    }
}
