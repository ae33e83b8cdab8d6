//! The format since PyTorch 1.6: a zip archive of a pickle and one entry for each storage. TorchScript is the same with code
//! beside it.

use super::pickle::{Input, Values, load};
use super::stored::hash_range;
use crate::checkpoint::torch::error::TorchError;
use crate::checkpoint::zip::{Archive, EntryBytes, Packing, unpack};
use crate::error::Result;
use crate::source::Bytes;

/// The entry that describes everything, below a folder of any name.
const PICKLE: &str = "data.pkl";
/// A pickle that is compressed is unpacked into memory; those that are stored are read in place.
const UNPACKED_LIMIT: u64 = 256 << 20;

/// An archive and what its pickle says.
pub(super) struct Torch {
    pub(super) archive: Archive,
    /// What stands before the names of its entries, as `archive/`.
    prefix: String,
    pub(super) values: Values,
    pub(super) is_big_endian: bool,
    /// `blake3:…` of pickle and directory.
    pub(super) digest: String,
}

/// Reads directory and pickle.
pub(super) fn open(file: &dyn Bytes) -> Result<Torch> {
    let archive = Archive::open(file)?;
    let prefix = prefix(file.name(), &archive)?;
    let name = format!("{prefix}{PICKLE}");
    let mut hash = blake3::Hasher::new();
    let values = match archive.find(&name).map(|entry| archive.place(file, entry)).transpose()? {
        Some(EntryBytes { offset, bytes, packing: Packing::Stored }) => {
            let end = offset + bytes;
            hash_range(file, offset, end, &mut hash)?;
            load(&mut Input::new(file, offset, end))?
        }
        Some(place) => {
            let bytes = unpack(file, &name, place, UNPACKED_LIMIT)?;
            hash.update(&bytes);
            let unpacked = Unpacked { name: format!("{}/{name}", file.name()), bytes };
            load(&mut Input::new(&unpacked, 0, u64::MAX))?
        }
        None => return Err(no_pickle(file.name(), &archive)),
    };
    hash.update(&archive.directory);
    let digest = crate::digest::text(hash.finalize());
    let is_big_endian = is_big_endian(file, &archive, &prefix)?;
    Ok(Torch { archive, prefix, values, is_big_endian, digest })
}

impl Torch {
    /// Where a storage lies, or `None` where there is none of this key.
    pub(super) fn storage(&self, file: &dyn Bytes, key: &str) -> Result<Option<EntryBytes>> {
        let entry = self.archive.find(&format!("{}data/{key}", self.prefix));
        entry.map(|entry| self.archive.place(file, entry)).transpose()
    }
}

/// The folder of the pickle that is least deep.
fn prefix(file: &str, archive: &Archive) -> Result<String> {
    let names = archive.entries().iter().map(|entry| entry.name.as_str());
    let folders = names.filter_map(|name| name.strip_suffix(PICKLE)).filter(|p| p.is_empty() || p.ends_with('/'));
    let depth = |folder: &&str| folder.matches('/').count();
    let mut folders: Vec<&str> = folders.collect();
    folders.sort_by_key(depth);
    match folders.as_slice() {
        [] => Err(no_pickle(file, archive)),
        [first, second, ..] if depth(first) == depth(second) => Err(TorchError::TwoPickles {
            file: file.into(),
            first: format!("{first}{PICKLE}"),
            second: format!("{second}{PICKLE}"),
        }
        .into()),
        [first, ..] => Ok((*first).to_string()),
    }
}

fn no_pickle(file: &str, archive: &Archive) -> crate::error::Error {
    const SHOWN: usize = 4;
    let names: Vec<&str> = archive.entries().iter().take(SHOWN).map(|entry| entry.name.as_str()).collect();
    let found = match archive.entries().len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "nothing".into(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    };
    TorchError::NoPickle { file: file.into(), found }.into()
}

/// Archives without the entry are little-endian.
fn is_big_endian(file: &dyn Bytes, archive: &Archive, prefix: &str) -> Result<bool> {
    const LONGEST: u64 = 64;
    let Some(entry) = archive.find(&format!("{prefix}byteorder")) else { return Ok(false) };
    match archive.read(file, entry, LONGEST)?.as_slice() {
        b"little" => Ok(false),
        b"big" => Ok(true),
        other => {
            let found = String::from_utf8_lossy(other).into_owned();
            Err(TorchError::ByteOrder { file: file.name().into(), found }.into())
        }
    }
}

/// A compressed entry in memory.
pub(in crate::checkpoint) struct Unpacked {
    pub(in crate::checkpoint) name: String,
    pub(in crate::checkpoint) bytes: Vec<u8>,
}

impl Bytes for Unpacked {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let (wanted, bytes) = (out.len() as u64, self.len());
        let range = usize::try_from(offset).ok().and_then(|start| self.bytes.get(start..start.checked_add(out.len())?));
        match range {
            Some(range) => out.copy_from_slice(range),
            None => {
                let file = self.name.clone();
                return Err(crate::source::error::SourceError::Short { file, offset, wanted, bytes }.into());
            }
        }
        Ok(())
    }
}
