//! DeBERTa of version 2 and 3 (He et al., arXiv:2006.03654, arXiv:2111.09543): BERT whose attention looks at contents and distances apart.

use super::bert::{BERT, WORDS};
use super::config::Reader;
use super::encoder::Tower::{Each, First, Other, Span};
use super::encoder::{self, Active, Body, Encoder, Feed, Model, Tower, Width};
use super::head::Head;
use super::model::{Inputs, Outputs};
use crate::error::Result;
use crate::graph::{
    Attention, AttentionKind, Builder, Convolution, Disentangled, Layer, LayerOptions, NodeId, Nonlinearity,
    PositionIds,
};
use crate::tensor::Role;

/// The family.
pub(super) const DEBERTA: Encoder = Encoder {
    name: "deberta-v2",
    model_types: &["deberta-v2"],
    architectures: &[
        "DebertaV2Model", "DebertaV2ForMaskedLM", "DebertaV2ForSequenceClassification", "DebertaV2ForMultipleChoice",
        "DebertaV2ForTokenClassification", "DebertaV2ForQuestionAnswering",
    ],
    base_prefix: "deberta",
    markers: &["encoder.rel_embeddings.weight", "encoder.layer.0.attention.self.query_proj.weight"],
    vocabulary: ("vocab_size", 128_100),
    hidden: ("hidden_size", 1536),
    layers: ("num_hidden_layers", 24),
    heads: ("num_attention_heads", 24),
    intermediate: ("intermediate_size", 6144),
    types: Some(0),
    eps: (Some("layer_norm_eps"), 1e-7),
    decodes: false,
    embedding_width: Width::LikeLayers("embedding_size"),
    projections: ["self.query_proj", "self.key_proj", "self.value_proj", "output.dense"],
    pooler: None,
    towers: &[
        (Head::Language, Other(words)),
        (Head::Sequence, CLASSIFIER),
        (Head::Choice, CLASSIFIER),
        (Head::Token, Each("classifier")),
        (Head::Span, Span("qa_outputs")),
    ],
    body,
    initialise: encoder::initialise_tables_too,
    ..BERT
};

const CLASSIFIER: Tower =
    First { dense: "pooler.dense", activation: Active::Key("pooler_hidden_act", "gelu"), out: "classifier" };

/// BERT's body with a table of distances for the attention of all layers, and a convolution parallel to the first layer.
fn body(model: &Model, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    refuse(model)?;
    let (convolution, attention) = (convolution(model)?, attention(model)?);
    let feed = encoder::feed(model, inputs, at)?;
    let positions = model.config.flag("position_biased_input", true)?.then_some(model.position_ids);
    let embedded = at.under("embeddings", |at| embeddings(model, positions, feed, at))?;
    let table = table(model, at)?;
    let mut layers: Vec<NodeId> = Vec::new();
    for i in 0..model.layers {
        let input = layers.last().copied().unwrap_or(embedded);
        let sources: Vec<NodeId> = std::iter::once(input).chain(table).chain(feed.text.mask).collect();
        let hidden = at.under(&format!("encoder.layer.{i}"), |at| {
            encoder::layer_around(model, attention.clone(), &sources, None, at)
        })?;
        layers.push(match &convolution {
            Some(convolution) if i == 0 => convolved(model, convolution, (embedded, hidden), feed, at)?,
            _ => hidden,
        });
    }
    Ok(Body { feed, hidden: layers.last().copied().unwrap_or(embedded), layers })
}

/// What no DeBERTa can be: a pooler that does not take what the layers give, a head that is the embedding in another width.
fn refuse(model: &Model) -> Result<()> {
    let (config, hidden) = (model.config, model.hidden);
    let mut keys = vec!["pooler_hidden_size"];
    if !config.flag("legacy", true)? {
        keys.push("embedding_size");
    }
    keys.into_iter().try_for_each(|key| match config.derived_size(key, hidden)? {
        stated if stated == hidden => Ok(()),
        stated => Err(config.unsupported(key, stated, format!("hidden_size, which is {hidden}"))),
    })
}

