//! DeBERTa of version 2 and 3 (He et al., arXiv:2006.03654, arXiv:2111.09543): BERT whose attention looks at contents and distances apart.

use super::config::Reader;
use super::described::Described;
use super::encoder::{self, Body, Encoder, Feed, Head, Names, Predictions, Sizes};
use super::{Class, Inputs, Outputs, bert, initial};
use crate::error::Result;
use crate::graph::{
    Attention, AttentionKind, Builder, Convolution, Disentangled, Layer, NodeId, Nonlinearity, PositionIds, Use,
};
use crate::init::Scheme;
use crate::tensor::Role;

/// The family.
pub const DEBERTA: Described = Described {
    name: "deberta-v2",
    model_types: &["deberta-v2"],
    architectures: &[
        "DebertaV2Model",
        "DebertaV2ForMaskedLM",
        "DebertaV2ForSequenceClassification",
        "DebertaV2ForMultipleChoice",
        "DebertaV2ForTokenClassification",
        "DebertaV2ForQuestionAnswering",
    ],
    inputs: encoder::INPUTS,
    base_prefix: "deberta",
    markers: &["encoder.rel_embeddings.weight", "encoder.layer.0.attention.self.query_proj.weight"],
    dialects: bert::DIALECTS,
    build,
};

const KEYS: encoder::Keys = encoder::Keys {
    vocabulary: ("vocab_size", 128_100),
    hidden: ("hidden_size", 1536),
    layers: ("num_hidden_layers", 24),
    heads: ("num_attention_heads", 24),
    intermediate: ("intermediate_size", 6144),
    types: Some(0),
    eps: (Some("layer_norm_eps"), 1e-7),
    ..encoder::KEYS
};

const NAMES: Names =
    Names { projections: ["self.query_proj", "self.key_proj", "self.value_proj", "output.dense"], ..encoder::NAMES };

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    refuse(config)?;
    let size = Sizes::read(config, &KEYS)?;
    let convolution = convolution(config, &size)?;
    let embedding = config.derived_size("embedding_size", size.hidden)?;
    let attention = attention(config, &size)?;
    let has_table = config.flag("relative_attention", false)?;
    let table = Some(span(config, &size)?.0).filter(|_| has_table);
    let deberta = Deberta { config, table, attention, convolution, embedding, size };
    let since = at.parameters().len();
    let head = || encoder::head(config, DEBERTA.architectures);
    let outputs = encoder::class(&deberta, class, head, DEBERTA.base_prefix, inputs, at)?;
    let std = initial::deviation(deberta.size.range);
    let by = format!("{}: initializer_range {std}", DEBERTA.name);
    at.init_rule(since, Scheme::Normal { mean: 0.0, std }, &by, |parameter| parameter.role == Role::Token);
    initial::base(DEBERTA.name, deberta.size.range, since, at);
    Ok(outputs)
}

/// What no DeBERTa can be: a pooler that does not take what the layers give, a head that is the embedding in another width.
fn refuse(config: Reader) -> Result<()> {
    let hidden = config.size("hidden_size", KEYS.hidden.1)?;
    let mut keys = vec!["pooler_hidden_size"];
    if !config.flag("legacy", true)? {
        keys.push("embedding_size");
    }
    keys.into_iter().try_for_each(|key| match config.derived_size(key, hidden)? {
        stated if stated == hidden => Ok(()),
        stated => Err(config.unsupported(key, stated, format!("hidden_size, which is {hidden}"))),
    })
}

/// The convolution beside the first layer, and its activation, where there is one.
fn convolution(config: Reader, size: &Sizes) -> Result<Option<(Convolution, Nonlinearity)>> {
    let kernel = config.count("conv_kernel_size", 0)?;
    let (groups, _) = (config.size("conv_groups", 1)?, config.text("conv_act", "tanh")?);
    if kernel == 0 {
        return Ok(None);
    }
    if kernel.is_multiple_of(2) {
        return Err(config.wrong("conv_kernel_size", kernel, "odd: a result for each token"));
    }
    let convolution = Convolution {
        out: size.hidden,
        kernel: vec![kernel],
        stride: vec![1],
        padding: vec![(kernel - 1) / 2],
        dilation: vec![1],
        groups,
        bias: true,
    };
    Ok(Some((convolution, config.activation("conv_act", "tanh")?)))
}

