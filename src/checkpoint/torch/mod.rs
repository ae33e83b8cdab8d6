//! PyTorch checkpoints: a pickle that describes tensors, and storages that hold their bytes. The pickle is parsed and never
//! executed.

mod archive;
mod element;
pub(crate) mod error;
mod legacy;
mod pickle;
mod rebuild;
mod select;
mod stored;
#[cfg(test)]
mod tests;
mod tree;
mod world;

use crate::checkpoint::file_format::CheckpointFormat;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use self::archive::Unpacked as InMemory;
pub(super) use self::element::dtype as dtype_called;
use self::pickle::Values;
use self::rebuild::Described;
pub(super) use self::stored::{Gather, Stored, WINDOW, swap};
use self::stored::{reach, stored};
use self::tree::Tree;
use super::natural::natural_cmp;
use super::part::{Part, row_bytes};
use super::zip::{EntryBytes, Packing, unpack};
use super::{Extent, Listing, OpenOptions, Reader};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::torch::error::{StoredProblem, TorchError};
use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::source::Bytes;
use crate::tensor::{Name, Rows, TensorInfo};

/// Opens a zip archive of PyTorch since 1.6, or of TorchScript.
pub(super) fn open_archive(file: Arc<dyn Bytes>, options: &OpenOptions) -> Result<Part> {
    let torch = archive::open(file.as_ref())?;
    let find = |key: &str| torch.storage(file.as_ref(), key);
    let opened =
        Opening { file: &file, find: &find, is_big_endian: torch.is_big_endian }.open(&torch.values, options)?;
    Ok(opened.part(file.as_ref(), torch.digest))
}

/// Opens a file of PyTorch before 1.6.
pub(super) fn open_legacy(file: Arc<dyn Bytes>, options: &OpenOptions) -> Result<Part> {
    let torch = legacy::open(file.as_ref())?;
    let find = |key: &str| Ok(torch.storage(key));
    let opened = Opening { file: &file, find: &find, is_big_endian: false }.open(&torch.values, options)?;
    Ok(opened.part(file.as_ref(), torch.digest))
}

/// The way from values to a reader.
struct Opening<'a> {
    file: &'a Arc<dyn Bytes>,
    /// Where the storage of a key lies.
    find: &'a dyn Fn(&str) -> Result<Option<EntryBytes>>,
    is_big_endian: bool,
}

struct Opened {
    reader: Torch,
    key: Option<String>,
    notes: Vec<String>,
}

impl Opened {
    fn part(self, file: &dyn Bytes, digest: String) -> Part {
        let Opened { reader, key, notes } = self;
        let (name, bytes, beside) = (file.name().into(), file.len(), Vec::new());
        Part { name, bytes, digest, reader: Arc::new(reader), key, beside, notes }
    }
}

impl Opening<'_> {
    fn open(&self, values: &Values, options: &OpenOptions) -> Result<Opened> {
        let file = self.file.name();
        world::refuse_pieces(values, file)?;
        let tree = Tree::new(values);
        let mut selection = select::select(&tree, file, options.key)?;
        let named = select::tensors(&tree, file, &mut selection)?;
        let mut storages = Storages { opening: self, places: Vec::new(), by_key: HashMap::default() };
        let mut tensors = Vec::with_capacity(named.len());
        for (name, id) in named {
            let refuse = |problem| Error::from(TorchError::tensor(file, &name, problem));
            let described = rebuild::tensor(values, id);
            let described = described.unwrap_or_else(|| Err(StoredProblem::Builder(tree.describe(id))));
            let described = described.map_err(refuse)?;
            let placed = storages.place(&name, &described)?;
            tensors.push((TensorInfo::new(name, described.dtype, described.shape), placed));
        }
        tensors.sort_by(|(a, _), (b, _)| natural_cmp(&a.name, &b.name));
        refuse_twice(file, &tensors)?;
        let places = storages.places;
        let reader = self.reader(tensors, places, world::stated(values));
        Ok(Opened { reader, key: selection.key, notes: selection.notes })
    }

    fn reader(
        &self,
        tensors: Vec<(TensorInfo, Stored)>,
        storages: Vec<EntryBytes>,
        metadata: Vec<(String, String)>,
    ) -> Torch {
        let ties = ties(&tensors);
        let (infos, stored): (Vec<TensorInfo>, Vec<Stored>) = tensors.into_iter().unzip();
        let listing = Listing::new(CheckpointFormat::PyTorch, infos, metadata, None).with_ties(ties);
        let (file, is_big_endian) = (self.file.clone(), self.is_big_endian);
        Torch { file, listing, tensors: stored, storages, is_big_endian, unpacked: Mutex::new(None) }
    }
}

