use super::{Exit, Fault};

/// A command cannot be carried out as it was given.
#[derive(Debug, thiserror::Error)]
pub enum JobError {}

impl Fault for JobError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
