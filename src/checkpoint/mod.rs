//! Checkpoints: what they hold, and their tensors' bytes by rows. One file for each format, recognised by bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

mod alone;
mod arrays;
mod choose;
mod claims;
mod cursor;
pub(crate) mod error;
mod file_format;
mod format;
pub(crate) mod format_error;
mod gguf;
mod hdf5;
mod json;
mod keras;
pub(crate) mod kernel;
mod msgpack;
mod natural;
mod numpy;
mod onnx;
mod open;
mod opening;
mod options;
mod part;
pub(crate) mod pieces;
mod restated;
mod safetensors;
#[cfg(test)]
mod tests;
mod torch;
pub mod vocabulary;
mod zip;
pub(crate) mod zip_error;

pub(crate) use file_format::CheckpointFormat;
pub(crate) use natural::natural_cmp;
pub(crate) use open::open;
pub use open::open_file;
pub use options::OpenOptions;
pub(crate) use part::row_bytes;
pub(crate) use restated::Restated;

use kernel::Variable;

use crate::error::Result;
use crate::hash::HashMap;
use crate::source::{Bytes, PinnedFile};
use crate::tensor::{Name, Rows, TensorInfo};

/// What a checkpoint holds, from its headers alone.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The file format.
    pub format: CheckpointFormat,
    /// Every tensor, in natural order of the names (layer 2 before layer 10).
    pub tensors: Vec<TensorInfo>,
    /// Key and value pairs of the header.
    pub metadata: Vec<(String, String)>,
    /// The text of the `config.json` beside it, where there is one.
    pub config: Option<String>,
    /// The names and texts of the files beside it that state how its weights were quantised (`hf_quant_config.json`, …).
    pub quantization: Vec<(String, String)>,
    /// Tensors that are stored once under several names: each name to the first that has the same bytes, shape and type. A
    /// PyTorch file keeps ties so; other formats list none.
    pub ties: BTreeMap<String, String>,
    /// What the file states about tensors whose layout is not PyTorch's, by their names; most formats state nothing.
    pub variables: BTreeMap<String, Variable>,
    /// Name to place in `tensors`, made when it is first asked for: the listings of shards never are.
    index: OnceLock<HashMap<Name, usize>>,
}

impl PartialEq for Listing {
    fn eq(&self, other: &Listing) -> bool {
        let Listing { format, tensors, metadata, config, quantization, ties, variables, index: _ } = self;
        let others = (&other.format, &other.tensors, &other.metadata, &other.config, &other.quantization);
        (format, tensors, metadata, config, quantization) == others
            && (ties, variables) == (&other.ties, &other.variables)
    }
}

impl Listing {
    /// Puts the tensors into natural order (a stable sort). Names are distinct; of two equal ones `position` finds the first.
    pub(crate) fn new(
        format: CheckpointFormat,
        mut tensors: Vec<TensorInfo>,
        metadata: Vec<(String, String)>,
        config: Option<String>,
    ) -> Listing {
        tensors.sort_by(|a, b| natural_cmp(&a.name, &b.name));
        let (quantization, ties, variables, index) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), OnceLock::new());
        Listing { format, tensors, metadata, config, quantization, ties, variables, index }
    }

    /// As above, with the names that share their bytes.
    fn with_ties(self, ties: BTreeMap<String, String>) -> Listing {
        Listing { ties, ..self }
    }

    /// As above, with what the file states about its tensors.
    pub(crate) fn with_variables(self, variables: BTreeMap<String, Variable>) -> Listing {
        Listing { variables, ..self }
    }

    /// The name of a tensor by its index; empty beyond the last.
    pub(crate) fn name(&self, id: usize) -> &str {
        self.tensors.get(id).map_or("", |tensor| tensor.name.as_str())
    }

    /// The index of the tensor called `name`, or `None`; one look-up, however many tensors there are.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.index.get_or_init(|| index(&self.tensors)).get(name).copied()
    }
}

fn index(tensors: &[TensorInfo]) -> HashMap<Name, usize> {
    let mut index = HashMap::with_capacity_and_hasher(tensors.len(), Default::default());
    for (place, tensor) in tensors.iter().enumerate() {
        index.entry(tensor.name.clone()).or_insert(place);
    }
    index
}

/// Where a tensor lies verbatim in a file.
#[derive(Clone)]
pub struct Extent {
    /// The file.
    pub file: Arc<dyn Bytes>,
    /// Where its first byte lies.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// An open checkpoint of any format.
pub trait Reader: Send + Sync {
    /// What it holds.
    fn listing(&self) -> &Listing;
    /// Where the tensor lies verbatim (little-endian, row-major, unpacked), or `None`: then only `read` gives it.
    fn extent(&self, tensor: usize) -> Option<Extent>;
    /// The logical row-major elements of `rows` in the stored type into `out`, whose length is exactly theirs.
    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()>;
    /// The bytes that a read of this tensor holds meanwhile: 0 for plain files, all of it for a compressed one.
    fn scratch(&self, tensor: usize) -> u64;
}

/// An opened checkpoint and what the plan pins of it.
pub struct Checkpoint {
    /// Its tensors.
    pub reader: Arc<dyn Reader>,
    /// The files that hold them (index included).
    pub files: Vec<PinnedFile>,
    /// Which dictionary was read of a file that nests them, as `--key` takes it; `None` where there is nothing to choose.
    pub key: Option<String>,
    /// What the user should know: other weight files that were passed over, and why.
    pub notes: Vec<String>,
}
