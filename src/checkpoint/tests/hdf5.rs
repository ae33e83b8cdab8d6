//! HDF5, held to what h5py reads.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::checkpoint::{OpenOptions, Reader, open_file};
use crate::error::{Exit, Result};
use crate::source::Bytes;

/// A file in memory.
struct Memory(Vec<u8>);

impl Bytes for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
    fn name(&self) -> &str {
        "some.h5"
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).unwrap();
        match self.0.get(start..).and_then(|rest| rest.get(..out.len())) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => return Err(crate::checkpoint::format_error::FormatError::Empty { file: "some.h5".into() }.into()),
        }
        Ok(())
    }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hdf5").join(name)).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<Arc<dyn Reader>> {
    open_file(Arc::new(Memory(bytes)), &OpenOptions::default())
}

/// All bytes of a tensor, some rows at a time.
fn bytes(reader: &dyn Reader, place: usize) -> Vec<u8> {
    let info = &reader.listing().tensors[place];
    let (rows, row) = (info.rows(), info.row_bytes().unwrap() as usize);
    let mut all = vec![0; info.bytes().unwrap() as usize];
    let step = (rows / 3).max(1);
    let mut first = 0;
    while first < rows {
        let last = (first + step).min(rows);
        reader.read(place, first..last, &mut all[first as usize * row..last as usize * row]).unwrap();
        first = last;
    }
    all
}

#[test]
fn every_array_is_what_h5py_reads() {
    let expected: serde_json::Value = serde_json::from_slice(&fixture("expected.json")).unwrap();
    for name in ["weights.h5", "model.h5", "keras3.keras"] {
        let reader = read(fixture(name)).unwrap();
        let tensors = &reader.listing().tensors;
        let expected: Vec<&serde_json::Value> = expected[name]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| !one["name"].as_str().unwrap().starts_with("optimizer_weights"))
            .collect();
        assert_eq!(tensors.len(), expected.len(), "{name}");
        for one in expected {
            let place = reader.listing().position(one["name"].as_str().unwrap()).unwrap();
            let info = &tensors[place];
            assert_eq!(info.dtype.stored_name(), one["dtype"], "{}", info.name);
            assert_eq!(serde_json::json!(info.shape), one["shape"], "{}", info.name);
            let digest = Sha256::digest(bytes(reader.as_ref(), place));
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(one["sha256"], digest, "{} of {name}", info.name);
        }
    }
}

#[test]
fn a_group_that_is_its_own_member_is_an_error_and_no_endless_walk() {
    let error = read(fixture("loop.h5")).err().unwrap();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().contains("groups within groups"), "{error}");
}

#[test]
fn what_the_library_does_not_read_is_said_with_the_arrays_name() {
    let error = read(fixture("latest.h5")).err().unwrap();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().starts_with("some.h5: invalid HDF5: chunked: "), "{error}");
}

#[test]
fn any_changed_byte_or_missing_end_is_an_error_or_another_value_and_never_a_panic() {
    for name in ["weights.h5", "keras3.keras", "loop.h5"] {
        let whole = fixture(name);
        for at in (0..whole.len()).step_by(3) {
            for change in [0xFFu8, 0x01, 0x80] {
                let mut changed = whole.clone();
                changed[at] ^= change;
                if let Ok(reader) = read(changed) {
                    let total: u64 = reader.listing().tensors.iter().map(|info| info.bytes().unwrap()).sum();
                    assert!(total < 1 << 20, "{name} at {at}: {total} bytes are promised");
                    for (place, info) in reader.listing().tensors.iter().enumerate() {
                        let mut out = vec![0; info.bytes().unwrap() as usize];
                        let _ = reader.read(place, 0..info.rows(), &mut out);
                    }
                }
            }
        }
        for end in (0..whole.len()).step_by(41) {
            let _ = read(whole[..end].to_vec());
        }
    }
}
