//! The plan as a value.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::plan::assignment::Assignment;
use crate::plan::evidence::{Answer, Question};
use crate::plan::inputs::SourceView;
pub(crate) use crate::source::PinnedFile;
use crate::tensor::TensorInfo;

/// Everything that will happen, before anything does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this format: 1.
    pub xfer_plan: u32,
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

/// The version of the plan's format.
pub(crate) const FORMAT: u32 = 1;

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
    pub format: String,
    /// The family, where recognised.
    pub family: Option<String>,
    /// The dialects that were recognised.
    pub dialects: Vec<String>,
    pub files: Vec<PinnedFile>,
    /// The dictionary that was read of files that nest them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl PlannedSource {
    /// A source as planning saw it, its family and dialects where they were recognised.
    pub(crate) fn of(view: &SourceView, family: Option<String>, dialects: Vec<String>) -> PlannedSource {
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

/// What the target is, for the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The form of the architecture file.
    pub form: String,
    pub family: Option<String>,
    /// Tensors, tied ones included.
    pub tensors: u64,
    /// Parameters, tied ones counted once.
    pub parameters: u64,
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

/// What a file beside the weights holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    Text(Arc<str>),
    /// The bytes of a file of a source, pinned by their blake3 digest.
    Source {
        source: usize,
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

/// A tensor of a source that no target uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unused {
    pub source: usize,
    /// The tensor.
    #[serde(flatten)]
    pub tensor: TensorInfo,
    pub reason: String,
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