/// The attention of all layers. A head may have a width of its own; what its output's projection takes is the width of the model all the
/// same, so that there are such weights and transformers cannot run them.
fn attention(config: Reader, size: &Sizes) -> Result<Attention> {
    let kinds = kinds(config)?;
    let has = |kind: &str| kinds.iter().any(|known| known == kind);
    let (to_position, to_content) = (has("c2p"), has("p2c"));
    let (is_relative, is_shared) = (config.flag("relative_attention", false)?, config.flag("share_att_key", false)?);
    let (span, max_distance) = span(config, size)?;
    let head = config.derived_size("attention_head_size", size.hidden / size.heads)?;
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
    let width = size.heads.checked_mul(head);
    Ok(Attention {
        head_dim: head,
        // divided as if distances were looked at, also where they are not
        scale: (!is_relative && terms > 1).then(|| 1.0 / ((head * terms) as f64).sqrt()),
        out_width: Some(size.hidden).filter(|_| width != Some(size.hidden)),
        ..encoder::attention(&NAMES, size, kind)
    })
}

/// How many distances there are on either side, and the longest where they are in buckets.
fn span(config: Reader, size: &Sizes) -> Result<(u64, Option<u64>)> {
    // below 1 both count as unsaid there
    let above = |key: &str| -> Result<Option<u64>> {
        match config.get(key).and_then(serde_json::Value::as_i64) {
            Some(number) if number < 1 => Ok(None),
            _ => Ok(Some(config.count(key, 0)?).filter(|number| *number > 0)),
        }
    };
    let (longest, buckets) = (above("max_relative_positions")?.unwrap_or(size.positions), above("position_buckets")?);
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

/// A norm that the model has and never uses: that of a table which is not there.
fn idle_norm(path: &str, width: u64, at: &mut Builder) -> Result<()> {
    for (leaf, role) in [("weight", Role::Norm), ("bias", Role::Bias)] {
        let name = format!("{path}.{leaf}");
        at.layer(&name, Layer::Parameter { shape: [width].into(), usage: Use::None }, &[])?;
        if let Some(id) = at.find(&at.full_name(&name)) {
            at.parameter_mut(id).role = role;
        }
    }
    Ok(())
}

struct Deberta<'a> {
    config: Reader<'a>,
    size: Sizes,
    attention: Attention,
    /// How many distances there are on either side, where the attention looks at them.
    table: Option<u64>,
    convolution: Option<(Convolution, Nonlinearity)>,
    /// The width of the embeddings.
    embedding: u64,
}

impl Encoder for Deberta<'_> {
    fn body(&self, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
        let size = &self.size;
        let feed = encoder::feed(self.config, size, size.positions, inputs, at)?;
        let placed = self.config.flag("position_biased_input", true)?;
        let positions = Some(PositionIds::PLAIN).filter(|_| placed);
        let embedded = at.under("embeddings", |at| self.embeddings(positions, feed, at))?;
        let mut hidden = embedded;
        let table = self.table(at)?;
        let attended = table.filter(|_| matches!(self.attention.kind, AttentionKind::Disentangled(_)));
        let mut layers = Vec::new();
        for i in 0..size.layers {
            hidden = at.under(&format!("encoder.layer.{i}"), |at| {
                encoder::layer_of(&NAMES, size, self.attention.clone(), attended, (hidden, feed.mask), at)
            })?;
            if i == 0 {
                hidden = self.convolved(embedded, hidden, feed, at)?;
            }
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
        let pooled = |at: &mut Builder| {
            let activation = self.config.activation("pooler_hidden_act", "gelu")?;
            encoder::first_token("pooler.dense", size.hidden, activation, body.hidden, at)
        };
        match head {
            Head::None | Head::PreTraining | Head::NextSentence => Ok(Vec::new()),
            Head::Language => self.words(body.hidden, at),
            Head::Sequence => {
                let pooled = pooled(at)?;
                encoder::classifier("classifier", size.labels, pooled, at)
            }
            Head::Choice => {
                let pooled = pooled(at)?;
                encoder::classifier("classifier", 1, pooled, at)
            }
            Head::Token => encoder::classifier("classifier", size.labels, body.hidden, at),
            Head::Span => encoder::outputs(encoder::linear("qa_outputs", size.labels, body.hidden, at)?),
        }
    }
}

