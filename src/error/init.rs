use super::{Exit, Fault};

/// An initialisation cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum InitError {}

impl Fault for InitError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