fn refuse_twice(file: &str, tensors: &[(TensorInfo, Stored)]) -> Result<()> {
    for pair in tensors.windows(2) {
        if let [(first, _), (second, _)] = pair
            && first.name == second.name
        {
            return Err(CheckpointError::DuplicateTensor { file: file.into(), tensor: first.name.to_string() }.into());
        }
    }
    Ok(())
}

/// Tensors that are the same bytes seen the same way, by the first that is.
fn ties(tensors: &[(TensorInfo, Stored)]) -> BTreeMap<String, String> {
    let mut owners: HashMap<_, &Name> = HashMap::default();
    let mut ties = BTreeMap::new();
    for (info, stored) in tensors.iter().filter(|(info, _)| !info.shape.contains(&0)) {
        match owners.entry((stored, info.dtype, &info.shape)) {
            std::collections::hash_map::Entry::Occupied(owner) => {
                ties.insert(info.name.to_string(), owner.get().to_string());
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(&info.name);
            }
        }
    }
    ties
}

/// The storages that tensors use, each found once.
struct Storages<'a> {
    opening: &'a Opening<'a>,
    places: Vec<EntryBytes>,
    by_key: HashMap<String, usize>,
}

impl Storages<'_> {
    /// Finds the storage of a tensor, and checks that it holds all of it.
    fn place(&mut self, name: &str, tensor: &Described) -> Result<Stored> {
        let file = self.opening.file.name();
        let refuse = |problem| Error::from(TorchError::tensor(file, name, problem));
        let reference = &tensor.storage;
        TensorInfo::new(name, tensor.dtype, tensor.shape.clone()).bytes().map_err(|_| {
            let (shape, stride, offset) = (tensor.shape.clone(), tensor.stride.clone(), tensor.offset);
            refuse(StoredProblem::Overflow { shape: shape.into(), stride, offset })
        })?;
        let needed = reach(tensor).map_err(refuse)?;
        if needed == 0 {
            // without elements no storage is needed, and often none is there
            return Ok(stored(tensor, usize::MAX));
        }
        let (index, place) =
            self.find(&reference.key)?.ok_or_else(|| refuse(StoredProblem::NoStorage(reference.key.clone())))?;
        let (key, found) = (reference.key.clone(), place.bytes);
        let stated = reference.elements.saturating_mul(reference.element);
        if stated > found {
            return Err(refuse(StoredProblem::ShortStorage { key, stated, found }));
        }
        if needed > found {
            return Err(refuse(StoredProblem::Beyond { key, needed, found }));
        }
        Ok(stored(tensor, index))
    }

    fn find(&mut self, key: &str) -> Result<Option<(usize, EntryBytes)>> {
        if let Some(index) = self.by_key.get(key) {
            return Ok(self.places.get(*index).map(|place| (*index, *place)));
        }
        let Some(place) = (self.opening.find)(key)? else { return Ok(None) };
        let index = self.places.len();
        self.places.push(place);
        self.by_key.insert(key.into(), index);
        Ok(Some((index, place)))
    }
}

/// The storage that was unpacked last.
type Unpacked = Option<(usize, Arc<archive::Unpacked>)>;

