//! BERT (Devlin et al., arXiv:1810.04805) as transformers writes it: embeddings, an encoder whose norms come after the sum,
//! a pooler over the first token, and the heads of its eight tasks.

use super::dialect::{Dialect, rules};
use super::encoder::Tower::{Each, Pair, Pooled, Span, WordsAndPair};
use super::encoder::{self, Active, Encoder, Padding, Positions, Projection, Tower, Width, Words};
use super::head::Head;

/// BERT, from which its relatives differ.
pub(super) const BERT: Encoder = Encoder {
    name: "bert",
    model_types: &["bert"],
    architectures: &[
        "BertModel", "BertForPreTraining", "BertForMaskedLM", "BertLMHeadModel", "BertForNextSentencePrediction",
        "BertForSequenceClassification", "BertForMultipleChoice", "BertForTokenClassification",
        "BertForQuestionAnswering",
    ],
    base_prefix: "bert",
    markers: &["embeddings.token_type_embeddings.weight", "encoder.layer.0.attention.self.query.weight"],
    dialects: &[GAMMA_BETA],
    vocabulary: ("vocab_size", 30522),
    hidden: ("hidden_size", 768),
    layers: ("num_hidden_layers", 12),
    heads: ("num_attention_heads", 12),
    intermediate: ("intermediate_size", 3072),
    activation: ("hidden_act", "gelu"),
    positions: ("max_position_embeddings", 512),
    types: Some(2),
    eps: (Some("layer_norm_eps"), 1e-12),
    padding: Padding::Key(0),
    decodes: true,
    position_ids: Positions::FromZero,
    words: "embeddings.word_embeddings",
    embedding_width: Width::OfLayers,
    projection: Projection::IfNeeded("embeddings_project"),
    layer: "encoder.layer",
    attention: "attention",
    projections: ["self.query", "self.key", "self.value", "output.dense"],
    attention_norm: "attention.output.LayerNorm",
    wide: "intermediate.dense",
    narrow: "output.dense",
    norm: "output.LayerNorm",
    pooler: Some("pooler.dense"),
    towers: &[
        (Head::PreTraining, WordsAndPair(WORDS, "cls.seq_relationship", "seq_relationship_logits", Some(2))),
        (Head::Language, Tower::Words(WORDS)),
        (Head::NextSentence, Pair("cls.seq_relationship")),
        (Head::Sequence, Pooled("classifier")),
        (Head::Choice, Pooled("classifier")),
        (Head::Token, Each("classifier")),
        (Head::Span, Span("qa_outputs")),
    ],
    body: encoder::body,
    stack: encoder::stack,
    initialise: encoder::initialise,
};

/// Its head of a language model.
pub(super) const WORDS: Words = Words {
    bias: Some("cls.predictions.bias"),
    dense: "cls.predictions.transform.dense",
    activation: Active::Layers,
    norm: "cls.predictions.transform.LayerNorm",
    decoder: "cls.predictions.decoder",
};

/// The names of checkpoints that were converted from TensorFlow before 2020: a norm's scale and shift are `gamma` and `beta`.
pub(super) const GAMMA_BETA: Dialect = Dialect {
    name: "gamma_beta",
    markers: &["{p}.LayerNorm.gamma", "{p}.LayerNorm.beta"],
    rules: &[rules! { "{p}.LayerNorm.{weight,bias}" => "{p}.LayerNorm.{gamma,beta}" }],
    ..Dialect::PLAIN
};
