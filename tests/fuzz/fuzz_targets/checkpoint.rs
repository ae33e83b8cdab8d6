//! Any bytes as a file of any format: its header, and what it says of its tensors, as far as that fits into a few megabytes.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use xfer::checkpoint::{OpenOptions, open_file};
use xfer::error::{Error, Result};
use xfer::source::Bytes;

struct Memory(Vec<u8>);

impl Bytes for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn name(&self) -> &str {
        "weights"
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.0.get(start..).and_then(|rest| rest.get(..out.len())) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => return Err(Error::io("read", "weights", std::io::ErrorKind::UnexpectedEof.into())),
        }
        Ok(())
    }
}

/// What is read of one tensor at most.
const MOST: u64 = 4 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(reader) = open_file(Arc::new(Memory(data.to_vec())), &OpenOptions::default()) else { return };
    for (place, info) in reader.listing().tensors.iter().enumerate().take(64) {
        let (Ok(bytes), Ok(row)) = (info.bytes(), info.row_bytes()) else { continue };
        let rows = if bytes <= MOST { info.rows() } else { MOST / row.max(1) };
        let mut out = vec![0; rows.saturating_mul(row).min(MOST) as usize];
        if out.len() as u64 == rows.saturating_mul(row) {
            let _ = reader.read(place, 0..rows, &mut out);
        }
    }
});
