//! Planning: (listings, architecture, evidence) → `Plan`, a pure value. It reads no tensor data; what it must know of
//! data it asks for beforehand as questions, and the answers stand in the plan.

mod assemble;
mod blocks;
mod buffers;
mod carriage;
mod chosen;
mod circumstances;
mod codes;
mod companions;
mod convert;
mod coverage;
mod damage;
mod depth;
mod document;
mod facts;
mod fit;
mod gaps;
mod initialize;
pub mod matching;
mod mismatches;
mod modules;
pub(crate) mod names;
mod norms;
mod other_stacks;
mod pairing;
mod parts;
mod quantized;
mod rename_rules;
mod renames;
mod role;
mod rules;
mod structure;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tied_names;
mod ties;
mod validate;
mod value;
mod whole;

pub use assemble::{plan, questions};
pub use companions::is_companion;
pub use convert::{Conversion, convert, convert_questions};
pub use mismatches::Mismatch;
pub use tied_names::tied_names;
pub use value::{InitPart, Value};

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Listing;
use crate::checkpoint::vocabulary::Vocabulary;
use crate::error::PlanError;
pub use crate::source::PinnedFile;
use crate::tensor::{Dtype, TensorInfo};

/// The version of the plan's format.
pub const FORMAT: u32 = 1;

/// What happened to a target tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The bytes of one source tensor.
    Copied,
    /// Operations over one or several sources, new rows perhaps among them.
    Adapted,
    /// Another name of a tensor that is written once.
    Tied,
    /// Initialised.
    New,
}

/// The step of matching that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A `map` rule.
    Map,
    /// The same name.
    Name,
    /// The same name after wrappers were stripped.
    Wrapper,
    /// A dialect of the family.
    Dialect,
    /// A leading path added or removed.
    Prefix,
    /// The longest common suffix of a whole repeated module.
    Suffix,
    /// The place in the order of an `nn.Sequential`, whose indices name other layers.
    Sequence,
    /// The owner of a tie.
    Tie,
    /// None: there is no source.
    None,
}

/// How an initialised tensor, or its new rows, are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialisation {
    /// The scheme's name with its parameters, as `he_normal`.
    pub scheme: String,
    /// The standard deviation that it aims at, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub std: Option<f64>,
    /// What chose it: `--init`, `bert: initializer_range`, `auto: linear before gelu`.
    pub by: String,
    /// `anywhere` or `processor`: where the same bits are promised.
    pub exact: Exact,
}

/// Where the same bits are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exact {
    /// On every processor.
    Anywhere,
    /// On any number of threads of one type of processor.
    Processor,
}

/// One target tensor: what it becomes and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// As it is written.
    #[serde(flatten)]
    pub target: TensorInfo,
    /// What happened.
    pub action: Action,
    /// The expression.
    pub value: Value,
    /// The step of matching that answered.
    pub step: Step,
    /// Why, in words.
    pub reason: Cow<'static, str>,
    /// Further candidates that lost, in words, for `explain`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub runners_up: Vec<String>,
    /// How what is new in it is drawn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<Initialisation>,
    /// Rows without a source.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub new_rows: u64,
    /// Whether it belongs to a head.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub head: bool,
    /// That it is scaled after it was written, by what the model's batch measures at its layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lsuv: Option<Lsuv>,
    /// That it had a source and is new all the same, because its module could not be transferred as a whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mismatched: Option<Mismatch>,
}

/// Layer-sequential unit variance (Mishkin and Matas, arXiv:1511.06422) of one weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lsuv {
    /// The variance that the layer's output is to have, where it was said; else it follows from the model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<f64>,
    /// How far from its target the variance may be at the end, as a share of the target.
    pub tolerance: f64,
}

/// The batch that the model is measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PlannedBatch {
    /// Drawn from the declared inputs: numbers from N(0, 1), ids uniformly.
    Random {
        /// How many examples.
        rows: u64,
    },
    /// A file with one array for each input, examples first.
    File {
        /// Where, as typed. Not part of the plan's hash.
        location: String,
        /// `blake3:…` of the whole file.
        digest: String,
    },
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A source as the plan knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedSource {
    /// The name that rules use.
    pub name: String,
    /// The reference for reports: `org/name`, or the last component of a path.
    pub reference: String,
    /// What to open again: as typed. Not part of the plan's hash.
    pub location: String,
    /// The commit of a Hub repository.
    pub commit: Option<String>,
    /// The format.
    pub format: String,
    /// The family, where recognised.
    pub family: Option<String>,
    /// The dialects that were recognised.
    pub dialects: Vec<String>,
    /// Its files.
    pub files: Vec<PinnedFile>,
    /// The dictionary that was read of files that nest them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl PlannedSource {
    /// A source as planning saw it, its family and dialects where they were recognised.
    fn of(view: &SourceView, family: Option<String>, dialects: Vec<String>) -> PlannedSource {
        PlannedSource {
            name: view.name.clone(),
            reference: view.reference.clone(),
            location: view.location.clone(),
            commit: view.commit.clone(),
            format: view.listing.format.to_string(),
            family,
            dialects,
            files: view.files.clone(),
            key: view.key.clone(),
        }
    }
}

