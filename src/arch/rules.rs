//! Everything that a user may say about a transfer, whichever form the file has.

use super::{DepthList, Pattern};
use crate::tensor::Dtype;

/// A rule's pattern and whether it may match nothing (`?` in front).
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    pub pattern: Pattern,
    /// Whether it may match nothing.
    pub optional: bool,
    /// As it was written, for messages.
    pub text: String,
    /// Where it was written: `--new`, or `new[2]` of the file.
    pub place: String,
}

/// Where a target's tensors come from, said by the user.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRule {
    /// Target names; several split the source.
    pub to: Vec<Pattern>,
    /// Source names, each with the source it belongs to where several are open; several are concatenated; `None` means new.
    pub from: Option<Vec<(Option<String>, Pattern)>>,
    /// Operations, in order.
    pub ops: Vec<crate::adapt::NamedOp>,
    /// Whether it may match nothing.
    pub optional: bool,
    /// As it was written, for messages.
    pub text: String,
    /// Where it was written.
    pub place: String,
}

/// Which source layers fill a repeated block of the target.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthRule {
    /// The block's path, as `encoder.layer`.
    pub path: Selector,
    pub list: DepthList,
}

/// What happens to position rows that the source lacks or has too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// The first rows (the default when shrinking).
    Cut,
    /// The last row again and again.
    Repeat,
    /// All rows from the start again.
    Tile,
    /// Linear interpolation to the new number.
    Interpolate,
    /// New rows (the default when growing).
    New,
}

/// How one tensor that almost fits is adapted.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptRule {
    pub target: Selector,
    pub positions: Option<Positions>,
    /// Its key and value heads.
    pub heads: Option<Heads>,
    /// The rows of a vocabulary or head that have no source.
    pub rows: Option<NewRows>,
    /// Leading rows that are no positions, of source and target.
    pub prefix: Option<[u64; 2]>,
}

/// How key and value heads become fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heads {
    Mean,
    /// Each head again and again (to more heads).
    Repeat,
}

/// What rows without a source become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewRows {
    /// The mean of the source's rows.
    Mean,
    /// Drawn with the mean and covariance of the source's rows.
    MeanCovariance,
    /// The mean of the source's rows of the pieces that spell the token, in lower case where nothing spells it as it is written; the
    /// mean of all where none do. Only for tokens.
    Subwords,
    /// Initialised by the scheme of the tensor.
    New,
    Zeros,
}

/// Rows of an embedding matched by token.
#[derive(Clone, Debug, PartialEq)]
pub struct VocabRule {
    /// The `tokenizer.json`, `vocab.txt` or folder, as written.
    pub tokenizer: String,
    /// Which embedding, where there is more than one.
    pub target: Option<Selector>,
    /// What tokens without a source row become.
    pub new_tokens: NewRows,
}

/// Rows of a head matched by class name.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRule {
    /// The head's path, as `classifier`; `None` for the model's only head.
    pub head: Option<Selector>,
    /// The class of each row.
    pub labels: Vec<String>,
}

/// A scheme for the new tensors and rows that a pattern matches.
#[derive(Clone, Debug, PartialEq)]
pub struct InitRule {
    /// Which; `None` is `--init S` without a pattern.
    pub target: Option<Selector>,
    /// The scheme as written, with its parameters.
    pub scheme: crate::init::SchemeSpec,
}

/// Everything that a user may say about the transfer, in one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The last that matches a target wins.
    pub map: Vec<MapRule>,
    /// The last for a path wins.
    pub depth: Vec<DepthRule>,
    /// The last that matches wins.
    pub adapt: Vec<AdaptRule>,
    /// Embedding rows by token.
    pub vocab: Option<VocabRule>,
    /// Head rows by class.
    pub labels: Vec<LabelRule>,
    /// The last that matches wins; those of the command line stand after those of the file.
    pub init: Vec<InitRule>,
    /// How many of `init` come from the file; the others are the command line's and stronger.
    pub init_from_file: usize,
    /// Targets that may be new.
    pub new: Vec<Selector>,
    /// Sources that may be unused.
    pub unused: Vec<Selector>,
    /// Targets that are initialised although a source exists.
    pub reinit: Vec<Selector>,
    /// The file's `dtype`.
    pub dtype: Option<Dtype>,
}

/// The rule flags of the command line, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--map 'TO=FROM|op…'`.
    pub map: Vec<String>,
    /// `--depth PATH=LIST`.
    pub depth: Vec<String>,
    /// `--init [PATTERN=]SCHEME`.
    pub init: Vec<String>,
    /// `--new PATTERN`.
    pub new: Vec<String>,
    /// `--unused PATTERN`.
    pub unused: Vec<String>,
    /// `--reinit PATTERN`.
    pub reinit: Vec<String>,
    /// `--labels a,b,c`.
    pub labels: Option<String>,
    /// `--set KEY=VALUE`; the value is JSON where it parses, else a string.
    pub set: Vec<String>,
}
