use crate::error::{Exit, Fault, shell_word};
use crate::tensor::{Shape, ShapeText};

/// A PyTorch file cannot be read. `file` is always the name below the source, `offset` a byte of it (for a compressed
/// member, of what it unpacks to).
#[derive(Debug, thiserror::Error)]
pub(crate) enum TorchError {
    /// A pickle is not one, or asks for more than any checkpoint needs.
    #[error("{file}: invalid pickle at byte {offset}: {problem}")]
    Pickle { file: String, offset: u64, problem: PickleProblem },
    #[error(
        "{file}: the pickle asks for `{global}` at byte {offset}, which runs code; a pickle is read, never executed"
    )]
    Code { file: String, offset: u64, global: String },
    #[error("{file} is a pickle, but none of PyTorch's: {what}")]
    NotTorch { file: String, what: &'static str },
    #[error("{file} is a zip archive without `data.pkl`: it contains {found}")]
    NoPickle { file: String, found: String },
    #[error("{file} contains several checkpoints: {first} and {second}")]
    TwoPickles { file: String, first: String, second: String },
    #[error("{file}: the byte order is `{found}`, expected `little` or `big`")]
    ByteOrder { file: String, found: String },
    #[error("{file}: tensor {tensor}: {problem}")]
    Tensor { file: String, tensor: String, problem: StoredProblem },
    #[error("{file}: storage {key} has a stated size of {bytes} bytes at byte {offset}, the file has {found}")]
    StorageBeyond { file: String, key: String, offset: u64, bytes: u64, found: u64 },
    /// The list of storages names one that no tensor uses, so that its element size is unknown.
    #[error("{file}: storage {key} is listed, but nothing refers to it")]
    UnknownStorage { file: String, key: String },
    #[error("{file} contains no named tensors: it is {found}")]
    NoTensors { file: String, found: String },
    #[error("{file} contains the state of an optimizer (`{key}`) and no weights")]
    Optimizer { file: String, key: String },
    /// Several dictionaries of tensors, none of which is the usual one.
    #[error("{file} contains several dictionaries of tensors: {}", keys.join(", "))]
    SeveralDictionaries { file: String, keys: Vec<String> },
    /// Only averaged weights are there, which are not taken unasked.
    #[error("{file} contains only averaged weights: {}", keys.join(", "))]
    OnlyAverages { file: String, keys: Vec<String> },
    #[error("{file} has no dictionary of tensors `{key}`; it has {}", if keys.is_empty() { "none".into() } else { keys.join(", ") })]
    NoKey { file: String, key: String, keys: Vec<String>, near: Option<String> },
    /// Names nest deeper, or there are more of them, than any model has.
    #[error("{file}: more than {limit} {what}")]
    TooMany { file: String, what: &'static str, limit: u64 },
}

/// What is wrong with an instruction of a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PickleProblem {
    #[error("{wanted} bytes are needed, {left} are left")]
    Ends { wanted: u64, left: u64 },
    #[error("unknown instruction {0:#04x}")]
    Instruction(u8),
    #[error("instruction {0:#04x} refers to something that is not in the file")]
    Outside(u8),
    #[error("protocol {0}, the last one is 5")]
    Protocol(u8),
    #[error("the stack is empty")]
    EmptyStack,
    /// The instruction takes everything since a mark, and there is none.
    #[error("there is no mark on the stack")]
    NoMark,
    #[error("memo {0} was never stored")]
    Memo(u64),
    #[error("expected {expected}, found {found}")]
    Kind { expected: &'static str, found: &'static str },
    #[error("{0} keys and values do not pair up")]
    Unpaired(usize),
    #[error("`{0}` is not a number")]
    Number(String),
    #[error("a name is not UTF-8")]
    NotUtf8,
    #[error("more than {limit} {what}")]
    Limit { what: &'static str, limit: u64 },
}

/// Why a tensor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoredProblem {
    #[error("it is built by `{0}`, which is unknown")]
    Builder(String),
    #[error("it is {kind} (`{global}`)")]
    NotPlain { kind: &'static str, global: String },
    #[error("`{global}` is given {what}")]
    Arguments { global: String, what: &'static str },
    #[error("elements of type `{0}` cannot be read")]
    Dtype(String),
    /// Shape, strides or offset exceed 64 bits.
    #[error("{} with strides {} from element {offset} does not fit into 64 bits", ShapeText(shape), ShapeText(stride))]
    Overflow { shape: Shape, stride: Vec<u64>, offset: u64 },
    #[error("its storage {0} is missing")]
    NoStorage(String),
    #[error("it needs {needed} bytes of storage {key}, which has {found}")]
    Beyond { key: String, needed: u64, found: u64 },
    #[error("its storage {key} has a stated size of {stated} bytes, the file contains {found}")]
    ShortStorage { key: String, stated: u64, found: u64 },
}

impl TorchError {
    /// A tensor of `file` and what is wrong with it.
    pub(crate) fn tensor(file: &str, tensor: &str, problem: StoredProblem) -> TorchError {
        TorchError::Tensor { file: file.into(), tensor: tensor.into(), problem }
    }
}

impl Fault for TorchError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        let with_key = |key: &String| format!("choose one: --key {}", shell_word(key));
        match self {
            TorchError::StorageBeyond { .. } => vec!["fetch or copy the file again".into()],
            TorchError::Pickle { problem: PickleProblem::Ends { .. }, .. } => {
                vec!["fetch or copy the file again".into()]
            }
            TorchError::SeveralDictionaries { keys, .. } => {
                let all = ["or take all of them, with their keys before the names: --key .".to_string()];
                keys.iter().map(with_key).chain(all).collect()
            }
            TorchError::OnlyAverages { keys, .. } => keys.iter().map(with_key).collect(),
            TorchError::NoKey { near, .. } => {
                near.iter().map(|key| format!("pass --key {}", shell_word(key))).collect()
            }
            TorchError::Tensor { problem: StoredProblem::NotPlain { kind, .. }, tensor, .. }
                if *kind == "quantised" =>
            {
                vec![format!("save {tensor}.dequantize() instead")]
            }
            _ => Vec::new(),
        }
    }
}