impl Deberta<'_> {
    /// LayerNorm(word + position + token type), brought to the width of the layers before the norm where it is another.
    fn embeddings(&self, positions: Option<PositionIds>, feed: Feed, at: &mut Builder) -> Result<NodeId> {
        let mut sum = encoder::embedded(&self.size, self.embedding, positions, feed, at)?;
        if self.embedding != self.size.hidden {
            sum = at.layer("embed_proj", Layer::Linear { out: self.size.hidden, bias: false }, &[sum])?;
        }
        let normed = encoder::norm("LayerNorm", &self.size, sum, at)?;
        at.layer("", Layer::Dropout, &[normed])
    }

    /// LayerNorm(first layer + act(convolution over the embeddings)), where there is a convolution. It is the one place where padding
    /// would reach its neighbours, so there it is 0.
    fn convolved(&self, embedded: NodeId, first: NodeId, feed: Feed, at: &mut Builder) -> Result<NodeId> {
        let Some((convolution, activation)) = &self.convolution else { return Ok(first) };
        at.under("encoder.conv", |at| {
            let beside = at.branch(|at| {
                let kept = match feed.mask {
                    Some(mask) => at.layer("", Layer::Masked, &[embedded, mask])?,
                    None => embedded,
                };
                let channels = at.layer("", Layer::Permute { order: vec![0, 2, 1] }, &[kept])?;
                let convolved = at.layer("conv", Layer::Conv(convolution.clone()), &[channels])?;
                let tokens = at.layer("", Layer::Permute { order: vec![0, 2, 1] }, &[convolved])?;
                let dropped = at.layer("", Layer::Dropout, &[tokens])?;
                at.layer("", Layer::Activation(*activation), &[dropped])
            })?;
            let sum = at.layer("", Layer::Add, &[first, beside])?;
            encoder::norm("LayerNorm", &self.size, sum, at)
        })
    }

    /// The rows of distances, normed where `norm_rel_ebd` says so.
    fn table(&self, at: &mut Builder) -> Result<Option<NodeId>> {
        let size = &self.size;
        let normed =
            self.config.text("norm_rel_ebd", "none")?.to_lowercase().split('|').any(|w| w.trim() == "layer_norm");
        self.config.alternatives("norm_rel_ebd", ["layer_norm".into()]);
        let table = match self.table {
            Some(span) => {
                let layer = Layer::Table { num: span.saturating_mul(2), dim: size.hidden };
                Some(at.layer("encoder.rel_embeddings", layer, &[])?)
            }
            None => None,
        };
        match table {
            Some(table) if normed => Ok(Some(encoder::norm("encoder.LayerNorm", size, table, at)?)),
            None if normed => idle_norm("encoder.LayerNorm", size.hidden, at).map(|()| None),
            table => Ok(table),
        }
    }

    fn words(&self, hidden: NodeId, at: &mut Builder) -> Result<Outputs> {
        let size = &self.size;
        let embedding = "deberta.embeddings.word_embeddings.weight";
        if self.config.flag("legacy", true)? {
            let predictions = Predictions {
                path: "cls.predictions",
                transform: ["transform.dense", "transform.LayerNorm"],
                width: self.embedding,
                activation: size.activation,
                embedding,
            };
            return encoder::predictions(&predictions, size, hidden, at);
        }
        let owner = at.find(&at.full_name(embedding));
        at.under("lm_predictions.lm_head", |at| {
            let dense = encoder::linear("dense", size.hidden, hidden, at)?;
            let active = at.layer("", Layer::Activation(size.activation), &[dense])?;
            let normed = encoder::norm("LayerNorm", size, active, at)?;
            let said = crate::graph::Said {
                shared: owner.map(|id| ("weight", id)).into_iter().collect(),
                ..crate::graph::Said::default()
            };
            let words = Layer::Linear { out: size.vocabulary, bias: false };
            let logits = at.layer_as("words", words, &[normed], said)?;
            let bias = Layer::Parameter { shape: [size.vocabulary].into(), usage: Use::Add };
            let logits = at.layer("bias", bias, &[logits])?;
            if let Some(id) = at.find(&at.full_name("bias")) {
                at.parameter_mut(id).role = Role::Bias;
            }
            encoder::outputs(logits)
        })
    }
}
