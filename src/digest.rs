//! Digests of contents, as plans and reports have them: `blake3:` and 64 hexadecimal digits.

/// The digest of these bytes.
pub(crate) fn of(bytes: &[u8]) -> String {
    text(blake3::hash(bytes))
}

pub(crate) fn text(hash: blake3::Hash) -> String {
    format!("blake3:{}", hash.to_hex())
}
