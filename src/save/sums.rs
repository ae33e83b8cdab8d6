//! The checksums of an archive, written when everything else is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{StagedFile, Sum, WeightFile};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Whether every checksum that a written file states is that of what it is over.
pub(crate) fn sums_agree(weights: &WeightFile, path: &Path, progress: &dyn Progress) -> Result<bool> {
    let failed = |error| Error::io("read", path, error);
    let file = File::open(path).map_err(failed)?;
    let read = |at: u64, out: &mut [u8]| file.read_exact_at(out, at).map_err(failed);
    for sum in &weights.sums {
        progress.interrupted()?;
        let expected = sum_of(sum, &read)?.to_le_bytes();
        for place in sum.places {
            let mut stated = [0; 4];
            read(place, &mut stated)?;
            if stated != expected {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The sum over a part of a file that `read` reads.
fn sum_of(sum: &Sum, read: &dyn Fn(u64, &mut [u8]) -> Result<()>) -> Result<u32> {
    let mut piece = vec![0; PIECE.min(sum.len as usize)];
    let (mut crc, mut at) = (flate2::Crc::new(), sum.offset);
    let end = sum.offset.saturating_add(sum.len);
    while at < end {
        let len = (end - at).min(PIECE as u64) as usize;
        read(at, &mut piece[..len])?;
        crc.update(&piece[..len]);
        at += len as u64;
    }
    Ok(crc.sum())
}

/// Reads what each checksum is over and writes it to its places.
pub(crate) fn fill_in(weights: &WeightFile, file: &StagedFile, progress: &dyn Progress) -> Result<()> {
    for sum in &weights.sums {
        progress.interrupted()?;
        let found = sum_of(sum, &|at, out| file.read_at(at, out))?;
        sum.places.iter().try_for_each(|place| file.write_at(*place, &found.to_le_bytes()))?;
    }
    Ok(())
}
