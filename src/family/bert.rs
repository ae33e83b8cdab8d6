//! BERT (Devlin et al., arXiv:1810.04805) as transformers writes it: embeddings, an encoder whose norms come after the sum,
//! a pooler over the first token, and the heads of its eight tasks.

use super::config::Reader;
use super::{Class, Config, Dialect, Family, Inputs, Outputs, Rule, same};
use crate::error::{FamilyError, Result};
use crate::graph::{Attention, Builder, Dim, Layer, NodeId, Nonlinearity, ParameterId, Projections, Use};
use crate::init::Scheme;
use crate::tensor::{Dtype, Role};

/// The family.
pub struct Bert;

const INPUTS: &[&str] = &["input_ids", "attention_mask", "token_type_ids"];

/// The dropout rates do nothing to weights; they are copied to the output.
const CONFIG_KEYS: &[&str] = &[
    "add_cross_attention",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "is_decoder",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "position_embedding_type",
    "type_vocab_size",
    "use_cache",
    "vocab_size",
];

impl Family for Bert {
    fn name(&self) -> &'static str {
        "bert"
    }
    fn model_types(&self) -> &'static [&'static str] {
        &["bert"]
    }
    fn architectures(&self) -> &'static [&'static str] {
        ARCHITECTURES
    }
    fn inputs(&self) -> &'static [&'static str] {
        INPUTS
    }
    fn config_keys(&self) -> &'static [&'static str] {
        CONFIG_KEYS
    }
    fn base_prefix(&self) -> &'static str {
        "bert"
    }
    fn markers(&self) -> &'static [&'static str] {
        &["embeddings.token_type_embeddings.weight", "encoder.layer.0.attention.self.query.weight"]
    }
    fn dialects(&self) -> &'static [Dialect] {
        DIALECTS
    }
    fn build(&self, config: &Config, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
        let size = Sizes::read(config)?;
        let since = at.parameters().len();
        let outputs = match class {
            Class::Bare => bare(&size, inputs, at)?,
            Class::OfConfig => of_config(&size, head(config)?, inputs, at)?,
        };
        initialise(&size, since, at);
        Ok(outputs)
    }
}

/// The config, with the defaults of transformers' `BertConfig`.
struct Sizes {
    vocabulary: u64,
    hidden: u64,
    layers: u64,
    heads: u64,
    intermediate: u64,
    activation: Nonlinearity,
    positions: u64,
    types: u64,
    eps: f64,
    range: f64,
    causal: bool,
    tied: bool,
    labels: u64,
}

impl Sizes {
    fn read(config: &Config) -> Result<Sizes> {
        let config = reader(config);
        refuse(config)?;
        let (hidden, heads) = (config.size("hidden_size", 768)?, config.size("num_attention_heads", 12)?);
        if hidden % heads != 0 {
            return Err(config.wrong(
                "hidden_size",
                hidden,
                format!("a multiple of num_attention_heads, which is {heads}"),
            ));
        }
        Ok(Sizes {
            vocabulary: config.size("vocab_size", 30522)?,
            hidden,
            layers: config.count("num_hidden_layers", 12)?,
            heads,
            intermediate: config.size("intermediate_size", 3072)?,
            activation: config.activation("hidden_act", "gelu")?,
            positions: config.size("max_position_embeddings", 512)?,
            types: config.size("type_vocab_size", 2)?,
            eps: config.number("layer_norm_eps", 1e-12)?,
            range: config.number("initializer_range", 0.02)?,
            causal: config.flag("is_decoder", false)?,
            tied: config.flag("tie_word_embeddings", true)?,
            labels: config.labels()?,
        })
    }
}

fn reader(config: &Config) -> Reader<'_> {
    Reader { family: "bert", config }
}

/// What BERT exists with and is not built here.
fn refuse(config: Reader) -> Result<()> {
    let positions = config.text("position_embedding_type", "absolute")?;
    if positions != "absolute" {
        return Err(config.unsupported("position_embedding_type", positions, "absolute"));
    }
    if config.flag("add_cross_attention", false)? {
        return Err(config.unsupported("add_cross_attention", true, "false: a BERT without an encoder beside it"));
    }
    Ok(())
}

/// What stands on the encoder.
#[derive(Clone, Copy, PartialEq)]
enum Head {
    None,
    PreTraining,
    LanguageModel,
    NextSentence,
    /// `classifier` on the pooled token, of so many classes or of `labels`.
    Sequence(Option<u64>),
    Token,
    Span,
}

const HEADS: &[(&str, Head)] = &[
    ("BertModel", Head::None),
    ("BertForPreTraining", Head::PreTraining),
    ("BertForMaskedLM", Head::LanguageModel),
    ("BertLMHeadModel", Head::LanguageModel),
    ("BertForNextSentencePrediction", Head::NextSentence),
    ("BertForSequenceClassification", Head::Sequence(None)),
    ("BertForMultipleChoice", Head::Sequence(Some(1))),
    ("BertForTokenClassification", Head::Token),
    ("BertForQuestionAnswering", Head::Span),
];

