use super::{Exit, Fault};
use crate::tensor::{Dtype, ShapeText, TensorInfo};

/// A low-rank adapter cannot be put on a base.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// An adapter among the sources has no base, or several could be it.
    #[error(
        "source {name} is an adapter, and there are {bases} other sources and {adapters} adapters: it takes one base and one adapter"
    )]
    Base {
        /// The adapter.
        name: String,
        /// Sources that are no adapters.
        bases: usize,
        /// Sources that are.
        adapters: usize,
    },
    /// Its configuration cannot be read.
    #[error("adapter_config.json of source {name}: {what}")]
    Config {
        /// The adapter.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A kind of adapter that is not folded.
    #[error("adapter_config.json of source {name}: {key} `{value}` is not supported")]
    Unsupported {
        /// The adapter.
        name: String,
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// One of two factors is missing.
    #[error("the adapter has {tensor}, but not {wanted}")]
    Half {
        /// The one that is there.
        tensor: String,
        /// The one that is not.
        wanted: String,
    },
    /// A tensor that no part of a low-rank adapter is.
    #[error("source {name}: {tensor} is not merged: {what}")]
    Unknown {
        /// The adapter.
        name: String,
        /// Its tensor.
        tensor: String,
        /// Why.
        what: &'static str,
    },
    /// Two tensors mean the same part, as of two adapters in one file.
    #[error("source {name}: {first} and {second} change the same module: the file holds more than one adapter")]
    Two {
        /// The adapter.
        name: String,
        /// One tensor.
        first: String,
        /// The other.
        second: String,
    },
    /// A tensor does not have the number of rows that the config states.
    #[error("source {name}: {tensor} has {found} rows, {what} in its config {}: {stated}", if *what == "the rank" { "is" } else { "number" })]
    Count {
        /// The adapter.
        name: String,
        /// Its tensor.
        tensor: String,
        /// What is stated.
        what: &'static str,
        /// How many rows are stated.
        stated: u64,
        /// How many there are.
        found: u64,
    },
    /// A change does not fit the tensor of the base.
    #[error(
        "source {name}: {} {} does not fit {tensor} {} of the base",
        adapter.name, ShapeText(&adapter.shape), ShapeText(&base.shape)
    )]
    Shapes {
        /// The adapter.
        name: String,
        /// The tensor of the base.
        tensor: String,
        /// What the base has.
        base: TensorInfo,
        /// What the adapter has.
        adapter: TensorInfo,
    },
    /// The tensor of the base holds numbers that stand for others.
    #[error("source {name}: {tensor} of the base is {dtype}, to which nothing can be added")]
    Packed {
        /// The adapter.
        name: String,
        /// The tensor of the base.
        tensor: String,
        /// Its type.
        dtype: Dtype,
    },
    /// The config names a module that was trained whole, and the file has no tensor of it.
    #[error(
        "adapter_config.json of source {name}: modules_to_save names {module}, of which the adapter holds no tensor"
    )]
    NotSaved {
        /// The adapter.
        name: String,
        /// The module.
        module: String,
    },
    /// One layer of a block lacks what the others have.
    #[error("source {name} has no pair of lora_A and lora_B for {module}, though it has for other {other}")]
    Hole {
        /// The adapter.
        name: String,
        /// The module of the base.
        module: String,
        /// The modules that it has some for.
        other: String,
    },
    /// A tensor changes nothing of the base.
    #[error("source {name}: {tensor} changes {wanted}, which the base does not have")]
    NoBase {
        /// The adapter.
        name: String,
        /// Its tensor.
        tensor: String,
        /// What it would change.
        wanted: String,
    },
}

impl Fault for AdapterError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            AdapterError::Base { .. } => vec!["--from base=BASE --from adapter=ADAPTER".into()],
            AdapterError::Unsupported { .. } => vec![
                "merge it first: python -c \"from peft import AutoPeftModel; \
                 AutoPeftModel.from_pretrained('ADAPTER').merge_and_unload().save_pretrained('MERGED')\""
                    .into(),
            ],
            AdapterError::NoBase { .. } => vec!["name the base that the adapter was trained on".into()],
            AdapterError::Packed { .. } => vec!["name the base in full precision".into()],
            AdapterError::Half { .. } | AdapterError::Hole { .. } | AdapterError::NotSaved { .. } => {
                vec!["fetch or copy the adapter again: a part of it is missing".into()]
            }
            AdapterError::Two { .. } => vec!["save each adapter in a directory of its own".into()],
            AdapterError::Config { .. }
            | AdapterError::Unknown { .. }
            | AdapterError::Count { .. }
            | AdapterError::Shapes { .. } => Vec::new(),
        }
    }
}
