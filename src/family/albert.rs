//! ALBERT (Lan et al., arXiv:1909.11942): a narrow embedding, and a few layers that are used again and again.

use super::config::Reader;
use super::described::Described;
use super::encoder::{self, Body, Encoder, Feed, Head, Names, Predictions, Sizes};
use super::{Class, Inputs, Outputs, bert, initial};
use crate::error::Result;
use crate::graph::{AttentionKind, Builder, NodeId, Nonlinearity, PositionIds};

/// The family.
pub const ALBERT: Described = Described {
    name: "albert",
    model_types: &["albert"],
    architectures: &[
        "AlbertModel",
        "AlbertForPreTraining",
        "AlbertForMaskedLM",
        "AlbertForSequenceClassification",
        "AlbertForMultipleChoice",
        "AlbertForTokenClassification",
        "AlbertForQuestionAnswering",
    ],
    inputs: encoder::INPUTS,
    base_prefix: "albert",
    markers: &[
        "encoder.embedding_hidden_mapping_in.weight",
        "encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight",
    ],
    dialects: bert::DIALECTS,
    build,
};

const KEYS: encoder::Keys = encoder::Keys {
    vocabulary: ("vocab_size", 30000),
    hidden: ("hidden_size", 4096),
    heads: ("num_attention_heads", 64),
    intermediate: ("intermediate_size", 16384),
    activation: ("hidden_act", "gelu_new"),
    ..encoder::KEYS
};

const NAMES: Names = Names {
    attention: "attention",
    projections: ["query", "key", "value", "dense"],
    attention_norm: "attention.LayerNorm",
    wide: "ffn",
    narrow: "ffn_output",
    norm: "full_layer_layer_norm",
};

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    let size = Sizes::read(config, &KEYS)?;
    let groups = config.size("num_hidden_groups", 1)?;
    if groups > size.layers.max(1) {
        let must = format!("at most num_hidden_layers, which is {}", size.layers);
        return Err(config.wrong("num_hidden_groups", groups, must));
    }
    let (width, inner) = (config.size("embedding_size", 128)?, config.size("inner_group_num", 1)?);
    let albert = Albert { config, size, width, groups, inner };
    let since = at.parameters().len();
    let head = || encoder::head(config, ALBERT.architectures);
    let outputs = encoder::class(&albert, class, head, ALBERT.base_prefix, inputs, at)?;
    initial::base(ALBERT.name, albert.size.range, since, at);
    Ok(outputs)
}

struct Albert<'a> {
    config: Reader<'a>,
    size: Sizes,
    /// The width of the embeddings.
    width: u64,
    /// How many groups of layers there are.
    groups: u64,
    /// How many layers are in each.
    inner: u64,
}

impl Encoder for Albert<'_> {
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
        let size = &self.size;
        let feed = encoder::feed(self.config, size, size.positions, inputs, at)?;
        let embed = |at: &mut Builder| encoder::embeddings(size, self.width, Some(PositionIds::PLAIN), feed, at);
        let embedded = at.under("embeddings", embed)?;
        let mut hidden = encoder::linear("encoder.embedding_hidden_mapping_in", size.hidden, embedded, at)?;
        let mut layers = Vec::new();
        for i in 0..size.layers {
            // in whole numbers, for what transformers computes with a quotient of floats
            let group = (u128::from(i) * u128::from(self.groups) / u128::from(size.layers)) as u64;
            hidden = at.again(|at| self.group(group, hidden, feed, at))?;
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
        encoder::first_token("pooler", self.size.hidden, Nonlinearity::Tanh, hidden, at)
    }

    fn logits(&self, head: Head, body: &Body, pooled: Option<NodeId>, at: &mut Builder) -> Result<Outputs> {
        let (size, first) = (&self.size, pooled.unwrap_or(body.hidden));
        let predictions = Predictions {
            path: "predictions",
            transform: ["dense", "LayerNorm"],
            width: self.width,
            activation: size.activation,
            embedding: "albert.embeddings.word_embeddings.weight",
        };
        match head {
            Head::None | Head::NextSentence => Ok(Vec::new()),
            Head::PreTraining => {
                let words = encoder::predictions(&predictions, size, body.hidden, at)?;
                let words = words.into_iter().map(|(_, node)| ("prediction_logits".to_string(), node));
                let order = encoder::linear("sop_classifier.classifier", size.labels, first, at)?;
                Ok(words.chain([("sop_logits".to_string(), order)]).collect())
            }
            Head::Language => encoder::predictions(&predictions, size, body.hidden, at),
            Head::Sequence => encoder::classifier("classifier", size.labels, first, at),
            Head::Choice => encoder::classifier("classifier", 1, first, at),
            Head::Token => encoder::classifier("classifier", size.labels, body.hidden, at),
            Head::Span => encoder::outputs(encoder::linear("qa_outputs", size.labels, body.hidden, at)?),
        }
    }
}

impl Albert<'_> {
    /// The layers of a group, one after the other.
    fn group(&self, group: u64, input: NodeId, feed: Feed, at: &mut Builder) -> Result<NodeId> {
        (0..self.inner).try_fold(input, |hidden, i| {
            at.under(&format!("encoder.albert_layer_groups.{group}.albert_layers.{i}"), |at| {
                encoder::layer(&NAMES, &self.size, AttentionKind::Plain, None, (hidden, feed.mask), at)
            })
        })
    }
}
