//! BERT (Devlin et al., arXiv:1810.04805) as transformers writes it: embeddings, an encoder whose norms come after the sum,
//! a pooler over the first token, and the heads of its eight tasks.

use super::config::Reader;
use super::described::Described;
use super::encoder::{self, Body, Encoder, Head, Predictions, Sizes};
use super::{Class, Dialect, Inputs, Outputs, Rule, initial, same};
use crate::error::Result;
use crate::graph::{AttentionKind, Builder, NodeId, Nonlinearity, PositionIds};

/// The family.
pub const BERT: Described = Described {
    name: "bert",
    model_types: &["bert"],
    architectures: &[
        "BertModel",
        "BertForPreTraining",
        "BertForMaskedLM",
        "BertLMHeadModel",
        "BertForNextSentencePrediction",
        "BertForSequenceClassification",
        "BertForMultipleChoice",
        "BertForTokenClassification",
        "BertForQuestionAnswering",
    ],
    inputs: encoder::INPUTS,
    base_prefix: "bert",
    markers: &["embeddings.token_type_embeddings.weight", "encoder.layer.0.attention.self.query.weight"],
    dialects: DIALECTS,
    build,
};

const KEYS: encoder::Keys = encoder::Keys { decodes: true, ..encoder::KEYS };

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let bert = Bert { config, size: Sizes::read(config, &KEYS)? };
    let since = at.parameters().len();
    let head = || encoder::head(config, BERT.architectures);
    let outputs = encoder::class(&bert, class, head, BERT.base_prefix, inputs, at)?;
    initial::base(BERT.name, bert.size.range, since, at);
    Ok(outputs)
}

struct Bert<'a> {
    config: Reader<'a>,
    size: Sizes,
}

impl Encoder for Bert<'_> {
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
        let size = &self.size;
        let feed = encoder::feed(self.config, size, size.positions, inputs, at)?;
        let embed = |at: &mut Builder| encoder::embeddings(size, size.hidden, Some(PositionIds::PLAIN), feed, at);
        let mut hidden = at.under("embeddings", embed)?;
        let mut layers = Vec::new();
        for i in 0..size.layers {
            hidden = at.under(&format!("encoder.layer.{i}"), |at| {
                encoder::layer(&encoder::NAMES, size, AttentionKind::Plain, None, (hidden, feed.mask), at)
            })?;
            layers.push(hidden);
        }
        Ok(Body { feed, hidden, layers })
    }

    fn pools(&self, head: Head) -> bool {
        match head {
            Head::None | Head::PreTraining | Head::NextSentence | Head::Sequence | Head::Choice => true,
            Head::Language | Head::Token | Head::Span => false,
        }
    }

    fn pooler(&self, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
        encoder::first_token("pooler.dense", self.size.hidden, Nonlinearity::Tanh, hidden, at)
    }

    fn logits(&self, head: Head, body: &Body, pooled: Option<NodeId>, at: &mut Builder) -> Result<Outputs> {
        let (size, first) = (&self.size, pooled.unwrap_or(body.hidden));
        let predictions = Predictions {
            path: "cls.predictions",
            transform: ["transform.dense", "transform.LayerNorm"],
            width: size.hidden,
            activation: size.activation,
            embedding: "bert.embeddings.word_embeddings.weight",
        };
        let follows = |at: &mut Builder| encoder::linear("cls.seq_relationship", 2, first, at);
        match head {
            Head::None => Ok(Vec::new()),
            Head::PreTraining => {
                let words = encoder::predictions(&predictions, size, body.hidden, at)?;
                let words = words.into_iter().map(|(_, node)| ("prediction_logits".to_string(), node));
                Ok(words.chain([("seq_relationship_logits".to_string(), follows(at)?)]).collect())
            }
            Head::Language => encoder::predictions(&predictions, size, body.hidden, at),
            Head::NextSentence => encoder::outputs(follows(at)?),
            Head::Sequence => encoder::classifier("classifier", size.labels, first, at),
            Head::Choice => encoder::classifier("classifier", 1, first, at),
            Head::Token => encoder::classifier("classifier", size.labels, body.hidden, at),
            Head::Span => encoder::outputs(encoder::linear("qa_outputs", size.labels, body.hidden, at)?),
        }
    }
}

/// BERT's: the checkpoints converted from TensorFlow before 2020.
pub(super) const DIALECTS: &[Dialect] = &[GAMMA_BETA];

/// A norm's scale and shift are called `gamma` and `beta`.
pub(super) const GAMMA_BETA: Dialect = Dialect {
    name: "gamma_beta",
    markers: &["{p}.LayerNorm.gamma", "{p}.LayerNorm.beta"],
    rules: &[
        Rule { ours: &["{p}.LayerNorm.weight"], theirs: &["{p}.LayerNorm.gamma"], read: same, write: same },
        Rule { ours: &["{p}.LayerNorm.bias"], theirs: &["{p}.LayerNorm.beta"], read: same, write: same },
    ],
    ..Dialect::PLAIN
};
