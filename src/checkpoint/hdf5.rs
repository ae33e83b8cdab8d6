//! HDF5, as Keras writes it: whole models, weights alone, and since version 3 an archive `.keras` that holds them. Tensors are called by
//! their path in the file, and keep Keras' layout: kernels `(in, out)` and `(…, in, out)`.

use crate::checkpoint::file_format::CheckpointFormat;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hdf5_pure::{Dataset, Datatype, DatatypeByteOrder, File, FormatError as Fault, Group, Layout};

use super::arrays::{Array, FileContents, Order};
use super::keras;
use super::kernel::{Kernel, Variable};
use super::part::Part;
use super::torch::InMemory;
use super::zip::{Archive, EntryBytes, Packing, unpack};
use crate::checkpoint::format_error::FormatError;
use crate::error::{Error, Result};
use crate::source::Bytes;
use crate::tensor::{Dtype, TensorInfo};

/// More groups within groups than any model has; a loop of groups ends here.
const DEPTH: usize = 64;
/// More groups and arrays than any model has.
const MEMBERS: u64 = 1_000_000;
/// How long the names of all arrays may be together, in bytes.
const ALL_NAMES_LIMIT: u64 = 256 << 20;
/// What Keras 3 calls the weights in its archive.
const WEIGHTS: &str = "model.weights.h5";
/// What it calls the description of the layers.
const CONFIG: &str = "config.json";
/// The longest description that is read, in bytes.
const CONFIG_LIMIT: u64 = 64_000_000;
/// Where Keras keeps what is not a weight of the model.
const OPTIMIZER: &[&str] = &["optimizer_weights", "optimizer"];
/// Opens a file; reads groups and headers, no array.
pub(super) fn open(file: Arc<dyn Bytes>) -> Result<Part> {
    open_stating(file, BTreeMap::new())
}

/// As above; arrays whose layers are known have the names of these.
fn open_stating(file: Arc<dyn Bytes>, layers: BTreeMap<String, (String, Variable)>) -> Result<Part> {
    let hdf5 = File::from_source(Origin(file.clone())).map_err(|error| broken(file.name(), &error))?;
    let mut walk = Walk { file: &file, arrays: Vec::new(), notes: Vec::new(), members: 0, names: 0 };
    walk.group(&hdf5.root(), "", 0)?;
    let Walk { mut arrays, notes, .. } = walk;
    if arrays.is_empty() {
        return Err(FormatError::Empty { file: file.name().into() }.into());
    }
    let digest = digest(&arrays);
    let mut variables = named(&mut arrays, layers);
    variables.extend(of_whole_model(&hdf5.root(), &arrays));
    FileContents { format: CheckpointFormat::Hdf5, arrays, metadata: Vec::new(), digest, notes }
        .into_part_stating(file.as_ref(), variables)
}

/// The weights in an archive of Keras 3, or `None` where the archive is none.
pub(super) fn open_keras(file: &Arc<dyn Bytes>) -> Result<Option<Part>> {
    let archive = Archive::open(file.as_ref())?;
    let Some(entry) = archive.find(WEIGHTS) else { return Ok(None) };
    let place = archive.place(file.as_ref(), entry)?;
    let inner: Arc<dyn Bytes> = match place.packing {
        Packing::Stored => Arc::new(Inside { file: file.clone(), place }),
        Packing::Deflated(_) => {
            let bytes = unpack(file.as_ref(), WEIGHTS, place, crate::checkpoint::zip::UNPACKED_LIMIT)?;
            Arc::new(InMemory { name: file.name().into(), bytes })
        }
    };
    let config = match archive.find(CONFIG) {
        Some(entry) => read_entry(file, CONFIG, archive.place(file.as_ref(), entry)?)?,
        None => Vec::new(),
    };
    let layers = serde_json::from_slice(&config).map(|config| keras::variables(&config)).unwrap_or_default();
    let part = open_stating(inner, layers)?;
    Ok(Some(Part { bytes: file.len(), ..part }))
}

/// The bytes of a small entry of an archive.
fn read_entry(file: &Arc<dyn Bytes>, name: &'static str, place: EntryBytes) -> Result<Vec<u8>> {
    if place.bytes > CONFIG_LIMIT {
        let (file, what) = (file.name().to_string(), "the length of config.json");
        return Err(FormatError::Limit { file, offset: 0, what, found: place.bytes, limit: CONFIG_LIMIT }.into());
    }
    match place.packing {
        Packing::Deflated(_) => unpack(file.as_ref(), name, place, CONFIG_LIMIT),
        Packing::Stored => {
            let mut bytes = vec![0; usize::try_from(place.bytes).unwrap_or(0)];
            file.read_at(place.offset, &mut bytes)?;
            Ok(bytes)
        }
    }
}

