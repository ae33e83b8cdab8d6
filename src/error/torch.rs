use super::{Exit, Fault, shell_word};
use crate::tensor::{Shape, ShapeText};

/// A PyTorch file cannot be read. `file` is always the name below the source, `offset` a byte of it (for a compressed
/// member, of what it unpacks to).
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// A pickle is not one, or asks for more than any checkpoint needs.
    #[error("{file}: invalid pickle at byte {offset}: {problem}")]
    Pickle {
        /// The file.
        file: String,
        /// The instruction.
        offset: u64,
        /// What is wrong with it.
        problem: PickleProblem,
    },
    /// A pickle asks for something that runs code.
    #[error(
        "{file}: the pickle asks for `{global}` at byte {offset}, which runs code; a pickle is read, never executed"
    )]
    Code {
        /// The file.
        file: String,
        /// The instruction.
        offset: u64,
        /// The global, as `os.system`.
        global: String,
    },
    /// A pickle that `torch.save` did not write.
    #[error("{file} is a pickle, but none of PyTorch's: {what}")]
    NotTorch {
        /// The file.
        file: String,
        /// What shows it.
        what: &'static str,
    },
    /// A zip archive without a pickle of tensors.
    #[error("{file} is a zip archive without `data.pkl`: it holds {found}")]
    NoPickle {
        /// The file.
        file: String,
        /// The first entries.
        found: String,
    },
    /// A zip archive with several pickles of tensors.
    #[error("{file} holds several checkpoints: {first} and {second}")]
    TwoPickles {
        /// The file.
        file: String,
        /// One.
        first: String,
        /// Another.
        second: String,
    },
    /// The byte order is neither of the two.
    #[error("{file}: the byte order is `{found}`, expected `little` or `big`")]
    ByteOrder {
        /// The file.
        file: String,
        /// What is written there.
        found: String,
    },
    /// A tensor cannot be read.
    #[error("{file}: tensor {tensor}: {problem}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Why.
        problem: StoredProblem,
    },
    /// The storages of the old format do not fill the file as they say.
    #[error("{file}: storage {key} is said to have {bytes} bytes at byte {offset}, the file has {found}")]
    StorageBeyond {
        /// The file.
        file: String,
        /// The storage.
        key: String,
        /// Where its data begin.
        offset: u64,
        /// What it should have.
        bytes: u64,
        /// The length of the file.
        found: u64,
    },
    /// The list of storages names one that no tensor uses, so that its element size is unknown.
    #[error("{file}: storage {key} is listed, but nothing refers to it")]
    UnknownStorage {
        /// The file.
        file: String,
        /// The storage.
        key: String,
    },
    /// Nothing in the file is a tensor with a name.
    #[error("{file} holds no named tensors: it is {found}")]
    NoTensors {
        /// The file.
        file: String,
        /// What it is instead.
        found: String,
    },
    /// The state of an optimizer and nothing else.
    #[error("{file} holds the state of an optimizer (`{key}`) and no weights")]
    Optimizer {
        /// The file.
        file: String,
        /// The entry that shows it.
        key: String,
    },
    /// Several dictionaries of tensors, none of which is the usual one.
    #[error("{file} holds several dictionaries of tensors: {}", keys.join(", "))]
    SeveralDictionaries {
        /// The file.
        file: String,
        /// Their keys.
        keys: Vec<String>,
    },
    /// Only averaged weights are there, which are not taken unasked.
    #[error("{file} holds only averaged weights: {}", keys.join(", "))]
    OnlyAverages {
        /// The file.
        file: String,
        /// Their keys.
        keys: Vec<String>,
    },
    /// `--key` names no dictionary of the file.
    #[error("{file} has no dictionary of tensors `{key}`; it has {}", if keys.is_empty() { "none".into() } else { keys.join(", ") })]
    NoKey {
        /// The file.
        file: String,
        /// What was asked for.
        key: String,
        /// What there is.
        keys: Vec<String>,
        /// The key, in full, of which it is a typing error.
        near: Option<String>,
    },
    /// Names nest deeper, or there are more of them, than any model has.
    #[error("{file}: more than {limit} {what}")]
    TooMany {
        /// The file.
        file: String,
        /// Of what.
        what: &'static str,
        /// How many are read.
        limit: u64,
    },
}

