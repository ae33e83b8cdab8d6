use super::{Exit, Fault};

/// A plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {}

impl Fault for PlanError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