/// The convolution parallel to the first layer, and its activation, where there is one.
fn convolution(model: &Model) -> Result<Option<(Convolution, Nonlinearity)>> {
    let config = model.config;
    let kernel = config.count("conv_kernel_size", 0)?;
    let (groups, _) = (config.size("conv_groups", 1)?, config.text("conv_act", "tanh")?);
    if kernel == 0 {
        return Ok(None);
    }
    if kernel.is_multiple_of(2) {
        return Err(config.wrong("conv_kernel_size", kernel, "odd: a result for each token"));
    }
    let convolution = Convolution {
        out: model.hidden,
        kernel: vec![kernel],
        stride: vec![1],
        padding: vec![(kernel - 1) / 2],
        dilation: vec![1],
        groups,
        bias: true,
    };
    Ok(Some((convolution, config.activation("conv_act", "tanh")?)))
}

/// The attention of all layers. Where `attention_head_size` is stated, the output's projection still takes the width of the model: such
/// weights exist, and transformers cannot run them.
fn attention(model: &Model) -> Result<Attention> {
    let config = model.config;
    let kinds = kinds(config)?;
    let has = |kind: &str| kinds.iter().any(|known| known == kind);
    let (to_position, to_content) = (has("c2p"), has("p2c"));
    let (is_relative, is_shared) = (config.flag("relative_attention", false)?, config.flag("share_att_key", false)?);
    let (span, max_distance) = span(model)?;
    let head = config.derived_size("attention_head_size", model.hidden / model.heads)?;
    let kind = match is_relative {
        true => AttentionKind::Disentangled(Disentangled {
            span,
            max_distance,
            content_to_position: to_position,
            position_to_content: to_content,
            own: (!is_shared).then_some(["self.pos_key_proj", "self.pos_query_proj"]),
        }),
        false => AttentionKind::Plain,
    };
    let terms = 1 + u64::from(to_position) + u64::from(to_content);
    let width = model.heads.checked_mul(head);
    Ok(Attention {
        head_dim: head,
        // divided as if distances were looked at, also where they are not
        scale: (!is_relative && terms > 1).then(|| 1.0 / ((head * terms) as f64).sqrt()),
        out_width: Some(model.hidden).filter(|_| width != Some(model.hidden)),
        kind,
        ..encoder::attention(model)
    })
}

/// How many distances there are on either side, and the longest where they are in buckets.
fn span(model: &Model) -> Result<(u64, Option<u64>)> {
    let config = model.config;
    // transformers takes a value below 1 as not stated
    let above = |key: &str| -> Result<Option<u64>> {
        match config.get(key).and_then(serde_json::Value::as_i64) {
            Some(number) if number < 1 => Ok(None),
            _ => Ok(Some(config.count(key, 0)?).filter(|number| *number > 0)),
        }
    };
    let (longest, buckets) = (above("max_relative_positions")?.unwrap_or(model.positions), above("position_buckets")?);
    Ok((buckets.unwrap_or(longest), buckets.map(|_| longest)))
}

/// `pos_att_type`, as a list or as words between bars.
fn kinds(config: Reader) -> Result<Vec<String>> {
    const MUST: &str = "a list of \"c2p\" and \"p2c\"";
    let Some(value) = config.get("pos_att_type") else { return Ok(Vec::new()) };
    let words: Vec<String> = match value {
        serde_json::Value::String(text) => text.split('|').map(|word| word.trim().to_lowercase()).collect(),
        serde_json::Value::Array(list) => {
            let word = |word: &serde_json::Value| word.as_str().map(str::to_string);
            list.iter().map(word).collect::<Option<_>>().ok_or_else(|| config.wrong("pos_att_type", value, MUST))?
        }
        _ => return Err(config.wrong("pos_att_type", value, MUST)),
    };
    match words.iter().find(|word| !["c2p", "p2c", ""].contains(&word.as_str())) {
        Some(word) => Err(config.unsupported("pos_att_type", word, "c2p, p2c")),
        None => Ok(words),
    }
}

