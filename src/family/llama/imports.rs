//! Configs for weights that were published with another description than transformers': a `params.json`, a `model_config.yaml`, or the
//! metadata of a GGUF file.

use super::table::Llama;
use super::{frequencies, gguf, model_config, params};
use crate::checkpoint::Listing;
use crate::family::config::Config;
use crate::family::described::{Described, Imports};

pub(super) const IMPORTS: Imports<Llama> = Imports {
    config_of,
    unknown_keys,
    tables: frequencies::TABLES,
    with_tables: frequencies::with_tables,
    retied: |config, source, tied| params::retied(model_config::retied(config, source, tied), source, tied),
};

fn config_of(of: &Described<Llama>, source: &Listing) -> Option<Config> {
    gguf::config(of, source).or_else(|| params::config(of, source)).or_else(|| model_config::config(of, source))
}

fn unknown_keys(of: &Described<Llama>, source: &Listing) -> Vec<String> {
    let described = params::unknown(source).into_iter().chain(model_config::unknown(&of.table, source));
    described.chain(gguf::unknown(&of.table, source)).collect()
}
