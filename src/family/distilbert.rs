//! DistilBERT (Sanh et al., arXiv:1910.01108): half of BERT's layers, without types of tokens and without a pooler.

use super::config::Reader;
use super::described::Described;
use super::encoder::{self, Body, Encoder, Head, Names, Sizes};
use super::{Class, Inputs, Outputs, initial};
use crate::error::Result;
use crate::graph::{AttentionKind, Builder, Layer, NodeId, Nonlinearity, PositionIds};

/// The family.
pub const DISTILBERT: Described = Described {
    name: "distilbert",
    model_types: &["distilbert"],
    architectures: &[
        "DistilBertModel",
        "DistilBertForMaskedLM",
        "DistilBertForSequenceClassification",
        "DistilBertForMultipleChoice",
        "DistilBertForTokenClassification",
        "DistilBertForQuestionAnswering",
    ],
    inputs: &["input_ids", "attention_mask"],
    base_prefix: "distilbert",
    markers: &["transformer.layer.0.attention.q_lin.weight", "transformer.layer.0.ffn.lin1.weight"],
    dialects: &[],
    build,
};

const KEYS: encoder::Keys = encoder::Keys {
    hidden: ("dim", 768),
    layers: ("n_layers", 6),
    heads: ("n_heads", 12),
    intermediate: ("hidden_dim", 3072),
    activation: ("activation", "gelu"),
    types: None,
    eps: (None, 1e-12),
    ..encoder::KEYS
};

const NAMES: Names = Names {
    attention: "attention",
    projections: ["q_lin", "k_lin", "v_lin", "out_lin"],
    attention_norm: "sa_layer_norm",
    wide: "ffn.lin1",
    narrow: "ffn.lin2",
    norm: "output_layer_norm",
};

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let distilbert = DistilBert { config, size: Sizes::read(config, &KEYS)? };
    let since = at.parameters().len();
    let head = || encoder::head(config, DISTILBERT.architectures);
    let outputs = encoder::class(&distilbert, class, head, DISTILBERT.base_prefix, inputs, at)?;
    initial::base(DISTILBERT.name, distilbert.size.range, since, at);
    Ok(outputs)
}

struct DistilBert<'a> {
    config: Reader<'a>,
    size: Sizes,
}

impl Encoder for DistilBert<'_> {
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
        let size = &self.size;
        let feed = encoder::feed(self.config, size, size.positions, inputs, at)?;
        let embed = |at: &mut Builder| encoder::embeddings(size, size.hidden, Some(PositionIds::PLAIN), feed, at);
        let mut hidden = at.under("embeddings", embed)?;
        let mut layers = Vec::new();
        for i in 0..size.layers {
            hidden = at.under(&format!("transformer.layer.{i}"), |at| {
                encoder::layer(&NAMES, size, AttentionKind::Plain, None, (hidden, feed.mask), at)
            })?;
            layers.push(hidden);
        }
        Ok(Body { feed, hidden, layers })
    }

    fn pools(&self, _head: Head) -> bool {
        false
    }

    fn pooler(&self, hidden: NodeId, _at: &mut Builder) -> Result<NodeId> {
        Ok(hidden)
    }

    fn logits(&self, head: Head, body: &Body, _pooled: Option<NodeId>, at: &mut Builder) -> Result<Outputs> {
        let size = &self.size;
        let first =
            |at: &mut Builder| encoder::first_token("pre_classifier", size.hidden, Nonlinearity::Relu, body.hidden, at);
        match head {
            Head::None | Head::PreTraining | Head::NextSentence => Ok(Vec::new()),
            Head::Language => {
                let dense = encoder::linear("vocab_transform", size.hidden, body.hidden, at)?;
                let active = at.layer("", Layer::Activation(size.activation), &[dense])?;
                let normed = encoder::norm("vocab_layer_norm", size, active, at)?;
                let logits = encoder::linear("vocab_projector", size.vocabulary, normed, at)?;
                if size.tied {
                    let embedding = at.full_name("distilbert.embeddings.word_embeddings.weight");
                    at.tie(&at.full_name("vocab_projector.weight"), &embedding)?;
                }
                encoder::outputs(logits)
            }
            Head::Sequence => {
                let dense = first(at)?;
                encoder::classifier("classifier", size.labels, dense, at)
            }
            Head::Choice => {
                let dense = first(at)?;
                encoder::classifier("classifier", 1, dense, at)
            }
            Head::Token => encoder::classifier("classifier", size.labels, body.hidden, at),
            Head::Span => encoder::outputs(encoder::linear("qa_outputs", size.labels, body.hidden, at)?),
        }
    }
}
