//! A weight file as it will lie on disk.

use crate::tensor::TensorInfo;

/// One weight file: its header, and where each tensor lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WeightFile {
    /// `model.safetensors`, or `model-00001-of-0000N.safetensors`.
    pub name: String,
    /// What it begins with: of safetensors the length prefix and the JSON header, padded.
    pub header: Vec<u8>,
    /// What else is known beforehand, with its offsets: the headers and the directory of an archive.
    pub rest: Vec<(u64, Vec<u8>)>,
    /// Its tensors, in file order; of safetensors without holes.
    pub spans: Vec<Span>,
    /// Checksums that are written when everything else is.
    pub sums: Vec<Sum>,
    /// The whole length.
    pub bytes: u64,
}

/// Where a tensor lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The index of the assignment in the plan.
    pub assignment: usize,
    /// The offset in the file, header included.
    pub offset: u64,
    pub len: u64,
}

/// A CRC-32 over a part of a file, and the two places of the file that state it, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Where the part begins.
    pub offset: u64,
    pub len: u64,
    /// Where the sum stands.
    pub places: [u64; 2],
}

/// An assignment that takes space.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub assignment: usize,
    pub info: &'a TensorInfo,
    pub bytes: u64,
}
