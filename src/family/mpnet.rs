//! MPNet (Song et al., arXiv:2004.09297): RoBERTa without types of tokens, whose layers share a learned number for each head and distance
//! (T5's buckets).

use super::encoder::{self, Encoder, Feed, Model, Padding};
use super::roberta::ROBERTA;
use crate::error::Result;
use crate::graph::{Attention, AttentionKind, Buckets, Builder, Layer, NodeId};

/// The family.
pub(super) const MPNET: Encoder = Encoder {
    name: "mpnet",
    model_types: &["mpnet"],
    architectures: &[
        "MPNetModel", "MPNetForMaskedLM", "MPNetForSequenceClassification", "MPNetForMultipleChoice",
        "MPNetForTokenClassification", "MPNetForQuestionAnswering",
    ],
    base_prefix: "mpnet",
    markers: &["encoder.relative_attention_bias.weight", "encoder.layer.0.attention.attn.q.weight"],
    dialects: &[],
    vocabulary: ("vocab_size", 30527),
    types: None,
    padding: Padding::Fixed(1),
    decodes: false,
    attention: "attention.attn",
    projections: ["q", "k", "v", "o"],
    attention_norm: "attention.LayerNorm",
    stack,
    initialise: encoder::initialise_tables_too,
    ..ROBERTA
};

/// The buckets that transformers computes, whatever the config states.
const BUCKETS: Buckets = Buckets { buckets: 32, max_distance: 128 };

fn stack(model: &Model, first: NodeId, feed: Feed, at: &mut Builder) -> Result<Vec<NodeId>> {
    let (key, buckets) = ("relative_attention_num_buckets", BUCKETS.buckets);
    let stated = model.config.size(key, buckets)?;
    if stated != buckets {
        return Err(model.config.unsupported(key, stated, "32, which transformers uses in any case"));
    }
    let since = at.parameters().len();
    at.layer("encoder.relative_attention_bias", Layer::Table { num: buckets, dim: model.heads }, &[])?;
    let table = at.find(&at.full_name("encoder.relative_attention_bias.weight"));
    let layer = |_, input, at: &mut Builder| {
        let attention = Attention { kind: AttentionKind::Relative(BUCKETS), ..encoder::attention(model) };
        let sources: Vec<NodeId> = std::iter::once(input).chain(feed.text.mask).collect();
        let shared = table.map(|id| ("relative_attention_bias.weight", id));
        encoder::layer_around(model, attention, &sources, shared, at)
    };
    let layers = encoder::layers_of(model, first, layer, at)?;
    // the encoder's module has the table after its layers
    at.sort_parameters(since, |parameter| usize::from(parameter.name.ends_with("relative_attention_bias.weight")));
    Ok(layers)
}
