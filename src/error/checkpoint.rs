use super::{Exit, Fault};

/// A checkpoint cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {}

impl Fault for CheckpointError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
