use crate::error::{Exit, Fault};

/// A file of NumPy, GGUF, HDF5, Flax or ONNX does not keep to its format, or holds what cannot be carried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("{file}: {wanted} bytes are expected at byte {offset}, but the file ends at {end}")]
    Ends { file: String, offset: u64, wanted: u64, end: u64 },
    #[error("{file}: invalid {format} at byte {offset}: {what}")]
    Invalid { file: String, format: &'static str, offset: u64, what: &'static str },
    #[error("{file}: {what} at byte {offset} is {found}, at most {limit} are read")]
    Limit { file: String, offset: u64, what: &'static str, found: u64, limit: u64 },
    #[error("{file}: tensor {tensor} contains {found}, which cannot be converted")]
    Elements { file: String, tensor: String, found: String },
    #[error("{file}: tensor {tensor} has {bytes} bytes at byte {offset}, but the file ends at {end}")]
    Beyond { file: String, tensor: String, offset: u64, bytes: u64, end: u64 },
    #[error("{file}: tensor {tensor} has rows of {elements} elements, blocks of {kind} hold {block}")]
    Block { file: String, tensor: String, kind: &'static str, elements: u64, block: u64 },
    /// An HDF5 file is not what it should be, as the library that reads it says.
    #[error("{file}: invalid HDF5: {detail}")]
    Hdf5 { file: String, detail: String },
    #[error("{file} contains no tensors")]
    Empty { file: String },
}

impl Fault for FormatError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            FormatError::Ends { .. } | FormatError::Beyond { .. } => vec!["fetch or copy the file again".into()],
            _ => Vec::new(),
        }
    }
}
