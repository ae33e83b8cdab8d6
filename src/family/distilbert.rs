//! DistilBERT (Sanh et al., arXiv:1910.01108): half of BERT's layers, without types of tokens and without a pooler.

use super::bert::BERT;
use super::encoder::Tower::{Each, First, Span};
use super::encoder::{Active, Encoder, Tower, Words};
use super::head::Head;
use crate::graph::Nonlinearity;

/// The family.
pub(super) const DISTILBERT: Encoder = Encoder {
    name: "distilbert",
    model_types: &["distilbert"],
    architectures: &[
        "DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification",
        "DistilBertForMultipleChoice", "DistilBertForTokenClassification", "DistilBertForQuestionAnswering",
    ],
    base_prefix: "distilbert",
    markers: &["transformer.layer.0.attention.q_lin.weight", "transformer.layer.0.ffn.lin1.weight"],
    dialects: &[],
    hidden: ("dim", 768),
    layers: ("n_layers", 6),
    heads: ("n_heads", 12),
    intermediate: ("hidden_dim", 3072),
    activation: ("activation", "gelu"),
    types: None,
    eps: (None, 1e-12),
    decodes: false,
    layer: "transformer.layer",
    attention: "attention",
    projections: ["q_lin", "k_lin", "v_lin", "out_lin"],
    attention_norm: "sa_layer_norm",
    wide: "ffn.lin1",
    narrow: "ffn.lin2",
    norm: "output_layer_norm",
    pooler: None,
    towers: &[
        (Head::Language, Tower::Words(WORDS)),
        (Head::Sequence, CLASSIFIER),
        (Head::Choice, CLASSIFIER),
        (Head::Token, Each("classifier")),
        (Head::Span, Span("qa_outputs")),
    ],
    ..BERT
};

const CLASSIFIER: Tower =
    First { dense: "pre_classifier", activation: Active::Fixed(Nonlinearity::Relu), out: "classifier" };

const WORDS: Words = Words::new("vocab_transform", Active::Layers, "vocab_layer_norm", "vocab_projector");
