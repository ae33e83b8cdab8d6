//! The blake3 digest of a tensor whose pieces are hashed by several threads, in any order: pieces of a power of two are
//! subtrees of the tree, and merge to the digest that one thread would have found.

use std::sync::{Mutex, PoisonError};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

/// The digest of so many bytes, as its pieces become known.
pub(super) struct Digest {
    len: u64,
    piece: u64,
    values: Mutex<Vec<ChainingValue>>,
}

impl Digest {
    /// Of `len` bytes in pieces of `piece`, a power of two not below 1024.
    pub(crate) fn new(len: u64, piece: u64) -> Digest {
        Digest { len, piece, values: Mutex::new(Vec::new()) }
    }

    /// How many pieces there are; one of no bytes for an empty tensor.
    pub(crate) fn pieces(&self) -> u64 {
        self.len.div_ceil(self.piece).max(1)
    }

    /// Where a piece lies.
    pub(crate) fn span(&self, index: u64) -> std::ops::Range<u64> {
        let start = index.saturating_mul(self.piece).min(self.len);
        start..start.saturating_add(self.piece).min(self.len)
    }

    /// Hashes a piece.
    pub(crate) fn put(&self, index: u64, bytes: &[u8]) {
        let value = match self.pieces() {
            1 => *blake3::hash(bytes).as_bytes(),
            _ => blake3::Hasher::new().set_input_offset(index * self.piece).update(bytes).finalize_non_root(),
        };
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.is_empty() {
            values.resize(self.pieces() as usize, [0; 32]);
        }
        if let Some(slot) = values.get_mut(index as usize) {
            *slot = value;
        }
    }

    /// `blake3:…` of the whole, once every piece was put.
    pub(crate) fn text(&self) -> String {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = match values[..] {
            [] => blake3::hash(&[]),
            [only] => blake3::Hash::from_bytes(only),
            _ => {
                let (left, right) = self.children(&values, self.len);
                merge_subtrees_root(&left, &right, Mode::Hash)
            }
        };
        format!("blake3:{}", hash.to_hex())
    }

    fn children(&self, values: &[ChainingValue], len: u64) -> (ChainingValue, ChainingValue) {
        let left = left_subtree_len(len);
        let (a, b) = values.split_at((left / self.piece) as usize);
        (self.subtree(a, left), self.subtree(b, len - left))
    }

    fn subtree(&self, values: &[ChainingValue], len: u64) -> ChainingValue {
        match values {
            [only] => *only,
            _ => {
                let (left, right) = self.children(values, len);
                merge_subtrees_non_root(&left, &right, Mode::Hash)
            }
        }
    }
}
