use crate::error::{Exit, Fault, shell_word};
use crate::tensor::{Dtype, Shape, ShapeText};

/// A checkpoint or a vocabulary cannot be read. `file` is always the name below the source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("{file} is not a safetensors file: it has {bytes} bytes, and the length of the header alone takes 8")]
    TooSmall { file: String, bytes: u64 },
    #[error("{file}: the header states a size of {header} bytes, but the file has {bytes}")]
    HeaderBeyondEnd { file: String, header: u64, bytes: u64 },
    #[error("{file}: the header states a size of {header} bytes, the format allows {limit}")]
    HeaderTooLarge { file: String, header: u64, limit: u64 },
    #[error("{file}: not UTF-8 at byte {offset}")]
    NotUtf8 { file: String, offset: u64 },
    #[error("{file}: invalid JSON at byte {offset}: {message}")]
    Json { file: String, offset: u64, message: String },
    #[error("{file}: tensor {tensor} occurs twice")]
    DuplicateTensor { file: String, tensor: String },
    #[error("{file}: tensor {tensor} has no `{field}`")]
    MissingField { file: String, tensor: String, field: &'static str },
    #[error("{file}: tensor {tensor} has `{field}` twice")]
    DuplicateField { file: String, tensor: String, field: &'static str },
    #[error("{file}: tensor {tensor} has the unknown dtype `{dtype}`")]
    UnknownDtype { file: String, tensor: String, dtype: String },
    /// A number of a header is negative, a fraction, or exceeds 64 bits.
    #[error("{file}: tensor {tensor}: `{field}` contains {number}, which is not an integer below 2^64")]
    Number { file: String, tensor: String, field: &'static str, number: String },
    #[error("{file}: tensor {tensor}: `{field}` contains {found} numbers, expected {expected}")]
    Count { file: String, tensor: String, field: &'static str, found: usize, expected: &'static str },
    #[error("{file}: tensor {tensor} ends at {end}, before it begins at {begin}")]
    Reversed { file: String, tensor: String, begin: u64, end: u64 },
    #[error("{file}: tensor {tensor} begins at {begin}, but the data before it end at {expected}")]
    Hole { file: String, tensor: String, begin: u64, expected: u64 },
    #[error("{file}: tensor {tensor} begins at {begin}, inside tensor {other} that ends at {end}")]
    Overlap { file: String, tensor: String, begin: u64, other: String, end: u64 },
    #[error("{file}: tensor {tensor}: {dtype} {} takes {expected} bytes, its offsets hold {found}", ShapeText(shape))]
    Size { file: String, tensor: String, dtype: Dtype, shape: Shape, expected: u64, found: u64 },
    /// The number of elements or bytes exceeds 64 bits, or cuts a unit of sub-byte elements.
    #[error("{file}: tensor {tensor}: {dtype} {} is not a whole number of bytes below 2^64", ShapeText(shape))]
    Uncountable { file: String, tensor: String, dtype: Dtype, shape: Shape },
    #[error("{file} is truncated: it has {found} bytes, its header promises {expected}")]
    Truncated { file: String, expected: u64, found: u64 },
    #[error("{file} has {found} bytes, its header accounts for {expected}")]
    Trailing { file: String, expected: u64, found: u64 },
    #[error("tensor {tensor} is in two files, {first} and {second}")]
    TwoShards { tensor: String, first: String, second: String },
    #[error("{index} names the shard `{shard}`, which is outside its directory")]
    ShardOutside { index: String, shard: String },
    /// An index says that a shard holds a tensor, and it does not.
    #[error("{index} says that {shard} contains tensor {tensor}, but it does not")]
    BrokenPromise { index: String, tensor: String, shard: String },
    #[error("{shard} is missing, {by} asks for it{}", tensors.map(|n| format!(" ({n} tensors)")).unwrap_or_default())]
    MissingShard { by: String, shard: String, tensors: Option<usize> },
    #[error("{file} is {called}")]
    Unreadable { file: String, called: &'static str, remedy: String },
    #[error("{file} is of no known format: its {bytes} bytes begin with {start}")]
    UnknownFormat { file: String, bytes: u64, start: String },
    #[error("{label} contains several models: {}", files.join(", "))]
    SeveralModels { label: String, files: Vec<String> },
    #[error(
        "{file}: its tensors claim {claimed} bytes, the file has {held}; {tensor} {} alone claims {bytes}",
        ShapeText(shape)
    )]
    Claims { file: String, claimed: u64, held: u64, tensor: String, shape: Shape, bytes: u64 },
    #[error("{label} contains no weights; it contains {}", if found.is_empty() { "nothing" } else { found.as_str() })]
    NoWeights { label: String, found: String, deeper: Option<String> },
    #[error("{file} is an adapter that was not merged into its model{}", tensor.as_ref().map(|t| format!(": it contains {t}")).unwrap_or_default())]
    Adapter { file: String, tensor: Option<String> },
    #[error("{label} is a distributed checkpoint (DCP), as {file} shows")]
    Distributed { label: String, file: String },
    #[error("{label} is a checkpoint of DeepSpeed ZeRO, as {file} shows")]
    Zero { label: String, file: String },
    #[error("{file}: token `{token}` has the id {id}, ids are below {limit}")]
    TokenId { file: String, token: String, id: u64, limit: u64 },
    #[error("tensor {tensor}: rows {start} to {end} are asked for, it has {rows}")]
    Rows { tensor: String, start: u64, end: u64, rows: u64 },
    /// A row of sub-byte elements is not a whole number of bytes, so that it cannot be read alone.
    #[error("tensor {tensor}: a row of {dtype} {} is not a whole number of bytes", ShapeText(shape))]
    PartialRow { tensor: String, dtype: Dtype, shape: Shape },
    #[error("tensor {tensor}: the rows take {expected} bytes, the buffer has {found}")]
    Buffer { tensor: String, expected: u64, found: u64 },
    #[error("tensor number {index} is asked for, there are {tensors}")]
    Index { index: usize, tensors: usize },
}

impl CheckpointError {
    /// As above, with the source as it can be typed in the place of its label: hints are pasted.
    pub(crate) fn at(mut self, address: &str) -> CheckpointError {
        if let CheckpointError::SeveralModels { label, .. }
        | CheckpointError::NoWeights { label, .. }
        | CheckpointError::Distributed { label, .. }
        | CheckpointError::Zero { label, .. } = &mut self
        {
            *label = address.to_string();
        }
        self
    }
}

impl Fault for CheckpointError {
    fn exit(&self) -> Exit {
        match self {
            CheckpointError::Rows { .. } | CheckpointError::Buffer { .. } | CheckpointError::Index { .. } => {
                Exit::Machine
            }
            _ => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            CheckpointError::Truncated { .. } | CheckpointError::HeaderBeyondEnd { .. } => {
                vec!["fetch or copy the file again".into()]
            }
            CheckpointError::MissingShard { shard, .. } => {
                vec![format!("fetch or copy {shard} into the same directory")]
            }
            CheckpointError::Unreadable { remedy, .. } => vec![remedy.clone()],
            CheckpointError::SeveralModels { label, files } => {
                let one = files.first().map(String::as_str).unwrap_or_default();
                vec![format!("name one of them, as {}", shell_word(&format!("{label}/{one}")))]
            }
            CheckpointError::NoWeights { label, deeper: Some(deeper), .. } => {
                vec![format!("name the weights, as {}", shell_word(&format!("{label}/{deeper}")))]
            }
            CheckpointError::Claims { tensor, .. } => {
                vec![format!(
                    "if {tensor} really has so many values, write them without compression and without shared storage"
                )]
            }
            CheckpointError::Adapter { .. } => vec![
                "put it on its base: xfer init --from base=BASE --from adapter=ADAPTER --arch BASE --out MERGED".into(),
                "or merge it first: python -c \"from peft import AutoPeftModel; \
                 AutoPeftModel.from_pretrained('ADAPTER').merge_and_unload().save_pretrained('MERGED')\""
                    .into(),
            ],
            CheckpointError::Distributed { label, .. } => vec![format!(
                "consolidate it first: python -m torch.distributed.checkpoint.format_utils dcp_to_torch {} model.pt",
                shell_word(label)
            )],
            CheckpointError::Zero { label, .. } => vec![format!(
                "consolidate it first: python {} {} MERGED --safe_serialization",
                shell_word(&format!("{label}/zero_to_fp32.py")),
                shell_word(label)
            )],
            _ => Vec::new(),
        }
    }
}
