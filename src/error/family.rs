use super::{Exit, Fault};

/// A family cannot be built from its config.
#[derive(Debug, thiserror::Error)]
pub enum FamilyError {}

impl Fault for FamilyError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
