//! The interface of a family, and how one of its models is built into a larger one.

use super::asked::Asked;
use super::config::{Config, Reader};
use super::dialect::{Dialect, Undetermined};
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::family::error::FamilyError;
use crate::graph::{Builder, NodeId};

/// The named results of a family's graph: `hidden`, `pooled`, `logits`, ….
pub(crate) type Outputs = Vec<(String, NodeId)>;

/// Which of the family's classes is built.
#[derive(Clone, Debug, PartialEq)]
pub enum Class {
    /// What the config's `architectures` names (the bare model where it names none).
    OfConfig,
    /// The bare model without its base prefix (a block inside native layers whose output is `hidden`, `pooled` or layers).
    Bare,
}

/// How a family is built into a larger model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The nodes that feed it, by the family's input names; what is missing the family declares or assumes.
    pub wired: Vec<(String, NodeId)>,
    /// The results that will be used, by name; empty for all. A bare model has no layers that serve only other results.
    pub wanted: Vec<String>,
}

impl Inputs {
    /// The node that feeds an input, or `None` where none is wired.
    pub(crate) fn get(&self, name: &str) -> Option<NodeId> {
        self.wired.iter().find(|(wired, _)| wired == name).map(|(_, node)| *node)
    }

    /// Whether a result will be used.
    pub(crate) fn wants(&self, output: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == output)
    }

    /// An error that names the first wired input which is none of `known`.
    pub(super) fn check(&self, family: &'static str, known: &'static [&'static str]) -> Result<()> {
        match self.wired.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(FamilyError::Input { family, name: name.clone(), known }.into()),
            None => Ok(()),
        }
    }
}

/// The node of the result `name`, or an error that lists the results that there are.
pub(crate) fn output(family: &dyn Family, outputs: &Outputs, name: &str) -> Result<NodeId> {
    let found = outputs.iter().find(|(output, _)| output == name);
    let known = || outputs.iter().map(|(output, _)| output.as_str()).collect::<Vec<_>>().join(", ");
    let missing = || FamilyError::Output { family: family.name(), name: name.into(), known: known() };
    Ok(found.ok_or_else(missing)?.1)
}

/// A family of models.
pub trait Family: Sync {
    /// Its name, also as a layer type.
    fn name(&self) -> &'static str;
    /// The `model_type`s that it answers to.
    fn model_types(&self) -> &'static [&'static str];
    /// The classes that `architectures` may name, for messages.
    fn architectures(&self) -> &'static [&'static str];
    /// The names of its inputs, the one that a preceding layer feeds first.
    fn inputs(&self) -> &'static [&'static str];
    /// Declares parameters and nodes of a class, under the builder's path. An unknown class or a config value that cannot be is an error.
    /// Every key of the config that it depends on is asked for through the reader, also where another key makes it ineffective.
    fn declare(&self, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs>;
    /// `declare` for a config that no reader records.
    fn build(&self, config: &Config, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
        self.declare(Reader::new(self.name(), config, &Asked::default())?, inputs, class, at)
    }
    /// The path that the body has inside a model with a head, as `bert`.
    fn base_prefix(&self) -> &'static str;
    /// Names below the body's path that together prove this family where a source has no config.
    fn markers(&self) -> &'static [&'static str];
    /// Its dialects, the plain one not among them.
    fn dialects(&self) -> &'static [Dialect];
    /// Layouts of its weights that are refused, because nothing in them determines which of several they have.
    fn undetermined(&self) -> &'static [Undetermined] {
        &[]
    }
    /// Templates, below the body's path, of the matrices that it stores as (in, out).
    fn in_out(&self) -> &'static [&'static str] {
        &[]
    }
    /// A config for a source that has none of transformers, from its listing and what describes it, or `None`.
    fn config_of(&self, _source: &Listing) -> Option<Config> {
        None
    }
    /// The keys of what describes such a source that `config_of` does not know and that may change what the model computes.
    fn unknown_keys(&self, _source: &Listing) -> Vec<String> {
        Vec::new()
    }
    /// The names of small tensors that such a source stores and that a config states.
    fn tables(&self) -> &'static [&'static str] {
        &[]
    }
    /// The config of `config_of` with what these tensors hold.
    fn with_tables(&self, config: Config, _tables: &[(String, Vec<f64>)]) -> Config {
        config
    }
    /// The config of `config_of` where it was measured that embedding and head are one, or are not.
    fn retied(&self, config: Config, _source: &Listing, tied: Option<bool>) -> Config {
        with_ties(config, tied)
    }
}

/// A config with what was measured of embedding and head.
pub(super) fn with_ties(mut config: Config, tied: Option<bool>) -> Config {
    if let Some(tied) = tied {
        config.0.insert("tie_word_embeddings".into(), tied.into());
    }
    config
}
