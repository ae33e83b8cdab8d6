use super::{Exit, Fault};

/// An architecture file is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ArchError {}

impl Fault for ArchError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