/// What a file beside the weights holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// This text.
    Text(Arc<str>),
    /// The bytes of a file of a source, pinned by their blake3 digest.
    Source {
        /// Which source.
        source: usize,
        /// Its name there.
        name: String,
        /// `blake3:…` of the whole file.
        digest: String,
    },
    /// The bytes of a local file (a tokenizer that the architecture names).
    File {
        /// Where, as typed. Not part of the plan's hash.
        location: String,
        /// `blake3:…` of the whole file.
        digest: String,
    },
}

/// A file that stands beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Companion {
    /// Its name in the output directory; may contain `/`.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// A tensor of a source that no target uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unused {
    /// Which source.
    pub source: usize,
    /// The tensor.
    #[serde(flatten)]
    pub tensor: TensorInfo,
    /// Why.
    pub reason: String,
}

/// What the target is, for the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The form of the architecture file.
    pub form: String,
    /// The family, where it is one.
    pub family: Option<String>,
    /// Tensors, tied ones included.
    pub tensors: u64,
    /// Parameters, tied ones counted once.
    pub parameters: u64,
}

/// Everything that will happen, before anything does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this format: 1.
    pub xfer_plan: u32,
    /// The seed of every draw.
    pub seed: u64,
    /// The generator whose bits are meant.
    pub generator: String,
    /// Where the weights come from.
    pub sources: Vec<PlannedSource>,
    /// What they become.
    pub target: Target,
    /// Every target tensor, in the order in which they are written.
    pub assignments: Vec<Assignment>,
    /// The largest size of a shard, in bytes.
    pub max_shard_size: u64,
    /// Files beside the weights.
    pub companions: Vec<Companion>,
    /// Source tensors that nothing uses.
    pub unused: Vec<Unused>,
    /// Source tensors without which the target computes the same: buffers, scales, heads that it does not have.
    pub dropped: Vec<Unused>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What was measured before planning.
    pub evidence: Vec<(Question, Answer)>,
    /// What `lsuv` measures the model on; there is one where any assignment has the mark.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batch: Option<PlannedBatch>,
}

/// A fact about data that a decision needs, measured before planning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Are two stored tensors the same, byte for byte?
    Equal {
        /// Which source.
        source: usize,
        /// One tensor.
        a: String,
        /// The other.
        b: String,
    },
    /// The mean and standard deviation of all elements, summed in f64 in order.
    Moments {
        /// Which source.
        source: usize,
        /// The tensor.
        tensor: String,
    },
    /// All elements of a small tensor.
    Values {
        /// Which source.
        source: usize,
        /// The tensor.
        tensor: String,
    },
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To `Equal`.
    Equal(bool),
    /// To `Moments`.
    Moments {
        /// The mean.
        mean: f64,
        /// The population standard deviation.
        std: f64,
    },
    /// To `Values`.
    Values(Vec<f64>),
}

/// A source as planning sees it.
pub struct SourceView<'a> {
    /// The name that rules use; `source` where there is only one and it was not named.
    pub name: String,
    /// The reference for reports.
    pub reference: String,
    /// As typed, to open it again.
    pub location: String,
    /// The commit of a Hub repository.
    pub commit: Option<String>,
    /// Its weight files.
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

/// `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtypeChoice {
    /// Not said: the architecture decides, else each tensor keeps its own.
    Unsaid,
    /// Each tensor keeps its own.
    Keep,
    /// Floats become this.
    To(Dtype),
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
        Options { seed: 0, dtype: DtypeChoice::Unsaid, max_shard_size: 5_000_000_000, min_coverage: 0.5, strict: false }
    }
}

/// A plan, and what in it breaks the coverage contract. With violations nothing is written (exit 4); a dry run still prints it.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Each an ambiguity, a hole, a likely rename, a new layer, a low coverage or (with `--strict`) an undeclared tensor.
    pub violations: Vec<PlanError>,
    /// The flags that would make `--strict` pass, ready to paste.
    pub strict_lines: Vec<String>,
}