/// What the config of a whole model, which its file holds as a text, states beside the names: the axes of einsums.
fn of_whole_model(root: &Group, arrays: &[(TensorInfo, Array)]) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    // an attribute that cannot be read states nothing
    let attributes = root.attrs().unwrap_or_default();
    let config = attributes.get("model_config").and_then(|config| config.as_str());
    let Some(config) = config.and_then(|config| serde_json::from_str(config).ok()) else { return variables };
    for (layer, axes) in keras::einsums(&config) {
        let is_kernel = |name: &str| {
            let path = name.strip_suffix(":0").unwrap_or(name).strip_suffix("/kernel");
            path.is_some_and(|path| path.rsplit('/').next() == Some(layer.as_str()))
        };
        for (info, _) in arrays.iter().filter(|(info, _)| is_kernel(&info.name)) {
            let kernel = Some(Kernel::Axes(axes.clone()));
            variables.insert(info.name.to_string(), Variable { stored: None, kernel });
        }
    }
    variables
}

/// Gives arrays the names of their layers, unless another array has such a name, and returns what is known of them.
fn named(
    arrays: &mut [(TensorInfo, Array)],
    layers: BTreeMap<String, (String, Variable)>,
) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    let stored: std::collections::BTreeSet<String> = arrays.iter().map(|(info, _)| info.name.to_string()).collect();
    for (info, _) in arrays {
        let Some((name, variable)) = layers.get(info.name.as_str()) else { continue };
        if !stored.contains(name) && !variables.contains_key(name) {
            info.name = crate::tensor::Name::from(name);
            variables.insert(name.clone(), variable.clone());
        }
    }
    variables
}

/// What stands for the header, of which there is none in one place: names, types, shapes and places.
fn digest(arrays: &[(TensorInfo, Array)]) -> String {
    let mut hash = blake3::Hasher::new();
    for (info, array) in arrays {
        hash.update(format!("{} {} {:?} {}\n", info.name, info.dtype, info.shape, array.place.offset).as_bytes());
    }
    crate::digest::text(hash.finalize())
}

/// What the library says of a file, in our words.
fn broken(file: &str, error: &dyn std::fmt::Display) -> Error {
    let text: String = error.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
    FormatError::Hdf5 { file: file.into(), detail: text }.into()
}

/// A file of ours as one of the library's.
struct Origin(Arc<dyn Bytes>);

impl hdf5_pure::Source for Origin {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::result::Result<(), Fault> {
        self.0.read_at(offset, buf).map_err(|error| Fault::Source(error.to_string()))
    }
}

/// An entry that an archive stores as it is.
struct Inside {
    file: Arc<dyn Bytes>,
    place: EntryBytes,
}

impl Bytes for Inside {
    fn len(&self) -> u64 {
        self.place.bytes
    }

    fn name(&self) -> &str {
        self.file.name()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.place.bytes);
        if end.is_none() {
            let (file, wanted, end) = (self.file.name().to_string(), out.len() as u64, self.place.bytes);
            return Err(FormatError::Ends { file, offset, wanted, end }.into());
        }
        self.file.read_at(self.place.offset + offset, out)
    }
}

/// What was found so far.
struct Walk<'a> {
    file: &'a Arc<dyn Bytes>,
    arrays: Vec<(TensorInfo, Array)>,
    notes: Vec<String>,
    members: u64,
    names: u64,
}

