//! The config and the graph of Llama and its relatives.

use super::mixture::{self, Mixture};
use super::positions;
use super::table::{Bias, Defaults, Llama, Norms, QueryKeyNorms, Windows};
use crate::error::Result;
use crate::family::config::Reader;
use crate::family::decoder::{self, Body, Heads, Names};
use crate::family::described::Described;
use crate::family::initial;
use crate::family::model::{Class, Inputs, Outputs};
use crate::family::text::Text;
use crate::graph::{
    Attention, AttentionKind, Builder, HeadNorms, Layer, NodeId, Nonlinearity, Parameter, ParameterId, Projections,
    Rope,
};
use crate::init::Scheme;
use crate::tensor::Role;

pub(super) const NAMES: Names = Names {
    base_prefix: "model",
    span_prefix: "model",
    embedding: "embed_tokens",
    token_classifier: "score",
    lm_head: "lm_head",
};

/// Declares a class of a relative.
pub(super) fn build(
    of: &Described<Llama>,
    config: Reader,
    inputs: &Inputs,
    class: &Class,
    at: &mut Builder,
) -> Result<Outputs> {
    let model = Model::read(&of.table, config)?;
    let since = at.parameters().len();
    let names = Names { span_prefix: of.table.span_prefix, ..NAMES };
    let Defaults { tied, padding, .. } = of.table.defaults;
    let heads = || Heads::read(config, of.architectures, model.vocabulary, tied, padding);
    let outputs = decoder::class(class, heads, &names, |at| body(&model, of.name, inputs, at), at)?;
    initialise(&model, of.name, since, at);
    Ok(outputs)
}

/// A relative with the sizes of a config.
struct Model<'a> {
    of: &'a Llama,
    vocabulary: u64,
    padding: Option<u64>,
    hidden: u64,
    intermediate: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    bias: bool,
    out_bias: bool,
    mlp_bias: bool,
    activation: Nonlinearity,
    positions: u64,
    eps: f64,
    range: f64,
    scale: Option<f64>,
    /// The rotary embedding and the window of each layer.
    layers: Vec<(Option<Rope>, Option<u64>)>,
    mixture: Option<Mixture>,
}