const ARCHITECTURES: &[&str] = &{
    let mut names = [""; HEADS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = HEADS[i].0;
        i += 1;
    }
    names
};

fn head(config: &Config) -> Result<Head> {
    let Some(name) = reader(config).architecture()? else { return Ok(Head::None) };
    let unknown = || FamilyError::Architecture { family: "bert", name: name.into(), known: ARCHITECTURES };
    Ok(HEADS.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?.1)
}

/// The body under the current path. All its results are named, `layer.{i}` among them; it has a pooler where that is wanted.
fn bare(size: &Sizes, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let body = body(size, inputs, at)?;
    let mut outputs = vec![("hidden".to_string(), body.hidden)];
    if inputs.wants("pooled") {
        outputs.push(("pooled".to_string(), pooler(size, body.hidden, at)?));
    }
    outputs.extend(body.layers.iter().enumerate().map(|(i, node)| (format!("layer.{i}"), *node)));
    Ok(outputs)
}

/// A class of transformers: the body (below `bert` where there is a head) and its head.
fn of_config(size: &Sizes, head: Head, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let pools = match head {
        Head::None | Head::PreTraining | Head::NextSentence | Head::Sequence(_) => true,
        Head::LanguageModel | Head::Token | Head::Span => false,
    };
    let prefix = if head == Head::None { "" } else { "bert" };
    let (hidden, pooled) = at.under(prefix, |at| {
        let hidden = body(size, inputs, at)?.hidden;
        Ok((hidden, if pools { Some(pooler(size, hidden, at)?) } else { None }))
    })?;
    let mut outputs = vec![("hidden".to_string(), hidden)];
    outputs.extend(pooled.map(|pooled| ("pooled".to_string(), pooled)));
    let first = pooled.unwrap_or(hidden);
    outputs.extend(at.head(|at| match head {
        Head::None => Ok(Vec::new()),
        Head::PreTraining => Ok(vec![
            ("prediction_logits".to_string(), predictions(size, hidden, at)?),
            ("seq_relationship_logits".to_string(), linear("cls.seq_relationship", 2, first, at)?),
        ]),
        Head::LanguageModel => Ok(vec![("logits".to_string(), predictions(size, hidden, at)?)]),
        Head::NextSentence => Ok(vec![("logits".to_string(), linear("cls.seq_relationship", 2, first, at)?)]),
        Head::Sequence(classes) => classifier("classifier", classes.unwrap_or(size.labels), first, at),
        Head::Token => classifier("classifier", size.labels, hidden, at),
        Head::Span => Ok(vec![("logits".to_string(), linear("qa_outputs", size.labels, hidden, at)?)]),
    })?);
    Ok(outputs)
}

fn classifier(name: &str, classes: u64, input: NodeId, at: &mut Builder) -> Result<Outputs> {
    let kept = at.layer("", Layer::Dropout, &[input])?;
    Ok(vec![("logits".to_string(), linear(name, classes, kept, at)?)])
}

struct Body {
    hidden: NodeId,
    layers: Vec<NodeId>,
}

fn body(size: &Sizes, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let Feed { ids, types, mask } = feed(size, inputs, at)?;
    let mut hidden = at.under("embeddings", |at| embeddings(size, ids, types, at))?;
    let mut layers = Vec::new();
    for i in 0..size.layers {
        hidden = at.under(&format!("encoder.layer.{i}"), |at| layer(size, hidden, mask, at))?;
        layers.push(hidden);
    }
    Ok(Body { hidden, layers })
}

struct Feed {
    ids: NodeId,
    types: NodeId,
    mask: Option<NodeId>,
}

/// The inputs: those that are wired; without any, all three are the model's own, mask and types optional; else a missing mask is
/// all ones and missing types are all zeros.
fn feed(size: &Sizes, inputs: &Inputs, at: &mut Builder) -> Result<Feed> {
    inputs.check("bert", INPUTS)?;
    let own = inputs.wired.is_empty();
    let axes = || vec![Dim::Batch, Dim::UpTo(size.positions)];
    let ids = match inputs.get("input_ids") {
        Some(node) => node,
        None => at.input("input_ids", axes(), Dtype::I64, Some(size.vocabulary))?,
    };
    let mask = match inputs.get("attention_mask") {
        None if own => Some(at.input_or("attention_mask", axes(), Dtype::I64, Some(2), Some(1))?),
        wired => wired,
    };
    let types = match inputs.get("token_type_ids") {
        Some(node) => node,
        None if own => at.input_or("token_type_ids", axes(), Dtype::I64, Some(size.types), Some(0))?,
        None => at.layer("", Layer::Fill { value: 0 }, &[ids])?,
    };
    Ok(Feed { ids, types, mask })
}

