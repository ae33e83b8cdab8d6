//! How checkpoints and vocabularies are read, and how they can lie.

mod directory;
mod hdf5;
pub(super) mod laws;
mod msgpack;
mod natural;
mod onnx;
mod safetensors;
mod vocabulary;

use std::sync::Arc;

use crate::checkpoint::Reader;
use crate::checkpoint::error::CheckpointError;
use crate::error::Result;
use crate::source::Bytes;

/// Bytes in memory under a name.
struct Memory {
    name: String,
    bytes: Vec<u8>,
}

impl Bytes for Memory {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        out.copy_from_slice(&self.bytes[offset as usize..][..out.len()]);
        Ok(())
    }
}

/// Opens `bytes` as a file called `m.safetensors`.
fn open_bytes(bytes: &[u8]) -> Result<Arc<dyn Reader>> {
    crate::checkpoint::open_file(
        Arc::new(Memory { name: "m.safetensors".into(), bytes: bytes.to_vec() }),
        &crate::checkpoint::OpenOptions::default(),
    )
}

/// A safetensors file from the text of its header and its data.
fn file_of(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// The refusal of this layer, and nothing else.
fn refusal<T>(result: Result<T>) -> CheckpointError {
    let error = result.map(|_| ()).expect_err("a refusal");
    error.downcast().unwrap_or_else(|other| panic!("expected a refusal, got {other:?}"))
}

/// Bytes in memory as a file of a name.
pub(super) fn memory(name: &str, bytes: Vec<u8>) -> Arc<dyn Bytes> {
    Arc::new(Memory { name: name.into(), bytes })
}
