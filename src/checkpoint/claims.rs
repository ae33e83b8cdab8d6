//! What a checkpoint claims to hold against what its files have. A stride of zero, entries that overlap and compressed zeros let a file of
//! some bytes claim any number of them, and whoever reads or writes that many is kept busy for as long as its author wishes.

use super::Listing;
use crate::checkpoint::error::CheckpointError;
use crate::error::Result;

/// How often every byte of the files may count: tensors that share a storage, broadcast ones, compression of real weights.
const TIMES: u64 = 16;
/// What tensors may claim beyond the files whatever these have, in bytes: masks and small tables are often expanded.
const BEYOND: u64 = 1 << 30;

/// Refuses a listing whose tensors claim more bytes than its files, of `held` bytes together, can stand for.
pub(super) fn check(file: &str, held: u64, listing: &Listing) -> Result<()> {
    let limit = held.saturating_add(BEYOND).max(held.saturating_mul(TIMES));
    let (mut claimed, mut most) = (0u64, None);
    for tensor in &listing.tensors {
        let bytes = tensor.bytes()?;
        claimed = claimed.saturating_add(bytes);
        if most.is_none_or(|(largest, _)| bytes > largest) {
            most = Some((bytes, tensor));
        }
    }
    match most {
        Some((largest, tensor)) if claimed > limit => Err(CheckpointError::Claims {
            file: file.into(),
            claimed,
            held,
            tensor: tensor.name.to_string(),
            shape: tensor.shape.clone(),
            bytes: largest,
        }
        .into()),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Dtype, TensorInfo};

    fn listing(shapes: &[u64]) -> Listing {
        let tensor = |(number, size): (usize, &u64)| TensorInfo::new(format!("w{number}"), Dtype::F32, vec![*size]);
        Listing::new(
            crate::checkpoint::CheckpointFormat::Safetensors,
            shapes.iter().enumerate().map(tensor).collect(),
            Vec::new(),
            None,
        )
    }

    #[test]
    fn a_gibibyte_or_sixteen_times_the_files_may_be_claimed_and_no_more() {
        const GIB: u64 = 1 << 30;
        for (held, claimed, is_fine) in [
            (16, GIB, true),
            (16, GIB + 16, true),
            (16, GIB + 20, false),
            (GIB, 16 * GIB, true),
            (GIB, 16 * GIB + 4, false),
            (0, 0, true),
            (16, 40_000_000_000, false),
            (10_000_000, 20_000_000_000, false),
            (100 * GIB, 100 * GIB, true),
        ] {
            assert_eq!(check("m", held, &listing(&[claimed / 4])).is_ok(), is_fine, "{claimed} of {held}");
            let shared = listing(&[claimed / 4 - claimed / 8, claimed / 8]);
            assert_eq!(check("m", held, &shared).is_ok(), is_fine, "{claimed} of {held}, in two");
        }
        let error = check("m.pt", 16, &listing(&[1, u64::MAX / 8, u64::MAX / 8, u64::MAX / 8])).unwrap_err();
        assert!(error.to_string().starts_with("m.pt: its tensors claim 18446744073709551615 bytes"), "{error}");
    }
}
