//! Whisper (Radford et al., arXiv:2212.04356): two convolutions over a spectrogram, an encoder with fixed positions, a decoder that writes
//! text; norms before each branch, and no bias of the key.

use super::config::Reader;
use super::described::Described;
use super::head::Head;
use super::seq2seq::{self, Limits};
use super::{Class, Inputs, Outputs, initial, openai};
use crate::error::Result;
use crate::graph::{Attention, Builder, Convolution, Dim, Layer, NodeId, Nonlinearity, PositionIds, Projections};
use crate::init::Scheme;
use crate::tensor::{Dtype, Role};

/// The family.
pub const WHISPER: Described = Described {
    name: "whisper",
    model_types: &["whisper"],
    architectures: &["WhisperModel", "WhisperForConditionalGeneration", "WhisperForAudioClassification"],
    inputs: &["input_features", "decoder_input_ids", "decoder_attention_mask"],
    base_prefix: "model",
    markers: &["encoder.conv1.weight", "decoder.layers.0.encoder_attn.q_proj.weight", "encoder.embed_positions.weight"],
    dialects: openai::WHISPER,
    build,
};

fn build(config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    inputs.check(WHISPER.name, WHISPER.inputs)?;
    let size = Sizes::read(config)?;
    let head = seq2seq::head(config, class, WHISPER.architectures)?;
    let since = at.parameters().len();
    let outputs = match head {
        Head::Audio => audio(&size, config, inputs, at)?,
        _ => text(&size, head, class, inputs, at)?,
    };
    at.init_rule(since, Scheme::Sinusoids, "whisper: positions of the encoder are sinusoids", |parameter| {
        parameter.name.ends_with("encoder.embed_positions.weight")
    });
    at.init_rule(
        since,
        Scheme::Constant { value: 1.0 / (size.encoder.layers as f64 + 1.0) },
        "whisper: equal weights",
        |p| p.role == Role::Token,
    );
    initial::base(WHISPER.name, size.range, since, at);
    Ok(outputs)
}

/// One side of the model.
#[derive(Clone, Copy)]
struct Side {
    layers: u64,
    heads: u64,
    intermediate: u64,
    decodes: bool,
}

/// The config, with the defaults of transformers' `WhisperConfig`.
struct Sizes {
    vocabulary: u64,
    hidden: u64,
    bins: u64,
    frames: u64,
    encoder: Side,
    decoder: Side,
    activation: Nonlinearity,
    source: u64,
    target: u64,
    range: f64,
    tied: bool,
    labels: u64,
    padding: Option<u64>,
}

impl Sizes {
    fn read(config: Reader) -> Result<Sizes> {
        let hidden = config.size("d_model", 384)?;
        let side = |keys: [&'static str; 3], decodes| -> Result<Side> {
            let heads = config.size(keys[1], 6)?;
            config.divides(("d_model", hidden), (keys[1], heads))?;
            let (layers, intermediate) = (config.count(keys[0], 4)?, config.size(keys[2], 1536)?);
            Ok(Side { layers, heads, intermediate, decodes })
        };
        // transformers states it and does not scale
        config.flag("scale_embedding", false)?;
        let source = config.size("max_source_positions", 1500)?;
        let frames = source.checked_mul(2).ok_or_else(|| {
            config.wrong("max_source_positions", source, "half of a number of frames that 64 bits can count")
        })?;
        Ok(Sizes {
            vocabulary: config.size("vocab_size", 51865)?,
            hidden,
            bins: config.size("num_mel_bins", 80)?,
            frames,
            encoder: side(["encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"], false)?,
            decoder: side(["decoder_layers", "decoder_attention_heads", "decoder_ffn_dim"], true)?,
            activation: config.activation("activation_function", "gelu")?,
            source,
            target: config.size("max_target_positions", 448)?,
            range: config.number("init_std", 0.02)?,
            tied: config.flag("tie_word_embeddings", true)?,
            labels: config.labels()?,
            padding: config.id("pad_token_id", Some(50256))?,
        })
    }
}

/// The spectrogram: what is wired, else the model's own input.
fn features(size: &Sizes, inputs: &Inputs, at: &mut Builder) -> Result<NodeId> {
    match inputs.get("input_features") {
        Some(node) => Ok(node),
        None => {
            let axes = vec![Dim::Batch, Dim::Known(size.bins), Dim::Known(size.frames)];
            at.input("input_features", axes, Dtype::F32, None)
        }
    }
}

/// The classes that write text.
fn text(size: &Sizes, head: Head, class: &Class, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let features = features(size, inputs, at)?;
    let limits = Limits { vocabulary: size.vocabulary, source: size.source, target: size.target };
    let target = seq2seq::target(limits, inputs, at)?;
    let prefix = if head == Head::None { "" } else { WHISPER.base_prefix };
    let (encoder, decoder) = at.under(prefix, |at| {
        let encoder = encoder(size, features, at)?;
        let decoder = decoder(size, (target.ids, target.mask), encoder.0, at)?;
        Ok((encoder, decoder))
    })?;
    let mut outputs = seq2seq::results(class, (encoder.0, &encoder.1), (decoder.0, &decoder.1));
    if head == Head::Generation {
        let logits = at.head(|at| {
            let words = Layer::Linear { out: size.vocabulary, bias: false };
            let logits = at.layer("proj_out", words, &[decoder.0])?;
            if size.tied {
                let embedding = at.full_name("model.decoder.embed_tokens.weight");
                at.tie(&at.full_name("proj_out.weight"), &embedding)?;
            }
            Ok(logits)
        })?;
        outputs.push(("logits".into(), logits));
    }
    Ok(outputs)
}