impl Walk<'_> {
    fn group(&mut self, group: &Group, path: &str, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(self.limit("the number of groups within groups", depth as u64, DEPTH as u64));
        }
        for (name, dataset) in group.iter_datasets().map_err(|error| broken(self.file.name(), &error))? {
            let name = self.member(path, &name)?;
            self.dataset(dataset, name)?;
        }
        for (name, inner) in group.iter_groups().map_err(|error| broken(self.file.name(), &error))? {
            if depth == 0 && OPTIMIZER.contains(&name.as_str()) {
                self.notes.push(format!("skipped `{name}`: an optimizer's state"));
                continue;
            }
            let name = self.member(path, &name)?;
            self.group(&inner, &name, depth + 1)?;
        }
        Ok(())
    }

    /// The path of a member, counted.
    fn member(&mut self, path: &str, name: &str) -> Result<String> {
        let name = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
        self.members += 1;
        self.names = self.names.saturating_add(name.len() as u64);
        if self.members > MEMBERS {
            return Err(self.limit("the number of groups and arrays", self.members, MEMBERS));
        }
        if self.names > ALL_NAMES_LIMIT {
            return Err(self.limit("the length of all names", self.names, ALL_NAMES_LIMIT));
        }
        Ok(name)
    }

    fn limit(&self, what: &'static str, found: u64, limit: u64) -> Error {
        FormatError::Limit { file: self.file.name().into(), offset: 0, what, found, limit }.into()
    }

    fn dataset(&mut self, dataset: Dataset, name: String) -> Result<()> {
        let file = self.file.name().to_string();
        let failed = |error: hdf5_pure::Error| broken(&file, &format!("{name}: {error}"));
        let datatype = dataset.datatype().map_err(failed)?;
        let Some((dtype, order)) = element(&datatype) else {
            self.notes.push(format!("skipped `{name}`: it contains no numbers"));
            return Ok(());
        };
        let shape = dataset.shape().map_err(failed)?;
        let layout = dataset.layout().map_err(failed)?;
        let info = TensorInfo::new(name.clone(), dtype, shape);
        let array = match layout {
            Layout::Contiguous { address: Some(address), size } => {
                Array { order, ..Array::verbatim(self.file.clone(), address, size) }
            }
            _ => {
                let bytes = info.bytes().map_err(|_| broken(&file, &format!("{name}: its bytes cannot be counted")))?;
                let row = info.row_bytes().unwrap_or(0);
                let rows = Rows { file, dataset: Mutex::new(dataset), bytes, row, is_scalar: info.shape.is_empty() };
                Array { order, ..Array::verbatim(Arc::new(rows), 0, bytes) }
            }
        };
        self.arrays.push((info, array));
        Ok(())
    }
}

/// The type of numbers, and how their bytes are ordered; `None` for what is not a number.
fn element(datatype: &Datatype) -> Option<(Dtype, Order)> {
    let (dtype, order) = match datatype {
        Datatype::FloatingPoint { size, byte_order, .. } => {
            let dtype = match size {
                2 => Dtype::F16,
                4 => Dtype::F32,
                8 => Dtype::F64,
                _ => return None,
            };
            (dtype, byte_order)
        }
        Datatype::FixedPoint { size, byte_order, layout } => (integer(*size, layout.signed)?, byte_order),
        // h5py's bool is an enumeration of FALSE and TRUE
        Datatype::Enumeration { size: 1, base_type, members } if members.len() == 2 => match base_type.as_ref() {
            Datatype::FixedPoint { byte_order, .. } => (Dtype::Bool, byte_order),
            _ => return None,
        },
        _ => return None,
    };
    match order {
        DatatypeByteOrder::LittleEndian => Some((dtype, Order::Rows)),
        DatatypeByteOrder::BigEndian => Some((dtype, Order::BigEndian)),
        _ => None,
    }
}

fn integer(size: u32, is_signed: bool) -> Option<Dtype> {
    Some(match (size, is_signed) {
        (1, true) => Dtype::I8,
        (1, false) => Dtype::U8,
        (2, true) => Dtype::I16,
        (2, false) => Dtype::U16,
        (4, true) => Dtype::I32,
        (4, false) => Dtype::U32,
        (8, true) => Dtype::I64,
        (8, false) => Dtype::U64,
        _ => return None,
    })
}

/// An array that lies in pieces, packed or not, as if it lay in a file of its own.
struct Rows {
    file: String,
    dataset: Mutex<Dataset>,
    bytes: u64,
    row: u64,
    is_scalar: bool,
}

impl Bytes for Rows {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn name(&self) -> &str {
        &self.file
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let wanted = out.len() as u64;
        let end = offset.checked_add(wanted).filter(|end| *end <= self.bytes);
        let ends = || FormatError::Ends { file: self.file.clone(), offset, wanted, end: self.bytes };
        let end = end.ok_or_else(ends)?;
        if out.is_empty() {
            return Ok(());
        }
        let dataset = self.dataset.lock().unwrap_or_else(PoisonError::into_inner);
        let row = self.row.max(1);
        let (first, last) = if self.is_scalar { (0, 1) } else { (offset / row, end.div_ceil(row)) };
        let read = if self.is_scalar { dataset.read_raw() } else { dataset.read_raw_rows(first, last - first) };
        let bytes = read.map_err(|error| broken(&self.file, &error))?;
        let start = if self.is_scalar { offset } else { offset - first * row } as usize;
        match bytes.get(start..start.saturating_add(out.len())) {
            Some(found) => out.copy_from_slice(found),
            None => return Err(ends().into()),
        }
        Ok(())
    }
}
