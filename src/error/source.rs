use super::{Exit, Fault};

/// A source cannot be found or fetched.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {}

impl Fault for SourceError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
