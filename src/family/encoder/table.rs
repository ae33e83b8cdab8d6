//! The table of an encoder of BERT's kind, and that table with the sizes of a config.

use crate::error::Result;
use crate::family::config::Reader;
use crate::family::dialect::Dialect;
use crate::family::head::Head;
use crate::family::model::{Inputs, Outputs};
use crate::family::text::Text;
use crate::graph::{Builder, NodeId, Nonlinearity, ParameterId, PositionIds};

/// An encoder: every field is a place where two published families differ.
pub(crate) struct Encoder {
    pub name: &'static str,
    pub model_types: &'static [&'static str],
    pub architectures: &'static [&'static str],
    pub base_prefix: &'static str,
    pub markers: &'static [&'static str],
    pub dialects: &'static [Dialect],
    // the keys of a config, with their defaults in transformers
    pub vocabulary: (&'static str, u64),
    pub hidden: (&'static str, u64),
    pub layers: (&'static str, u64),
    pub heads: (&'static str, u64),
    pub intermediate: (&'static str, u64),
    pub activation: (&'static str, &'static str),
    pub positions: (&'static str, u64),
    /// The default of `type_vocab_size`; `None` where tokens have no types.
    pub types: Option<u64>,
    /// What norms add to the variance; without a key it is fixed.
    pub eps: (Option<&'static str>, f64),
    pub padding: Padding,
    /// Whether the family has decoders.
    pub decodes: bool,
    pub position_ids: Positions,
    pub embedding_width: Width,
    /// The matrix from that width to the width of the layers.
    pub projection: Projection,
    /// The path of the embedding of tokens, below the body's.
    pub words: &'static str,
    /// The path of the numbered layers, and the names of a layer's parts below its path.
    pub layer: &'static str,
    pub attention: &'static str,
    /// Query, key, value and output, below the attention.
    pub projections: [&'static str; 4],
    pub attention_norm: &'static str,
    pub wide: &'static str,
    pub narrow: &'static str,
    pub norm: &'static str,
    /// The path of the pooler, a matrix of the first token and tanh.
    pub pooler: Option<&'static str>,
    pub towers: &'static [(Head, Tower)],
    pub body: fn(&Model, &Inputs, &mut Builder) -> Result<Body>,
    /// The layers of the body: the result of each.
    pub stack: fn(&Model, NodeId, Feed, &mut Builder) -> Result<Vec<NodeId>>,
    /// transformers' `_init_weights`, for the parameters from an id on.
    pub initialise: fn(&Model, ParameterId, &mut Builder) -> Result<()>,
}

/// The id of padding.
#[derive(Clone, Copy)]
pub(crate) enum Padding {
    /// `pad_token_id`, with this default.
    Key(u64),
    /// This one, whatever the config states.
    Fixed(u64),
}

/// Which row of the table a position has.
#[derive(Clone, Copy)]
pub(crate) enum Positions {
    /// The first has row 0.
    FromZero,
    /// They are counted from after the row of padding, without padding (RoBERTa).
    AfterPadding,
}

/// The width of the embeddings.
#[derive(Clone, Copy)]
pub(crate) enum Width {
    OfLayers,
    Key(&'static str, u64),
    /// That of a key, by default that of the layers.
    LikeLayers(&'static str),
}

/// A matrix from the width of the embeddings to that of the layers, by its path.
#[derive(Clone, Copy)]
pub(crate) enum Projection {
    /// Only where the widths differ.
    IfNeeded(&'static str),
    Always(&'static str),
}

/// What a class adds to the body.
pub(crate) enum Tower {
    /// Logits of each token of the vocabulary.
    Words(Words),
    /// Like `Words`, and logits of the pooled text: their path, the name of the output, and how many (`None`: the number of labels).
    WordsAndPair(Words, &'static str, &'static str, Option<u64>),
    /// Logits of the pooled text, without a dropout.
    Pair(&'static str),
    /// A dropout and logits of the pooled text.
    Pooled(&'static str),
    /// A matrix of the first token and an activation, then a dropout and logits.
    First { dense: &'static str, activation: Active, out: &'static str },
    /// A dropout and logits of each token.
    Each(&'static str),
    /// Logits of each token for the first and last token of an answer.
    Span(&'static str),
    /// What no other family has.
    Other(fn(&Model, Head, &Body, &mut Builder) -> Result<Outputs>),
}

/// An activation.
#[derive(Clone, Copy)]
pub(crate) enum Active {
    Fixed(Nonlinearity),
    Layers,
    Key(&'static str, &'static str),
}

/// A head of a language model: a transform, its norm, and the decoder, which is the embedding where the two are tied.
pub(crate) struct Words {
    /// The decoder's bias, where it is a parameter of the head.
    pub bias: Option<&'static str>,
    pub dense: &'static str,
    pub activation: Active,
    pub norm: &'static str,
    pub decoder: &'static str,
}

impl Words {
    pub(crate) const fn new(
        dense: &'static str,
        activation: Active,
        norm: &'static str,
        decoder: &'static str,
    ) -> Words {
        Words { bias: None, dense, activation, norm, decoder }
    }
}

/// An encoder with the sizes of a config.
pub(crate) struct Model<'a> {
    pub of: &'a Encoder,
    pub config: Reader<'a>,
    pub vocabulary: u64,
    pub hidden: u64,
    pub layers: u64,
    pub heads: u64,
    pub intermediate: u64,
    pub activation: Nonlinearity,
    /// How many rows the table of positions has.
    pub positions: u64,
    pub position_ids: PositionIds,
    /// 0 where tokens have no types.
    pub types: u64,
    pub eps: f64,
    pub range: f64,
    pub causal: bool,
    pub tied: bool,
    pub labels: u64,
    pub padding: Option<u64>,
    pub width: u64,
}

/// The nodes of the inputs.
#[derive(Clone, Copy)]
pub(crate) struct Feed {
    pub text: Text,
    /// `None` where tokens have no types.
    pub types: Option<NodeId>,
}

/// The result of a body.
pub(crate) struct Body {
    pub feed: Feed,
    pub hidden: NodeId,
    pub layers: Vec<NodeId>,
}

impl<'a> Model<'a> {
    /// An encoder with the sizes that a config states.
    pub(crate) fn read(of: &'a Encoder, config: Reader<'a>) -> Result<Model<'a>> {
        refuse(of, config)?;
        let size = |(key, default): (&'static str, u64)| config.size(key, default);
        let (hidden, heads) = (size(of.hidden)?, size(of.heads)?);
        config.divides((of.hidden.0, hidden), (of.heads.0, heads))?;
        let positions = size(of.positions)?;
        Ok(Model {
            of,
            config,
            vocabulary: size(of.vocabulary)?,
            hidden,
            layers: config.count(of.layers.0, of.layers.1)?,
            heads,
            intermediate: size(of.intermediate)?,
            activation: config.activation(of.activation.0, of.activation.1)?,
            positions,
            position_ids: position_ids(of, config, positions)?,
            types: types(of, config)?,
            eps: of.eps.0.map_or(Ok(of.eps.1), |key| config.number(key, of.eps.1))?,
            range: config.number("initializer_range", 0.02)?,
            causal: of.decodes && config.flag("is_decoder", false)?,
            tied: config.flag("tie_word_embeddings", true)?,
            labels: config.labels()?,
            padding: match of.padding {
                Padding::Key(default) => config.id("pad_token_id", Some(default))?,
                Padding::Fixed(id) => Some(id),
            },
            width: match of.embedding_width {
                Width::OfLayers => hidden,
                Width::Key(key, default) => config.size(key, default)?,
                Width::LikeLayers(key) => config.derived_size(key, hidden)?,
            },
        })
    }
}

/// Which row each position has.
fn position_ids(of: &Encoder, config: Reader, positions: u64) -> Result<PositionIds> {
    let padding = match (of.position_ids, of.padding) {
        (Positions::FromZero, _) => return Ok(PositionIds::PLAIN),
        (Positions::AfterPadding, Padding::Key(default)) => config.count("pad_token_id", default)?,
        (Positions::AfterPadding, Padding::Fixed(id)) => id,
    };
    let ids = PositionIds::Counted { padding };
    if positions > ids.reserved() {
        return Ok(ids);
    }
    let must = format!("more than the {} rows up to that of pad_token_id", ids.reserved());
    Err(config.wrong("max_position_embeddings", positions, must))
}

/// How many types of tokens there are. Where the library has a table of none it cannot run.
fn types(of: &Encoder, config: Reader) -> Result<u64> {
    const KEY: &str = "type_vocab_size";
    match of.types {
        None => Ok(0),
        Some(0) => config.count(KEY, 0),
        Some(default) => config.size(KEY, default),
    }
}

/// What BERT and its relatives exist with and is not built here.
fn refuse(of: &Encoder, config: Reader) -> Result<()> {
    let positions = config.text("position_embedding_type", "absolute")?;
    if positions != "absolute" {
        return Err(config.unsupported("position_embedding_type", positions, "absolute"));
    }
    if of.decodes {
        config.only("add_cross_attention", false, "false: no attention to an encoder")?;
    }
    Ok(())
}
