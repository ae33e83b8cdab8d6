//! What planning decides from.

use crate::arch::Selector;
use crate::checkpoint::Listing;
use crate::checkpoint::vocabulary::Vocabulary;
pub(crate) use crate::source::PinnedFile;
use crate::tensor::Dtype;

/// A source as planning sees it.
pub(crate) struct SourceView<'a> {
    /// The name that rules use; `source` where there is only one and it was not named.
    pub name: String,
    pub reference: String,
    /// As typed, to open it again.
    pub location: String,
    /// The commit of a Hub repository.
    pub commit: Option<String>,
    pub files: Vec<PinnedFile>,
    /// The dictionary that was read of files that nest them.
    pub key: Option<String>,
    /// What it holds.
    pub listing: &'a Listing,
    /// Its tokenizer's tokens, where it has one that can be read.
    pub vocabulary: Option<&'a Vocabulary>,
    /// The files that could stand beside the output's weights (tokenizer, generation, preprocessor, chat template, modules),
    /// each with its `blake3:…` digest.
    pub companions: Vec<(String, String)>,
    /// The text of its `adapter_config.json`, where it is a low-rank adapter on top of another source.
    pub adapter: Option<String>,
}

/// What planning is told beside the sources and the architecture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// `--seed`.
    pub seed: u64,
    /// `--dtype`.
    pub dtype: DtypeChoice,
    /// `--max-shard-size` in bytes.
    pub max_shard_size: u64,
    /// `--min-coverage`.
    pub min_coverage: f64,
    /// `--strict`.
    pub strict: bool,
}

impl Default for Options {
    /// Those of the command line.
    fn default() -> Options {
        Options {
            seed: 0,
            dtype: DtypeChoice::Default,
            max_shard_size: 5_000_000_000,
            min_coverage: 0.5,
            strict: false,
        }
    }
}

/// `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtypeChoice {
    /// As the architecture specifies, else each tensor keeps its own.
    Default,
    /// Each tensor keeps its own.
    Keep,
    /// Floats become this.
    To(Dtype),
}

/// What is asked of a conversion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conversion {
    /// The type that floats become; `None` keeps each tensor's own.
    pub dtype: Option<Dtype>,
    /// The dialect in which tensors are spelt and laid out, `hf` for Hugging Face's own; `None` keeps names and layouts.
    pub to: Option<String>,
    /// Patterns of the source tensors that are written; all where there is none.
    pub only: Vec<Selector>,
    /// The largest size of a shard, in bytes.
    pub max_shard_size: u64,
    /// Whether files beside the weights go along.
    pub with_companions: bool,
}
