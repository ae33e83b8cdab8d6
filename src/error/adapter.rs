use super::{Exit, Fault};

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
        key: &'static str,
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
            AdapterError::Config { .. } | AdapterError::Half { .. } => Vec::new(),
        }
    }
}
