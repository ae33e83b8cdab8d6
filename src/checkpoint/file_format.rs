use std::fmt;

/// The file format of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFormat {
    /// safetensors, one file or shards.
    Safetensors,
    /// A PyTorch zip archive or pickle.
    PyTorch,
    /// NumPy's archive of arrays.
    Npz,
    /// One NumPy array.
    Npy,
    /// GGUF, as llama.cpp writes it.
    Gguf,
    /// HDF5, as Keras writes it.
    Hdf5,
    Onnx,
    /// MessagePack, as Flax writes it.
    Msgpack,
}

impl fmt::Display for CheckpointFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckpointFormat::Safetensors => "safetensors",
            CheckpointFormat::PyTorch => "pytorch",
            CheckpointFormat::Npz => "npz",
            CheckpointFormat::Npy => "npy",
            CheckpointFormat::Gguf => "gguf",
            CheckpointFormat::Hdf5 => "hdf5",
            CheckpointFormat::Onnx => "onnx",
            CheckpointFormat::Msgpack => "msgpack",
        })
    }
}