/// What is wrong with an instruction of a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleProblem {
    /// The data end before the instruction does.
    #[error("{wanted} bytes are needed, {left} are left")]
    Ends {
        /// How many the instruction needs.
        wanted: u64,
        /// How many there are.
        left: u64,
    },
    /// No such instruction.
    #[error("unknown instruction {0:#04x}")]
    Instruction(u8),
    /// An instruction that refers to something outside the pickle.
    #[error("instruction {0:#04x} refers to something that is not in the file")]
    Outside(u8),
    /// A version of the format that does not exist.
    #[error("protocol {0}, the last one is 5")]
    Protocol(u8),
    /// The instruction takes more from the stack than is there.
    #[error("the stack is empty")]
    EmptyStack,
    /// The instruction takes everything since a mark, and there is none.
    #[error("there is no mark on the stack")]
    NoMark,
    /// Something is recalled that was never remembered.
    #[error("memo {0} was never stored")]
    Memo(u64),
    /// The instruction is applied to the wrong kind of value.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What the instruction needs.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Keys and values do not pair up.
    #[error("{0} keys and values do not pair up")]
    Unpaired(usize),
    /// A number as text is none.
    #[error("`{0}` is no number")]
    Number(String),
    /// A name is not UTF-8.
    #[error("a name is not UTF-8")]
    NotUtf8,
    /// More than any checkpoint needs.
    #[error("more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are read.
        limit: u64,
    },
}

/// Why a tensor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredProblem {
    /// Built by something that is not known.
    #[error("it is built by `{0}`, which is unknown")]
    Builder(String),
    /// A kind of tensor that is not dense and plain.
    #[error("it is {kind} (`{global}`)")]
    NotPlain {
        /// What it is, in words.
        kind: &'static str,
        /// What builds it.
        global: String,
    },
    /// The arguments of the builder are not what it takes.
    #[error("`{global}` is given {what}")]
    Arguments {
        /// The builder.
        global: String,
        /// What is wrong with them.
        what: &'static str,
    },
    /// An element type that cannot be carried.
    #[error("elements of type `{0}` cannot be read")]
    Dtype(String),
    /// Shape, strides or offset exceed 64 bits.
    #[error("{} with strides {} from element {offset} does not fit into 64 bits", ShapeText(shape), ShapeText(stride))]
    Overflow {
        /// The shape.
        shape: Shape,
        /// Elements from one index to the next, for each axis.
        stride: Vec<u64>,
        /// The first element.
        offset: u64,
    },
    /// The storage is not there.
    #[error("its storage {0} is missing")]
    NoStorage(String),
    /// The storage is shorter than the tensor needs.
    #[error("it needs {needed} bytes of storage {key}, which has {found}")]
    Beyond {
        /// The storage.
        key: String,
        /// Up to where the tensor reaches.
        needed: u64,
        /// What the storage has.
        found: u64,
    },
    /// The storage is shorter than the pickle says.
    #[error("its storage {key} is said to have {stated} bytes, the file holds {found}")]
    ShortStorage {
        /// The storage.
        key: String,
        /// What the pickle says.
        stated: u64,
        /// What there is.
        found: u64,
    },
}

impl TorchError {
    /// A tensor of `file` and what is wrong with it.
    pub fn tensor(file: &str, tensor: &str, problem: StoredProblem) -> TorchError {
        TorchError::Tensor { file: file.into(), tensor: tensor.into(), problem }
    }
}

impl Fault for TorchError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        let with_key = |key: &String| format!("say which: --key {}", shell_word(key));
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
            TorchError::NoKey { near, .. } => near.iter().map(|key| format!("say --key {}", shell_word(key))).collect(),
            TorchError::Tensor { problem: StoredProblem::NotPlain { kind, .. }, tensor, .. }
                if *kind == "quantised" =>
            {
                vec![format!("save {tensor}.dequantize() instead")]
            }
            _ => Vec::new(),
        }
    }
}
