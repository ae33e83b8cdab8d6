use super::{Exit, Fault};

/// A graph does not fit together or cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {}

impl Fault for GraphError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
