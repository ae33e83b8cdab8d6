//! What a family says of the names in a model: which are tied, and how a matrix is stored.

use std::collections::HashMap;

use crate::family::{Class, Config, Family, Inputs};
use crate::graph::{Builder, Layout, Parameter};

/// The parameters of a family's class under a path, with its ties made; empty where the config does not build.
pub(super) fn parameters(family: &'static dyn Family, config: &Config, path: &str) -> Vec<Parameter> {
    let mut tied = config.clone();
    tied.0.insert("tie_word_embeddings".into(), true.into());
    let mut at = Builder::new();
    let built = at.under(path, |at| family.build(&tied, &Inputs::default(), &Class::OfConfig, at));
    match built.and_then(|_| at.finish(Vec::new())) {
        Ok((parameters, _)) => parameters,
        Err(_) => Vec::new(),
    }
}

/// The pairs of a tie, the other name and the owner's.
pub(super) fn ties(parameters: &[Parameter]) -> Vec<(String, String)> {
    let pair = |alias: &Parameter| Some((alias.name.clone(), parameters.get(alias.tied_to?)?.name.clone()));
    parameters.iter().filter_map(pair).collect()
}

/// The matrices that a family stores as (in, out), by name.
#[derive(Default)]
pub(super) struct Layouts {
    by_name: HashMap<String, Layout>,
    base_prefix: &'static str,
}

impl Layouts {
    /// What these parameters of a family say.
    pub fn of(family: &'static dyn Family, parameters: &[Parameter]) -> Layouts {
        let swapped = parameters.iter().filter(|parameter| parameter.layout == Layout::InOut);
        Layouts {
            by_name: swapped.map(|parameter| (parameter.name.clone(), parameter.layout)).collect(),
            base_prefix: family.base_prefix(),
        }
    }

    /// Whether the family stores this tensor as (in, out), whichever of body and model it was saved from.
    pub fn is_in_out(&self, name: &str) -> bool {
        if self.by_name.is_empty() {
            return false;
        }
        let name = super::names::plain(name);
        let has = |name: &str| self.by_name.contains_key(name);
        has(&name)
            || has(&super::names::join(self.base_prefix, &name))
            || super::names::below(&name, self.base_prefix).is_some_and(has)
    }
}
