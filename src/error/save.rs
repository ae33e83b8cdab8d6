use super::{Exit, Fault};

/// An output cannot be written or published.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {}

impl Fault for SaveError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
