//! ELECTRA (Clark et al., arXiv:2003.10555): BERT without a pooler, whose embeddings may be narrower than its layers; a
//! generator and a discriminator.

use super::bert::BERT;
use super::encoder::Tower::{Each, First, Other, Span};
use super::encoder::{self, Active, Body, Encoder, Model, Tower, Width, Words};
use super::head::Head;
use super::model::Outputs;
use crate::error::Result;
use crate::graph::{Builder, Layer, Nonlinearity};

/// The family.
pub(super) const ELECTRA: Encoder = Encoder {
    name: "electra",
    model_types: &["electra"],
    architectures: &[
        "ElectraModel", "ElectraForPreTraining", "ElectraForMaskedLM", "ElectraForCausalLM",
        "ElectraForSequenceClassification", "ElectraForMultipleChoice", "ElectraForTokenClassification",
        "ElectraForQuestionAnswering",
    ],
    base_prefix: "electra",
    markers: &["electra.embeddings.word_embeddings.weight", "electra.encoder.layer.0.attention.self.query.weight"],
    hidden: ("hidden_size", 256),
    heads: ("num_attention_heads", 4),
    intermediate: ("intermediate_size", 1024),
    embedding_width: Width::Key("embedding_size", 128),
    pooler: None,
    towers: &[
        (Head::PreTraining, Other(discriminator)),
        (Head::Language, Tower::Words(WORDS)),
        (Head::Sequence, First { dense: "classifier.dense", activation: GELU, out: "classifier.out_proj" }),
        (Head::Choice, Other(choice)),
        (Head::Token, Each("classifier")),
        (Head::Span, Span("qa_outputs")),
    ],
    ..BERT
};

const WORDS: Words =
    Words::new("generator_predictions.dense", GELU, "generator_predictions.LayerNorm", "generator_lm_head");
const GELU: Active = Active::Fixed(Nonlinearity::Gelu);

/// Whether each token was replaced.
fn discriminator(model: &Model, _head: Head, body: &Body, at: &mut Builder) -> Result<Outputs> {
    at.under("discriminator_predictions", |at| {
        let dense = encoder::linear("dense", model.hidden, body.hidden, at)?;
        let active = at.layer("", Layer::Activation(model.activation), &[dense])?;
        let logits = encoder::linear("dense_prediction", 1, active, at)?;
        encoder::outputs(at.layer("", Layer::Select { axis: 2, index: 0 }, &[logits])?)
    })
}

/// A score of transformers' sequence summary, of the first token.
fn choice(model: &Model, _head: Head, body: &Body, at: &mut Builder) -> Result<Outputs> {
    let config = model.config;
    let kind = config.text("summary_type", "first")?;
    if kind != "first" {
        return Err(config.unsupported("summary_type", kind, "first"));
    }
    let mut summary = at.layer("", Layer::Select { axis: 1, index: 0 }, &[body.hidden])?;
    if config.flag("summary_use_proj", true)? {
        summary = encoder::linear("sequence_summary.summary", model.hidden, summary, at)?;
    }
    let has_none = config.states("summary_activation") && config.get("summary_activation").is_none();
    if !has_none {
        let activation = config.activation("summary_activation", "gelu")?;
        summary = at.layer("", Layer::Activation(activation), &[summary])?;
    }
    encoder::classifier("classifier", 1, summary, at)
}
