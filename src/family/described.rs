//! A family as a table: constants, and one function that builds it.

use super::config::{Config, Reader};
use super::dialect::{Dialect, Undetermined};
use super::model::{Class, Family, Inputs, Outputs, with_ties};
use crate::checkpoint::Listing;
use crate::error::Result;
use crate::graph::Builder;

/// A config with tables of numbers that a file states, by their names.
type WithTables = fn(Config, &[(String, Vec<f64>)]) -> Config;

/// A family whose answers are constants. `T` is what its builder reads, so that relatives share a builder.
pub(crate) struct Described<T: 'static = ()> {
    pub(super) name: &'static str,
    pub(super) model_types: &'static [&'static str],
    pub(super) architectures: &'static [&'static str],
    pub(super) inputs: &'static [&'static str],
    pub(super) base_prefix: &'static str,
    pub(super) markers: &'static [&'static str],
    pub(super) dialects: &'static [Dialect],
    pub(super) undetermined: &'static [Undetermined],
    pub(super) in_out: &'static [&'static str],
    pub(super) imports: Option<Imports<T>>,
    pub(super) table: T,
    pub(super) build: Build<T>,
}

/// Declares a class of a family.
pub(super) type Build<T> = fn(&Described<T>, Reader, &Inputs, &Class, &mut Builder) -> Result<Outputs>;

/// How a family makes a config of transformers for a source that has another description: the functions of `Family`.
pub(crate) struct Imports<T: 'static> {
    pub(super) config_of: fn(&Described<T>, &Listing) -> Option<Config>,
    pub(super) unknown_keys: fn(&Described<T>, &Listing) -> Vec<String>,
    pub(super) tables: &'static [&'static str],
    pub(super) with_tables: WithTables,
    pub(super) retied: fn(Config, &Listing, Option<bool>) -> Config,
}

impl<T> Described<T> {
    /// A family of which the names are still to be stated.
    pub(super) const fn new(table: T, build: Build<T>) -> Described<T> {
        Described {
            name: "",
            model_types: &[],
            architectures: &[],
            inputs: &[],
            base_prefix: "",
            markers: &[],
            dialects: &[],
            undetermined: &[],
            in_out: &[],
            imports: None,
            table,
            build,
        }
    }
}

impl<T: Sync> Family for Described<T> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn model_types(&self) -> &'static [&'static str] {
        self.model_types
    }
    fn architectures(&self) -> &'static [&'static str] {
        self.architectures
    }
    fn inputs(&self) -> &'static [&'static str] {
        self.inputs
    }
    fn base_prefix(&self) -> &'static str {
        self.base_prefix
    }
    fn markers(&self) -> &'static [&'static str] {
        self.markers
    }
    fn dialects(&self) -> &'static [Dialect] {
        self.dialects
    }
    fn undetermined(&self) -> &'static [Undetermined] {
        self.undetermined
    }
    fn in_out(&self) -> &'static [&'static str] {
        self.in_out
    }
    fn config_of(&self, source: &Listing) -> Option<Config> {
        (self.imports.as_ref()?.config_of)(self, source)
    }
    fn unknown_keys(&self, source: &Listing) -> Vec<String> {
        self.imports.as_ref().map_or_else(Vec::new, |imports| (imports.unknown_keys)(self, source))
    }
    fn tables(&self) -> &'static [&'static str] {
        self.imports.as_ref().map_or(&[], |imports| imports.tables)
    }
    fn with_tables(&self, config: Config, tables: &[(String, Vec<f64>)]) -> Config {
        match &self.imports {
            Some(imports) => (imports.with_tables)(config, tables),
            None => config,
        }
    }
    fn retied(&self, config: Config, source: &Listing, tied: Option<bool>) -> Config {
        match &self.imports {
            Some(imports) => (imports.retied)(config, source, tied),
            None => with_ties(config, tied),
        }
    }
    fn declare(&self, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
        (self.build)(self, config, inputs, class, at)
    }
}
