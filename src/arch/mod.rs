//! Architecture files, in three forms that become one: parameters, a graph where there is one, family blocks and rules.

use std::sync::Arc;

use crate::family::{Config, Family};
use crate::graph::{Graph, Parameter};
use crate::tensor::Dtype;

pub mod pattern;

pub use pattern::{Bindings, Pattern};

/// Which of the three forms a file had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A Hugging Face `config.json`.
    HuggingFace,
    /// Native layers.
    Layers,
    /// A listing of tensors.
    Listing,
}

impl Form {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Form::HuggingFace => "hugging face config",
            Form::Layers => "layers",
            Form::Listing => "listing",
        }
    }
}

/// Where a family stands in a model.
#[derive(Clone)]
pub struct FamilyBlock {
    /// Its path: empty for a Hugging Face config, `bert` for a block of that name in native layers.
    pub path: String,
    /// The family.
    pub family: &'static dyn Family,
    /// Its config.
    pub config: Config,
}

/// What the weights must become.
#[derive(Clone)]
pub struct Architecture {
    /// The form of the file.
    pub form: Form,
    /// The model's name, where the file says one.
    pub name: Option<String>,
    /// The `state_dict`, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// The graph, or `None` for a listing.
    pub graph: Option<Graph>,
    /// Known families inside it.
    pub blocks: Vec<FamilyBlock>,
    /// The rules of the file, weakest first, then those of the command line.
    pub rules: Rules,
    /// What becomes the output's `config.json`, or `None` where the file has no config.
    pub config: Option<Config>,
    /// What becomes the output's `arch.json`, self-contained; `None` for a Hugging Face config.
    pub arch_json: Option<String>,
    /// The vocabulary that a `vocab` rule names, read.
    pub vocabulary: Option<TargetVocabulary>,
}

/// The tokenizer that the target will use.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetVocabulary {
    /// The rows by token.
    pub vocabulary: Arc<crate::checkpoint::vocabulary::Vocabulary>,
    /// Its files, name and content, to stand beside the weights.
    pub files: Vec<(String, Arc<Vec<u8>>)>,
}

/// A rule's pattern and whether it may match nothing (`?` in front).
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The pattern.
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

/// One item of a depth list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DepthItem {
    /// This source layer.
    Source(u64),
    /// No source: a new layer.
    New,
    /// Between two neighbouring source layers: `(1 − t) · a + t · (a + 1)`.
    Between {
        /// The lower source layer.
        lower: u64,
        /// The weight of the one above.
        t: f64,
    },
    /// A copy of this source layer whose residual branches start at zero.
    Identity(u64),
}

/// A depth list as written: `every:2`, `0-5,new,7`.
#[derive(Clone, Debug, PartialEq)]
pub enum DepthList {
    /// The first layers.
    First,
    /// The last layers.
    Last,
    /// Every `step`-th from `offset`.
    Every {
        /// The distance.
        step: u64,
        /// The first.
        offset: u64,
    },
    /// `round(linspace(0, L − 1, l))`.
    Spaced,
    /// `i mod L`.
    Stack,
    /// `floor(i · L / l)`: each layer repeated in place.
    Interleave,
    /// Linear interpolation between neighbouring layers.
    Interpolate,
    /// Source layers in place, with new blocks that start as the identity spread evenly between them.
    Expand,
    /// One item for each target layer; a negative index counts from the end.
    Items(Vec<ListItem>),
}

/// One item of an explicit depth list, before the number of source layers is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListItem {
    /// A source layer; negative from the end.
    Index(i64),
    /// A new layer.
    New,
}

/// Which source layers fill a repeated block of the target.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthRule {
    /// The block's path, as `encoder.layer`.
    pub path: Selector,
    /// The layers.
    pub list: DepthList,
}

/// What happens to position rows that the source lacks or has too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
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
    /// Which.
    pub target: Selector,
    /// Its position rows.
    pub positions: Option<Positions>,
    /// Its key and value heads.
    pub heads: Option<Heads>,
    /// The rows of a vocabulary or head that have no source.
    pub rows: Option<NewRows>,
}

/// How key and value heads become fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heads {
    /// The mean of each group.
    Mean,
    /// Each head again and again (to more heads).
    Repeat,
}

/// What rows without a source become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewRows {
    /// The mean of the source's rows.
    Mean,
    /// Drawn with the mean and covariance of the source's rows.
    MeanCovariance,
    /// Initialised by the scheme of the tensor.
    New,
    /// Zeros.
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

impl Rules {
    /// Parses the rule flags, or an error (exit 2) that shows what was typed and the form that is expected.
    pub fn from_flags(_flags: &Flags) -> crate::error::Result<Rules> {
        todo!()
    }
}

/// Opens `--arch ARCH`: a file, a directory, or `org/name[@rev]` for its config. `--set` and `--labels` change a Hugging Face
/// config; the flags' rules are appended to the file's, and are stronger. Reads a `vocab` rule's tokenizer.
pub fn open(
    _reference: &str,
    _flags: &Flags,
    _access: &crate::source::Access,
    _progress: &dyn crate::progress::Progress,
) -> crate::error::Result<Architecture> {
    todo!()
}

/// The JSON Schema of architecture files.
pub fn schema() -> serde_json::Value {
    todo!()
}

/// The lines of Python that write a listing from any `nn.Module` (`--snippet torch`), or an error that lists the frameworks.
pub fn snippet(_framework: &str) -> crate::error::Result<&'static str> {
    todo!()
}

impl Pattern {
    /// Parses a pattern: `*` one dotted component, `**` any number, `{i}` an integer, `{p}` and other letters any path where they
    /// are a whole component or prefix.
    pub fn parse(_text: &str) -> crate::error::Result<Pattern> {
        todo!()
    }
    /// What the wildcards stand for in `name`, or `None` where it does not match.
    pub fn matches(&self, _name: &str) -> Option<Bindings> {
        todo!()
    }
    /// The name that the pattern spells under these bindings, or `None` where one is missing. `*` and `**` are bound in order.
    pub fn substitute(&self, _bindings: &Bindings) -> Option<String> {
        todo!()
    }
}
