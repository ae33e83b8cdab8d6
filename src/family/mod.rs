//! Families of published models: parameters and graph, initialisation, and the spellings and layouts (dialects) in
//! which their weights are published. One file for each family and one line in `FAMILIES`; only `plan` applies a dialect.

use crate::adapt::Op;
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::graph::{Builder, NodeId};

/// A Hugging Face config, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Config(pub serde_json::Map<String, serde_json::Value>);

/// One correspondence between the names of a family as Hugging Face writes it today (`ours`) and as a dialect writes
/// it (`theirs`). Templates lie below the block's path; `{i}` is a layer, `{p}` any path. One side has one name, or both.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Names in this family's own spelling.
    pub ours: &'static [&'static str],
    /// Names in the dialect's.
    pub theirs: &'static [&'static str],
    /// What turns theirs into ours, in order. With several of `theirs` the operation is applied to all of them
    /// together (`Concat`, `Stack`); with several of `ours` there is one list for each.
    pub read: fn(&Config) -> Vec<Vec<Op>>,
    /// What turns ours into theirs: the inverse, likewise.
    pub write: fn(&Config) -> Vec<Vec<Op>>,
}

/// A spelling and layout in which a family's weights are published.
pub struct Dialect {
    /// Its name, as in `convert --to`.
    pub name: &'static str,
    /// Templates of which one present in a source is proof of this dialect.
    pub markers: &'static [&'static str],
    /// The correspondences; a name that no rule mentions is spelt alike.
    pub rules: &'static [Rule],
}

/// The named results of a family's graph: `hidden`, `pooled`, `logits`, ….
pub type Outputs = Vec<(String, NodeId)>;

/// Which of the family's classes is built.
#[derive(Clone, Debug, PartialEq)]
pub enum Class {
    /// What the config's `architectures` names (the bare model where it names none).
    OfConfig,
    /// The bare model without its base prefix (a block inside native layers whose output is `hidden` or `pooled`).
    Bare,
}

/// How a family is built into a larger model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The nodes that feed it, by the family's input names; what is missing the family declares or assumes.
    pub wired: Vec<(String, NodeId)>,
}

/// A family of models.
pub trait Family: Sync {
    /// Its name, also as a layer type.
    fn name(&self) -> &'static str;
    /// The `model_type`s that it answers to.
    fn model_types(&self) -> &'static [&'static str];
    /// The classes that `architectures` may name, for messages.
    fn architectures(&self) -> &'static [&'static str];
    /// Declares parameters and nodes of a class, under the builder's path. An unknown class or a config value that cannot be is an error.
    fn build(&self, config: &Config, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs>;
    /// The path that the body has inside a model with a head, as `bert`.
    fn base_prefix(&self) -> &'static str;
    /// Its dialects, the plain one not among them.
    fn dialects(&self) -> &'static [Dialect];
    /// A config for a source that has none, from its listing, or `None`.
    fn config_of(&self, _source: &Listing) -> Option<Config> {
        None
    }
}

/// Every family, in display order.
pub const FAMILIES: &[&dyn Family] = &[];

/// The family that answers to a `model_type`, or `None`.
pub fn by_model_type(model_type: &str) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|family| family.model_types().contains(&model_type))
}

/// The family and config of a source: by its `config.json`, else by marker names of its tensors; `None` where neither says.
pub fn recognise(_source: &Listing) -> Option<(&'static dyn Family, Option<Config>)> {
    todo!()
}
