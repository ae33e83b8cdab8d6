//! RoBERTa (Liu et al., arXiv:1907.11692) and XLM-RoBERTa (arXiv:1911.02116): BERT whose positions are counted from after the row of
//! padding, with heads of its own.

use super::config::Reader;
use super::described::Described;
use super::encoder::{self, Body, Encoder, Head, Predictions, Sizes};
use super::{Class, Inputs, Outputs, fairseq, initial};
use crate::error::Result;
use crate::graph::{AttentionKind, Builder, NodeId, Nonlinearity, PositionIds};

/// RoBERTa.
pub const ROBERTA: Described = Described {
    name: "roberta",
    model_types: &["roberta"],
    architectures: &[
        "RobertaModel",
        "RobertaForMaskedLM",
        "RobertaForCausalLM",
        "RobertaForSequenceClassification",
        "RobertaForMultipleChoice",
        "RobertaForTokenClassification",
        "RobertaForQuestionAnswering",
    ],
    inputs: encoder::INPUTS,
    base_prefix: "roberta",
    markers: &["lm_head.layer_norm.weight", "roberta.encoder.layer.0.attention.self.query.weight"],
    dialects: fairseq::DIALECTS,
    build: |config, inputs, class, at| build(&ROBERTA, config, inputs, class, at),
};

/// XLM-RoBERTa.
pub const XLM_ROBERTA: Described = Described {
    name: "xlm-roberta",
    model_types: &["xlm-roberta"],
    architectures: &[
        "XLMRobertaModel",
        "XLMRobertaForMaskedLM",
        "XLMRobertaForCausalLM",
        "XLMRobertaForSequenceClassification",
        "XLMRobertaForMultipleChoice",
        "XLMRobertaForTokenClassification",
        "XLMRobertaForQuestionAnswering",
    ],
    build: |config, inputs, class, at| build(&XLM_ROBERTA, config, inputs, class, at),
    ..ROBERTA
};

const KEYS: encoder::Keys =
    encoder::Keys { vocabulary: ("vocab_size", 50265), padding: 1, decodes: true, ..encoder::KEYS };

const XLM_KEYS: encoder::Keys = encoder::Keys { vocabulary: ("vocab_size", 30522), ..KEYS };

fn build(of: &Described, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let keys = if of.name == XLM_ROBERTA.name { &XLM_KEYS } else { &KEYS };
    let (size, padding) = (Sizes::read(config, keys)?, config.count("pad_token_id", 1)?);
    if size.positions <= padding.saturating_add(1) {
        let must = format!("more than the {} rows up to that of pad_token_id", padding.saturating_add(1));
        return Err(config.wrong("max_position_embeddings", size.positions, must));
    }
    let roberta = Roberta { config, size, padding };
    let since = at.parameters().len();
    let head = || encoder::head(config, of.architectures);
    let outputs = encoder::class(&roberta, class, head, of.base_prefix, inputs, at)?;
    initial::base(of.name, roberta.size.range, since, at);
    Ok(outputs)
}

struct Roberta<'a> {
    config: Reader<'a>,
    size: Sizes,
    padding: u64,
}

impl Encoder for Roberta<'_> {
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
        let (size, ids) = (&self.size, PositionIds::Counted { padding: self.padding });
        let feed = encoder::feed(self.config, size, size.positions - ids.reserved(), inputs, at)?;
        let mut hidden = at.under("embeddings", |at| encoder::embeddings(size, size.hidden, Some(ids), feed, at))?;
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
        head == Head::None || head == Head::Choice
    }

    fn pooler(&self, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
        encoder::first_token("pooler.dense", self.size.hidden, Nonlinearity::Tanh, hidden, at)
    }

    fn logits(&self, head: Head, body: &Body, pooled: Option<NodeId>, at: &mut Builder) -> Result<Outputs> {
        let size = &self.size;
        match head {
            Head::None | Head::PreTraining | Head::NextSentence => Ok(Vec::new()),
            Head::Language => {
                let predictions = Predictions {
                    path: "lm_head",
                    transform: ["dense", "layer_norm"],
                    width: size.hidden,
                    activation: Nonlinearity::Gelu,
                    embedding: "roberta.embeddings.word_embeddings.weight",
                };
                encoder::predictions(&predictions, size, body.hidden, at)
            }
            Head::Sequence => {
                let dense = encoder::first_token("classifier.dense", size.hidden, Nonlinearity::Tanh, body.hidden, at)?;
                encoder::classifier("classifier.out_proj", size.labels, dense, at)
            }
            Head::Choice => encoder::classifier("classifier", 1, pooled.unwrap_or(body.hidden), at),
            Head::Token => encoder::classifier("classifier", size.labels, body.hidden, at),
            Head::Span => encoder::outputs(encoder::linear("qa_outputs", size.labels, body.hidden, at)?),
        }
    }
}
