//! What a checkpoint claims to hold against what its files have. A stride of zero, entries that overlap and compressed zeros let a file of
//! some bytes claim any number of them, and whoever reads or writes that many is kept busy for as long as its author wishes.

use super::Listing;
use crate::error::{CheckpointError, Result};

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
