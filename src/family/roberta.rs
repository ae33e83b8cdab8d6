//! RoBERTa (Liu et al., arXiv:1907.11692): BERT whose positions are counted from after the row of padding, with other heads. XLM-RoBERTa
//! (Conneau et al., arXiv:1911.02116) and CamemBERT (Martin et al., arXiv:1911.03894) are RoBERTa with other vocabularies.

use super::bert::BERT;
use super::encoder::Tower::{Each, First, Pooled, Span};
use super::encoder::{Active, Encoder, Padding, Positions, Tower, Words};
use super::fairseq;
use super::head::Head;
use crate::graph::Nonlinearity;

/// RoBERTa.
pub(super) const ROBERTA: Encoder = Encoder {
    name: "roberta",
    model_types: &["roberta"],
    architectures: &[
        "RobertaModel", "RobertaForMaskedLM", "RobertaForCausalLM", "RobertaForSequenceClassification",
        "RobertaForMultipleChoice", "RobertaForTokenClassification", "RobertaForQuestionAnswering",
    ],
    base_prefix: "roberta",
    markers: &["lm_head.layer_norm.weight", "roberta.encoder.layer.0.attention.self.query.weight"],
    dialects: fairseq::DIALECTS,
    vocabulary: ("vocab_size", 50265),
    padding: Padding::Key(1),
    position_ids: Positions::AfterPadding,
    towers: &[
        (Head::Language, Tower::Words(WORDS)),
        (Head::Sequence, First { dense: "classifier.dense", activation: TANH, out: "classifier.out_proj" }),
        (Head::Choice, Pooled("classifier")),
        (Head::Token, Each("classifier")),
        (Head::Span, Span("qa_outputs")),
    ],
    ..BERT
};

const TANH: Active = Active::Fixed(Nonlinearity::Tanh);
const WORDS: Words = Words {
    bias: Some("lm_head.bias"),
    ..Words::new("lm_head.dense", Active::Fixed(Nonlinearity::Gelu), "lm_head.layer_norm", "lm_head.decoder")
};

/// XLM-RoBERTa.
pub(super) const XLM_ROBERTA: Encoder = Encoder {
    name: "xlm-roberta",
    model_types: &["xlm-roberta"],
    architectures: &[
        "XLMRobertaModel", "XLMRobertaForMaskedLM", "XLMRobertaForCausalLM", "XLMRobertaForSequenceClassification",
        "XLMRobertaForMultipleChoice", "XLMRobertaForTokenClassification", "XLMRobertaForQuestionAnswering",
    ],
    vocabulary: ("vocab_size", 30522),
    ..ROBERTA
};

/// CamemBERT.
pub(super) const CAMEMBERT: Encoder = Encoder {
    name: "camembert",
    model_types: &["camembert"],
    architectures: &[
        "CamembertModel", "CamembertForMaskedLM", "CamembertForCausalLM", "CamembertForSequenceClassification",
        "CamembertForMultipleChoice", "CamembertForTokenClassification", "CamembertForQuestionAnswering",
    ],
    ..XLM_ROBERTA
};
