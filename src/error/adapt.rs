use super::{Exit, Fault};

/// An operation does not fit its inputs.
#[derive(Debug, thiserror::Error)]
pub enum AdaptError {}

impl Fault for AdaptError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
