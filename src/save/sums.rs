//! The checksums of an archive, written when everything else is.

use super::{StagedFile, WeightFile};
use crate::error::Result;
use crate::progress::Progress;

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Reads what each checksum is over and writes it to its places.
pub fn fill_in(weights: &WeightFile, file: &StagedFile, progress: &dyn Progress) -> Result<()> {
    let mut piece = vec![0; if weights.sums.is_empty() { 0 } else { PIECE }];
    for sum in &weights.sums {
        progress.interrupted()?;
        let (mut crc, mut at) = (flate2::Crc::new(), sum.offset);
        let end = sum.offset.saturating_add(sum.len);
        while at < end {
            let len = (end - at).min(PIECE as u64) as usize;
            file.read_at(at, &mut piece[..len])?;
            crc.update(&piece[..len]);
            at += len as u64;
        }
        sum.places.iter().try_for_each(|place| file.write_at(*place, &crc.sum().to_le_bytes()))?;
    }
    Ok(())
}
