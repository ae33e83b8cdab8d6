//! What holds for the reader of every format, over its fixtures.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;
use sha2::Digest as _;

use super::Memory;
use crate::checkpoint::{OpenOptions, Reader, open_file};
use crate::error::{Error, Exit, Result};
use crate::tensor::{Dtype, ShapeText};

/// What the library of the format reads.
#[derive(Debug, Deserialize)]
pub(in crate::checkpoint) struct Expected {
    #[serde(default)]
    pub(in crate::checkpoint) name: String,
    pub(in crate::checkpoint) dtype: Dtype,
    pub(in crate::checkpoint) shape: crate::tensor::Shape,
    /// Of the row-major little-endian values.
    pub(in crate::checkpoint) sha256: String,
}

/// The bytes of a file of `fixtures`.
pub(in crate::checkpoint) fn fixture(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Opens bytes as a file of a name.
pub(in crate::checkpoint) fn open_bytes(name: &str, bytes: &[u8]) -> Result<Arc<dyn Reader>> {
    open_file(Arc::new(Memory { name: name.into(), bytes: bytes.to_vec() }), &OpenOptions::default())
}

/// The error that opening gives.
pub(in crate::checkpoint) fn refusal(name: &str, bytes: &[u8]) -> Error {
    match open_bytes(name, bytes) {
        Err(error) => {
            assert_eq!(error.exit(), Exit::Input, "{error}");
            error
        }
        Ok(reader) => panic!("{name} was opened: {:?}", reader.listing().tensors),
    }
}

/// All bytes of a tensor.
pub(in crate::checkpoint) fn read(reader: &dyn Reader, tensor: usize) -> Vec<u8> {
    let info = &reader.listing().tensors[tensor];
    let mut bytes = vec![0xAA; info.bytes().unwrap() as usize];
    reader.read(tensor, 0..info.rows(), &mut bytes).unwrap();
    bytes
}

/// Names, types, shapes and values are those of the library; rows one by one and extents give the same bytes.
pub(in crate::checkpoint) fn reads_as_expected(reader: &dyn Reader, expected: &[Expected]) {
    let listing = reader.listing();
    let mut names: Vec<&str> = listing.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut wanted: Vec<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for Expected { name, dtype, shape, sha256 } in expected {
        let tensor = listing.position(name).unwrap();
        let info = &listing.tensors[tensor];
        assert_eq!((info.dtype, &info.shape), (*dtype, shape), "{name}");
        let bytes = read(reader, tensor);
        let digest: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&digest, sha256, "{name} {dtype} {}", ShapeText(shape));
        reads_by_rows(reader, tensor, &bytes);
    }
}

fn reads_by_rows(reader: &dyn Reader, tensor: usize, whole: &[u8]) {
    let info = &reader.listing().tensors[tensor];
    let row = info.row_bytes().unwrap() as usize;
    let mut bytes = vec![0; whole.len()];
    for number in 0..info.rows() {
        let at = number as usize * row;
        reader.read(tensor, number..number + 1, &mut bytes[at..at + row]).unwrap();
    }
    assert_eq!(bytes, whole, "{} by rows", info.name);
    if info.rows() > 2 {
        let inner = 1..info.rows() - 1;
        reader.read(tensor, inner, &mut bytes[row..whole.len() - row]).unwrap();
        assert_eq!(bytes, whole, "{} without first and last row", info.name);
    }
    if let Some(extent) = reader.extent(tensor) {
        bytes.fill(0);
        assert_eq!(extent.len, whole.len() as u64);
        extent.file.read_at(extent.offset, &mut bytes).unwrap();
        assert_eq!(bytes, whole, "{} verbatim", info.name);
    }
    let beyond = reader.read(tensor, 0..info.rows() + 1, &mut vec![0; whole.len() + row]);
    assert!(beyond.is_err(), "{} beyond its rows", info.name);
}

/// A file that is cut anywhere is refused as an input; what was cut must have been padding where it is not.
pub(in crate::checkpoint) fn refuses_prefixes(name: &str, bytes: &[u8], padding: usize) {
    // all cuts near the ends, where headers are, and some between
    let is_tried = |length: &usize| *length < 1000 || length.is_multiple_of(101) || length + 100 > bytes.len();
    for length in (0..bytes.len()).filter(is_tried) {
        match open_bytes(name, &bytes[..length]) {
            Err(error) => assert_eq!(error.exit(), Exit::Input, "{length} bytes: {error}"),
            Ok(_) => assert!(length + padding >= bytes.len(), "{length} of {} bytes were opened", bytes.len()),
        }
    }
}

/// Whatever stands in a file, it is read or refused, and nothing is allocated that the file does not hold.
pub(in crate::checkpoint) fn survives_mutation(name: &str, bytes: &[u8]) {
    let mutations = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(mutations in mutations, cut in any::<Option<prop::sample::Index>>())| {
        let mut mutated = bytes.to_vec();
        for (place, byte) in mutations {
            // headers are where the lies are
            let place = if byte % 2 == 0 { place.index(mutated.len()) } else { place.index(mutated.len().min(600)) };
            mutated[place] = byte;
        }
        if let Some(cut) = cut.filter(|cut| cut.index(4) == 0) {
            mutated.truncate(cut.index(bytes.len()));
        }
        read_or_refused(name, &mutated);
    });
}

fn read_or_refused(name: &str, bytes: &[u8]) {
    let Ok(reader) = open_bytes(name, bytes) else { return };
    for (tensor, info) in reader.listing().tensors.iter().enumerate() {
        let length = info.bytes().unwrap();
        // deflate makes at most 1032 bytes of one, a block at most 32 bytes of two
        assert!(length <= 1032 * bytes.len() as u64, "{info} in {} bytes", bytes.len());
        let mut out = vec![0; length as usize];
        // compressed data may turn out broken only now
        let _ = reader.read(tensor, 0..info.rows(), &mut out);
    }
}

/// A zip archive of stored entries; checksums, which nobody reads, are zero.
pub(in crate::checkpoint) fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let sizes = [(bytes.len() as u32).to_le_bytes(); 2].concat();
        let names = [(name.len() as u16).to_le_bytes(), [0; 2]].concat();
        let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sizes, &names].concat();
        let offset = (file.len() as u32).to_le_bytes();
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10], &offset, name.as_bytes()].concat());
        file.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), bytes].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let place = [(directory.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes()].concat();
    file.extend(directory);
    file.extend([&b"PK\x05\x06\x00\x00\x00\x00"[..], &count, &count, &place, &[0, 0]].concat());
    file
}
