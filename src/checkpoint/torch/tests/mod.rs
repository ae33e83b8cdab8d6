//! How PyTorch files are read, and how they can lie.

mod choice;
mod forge;
mod hostile;
mod machine;
mod mutations;
mod real;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::checkpoint::{Checkpoint, OpenOptions, Reader, open};
use crate::error::{Error, Result};
use crate::progress::Silent;
use crate::source::{Access, Bytes, Reference, Source};
use crate::tensor::Shape;

/// What PyTorch reads from a file.
#[derive(Deserialize)]
struct Expected {
    file: String,
    tensors: BTreeMap<String, ExpectedTensor>,
    key: Option<String>,
    asked: Option<String>,
    ties: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct ExpectedTensor {
    dtype: String,
    shape: Shape,
    sha256: String,
}

/// The folder of a set of fixtures.
fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder)
}

/// All cases of a list that `fixtures/torch/make.py` wrote.
fn cases(list: &str) -> BTreeMap<String, Expected> {
    let text = std::fs::read_to_string(fixtures("torch").join(list)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Opens a file or a directory of this machine.
fn open_path(path: &Path, key: Option<&str>) -> Result<Checkpoint> {
    let access = Access::from_environment(None, true, None)?;
    let source = Source::open(&Reference::Path(path.to_path_buf()), &access, &Silent)?;
    open(&source, &OpenOptions { key, headers: false, ..OpenOptions::default() }, &Silent)
}

/// A file of `fixtures/torch`.
fn open_fixture(file: &str, key: Option<&str>) -> Result<Checkpoint> {
    open_path(&fixtures("torch").join(file), key)
}

/// Bytes in memory.
struct Memory(Vec<u8>);

impl Bytes for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn name(&self) -> &str {
        "m.pt"
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let range = usize::try_from(offset).ok().and_then(|start| self.0.get(start..start.checked_add(out.len())?));
        let Some(range) = range else {
            let (file, wanted, bytes) = ("m.pt".into(), out.len() as u64, self.len());
            return Err(crate::source::error::SourceError::Short { file, offset, wanted, bytes }.into());
        };
        out.copy_from_slice(range);
        Ok(())
    }
}

fn open_bytes(bytes: &[u8]) -> Result<Arc<dyn Reader>> {
    crate::checkpoint::open_file(Arc::new(Memory(bytes.to_vec())), &OpenOptions::default())
}

/// All bytes of every tensor; limits what is read of a file that lies about its size.
fn read_all(reader: &dyn Reader) -> Result<()> {
    for (index, info) in reader.listing().tensors.iter().enumerate() {
        let bytes = info.bytes()?;
        if bytes <= 1 << 20 {
            reader.read(index, 0..info.rows(), &mut vec![0; bytes as usize])?;
        }
    }
    Ok(())
}

/// Every tensor as it is listed, with the digest of its bytes, read whole.
fn found(reader: &dyn Reader) -> BTreeMap<String, ExpectedTensor> {
    let one = |(index, info): (usize, &crate::tensor::TensorInfo)| {
        let mut bytes = vec![0; info.bytes().unwrap() as usize];
        reader.read(index, 0..info.rows(), &mut bytes).unwrap();
        let (dtype, shape) = (info.dtype.stored_name().to_string(), info.shape.clone());
        (info.name.to_string(), ExpectedTensor { dtype, shape, sha256: sha256(&bytes) })
    };
    reader.listing().tensors.iter().enumerate().map(one).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the file is refused with, which must be a fault of the input.
fn refusal<T>(result: Result<T>) -> String {
    let error: Error = match result {
        Ok(_) => panic!("a refusal is expected"),
        Err(error) => error,
    };
    assert_eq!(error.exit(), crate::error::Exit::Input, "{error}");
    error.to_string()
}
