//! Whisper (Radford et al., arXiv:2212.04356): two convolutions over a spectrogram, an encoder with fixed positions, a decoder that writes
//! text; norms before each branch, and no bias of the key.

use super::block::NormPlace;
use super::config::Reader;
use super::described::Described;
use super::head::Head;
use super::model::{Class, Inputs, Outputs};
use super::seq2seq::{self, Layers, Results, Side, named, words};
use super::{initial, openai};
use crate::error::Result;
use crate::graph::{Builder, Convolution, Dim, Layer, NodeId, Nonlinearity, PositionIds};
use crate::init::Scheme;
use crate::tensor::{Dtype, Role};

/// The family.
pub(crate) const WHISPER: Described = Described {
    name: "whisper",
    model_types: &["whisper"],
    architectures: &["WhisperModel", "WhisperForConditionalGeneration", "WhisperForAudioClassification"],
    inputs: &["input_features", "decoder_input_ids", "decoder_attention_mask"],
    base_prefix: "model",
    markers: &["encoder.conv1.weight", "decoder.layers.0.encoder_attn.q_proj.weight", "encoder.embed_positions.weight"],
    dialects: openai::WHISPER,
    ..Described::new((), build)
};

fn build(of: &Described, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    inputs.check(of.name, of.inputs)?;
    let whisper = WhisperConfig::read(config)?;
    let head = seq2seq::head(config, class, of.architectures)?;
    let since = at.parameters().len();
    let outputs = match head {
        Head::Audio => whisper.classify(config, inputs, at)?,
        _ => whisper.write(head, class, inputs, at)?,
    };
    at.init_rule(since, Scheme::Sinusoids, "whisper: positions of the encoder are sinusoids", |parameter| {
        parameter.name.ends_with("encoder.embed_positions.weight")
    });
    let equal = Scheme::Constant { value: 1.0 / (whisper.encoder.layers as f64 + 1.0) };
    at.init_rule(since, equal, "whisper: equal weights", |parameter| parameter.role == Role::Token);
    initial::base(of.name, whisper.range, since, at);
    Ok(outputs)
}

/// The config, with the defaults of transformers.
struct WhisperConfig {
    vocabulary: u64,
    hidden: u64,
    bins: u64,
    frames: u64,
    encoder: Side,
    decoder: Side,
    layers: Layers,
    source: u64,
    target: u64,
    range: f64,
    tied: bool,
    labels: u64,
    padding: Option<u64>,
}

impl WhisperConfig {
    fn read(config: Reader) -> Result<WhisperConfig> {
        let hidden = config.size("d_model", 384)?;
        // transformers has this key and does not scale
        config.flag("scale_embedding", false)?;
        let source = config.size("max_source_positions", 1500)?;
        let frames = source.checked_mul(2).ok_or_else(|| {
            config.wrong("max_source_positions", source, "half of a number of frames that 64 bits can count")
        })?;
        let [encoder, decoder] = Side::read(config, hidden, 4, 6, 1536)?;
        let activation = config.activation("activation_function", "gelu")?;
        Ok(WhisperConfig {
            vocabulary: config.size("vocab_size", 51865)?,
            hidden,
            bins: config.size("num_mel_bins", 80)?,
            frames,
            encoder,
            decoder,
            layers: Layers { hidden, activation, norms: NormPlace::Before, key_bias: false },
            source,
            target: config.size("max_target_positions", 448)?,
            range: config.number("init_std", 0.02)?,
            tied: config.flag("tie_word_embeddings", true)?,
            labels: config.labels()?,
            padding: config.id("pad_token_id", Some(50256))?,
        })
    }

    /// The spectrogram: what is wired, else an input of the model.
    fn features(&self, inputs: &Inputs, at: &mut Builder) -> Result<NodeId> {
        let axes = vec![Dim::Batch, Dim::Known(self.bins), Dim::Known(self.frames)];
        inputs.get("input_features").map_or_else(|| at.input("input_features", axes, Dtype::F32, None), Ok)
    }

    /// The classes that write text.
    fn write(&self, head: Head, class: &Class, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
        let features = self.features(inputs, at)?;
        let target = seq2seq::target(self.vocabulary, self.target, inputs, at)?;
        let prefix = if head == Head::None { "" } else { WHISPER.base_prefix };
        let (encoder, decoder) = at.under(prefix, |at| {
            let encoder = self.encoder(features, at)?;
            let decoder = self.decoder((target.ids, target.mask), encoder.hidden, at)?;
            Ok((encoder, decoder))
        })?;
        let mut outputs = seq2seq::outputs(class, &encoder, &decoder);
        if head == Head::Generation {
            let embedding = self.tied.then_some("model.decoder.embed_tokens.weight");
            let logits = at.head(|at| words("proj_out", self.vocabulary, embedding, decoder.hidden, at))?;
            outputs.push(("logits".into(), logits));
        }
        Ok(outputs)
    }

    /// The class of a recording: the mean of a projection of the encoder's result, or of a weighted sum of all its layers'.
    fn classify(&self, config: Reader, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
        let features = self.features(inputs, at)?;
        let Results { hidden, layers: mut results } = self.encoder(features, at)?;
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
            at.layer("classifier", Layer::Linear { out: self.labels, bias: true }, &[pooled])
        })?;
        Ok(vec![("hidden".into(), hidden), ("logits".into(), logits)])
    }

    /// The last result; what the first layer was given and what each gave.
    fn encoder(&self, features: NodeId, at: &mut Builder) -> Result<Results> {
        at.under("encoder", |at| {
            let mut hidden = features;
            for (name, stride) in [("conv1", 1), ("conv2", 2)] {
                let convolution = Convolution {
                    out: self.hidden,
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
            let positions = Layer::Positions { num: self.source, ids: PositionIds::PLAIN };
            let first = at.layer("embed_positions", positions, &[hidden])?;
            let Results { hidden, mut layers } = self.layers.build(self.encoder, (first, None), None, at)?;
            layers.insert(0, first);
            Ok(Results { hidden: named("layer_norm")(hidden, at)?, layers })
        })
    }

    fn decoder(&self, (ids, mask): (NodeId, Option<NodeId>), memory: NodeId, at: &mut Builder) -> Result<Results> {
        at.under("decoder", |at| {
            let words = Layer::Embedding { num: self.vocabulary, dim: self.hidden };
            let hidden = at.layer("embed_tokens", words, &[ids])?;
            at.zero_row("embed_tokens.weight", self.padding);
            let positions = Layer::Positions { num: self.target, ids: PositionIds::PLAIN };
            let first = at.layer("embed_positions", positions, &[hidden])?;
            let Results { hidden, layers } =
                self.layers.build(self.decoder, (first, mask), Some((memory, None)), at)?;
            Ok(Results { hidden: named("layer_norm")(hidden, at)?, layers })
        })
    }
}
