use super::{Exit, Fault};

/// A transfer cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {}

impl Fault for TransferError {
    fn exit(&self) -> Exit {
        match *self {}
    }
}
