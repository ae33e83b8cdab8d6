//! Architecture files, in three forms that become one: parameters, a graph where there is one, family blocks and rules.

use std::sync::Arc;

use crate::family::{Config, Family};
use crate::graph::{Graph, Parameter};

mod beside;
mod blocks;
mod depth;
mod describe;
pub(crate) mod error;
mod file_rules;
mod flags;
mod grammar;
mod hugging_face;
mod json;
mod labels;
mod layers;
mod listing;
mod missing;
mod modules;
mod native;
mod node;
mod open;
pub(crate) mod pattern;
mod rules;
mod schema;
mod self_contained;
mod snippet;
#[cfg(test)]
mod tests;
mod vocabulary;

pub(crate) use depth::{DepthItem, DepthList, ListItem};
pub use describe::describe;
pub(crate) use hugging_face::MOST_LABELS;
pub(crate) use missing::by_source;
pub use open::open;
pub(crate) use open::open_path;
pub(crate) use pattern::{Bindings, Pattern};
pub use rules::Flags;
pub(crate) use rules::{
    AdaptRule, DepthRule, Heads, InitRule, LabelRule, MapRule, NewRows, Positions, Rules, Selector, VocabRule,
};
pub use schema::schema;
pub use snippet::snippet;

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
    pub(crate) fn name(self) -> &'static str {
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
    pub arch_json: Option<Arc<str>>,
    /// The vocabulary that a `vocab` rule names, read.
    pub vocabulary: Option<TargetVocabulary>,
    /// Whether weights stand beside the config, so that keys which it does not state are those of these weights.
    pub has_weights: bool,
    /// What the user should know: what was guessed, and what this form cannot do.
    pub notes: Vec<String>,
}

impl Architecture {
    /// These parameters and nothing else.
    pub(crate) fn new(form: Form, parameters: Vec<Parameter>) -> Architecture {
        Architecture {
            form,
            name: None,
            parameters,
            graph: None,
            blocks: Vec::new(),
            rules: Rules::default(),
            config: None,
            arch_json: None,
            vocabulary: None,
            has_weights: false,
            notes: Vec::new(),
        }
    }
}

/// The tokenizer that the target will use.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetVocabulary {
    /// The rows by token.
    pub vocabulary: Arc<crate::checkpoint::vocabulary::Vocabulary>,
    /// Its files, name and content, to stand beside the weights; sorted.
    pub files: Vec<(String, Arc<Vec<u8>>)>,
    /// The folder that holds them, as it can be opened from the working directory.
    pub folder: String,
}
