//! Families of published models: parameters and graph, initialisation, and the spellings and layouts (dialects) in
//! which their weights are published. One file for each family and one line in `FAMILIES`; only `plan` applies a dialect.

mod activation;
mod albert;
mod aliases;
mod asked;
mod bart;
mod bert;
mod block;
mod complete;
mod config;
mod deberta;
mod decoder;
mod described;
mod dialect;
mod distilbert;
mod electra;
mod encoder;
pub(crate) mod error;
mod fairseq;
mod gpt2;
mod gpt_neox;
mod head;
mod ignored;
mod initial;
mod keys;
mod llama;
mod model;
mod modernbert;
mod mpnet;
mod openai;
mod recognise;
mod roberta;
mod rope;
mod seq2seq;
mod t5;
#[cfg(test)]
mod tests;
mod text;
mod whisper;

pub(crate) use aliases::same as same_keys;
pub(crate) use asked::Asked;
pub(crate) use complete::{Divergence, Weights, complete, divergences, lacks_size};
pub(crate) use config::{Config, Reader};
pub(crate) use dialect::{Correspondence, Dialect};
pub(crate) use ignored::is_ignored;
pub(crate) use keys::{INERT, Known};
pub(crate) use model::{Class, Family, Inputs, Outputs, output};
pub(crate) use recognise::{described, recognise};

/// The name of every family's own names and layout, as in `convert --to`.
pub(crate) const HUGGING_FACE: &str = "hf";

/// Every family, in display order.
pub const FAMILIES: &[&dyn Family] = &[
    &bert::BERT,
    &roberta::ROBERTA,
    &roberta::XLM_ROBERTA,
    &roberta::CAMEMBERT,
    &mpnet::MPNET,
    &distilbert::DISTILBERT,
    &electra::ELECTRA,
    &albert::ALBERT,
    &deberta::DEBERTA,
    &modernbert::MODERNBERT,
    &gpt2::GPT2,
    &gpt_neox::GPT_NEOX,
    &llama::GEMMA3,
    &llama::QWEN3_MOE,
    &llama::MIXTRAL,
    &llama::QWEN3,
    &llama::QWEN2,
    &llama::PHI3,
    &llama::LLAMA,
    &llama::MISTRAL,
    &llama::GEMMA,
    &llama::OLMO2,
    &llama::SMOLLM3,
    &t5::T5,
    &t5::MT5,
    &bart::BART,
    &whisper::WHISPER,
];

/// The family that answers to a `model_type`, or `None`.
pub fn by_model_type(model_type: &str) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|family| family.model_types().contains(&model_type))
}

/// The family of this name, or `None`.
pub(crate) fn by_name(name: &str) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|family| family.name() == name)
}

/// Every `model_type` that a family answers to, in display order.
pub(crate) fn model_types() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|family| family.model_types()).copied().collect()
}
