use super::{Exit, Fault, shell_word};
use crate::tensor::{Dtype, Shape, ShapeText};

/// A checkpoint or a vocabulary cannot be read. `file` is always the name below the source.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Too short for the length of a header.
    #[error("{file} is no safetensors file: it has {bytes} bytes, and the length of the header alone takes 8")]
    TooSmall {
        /// The file.
        file: String,
        /// Its length.
        bytes: u64,
    },
    /// The header would end behind the end of the file.
    #[error("{file}: the header is said to have {header} bytes, but the file has {bytes}")]
    HeaderBeyondEnd {
        /// The file.
        file: String,
        /// The stated length of the header.
        header: u64,
        /// The length of the file.
        bytes: u64,
    },
    /// The header is longer than the format allows.
    #[error("{file}: the header is said to have {header} bytes, the format allows {limit}")]
    HeaderTooLarge {
        /// The file.
        file: String,
        /// The stated length of the header.
        header: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// Text is not UTF-8.
    #[error("{file}: not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The file.
        file: String,
        /// The offset in the file of the first wrong byte.
        offset: u64,
    },
    /// Text is not the JSON that it should be.
    #[error("{file}: invalid JSON at byte {offset}: {message}")]
    Json {
        /// The file.
        file: String,
        /// The offset in the file.
        offset: u64,
        /// What is wrong there.
        message: String,
    },
    /// A header names a tensor twice.
    #[error("{file}: tensor {tensor} occurs twice")]
    DuplicateTensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
    },
    /// An entry of a header lacks a field.
    #[error("{file}: tensor {tensor} has no `{field}`")]
    MissingField {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The field.
        field: &'static str,
    },
    /// An entry of a header has a field twice.
    #[error("{file}: tensor {tensor} has `{field}` twice")]
    DuplicateField {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The field.
        field: &'static str,
    },
    /// A header names an element type that the format does not know.
    #[error("{file}: tensor {tensor} has the unknown dtype `{dtype}`")]
    UnknownDtype {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// What is written there.
        dtype: String,
    },
    /// A number of a header is negative, a fraction, or exceeds 64 bits.
    #[error("{file}: tensor {tensor}: `{field}` holds {number}, which is no whole number below 2^64")]
    Number {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The field.
        field: &'static str,
        /// What is written there.
        number: String,
    },
    /// An array of a header has the wrong length.
    #[error("{file}: tensor {tensor}: `{field}` holds {found} numbers, expected {expected}")]
    Count {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The field.
        field: &'static str,
        /// How many there are; counting stops above the limit.
        found: usize,
        /// How many there may be, in words.
        expected: &'static str,
    },
    /// A tensor ends before it begins.
    #[error("{file}: tensor {tensor} ends at {end}, before it begins at {begin}")]
    Reversed {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Where it begins, counted from the end of the header.
        begin: u64,
        /// Where it ends.
        end: u64,
    },
    /// Bytes between two tensors belong to none.
    #[error("{file}: tensor {tensor} begins at {begin}, but the data before it end at {expected}")]
    Hole {
        /// The file.
        file: String,
        /// The tensor behind the hole.
        tensor: String,
        /// Where it begins, counted from the end of the header.
        begin: u64,
        /// Where it should begin.
        expected: u64,
    },
    /// Two tensors share bytes.
    #[error("{file}: tensor {tensor} begins at {begin}, inside tensor {other} that ends at {end}")]
    Overlap {
        /// The file.
        file: String,
        /// The later tensor.
        tensor: String,
        /// Where it begins, counted from the end of the header.
        begin: u64,
        /// The earlier tensor.
        other: String,
        /// Where that one ends.
        end: u64,
    },
    /// The shape and type do not take the bytes that the offsets give.
    #[error("{file}: tensor {tensor}: {dtype} {} takes {expected} bytes, its offsets hold {found}", ShapeText(shape))]
    Size {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Shape,
        /// What type and shape take.
        expected: u64,
        /// What the offsets hold.
        found: u64,
    },
    /// The number of elements or bytes exceeds 64 bits, or cuts a unit of sub-byte elements.
    #[error("{file}: tensor {tensor}: {dtype} {} is no whole number of bytes below 2^64", ShapeText(shape))]
    Uncountable {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Shape,
    },
    /// The file ends before its data do.
    #[error("{file} is truncated: it has {found} bytes, its header promises {expected}")]
    Truncated {
        /// The file.
        file: String,
        /// What the header promises.
        expected: u64,
        /// The length of the file.
        found: u64,
    },
    /// The file goes on after its data.
    #[error("{file} has {found} bytes, its header accounts for {expected}")]
    Trailing {
        /// The file.
        file: String,
        /// What the header accounts for.
        expected: u64,
        /// The length of the file.
        found: u64,
    },
    /// Two shards hold a tensor of the same name.
    #[error("tensor {tensor} is in two files, {first} and {second}")]
    TwoShards {
        /// The tensor.
        tensor: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// An index names a file outside its directory.
    #[error("{index} names the shard `{shard}`, which is outside its directory")]
    ShardOutside {
        /// The index.
        index: String,
        /// The shard as written.
        shard: String,
    },
    /// An index says that a shard holds a tensor, and it does not.
    #[error("{index} says that {shard} holds tensor {tensor}, but it does not")]
    BrokenPromise {
        /// The index.
        index: String,
        /// The tensor.
        tensor: String,
        /// The shard.
        shard: String,
    },
    /// A shard is not there.
    #[error("{shard} is missing, {by} asks for it{}", tensors.map(|n| format!(" ({n} tensors)")).unwrap_or_default())]
    MissingShard {
        /// The index, or another shard of the same set.
        by: String,
        /// The missing file.
        shard: String,
        /// How many tensors it should hold, where an index says so.
        tensors: Option<usize>,
    },
    /// A file of a kind that cannot be read.
    #[error("{file} is {called}")]
    Unreadable {
        /// The file.
        file: String,
        /// What it is.
        called: &'static str,
        /// What to do about it.
        remedy: String,
    },
    /// A file of no known kind.
    #[error("{file} is of no known format: its {bytes} bytes begin with {start}")]
    UnknownFormat {
        /// The file.
        file: String,
        /// Its length.
        bytes: u64,
        /// Its first bytes, in hex.
        start: String,
    },
    /// Several files may be meant.
    #[error("{label} holds several models: {}", files.join(", "))]
    SeveralModels {
        /// The source.
        label: String,
        /// The files.
        files: Vec<String>,
    },
    /// Tensors claim more than files can stand for.
    #[error(
        "{file}: its tensors claim {claimed} bytes, the file has {held}; {tensor} {} alone claims {bytes}",
        ShapeText(shape)
    )]
    Claims {
        /// The file, or the source where there are several.
        file: String,
        /// Bytes of all tensors.
        claimed: u64,
        /// Bytes of all files.
        held: u64,
        /// The largest tensor.
        tensor: String,
        /// Its shape.
        shape: Shape,
        /// Its bytes.
        bytes: u64,
    },
    /// No file may be meant.
    #[error("{label} holds no weights; it holds {}", if found.is_empty() { "nothing" } else { found.as_str() })]
    NoWeights {
        /// The source.
        label: String,
        /// What is there instead.
        found: String,
        /// A file in a folder below it that looks like weights.
        deeper: Option<String>,
    },
    /// An adapter that was not merged into its model.
    #[error("{file} is an adapter that was not merged into its model{}", tensor.as_ref().map(|t| format!(": it holds {t}")).unwrap_or_default())]
    Adapter {
        /// The file.
        file: String,
        /// A tensor that shows it.
        tensor: Option<String>,
    },
    /// A checkpoint of torch.distributed.
    #[error("{label} is a distributed checkpoint (DCP), as {file} shows")]
    Distributed {
        /// The source.
        label: String,
        /// A file that shows it.
        file: String,
    },
    /// A checkpoint of DeepSpeed's ZeRO.
    #[error("{label} is a checkpoint of DeepSpeed ZeRO, as {file} shows")]
    Zero {
        /// The source.
        label: String,
        /// A file that shows it.
        file: String,
    },
    /// The id of a token is larger than any vocabulary is.
    #[error("{file}: token `{token}` has the id {id}, ids are below {limit}")]
    TokenId {
        /// The file.
        file: String,
        /// The token.
        token: String,
        /// Its id.
        id: u64,
        /// The first id that is too large.
        limit: u64,
    },
    /// Rows that a tensor does not have.
    #[error("tensor {tensor}: rows {start} to {end} are asked for, it has {rows}")]
    Rows {
        /// The tensor.
        tensor: String,
        /// The first row asked for.
        start: u64,
        /// Behind the last row asked for.
        end: u64,
        /// How many there are.
        rows: u64,
    },
    /// A row of sub-byte elements is no whole number of bytes, so that it cannot be read alone.
    #[error("tensor {tensor}: a row of {dtype} {} is no whole number of bytes", ShapeText(shape))]
    PartialRow {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Shape,
    },
    /// A buffer does not have the length of the rows that are to go there.
    #[error("tensor {tensor}: the rows take {expected} bytes, the buffer has {found}")]
    Buffer {
        /// The tensor.
        tensor: String,
        /// What the rows take.
        expected: u64,
        /// What the buffer has.
        found: u64,
    },
    /// An index that is no tensor's.
    #[error("tensor number {index} is asked for, there are {tensors}")]
    Index {
        /// What was asked for.
        index: usize,
        /// How many there are.
        tensors: usize,
    },
}

impl CheckpointError {
    /// The same, with the source as it can be typed in the place of its label: hints are pasted.
    pub fn at(mut self, address: &str) -> CheckpointError {
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
