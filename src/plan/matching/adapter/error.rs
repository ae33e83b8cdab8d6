use crate::error::{Exit, Fault};
use crate::tensor::{Dtype, ShapeText, TensorInfo};

/// A low-rank adapter cannot be put on a base.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdapterError {
    /// An adapter among the sources has no base, or several could be it.
    #[error(
        "source {name} is an adapter, and there are {bases} other sources and {adapters} adapters: it takes one base and one adapter"
    )]
    Base { name: String, bases: usize, adapters: usize },
    #[error("adapter_config.json of source {name}: {what}")]
    Config { name: String, what: String },
    #[error("adapter_config.json of source {name}: {key} `{value}` is not supported")]
    Unsupported { name: String, key: String, value: String },
    #[error("the adapter has {tensor}, but not {wanted}")]
    Half { tensor: String, wanted: String },
    #[error("source {name}: {tensor} is not merged: {what}")]
    Unknown { name: String, tensor: String, what: &'static str },
    /// Two tensors mean the same part, as of two adapters in one file.
    #[error("source {name}: {first} and {second} change the same module: the file contains more than one adapter")]
    Two { name: String, first: String, second: String },
    #[error("source {name}: {tensor} has {found} rows, {what} in its config {}: {stated}", if *what == "the rank" { "is" } else { "number" })]
    Count { name: String, tensor: String, what: &'static str, stated: u64, found: u64 },
    #[error(
        "source {name}: {} {} does not fit {tensor} {} of the base",
        adapter.name, ShapeText(&adapter.shape), ShapeText(&base.shape)
    )]
    Shapes { name: String, tensor: String, base: TensorInfo, adapter: TensorInfo },
    #[error("source {name}: {tensor} of the base is {dtype}, to which nothing can be added")]
    Packed { name: String, tensor: String, dtype: Dtype },
    /// The config names a module that was trained whole, and the file has no tensor of it.
    #[error(
        "adapter_config.json of source {name}: modules_to_save names {module}, of which the adapter contains no tensor"
    )]
    NotSaved { name: String, module: String },
    #[error("source {name} has no pair of lora_A and lora_B for {module}, though it has for other {other}")]
    Hole { name: String, module: String, other: String },
    #[error("source {name}: {tensor} changes {wanted}, which the base does not have")]
    NoBase { name: String, tensor: String, wanted: String },
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
            AdapterError::Two { .. } => vec!["save each adapter in its own directory".into()],
            AdapterError::Config { .. }
            | AdapterError::Unknown { .. }
            | AdapterError::Count { .. }
            | AdapterError::Shapes { .. } => Vec::new(),
        }
    }
}
