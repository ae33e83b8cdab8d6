//! ELECTRA (Clark et al., arXiv:2003.10555): BERT whose embeddings have a width of their own and no pooler; a generator and a
//! discriminator.

use super::config::Reader;
use super::described::Described;
use super::encoder::{self, Body, Encoder, Head, Sizes};
use super::{Class, Inputs, Outputs, bert, initial};
use crate::error::Result;
use crate::graph::{AttentionKind, Builder, Layer, NodeId, Nonlinearity, PositionIds};

/// The family.
pub const ELECTRA: Described = Described {
    name: "electra",
    model_types: &["electra"],
    architectures: &[
        "ElectraModel",
        "ElectraForPreTraining",
        "ElectraForMaskedLM",
        "ElectraForCausalLM",
        "ElectraForSequenceClassification",
        "ElectraForMultipleChoice",
        "ElectraForTokenClassification",
        "ElectraForQuestionAnswering",
    ],
    inputs: encoder::INPUTS,
    base_prefix: "electra",
    markers: &["electra.embeddings.word_embeddings.weight", "electra.encoder.layer.0.attention.self.query.weight"],
    dialects: bert::DIALECTS,
    build,
};

const KEYS: encoder::Keys = encoder::Keys {
    hidden: ("hidden_size", 256),
    heads: ("num_attention_heads", 4),
    intermediate: ("intermediate_size", 1024),
    decodes: true,
    ..encoder::KEYS
};

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let electra = Electra { config, size: Sizes::read(config, &KEYS)?, width: config.size("embedding_size", 128)? };
    let since = at.parameters().len();
    let head = || encoder::head(config, ELECTRA.architectures);
    let outputs = encoder::class(&electra, class, head, ELECTRA.base_prefix, inputs, at)?;
    initial::base(ELECTRA.name, electra.size.range, since, at);
    Ok(outputs)
}

struct Electra<'a> {
    config: Reader<'a>,
    size: Sizes,
    /// The width of the embeddings.
    width: u64,
}

impl Encoder for Electra<'_> {
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
        let size = &self.size;
        let feed = encoder::feed(self.config, size, size.positions, inputs, at)?;
        let embed = |at: &mut Builder| encoder::embeddings(size, self.width, Some(PositionIds::PLAIN), feed, at);
        let mut hidden = at.under("embeddings", embed)?;
        if self.width != size.hidden {
            hidden = encoder::linear("embeddings_project", size.hidden, hidden, at)?;
        }
        let mut layers = Vec::new();
        for i in 0..size.layers {
            hidden = at.under(&format!("encoder.layer.{i}"), |at| {
                encoder::layer(&encoder::NAMES, size, AttentionKind::Plain, None, (hidden, feed.mask), at)
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
        match head {
            Head::None | Head::NextSentence => Ok(Vec::new()),
            Head::PreTraining => at.under("discriminator_predictions", |at| {
                let dense = encoder::linear("dense", size.hidden, body.hidden, at)?;
                let active = at.layer("", Layer::Activation(size.activation), &[dense])?;
                let logits = encoder::linear("dense_prediction", 1, active, at)?;
                encoder::outputs(at.layer("", Layer::Select { axis: 2, index: 0 }, &[logits])?)
            }),
            Head::Language => self.generator(body.hidden, at),
            Head::Sequence => {
                let dense = encoder::first_token("classifier.dense", size.hidden, Nonlinearity::Gelu, body.hidden, at)?;
                encoder::classifier("classifier.out_proj", size.labels, dense, at)
            }
            Head::Choice => {
                let summary = self.summary(body.hidden, at)?;
                encoder::classifier("classifier", 1, summary, at)
            }
            Head::Token => encoder::classifier("classifier", size.labels, body.hidden, at),
            Head::Span => encoder::outputs(encoder::linear("qa_outputs", size.labels, body.hidden, at)?),
        }
    }
}

impl Electra<'_> {
    fn generator(&self, hidden: NodeId, at: &mut Builder) -> Result<Outputs> {
        let size = &self.size;
        let dense = encoder::linear("generator_predictions.dense", self.width, hidden, at)?;
        let active = at.layer("", Layer::Activation(Nonlinearity::Gelu), &[dense])?;
        let normed = encoder::norm("generator_predictions.LayerNorm", size, active, at)?;
        let logits = encoder::linear("generator_lm_head", size.vocabulary, normed, at)?;
        if size.tied {
            let embedding = at.full_name("electra.embeddings.word_embeddings.weight");
            at.tie(&at.full_name("generator_lm_head.weight"), &embedding)?;
        }
        encoder::outputs(logits)
    }

    /// transformers' sequence summary, of the first token.
    fn summary(&self, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
        let kind = self.config.text("summary_type", "first")?;
        if kind != "first" {
            return Err(self.config.unsupported("summary_type", kind, "first"));
        }
        let mut summary = at.layer("", Layer::Select { axis: 1, index: 0 }, &[hidden])?;
        if self.config.flag("summary_use_proj", true)? {
            summary = encoder::linear("sequence_summary.summary", self.size.hidden, summary, at)?;
        }
        match self.config.get("summary_activation") {
            None if self.config.states("summary_activation") => Ok(summary),
            _ => {
                let activation = self.config.activation("summary_activation", "gelu")?;
                at.layer("", Layer::Activation(activation), &[summary])
            }
        }
    }
}