impl<'a> Model<'a> {
    fn read(of: &'a Llama, config: Reader) -> Result<Model<'a>> {
        let defaults = &of.defaults;
        refuse(of, config)?;
        let (heads, kv_heads) = heads(defaults, config)?;
        let hidden = config.size("hidden_size", defaults.hidden)?;
        let head_dim = match (config.get("head_dim"), defaults.head_dim) {
            (None, None) if hidden % heads != 0 => {
                let must = format!("a multiple of num_attention_heads, which is {heads}, or head_dim stated");
                return Err(config.wrong("hidden_size", hidden, must));
            }
            (_, Some(default)) => config.size("head_dim", default)?,
            (_, None) => config.derived_size("head_dim", hidden / heads)?,
        };
        let stated = of.bias == Bias::Stated && config.flag("attention_bias", false)?;
        Ok(Model {
            of,
            vocabulary: config.size("vocab_size", defaults.vocabulary)?,
            padding: config.id("pad_token_id", defaults.padding)?,
            hidden,
            intermediate: config.size("intermediate_size", defaults.intermediate)?,
            heads,
            kv_heads,
            head_dim,
            bias: stated || of.bias == Bias::Inputs,
            out_bias: stated,
            mlp_bias: of.mlp_bias && config.flag("mlp_bias", false)?,
            activation: activation(of, config)?,
            positions: config.size("max_position_embeddings", defaults.positions)?,
            eps: config.number("rms_norm_eps", defaults.eps)?,
            range: config.number("initializer_range", 0.02)?,
            scale: scale(of, config)?,
            layers: positions::layers(of, config, head_dim)?,
            mixture: of
                .experts
                .map(|experts| mixture::read(experts, defaults, config, activation(of, config)?))
                .transpose()?,
        })
    }
}

/// Refuses variants that exist and are not built here.
fn refuse(of: &Llama, config: Reader) -> Result<()> {
    if of.gemma && config.flag("use_bidirectional_attention", false)? {
        return Err(config.unsupported("use_bidirectional_attention", true, "false: attention to what came before"));
    }
    for key in ["attn_logit_softcapping", "final_logit_softcapping"].into_iter().filter(|_| of.norms == Norms::Around) {
        if let Some(value) = config.get(key) {
            return Err(config.unsupported(key, value, "null: logits that are not capped"));
        }
    }
    Ok(())
}

/// Query heads, and key and value heads, which divide them. A null means as many.
fn heads(defaults: &Defaults, config: Reader) -> Result<(u64, u64)> {
    const KEY: &str = "num_key_value_heads";
    let heads = config.size("num_attention_heads", defaults.heads)?;
    let kv_heads = match defaults.kv_heads.filter(|_| !config.states(KEY)) {
        Some(default) => config.size(KEY, default)?,
        None => config.derived_size(KEY, heads)?,
    };
    if heads % kv_heads != 0 {
        let must = format!("a divisor of num_attention_heads, which is {heads}");
        return Err(config.wrong(KEY, kv_heads, must));
    }
    Ok((heads, kv_heads))
}

/// In the first configs of Gemma `gelu` means the approximation by tanh.
fn activation(of: &Llama, config: Reader) -> Result<Nonlinearity> {
    let (key, default) = of.defaults.activation;
    match config.activation(key, default)? {
        Nonlinearity::Gelu if of.gelu_is_tanh => Ok(Nonlinearity::GeluTanh),
        activation => Ok(activation),
    }
}

/// Gemma 3 divides by the root of a number of its config, not of the width of a head.
fn scale(of: &Llama, config: Reader) -> Result<Option<f64>> {
    if of.windows != Windows::Pattern {
        return Ok(None);
    }
    const KEY: &str = "query_pre_attn_scalar";
    match config.number(KEY, 256.0)? {
        0.0 => Err(config.wrong(KEY, 0, "above 0")),
        scalar => Ok(Some(1.0 / scalar.sqrt())),
    }
}

fn body(model: &Model, name: &'static str, inputs: &Inputs, at: &mut Builder) -> Result<Body> {
    let text = decoder::feed(name, model.vocabulary, model.positions, inputs, at)?;
    let embedding = Layer::Embedding { num: model.vocabulary, dim: model.hidden };
    let mut hidden = at.layer(NAMES.embedding, embedding, &[text.ids])?;
    at.zero_row(&format!("{}.weight", NAMES.embedding), model.padding);
    if model.of.gemma {
        hidden = at.layer("", Layer::Scale { factor: (model.hidden as f64).sqrt() }, &[hidden])?;
    }
    let mut layers = Vec::new();
    for (i, (rope, window)) in model.layers.iter().enumerate() {
        let attention = attention(model, rope.clone(), *window);
        hidden = at.under(&format!("layers.{i}"), |at| layer(model, i, attention, hidden, text, at))?;
        layers.push(hidden);
    }
    Ok(Body { text, hidden: norm("norm", model, hidden, at)?, layers })
}

/// x ← x + attention(norm(x)); x ← x + W · (act(gate · norm(x)) ⊙ up · norm(x)), with the norms before, after or around the branches.
fn layer(
    model: &Model,
    index: usize,
    attention: Attention,
    input: NodeId,
    text: Text,
    at: &mut Builder,
) -> Result<NodeId> {
    let since = at.parameters().len();
    let [before, after, second_before, second_after] = norm_names(model.of.norms);
    let attended = branch(model, [before, after], input, at, |normed, at| {
        let sources: Vec<NodeId> = std::iter::once(normed).chain(text.mask).collect();
        at.layer("self_attn", Layer::Attention(attention), &sources)
    })?;
    let output = branch(model, [second_before, second_after], attended, at, |normed, at| match &model.mixture {
        Some(mixture) if mixture.layers.get(index).copied().unwrap_or(true) => {
            at.layer(mixture.path, Layer::Experts(mixture.experts.clone()), &[normed])
        }
        _ => at.under("mlp", |at| feed_forward(model, normed, at)),
    })?;
    at.sort_parameters(since, |parameter| rank(model, parameter));
    Ok(output)
}

/// The norms before and after the attention, and before and after the feed-forward network.
fn norm_names(norms: Norms) -> [Option<&'static str>; 4] {
    const INPUT: Option<&str> = Some("input_layernorm");
    const ATTENTION: Option<&str> = Some("post_attention_layernorm");
    const FEED_FORWARD: Option<&str> = Some("post_feedforward_layernorm");
    match norms {
        Norms::Before => [INPUT, None, ATTENTION, None],
        Norms::Around => [INPUT, ATTENTION, Some("pre_feedforward_layernorm"), FEED_FORWARD],
        Norms::After => [None, ATTENTION, None, FEED_FORWARD],
    }
}

/// A residual branch with the norms of these names before and after it.
fn branch(
    model: &Model,
    [before, after]: [Option<&'static str>; 2],
    input: NodeId,
    at: &mut Builder,
    inner: impl FnOnce(NodeId, &mut Builder) -> Result<NodeId>,
) -> Result<NodeId> {
    let normed =
        |name: Option<&str>, of: NodeId, at: &mut Builder| name.map_or(Ok(of), |name| norm(name, model, of, at));
    let result = at.branch(|at| {
        let entered = normed(before, input, at)?;
        let result = inner(entered, at)?;
        normed(after, result, at)
    })?;
    at.layer("", Layer::Add, &[result, input])
}

/// A layer's norms come after its projections, and Phi-3's output before its input.
fn rank(model: &Model, parameter: &Parameter) -> usize {
    match parameter.name.as_str() {
        name if name.ends_with("layernorm.weight") => 2,
        name if model.of.fused && name.ends_with("o_proj.weight") => 0,
        _ => 1,
    }
}

fn attention(model: &Model, rope: Option<Rope>, window: Option<u64>) -> Attention {
    let out = "o_proj".to_string();
    let projections = if model.of.fused {
        Projections::Fused { qkv: "qkv_proj".into(), out }
    } else {
        Projections::Separate { q: "q_proj".into(), k: "k_proj".into(), v: "v_proj".into(), out }
    };
    let whole = model.of.query_key_norms == QueryKeyNorms::AllHeads;
    let norms = HeadNorms { q: "q_norm".into(), k: "k_norm".into(), eps: model.eps, centred: model.of.gemma, whole };
    Attention {
        kv_heads: model.kv_heads,
        causal: true,
        window,
        kind: rope.map_or(AttentionKind::Plain, AttentionKind::Rope),
        scale: model.scale,
        bias: model.bias,
        out_bias: model.out_bias,
        norms: (model.of.query_key_norms != QueryKeyNorms::None).then_some(norms),
        ..Attention::new(model.heads, model.head_dim, projections)
    }
}

fn feed_forward(model: &Model, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    let (gate, up) = if model.of.fused {
        decoder::halves("gate_up_proj", model.intermediate, model.mlp_bias, input, at)?
    } else {
        (
            linear("gate_proj", model.intermediate, model, input, at)?,
            linear("up_proj", model.intermediate, model, input, at)?,
        )
    };
    let active = at.layer("", Layer::Activation(model.activation), &[gate])?;
    let gated = at.layer("", Layer::Mul, &[active, up])?;
    linear("down_proj", model.hidden, model, gated, at)
}

fn linear(name: &str, out: u64, model: &Model, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::Linear { out, bias: model.mlp_bias }, &[input])
}

fn norm(name: &str, model: &Model, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::RmsNorm { eps: model.eps, centred: model.of.gemma }, &[input])
}

/// transformers' `_init_weights`: matrices and embeddings N(0, initializer_range) at every depth, biases 0, norms a scale of 1. A
/// range of 0 counts as none there.
fn initialise(model: &Model, name: &str, since: ParameterId, at: &mut Builder) {
    if !model.of.gemma {
        return initial::base(name, model.range, since, at);
    }
    at.init_rule(since, Scheme::Constant { value: 0.0 }, &format!("{name}: norms are centred at 0"), |parameter| {
        parameter.role == Role::Norm
    });
    initial::base(name, model.range, since, at);
}