/// LayerNorm(word + position + token type).
fn embeddings(size: &Sizes, ids: NodeId, types: NodeId, at: &mut Builder) -> Result<NodeId> {
    let words = at.layer("word_embeddings", Layer::Embedding { num: size.vocabulary, dim: size.hidden }, &[ids])?;
    let placed = at.layer("position_embeddings", Layer::Positions { num: size.positions }, &[words])?;
    let types = at.layer("token_type_embeddings", Layer::Embedding { num: size.types, dim: size.hidden }, &[types])?;
    let sum = at.layer("", Layer::Add, &[placed, types])?;
    let normed = norm("LayerNorm", size, sum, at)?;
    at.layer("", Layer::Dropout, &[normed])
}

/// x ← LayerNorm(x + attention(x)); x ← LayerNorm(x + W₂ · act(W₁ · x)).
fn layer(size: &Sizes, input: NodeId, mask: Option<NodeId>, at: &mut Builder) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let sources: Vec<NodeId> = std::iter::once(input).chain(mask).collect();
        let attended = at.layer("attention", Layer::Attention(attention(size)), &sources)?;
        at.layer("", Layer::Dropout, &[attended])
    })?;
    let sum = at.layer("", Layer::Add, &[attended, input])?;
    let middle = norm("attention.output.LayerNorm", size, sum, at)?;
    let transformed = at.branch(|at| {
        let wide = linear("intermediate.dense", size.intermediate, middle, at)?;
        let active = at.layer("", Layer::Activation(size.activation), &[wide])?;
        let narrow = linear("output.dense", size.hidden, active, at)?;
        at.layer("", Layer::Dropout, &[narrow])
    })?;
    let sum = at.layer("", Layer::Add, &[transformed, middle])?;
    norm("output.LayerNorm", size, sum, at)
}

fn attention(size: &Sizes) -> Attention {
    let projections = Projections::Separate {
        q: "self.query".into(),
        k: "self.key".into(),
        v: "self.value".into(),
        out: "output.dense".into(),
    };
    Attention { causal: size.causal, ..Attention::new(size.heads, size.hidden / size.heads, projections) }
}

/// tanh(W · x₀) of the first token.
fn pooler(size: &Sizes, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
    let first = at.layer("", Layer::Select { axis: 1, index: 0 }, &[hidden])?;
    let dense = linear("pooler.dense", size.hidden, first, at)?;
    at.layer("", Layer::Activation(Nonlinearity::Tanh), &[dense])
}

/// The language-model head: a transform, and a decoder that is the word embedding. `cls.predictions.bias` stands first, and is the
/// decoder's bias; untied, transformers writes it and uses it for nothing.
fn predictions(size: &Sizes, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
    let embedding = at.full_name("bert.embeddings.word_embeddings.weight");
    at.under("cls.predictions", |at| {
        at.layer("bias", Layer::Parameter { shape: vec![size.vocabulary], usage: Use::None }, &[])?;
        let bias = at.full_name("bias");
        if let Some(id) = at.find(&bias) {
            at.parameter_mut(id).role = Role::Bias;
        }
        let dense = linear("transform.dense", size.hidden, hidden, at)?;
        let active = at.layer("", Layer::Activation(size.activation), &[dense])?;
        let normed = norm("transform.LayerNorm", size, active, at)?;
        let logits = linear("decoder", size.vocabulary, normed, at)?;
        if size.tied {
            at.tie(&at.full_name("decoder.weight"), &embedding)?;
            at.tie(&at.full_name("decoder.bias"), &bias)?;
        }
        Ok(logits)
    })
}

fn linear(name: &str, out: u64, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::Linear { out, bias: true }, &[input])
}

fn norm(name: &str, size: &Sizes, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: size.eps, bias: true }, &[input])
}

/// transformers' `_init_weights`: matrices and embeddings N(0, initializer_range), norms 1, biases 0. A range of 0 counts as unsaid
/// there. The row of `pad_token_id`, which transformers zeroes, is drawn like the others: no loss reaches it through the mask.
fn initialise(size: &Sizes, since: ParameterId, at: &mut Builder) {
    let std = if size.range > 0.0 { size.range } else { 0.02 };
    let drawn = Scheme::Normal { mean: 0.0, std };
    at.init_rule(since, drawn, &format!("bert: initializer_range {std}"), |parameter| {
        matches!(parameter.role, Role::Linear | Role::Embedding | Role::Position)
    });
    at.init_rule(since, Scheme::Constant { value: 1.0 }, "bert: norms start at 1", |parameter| {
        parameter.role == Role::Norm
    });
    at.init_rule(since, Scheme::Constant { value: 0.0 }, "bert: biases start at 0", |parameter| {
        parameter.role == Role::Bias
    });
}

/// The checkpoints converted from TensorFlow before 2020 call a norm's scale and shift `gamma` and `beta`.
const DIALECTS: &[Dialect] = &[Dialect {
    name: "gamma_beta",
    markers: &["{p}.LayerNorm.gamma", "{p}.LayerNorm.beta"],
    rules: &[
        Rule { ours: &["{p}.LayerNorm.weight"], theirs: &["{p}.LayerNorm.gamma"], read: same, write: same },
        Rule { ours: &["{p}.LayerNorm.bias"], theirs: &["{p}.LayerNorm.beta"], read: same, write: same },
    ],
    ..Dialect::PLAIN
}];
