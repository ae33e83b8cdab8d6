//! ALBERT (Lan et al., arXiv:1909.11942): a narrow embedding, and a few layers that are used again and again.

use super::bert::BERT;
use super::encoder::Tower::{Each, Pooled, Span, WordsAndPair};
use super::encoder::{self, Active, Encoder, Feed, Model, Projection, Tower, Width, Words};
use super::head::Head;
use crate::error::Result;
use crate::graph::{Builder, NodeId};

/// The family.
pub(super) const ALBERT: Encoder = Encoder {
    name: "albert",
    model_types: &["albert"],
    architectures: &[
        "AlbertModel", "AlbertForPreTraining", "AlbertForMaskedLM", "AlbertForSequenceClassification",
        "AlbertForMultipleChoice", "AlbertForTokenClassification", "AlbertForQuestionAnswering",
    ],
    base_prefix: "albert",
    markers: &[
        "encoder.embedding_hidden_mapping_in.weight",
        "encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight",
    ],
    vocabulary: ("vocab_size", 30000),
    hidden: ("hidden_size", 4096),
    heads: ("num_attention_heads", 64),
    intermediate: ("intermediate_size", 16384),
    activation: ("hidden_act", "gelu_new"),
    decodes: false,
    embedding_width: Width::Key("embedding_size", 128),
    projection: Projection::Always("encoder.embedding_hidden_mapping_in"),
    attention: "attention",
    projections: ["query", "key", "value", "dense"],
    attention_norm: "attention.LayerNorm",
    wide: "ffn",
    narrow: "ffn_output",
    norm: "full_layer_layer_norm",
    pooler: Some("pooler"),
    towers: &[
        (Head::PreTraining, WordsAndPair(WORDS, "sop_classifier.classifier", "sop_logits", None)),
        (Head::Language, Tower::Words(WORDS)),
        (Head::Sequence, Pooled("classifier")),
        (Head::Choice, Pooled("classifier")),
        (Head::Token, Each("classifier")),
        (Head::Span, Span("qa_outputs")),
    ],
    stack: groups,
    ..BERT
};

const WORDS: Words = Words {
    bias: Some("predictions.bias"),
    dense: "predictions.dense",
    activation: Active::Layers,
    norm: "predictions.LayerNorm",
    decoder: "predictions.decoder",
};

/// Groups of layers, each group used for several layers of the model, one after the other (section 3.1 of the paper).
fn groups(model: &Model, first: NodeId, feed: Feed, at: &mut Builder) -> Result<Vec<NodeId>> {
    let groups = model.config.size("num_hidden_groups", 1)?;
    if groups > model.layers.max(1) {
        let must = format!("at most num_hidden_layers, which is {}", model.layers);
        return Err(model.config.wrong("num_hidden_groups", groups, must));
    }
    let inner = model.config.size("inner_group_num", 1)?;
    let mut results: Vec<NodeId> = Vec::new();
    for i in 0..model.layers {
        // in whole numbers, for what transformers computes with a quotient of floats
        let group = (u128::from(i) * u128::from(groups) / u128::from(model.layers)) as u64;
        let input = results.last().copied().unwrap_or(first);
        results.push(at.again(|at| {
            (0..inner).try_fold(input, |hidden, i| {
                let path = format!("encoder.albert_layer_groups.{group}.albert_layers.{i}");
                at.under(&path, |at| encoder::layer(model, hidden, feed, at))
            })
        })?);
    }
    Ok(results)
}