/// One file of PyTorch.
struct Torch {
    file: Arc<dyn Bytes>,
    listing: Listing,
    tensors: Vec<Stored>,
    storages: Vec<EntryBytes>,
    is_big_endian: bool,
    unpacked: Mutex<Unpacked>,
}

impl Torch {
    fn tensor(&self, tensor: usize) -> Option<(&TensorInfo, &Stored)> {
        Some((self.listing.tensors.get(tensor)?, self.tensors.get(tensor)?))
    }

    fn storage(&self, stored: &Stored) -> EntryBytes {
        let empty = EntryBytes { offset: 0, bytes: 0, packing: Packing::Stored };
        self.storages.get(stored.storage).copied().unwrap_or(empty)
    }

    /// A compressed storage in memory. One is kept, as pieces of one tensor follow each other.
    fn unpack(&self, storage: usize, place: EntryBytes) -> Result<Arc<archive::Unpacked>> {
        let mut slot = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, bytes)) = slot.as_ref()
            && *held == storage
        {
            return Ok(bytes.clone());
        }
        *slot = None;
        let name = format!("storage {storage}");
        let bytes = unpack(self.file.as_ref(), &name, place, crate::checkpoint::zip::UNPACKED_LIMIT)?;
        let unpacked = Arc::new(archive::Unpacked { name: self.file.name().into(), bytes });
        *slot = Some((storage, unpacked.clone()));
        Ok(unpacked)
    }

    /// Reads from a storage that begins at `start` of `file`.
    fn read_from(
        &self,
        file: &dyn Bytes,
        start: u64,
        info: &TensorInfo,
        stored: &Stored,
        rows: Rows,
        out: &mut [u8],
    ) -> Result<()> {
        if !stored.is_contiguous {
            return Gather { file, start, info, stored }.read(rows, out);
        }
        let (skip, _) = row_bytes(info, info.bytes()?, rows)?;
        file.read_at(start + stored.offset + skip, out)
    }
}

impl Reader for Torch {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn extent(&self, tensor: usize) -> Option<Extent> {
        let (info, stored) = self.tensor(tensor)?;
        let place = self.storage(stored);
        let is_native = !self.is_big_endian || info.dtype.bits() == 8;
        let is_verbatim = stored.is_contiguous && is_native && place.packing == Packing::Stored;
        let len = info.bytes().ok()?;
        is_verbatim.then(|| Extent { file: self.file.clone(), offset: place.offset + stored.offset, len })
    }

    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        let Some((info, stored)) = self.tensor(tensor) else {
            return Err(CheckpointError::Index { index: tensor, tensors: self.tensors.len() }.into());
        };
        let (_, expected) = row_bytes(info, info.bytes()?, rows.clone())?;
        if out.len() as u64 != expected {
            let (tensor, found) = (info.name.clone(), out.len() as u64);
            return Err(CheckpointError::Buffer { tensor: tensor.to_string(), expected, found }.into());
        }
        if out.is_empty() {
            return Ok(());
        }
        let place = self.storage(stored);
        match place.packing {
            Packing::Stored => self.read_from(self.file.as_ref(), place.offset, info, stored, rows, out)?,
            Packing::Deflated(_) => {
                let unpacked = self.unpack(stored.storage, place)?;
                self.read_from(unpacked.as_ref(), 0, info, stored, rows, out)?;
            }
        }
        if self.is_big_endian {
            swap(info.dtype, out);
        }
        Ok(())
    }

    fn scratch(&self, tensor: usize) -> u64 {
        let Some((_, stored)) = self.tensor(tensor) else { return 0 };
        let place = self.storage(stored);
        let window = if stored.is_contiguous { 0 } else { WINDOW.min(place.bytes) };
        match place.packing {
            Packing::Stored => window,
            Packing::Deflated(_) => window.saturating_add(place.bytes),
        }
    }
}