/// The class of a recording: the mean of a projection of the encoder's result, or of a weighted sum of all its layers'.
fn audio(size: &Sizes, config: Reader, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
    let features = features(size, inputs, at)?;
    let (hidden, mut results) = encoder(size, features, at)?;
    let width = config.size("classifier_proj_size", 256)?;
    let weighted = config.flag("use_weighted_layer_sum", false)?;
    let logits = at.head(|at| {
        let read = match weighted {
            true => {
                // the last of them is seen after the norm
                results.pop();
                results.push(hidden);
                at.layer("layer_weights", Layer::WeightedSum, &results)?
            }
            false => hidden,
        };
        let projected = at.layer("projector", Layer::Linear { out: width, bias: true }, &[read])?;
        let pooled = at.layer("", Layer::Mean { axis: 1 }, &[projected])?;
        at.layer("classifier", Layer::Linear { out: size.labels, bias: true }, &[pooled])
    })?;
    Ok(vec![("hidden".into(), hidden), ("logits".into(), logits)])
}

/// The last result, and what each layer was given and the last gave.
fn encoder(size: &Sizes, features: NodeId, at: &mut Builder) -> Result<(NodeId, Vec<NodeId>)> {
    at.under("encoder", |at| {
        let mut hidden = features;
        for (name, stride) in [("conv1", 1), ("conv2", 2)] {
            let convolution = Convolution {
                out: size.hidden,
                kernel: vec![3],
                stride: vec![stride],
                padding: vec![1],
                dilation: vec![1],
                groups: 1,
                bias: true,
            };
            hidden = at.layer(name, Layer::Conv(convolution), &[hidden])?;
            hidden = at.layer("", Layer::Activation(Nonlinearity::Gelu), &[hidden])?;
        }
        hidden = at.layer("", Layer::Permute { order: vec![0, 2, 1] }, &[hidden])?;
        let positions = Layer::Positions { num: size.source, ids: PositionIds::PLAIN };
        hidden = at.layer("embed_positions", positions, &[hidden])?;
        let mut results = vec![hidden];
        for i in 0..size.encoder.layers {
            hidden = at.under(&format!("layers.{i}"), |at| layer(size, size.encoder, (hidden, None), None, at))?;
            results.push(hidden);
        }
        Ok((norm("layer_norm", hidden, at)?, results))
    })
}

fn decoder(
    size: &Sizes,
    (ids, mask): (NodeId, Option<NodeId>),
    memory: NodeId,
    at: &mut Builder,
) -> Result<(NodeId, Vec<NodeId>)> {
    at.under("decoder", |at| {
        let words = Layer::Embedding { num: size.vocabulary, dim: size.hidden };
        let mut hidden = at.layer("embed_tokens", words, &[ids])?;
        at.zero_row("embed_tokens.weight", size.padding);
        let positions = Layer::Positions { num: size.target, ids: PositionIds::PLAIN };
        hidden = at.layer("embed_positions", positions, &[hidden])?;
        let mut results = Vec::new();
        for i in 0..size.decoder.layers {
            hidden =
                at.under(&format!("layers.{i}"), |at| layer(size, size.decoder, (hidden, mask), Some(memory), at))?;
            results.push(hidden);
        }
        Ok((norm("layer_norm", hidden, at)?, results))
    })
}

/// x ← x + attention(norm(x)); in the decoder x ← x + attention(norm(x), memory); x ← x + W₂ · act(W₁ · norm(x)).
fn layer(
    size: &Sizes,
    side: Side,
    (input, mask): (NodeId, Option<NodeId>),
    memory: Option<NodeId>,
    at: &mut Builder,
) -> Result<NodeId> {
    let attended = at.branch(|at| {
        let normed = norm("self_attn_layer_norm", input, at)?;
        let sources: Vec<NodeId> = std::iter::once(normed).chain(mask).collect();
        let own = Attention { causal: side.decodes, ..attention(size, side) };
        at.layer("self_attn", Layer::Attention(own), &sources)
    })?;
    let mut hidden = at.layer("", Layer::Add, &[attended, input])?;
    if let Some(memory) = memory {
        let attended = at.branch(|at| {
            let normed = norm("encoder_attn_layer_norm", hidden, at)?;
            let cross = Attention { cross: true, ..attention(size, side) };
            at.layer("encoder_attn", Layer::Attention(cross), &[normed, memory])
        })?;
        hidden = at.layer("", Layer::Add, &[attended, hidden])?;
    }
    let transformed = at.branch(|at| {
        let normed = norm("final_layer_norm", hidden, at)?;
        let wide = at.layer("fc1", Layer::Linear { out: side.intermediate, bias: true }, &[normed])?;
        let active = at.layer("", Layer::Activation(size.activation), &[wide])?;
        at.layer("fc2", Layer::Linear { out: size.hidden, bias: true }, &[active])
    })?;
    at.layer("", Layer::Add, &[transformed, hidden])
}

fn attention(size: &Sizes, side: Side) -> Attention {
    let projections =
        Projections::Separate { q: "q_proj".into(), k: "k_proj".into(), v: "v_proj".into(), out: "out_proj".into() };
    Attention { key_bias: false, ..Attention::new(side.heads, size.hidden / side.heads, projections) }
}

fn norm(name: &str, input: NodeId, at: &mut Builder) -> Result<NodeId> {
    at.layer(name, Layer::LayerNorm { eps: 1e-5, bias: true }, &[input])
}
