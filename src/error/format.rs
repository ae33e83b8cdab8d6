use super::{Exit, Fault};

/// A file of NumPy, GGUF, HDF5, Flax or ONNX does not keep to its format, or holds what cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file ends within its header.
    #[error("{file}: {wanted} bytes are expected at byte {offset}, but the file ends at {end}")]
    Ends {
        /// The file.
        file: String,
        /// Where they are expected.
        offset: u64,
        /// How many.
        wanted: u64,
        /// Where the file, or the part of it that is read, ends.
        end: u64,
    },
    /// Something is written that the format does not know.
    #[error("{file}: invalid {format} at byte {offset}: {what}")]
    Invalid {
        /// The file.
        file: String,
        /// The name of the format.
        format: &'static str,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A number in a header is larger than any honest file has.
    #[error("{file}: {what} at byte {offset} is {found}, at most {limit} are read")]
    Limit {
        /// The file.
        file: String,
        /// Where the number stands.
        offset: u64,
        /// What it counts.
        what: &'static str,
        /// The number.
        found: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// The elements of a tensor have a type that cannot be carried.
    #[error("{file}: tensor {tensor} holds {found}, which cannot be carried")]
    Elements {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The type, as its library calls it.
        found: String,
    },
    /// The data of a tensor lie outside the file.
    #[error("{file}: tensor {tensor} has {bytes} bytes at byte {offset}, but the file ends at {end}")]
    Beyond {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Where its data begin.
        offset: u64,
        /// How many bytes they take.
        bytes: u64,
        /// Where the file ends.
        end: u64,
    },
    /// The rows of a tensor are no whole number of quantisation blocks.
    #[error("{file}: tensor {tensor} has rows of {elements} elements, blocks of {kind} hold {block}")]
    Block {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The name of the quantisation.
        kind: &'static str,
        /// Elements of a row.
        elements: u64,
        /// Elements of a block.
        block: u64,
    },
    /// An HDF5 file is not what it should be, as the library that reads it says.
    #[error("{file}: invalid HDF5: {detail}")]
    Hdf5 {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// The file holds no tensor.
    #[error("{file} holds no tensors")]
    Empty {
        /// The file.
        file: String,
    },
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