/// LayerNorm(word + position + token type), brought to the width of the layers before the norm where it is another.
fn embeddings(model: &Model, positions: Option<PositionIds>, feed: Feed, at: &mut Builder) -> Result<NodeId> {
    let mut sum = encoder::embedded(model, positions, feed, at)?;
    if model.width != model.hidden {
        sum = at.layer("embed_proj", Layer::Linear { out: model.hidden, bias: false }, &[sum])?;
    }
    let normed = encoder::norm("LayerNorm", model, sum, at)?;
    at.layer("", Layer::Dropout, &[normed])
}

/// LayerNorm(first layer + act(convolution over the embeddings)). It is the one place where padding would reach its neighbours, so there
/// it is 0.
fn convolved(
    model: &Model,
    (convolution, activation): &(Convolution, Nonlinearity),
    (embedded, first): (NodeId, NodeId),
    feed: Feed,
    at: &mut Builder,
) -> Result<NodeId> {
    at.under("encoder.conv", |at| {
        let branch = at.branch(|at| {
            let kept = match feed.text.mask {
                Some(mask) => at.layer("", Layer::Masked, &[embedded, mask])?,
                None => embedded,
            };
            let channels = at.layer("", Layer::Permute { order: vec![0, 2, 1] }, &[kept])?;
            let convolved = at.layer("conv", Layer::Conv(convolution.clone()), &[channels])?;
            let tokens = at.layer("", Layer::Permute { order: vec![0, 2, 1] }, &[convolved])?;
            let dropped = at.layer("", Layer::Dropout, &[tokens])?;
            at.layer("", Layer::Activation(*activation), &[dropped])
        })?;
        let sum = at.layer("", Layer::Add, &[first, branch])?;
        encoder::norm("LayerNorm", model, sum, at)
    })
}

/// The rows of distances, normed where `norm_rel_ebd` says so. Without rows, transformers still has the norm, and does not use it.
fn table(model: &Model, at: &mut Builder) -> Result<Option<NodeId>> {
    let (config, norm) = (model.config, "encoder.LayerNorm");
    let kinds = config.text("norm_rel_ebd", "none")?.to_lowercase();
    let normed = kinds.split('|').any(|kind| kind.trim() == "layer_norm");
    config.alternatives("norm_rel_ebd", ["layer_norm".into()]);
    if !config.flag("relative_attention", false)? {
        if normed {
            for (end, role) in [("weight", Role::Norm), ("bias", Role::Bias)] {
                encoder::parameter(&format!("{norm}.{end}"), model.hidden, role, None, at)?;
            }
        }
        return Ok(None);
    }
    let rows = Layer::Table { num: span(model)?.0.saturating_mul(2), dim: model.hidden };
    let table = at.layer("encoder.rel_embeddings", rows, &[])?;
    if normed { encoder::norm(norm, model, table, at).map(Some) } else { Ok(Some(table)) }
}

/// BERT's head of a language model, or without `legacy` another whose decoder is the embedding itself.
fn words(model: &Model, _head: Head, body: &Body, at: &mut Builder) -> Result<Outputs> {
    if model.config.flag("legacy", true)? {
        return encoder::outputs(encoder::words(&WORDS, model, body.hidden, at)?);
    }
    let owner = at.find(&encoder::embedding(model, at));
    at.under("lm_predictions.lm_head", |at| {
        let dense = encoder::linear("dense", model.hidden, body.hidden, at)?;
        let active = at.layer("", Layer::Activation(model.activation), &[dense])?;
        let normed = encoder::norm("LayerNorm", model, active, at)?;
        let shared = owner.map(|id| ("weight", id)).into_iter().collect();
        let words = Layer::Linear { out: model.vocabulary, bias: false };
        let logits = at.layer_with("words", words, &[normed], LayerOptions { shared, ..LayerOptions::default() })?;
        encoder::outputs(encoder::parameter("bias", model.vocabulary, Role::Bias, Some(logits), at)?)
    })
}
