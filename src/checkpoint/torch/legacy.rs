//! The format before PyTorch 1.6: five pickles (a magic number, a version, the machine, the object, the keys of the
//! storages), then the storages one after another, each behind its number of elements.

use super::pickle::{Input, Node, Values, load};
use super::rebuild;
use super::stored::hash_range;
use crate::checkpoint::torch::error::TorchError;
use crate::checkpoint::zip::{EntryBytes, Packing};
use crate::error::Result;
use crate::hash::HashMap;
use crate::source::Bytes;

/// What every such file begins with.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// The only version there was.
const VERSION: i64 = 1001;
/// Bytes of the number of elements before a storage.
const COUNT: u64 = 8;

/// A file and what its pickles say.
pub(super) struct Torch {
    pub(super) values: Values,
    storages: HashMap<String, EntryBytes>,
    /// `blake3:…` of the pickles.
    pub(super) digest: String,
}

/// Reads the pickles, and finds the storages by walking over their sizes.
pub(super) fn open(file: &dyn Bytes) -> Result<Torch> {
    let mut input = Input::new(file, 0, u64::MAX);
    let not_torch = |what| TorchError::NotTorch { file: file.name().into(), what };
    let magic = load(&mut input)?;
    if !matches!(magic.get(magic.root), Node::Wide(number) if **number == MAGIC) {
        return Err(not_torch("its first value is not PyTorch's magic number").into());
    }
    let version = load(&mut input)?;
    if *version.get(version.root) != Node::Int(VERSION) {
        return Err(not_torch("its second value is not the version 1001").into());
    }
    load(&mut input)?;
    let values = load(&mut input)?;
    let keys = load(&mut input)?;
    let end = input.offset();
    let storages = walk(file, &values, &keys, end)?;
    let mut hash = blake3::Hasher::new();
    hash_range(file, 0, end, &mut hash)?;
    Ok(Torch { values, storages, digest: crate::digest::text(hash.finalize()) })
}

impl Torch {
    /// Where a storage lies, or `None` where there is none of this key.
    pub(super) fn storage(&self, key: &str) -> Option<EntryBytes> {
        self.storages.get(key).copied()
    }
}

fn walk(file: &dyn Bytes, values: &Values, keys: &Values, start: u64) -> Result<HashMap<String, EntryBytes>> {
    let mut elements = HashMap::default();
    for (id, node) in values.all() {
        if matches!(node, Node::Persistent(_))
            && let Some(storage) = rebuild::storage(values, id)
        {
            elements.entry(storage.key).or_insert(storage.element);
        }
    }
    let Some(listed) = keys.sequence(keys.root) else {
        let what = "it has no list of storages";
        return Err(TorchError::NotTorch { file: file.name().into(), what }.into());
    };
    let mut storages = HashMap::default();
    let mut at = start;
    for key in listed {
        let key = match keys.get(*key) {
            Node::Text(text) => text.to_string(),
            Node::Int(number) => number.to_string(),
            other => other.kind().to_string(),
        };
        let Some(element) = elements.get(&key) else {
            return Err(TorchError::UnknownStorage { file: file.name().into(), key }.into());
        };
        let beyond = |key: &str, offset, bytes| TorchError::StorageBeyond {
            file: file.name().into(),
            key: key.into(),
            offset,
            bytes,
            found: file.len(),
        };
        let offset = at.checked_add(COUNT).filter(|offset| *offset <= file.len());
        let offset = offset.ok_or_else(|| beyond(&key, at, COUNT))?;
        let mut count = [0; COUNT as usize];
        file.read_at(at, &mut count)?;
        let bytes = u64::from_le_bytes(count).saturating_mul(*element);
        at = offset.checked_add(bytes).filter(|end| *end <= file.len()).ok_or_else(|| beyond(&key, offset, bytes))?;
        storages.insert(key, EntryBytes { offset, bytes, packing: Packing::Stored });
    }
    Ok(storages)
}
