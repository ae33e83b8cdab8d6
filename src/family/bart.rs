//! BART (Lewis et al., arXiv:1910.13461): an encoder and a decoder whose norms come after the sums, with learned positions of which two
//! rows are never used.

use super::block::NormPlace;
use super::config::Reader;
use super::described::Described;
use super::head::Head;
use super::initial;
use super::model::{Class, Inputs, Outputs};
use super::seq2seq::{self, Layers, Memory, Results, Side, named, words};
use crate::error::Result;
use crate::graph::{Builder, Layer, NodeId, PositionIds, Use};
use crate::tensor::Role;

/// The family.
pub(crate) const BART: Described = Described {
    name: "bart",
    model_types: &["bart"],
    architectures: &[
        "BartModel", "BartForConditionalGeneration", "BartForSequenceClassification", "BartForQuestionAnswering",
        "BartForCausalLM",
    ],
    inputs: seq2seq::INPUTS,
    base_prefix: "model",
    markers: &["encoder.layernorm_embedding.weight", "decoder.layers.0.encoder_attn.q_proj.weight"],
    ..Described::new((), build)
};

const POSITIONS: PositionIds = PositionIds::From { offset: 2 };

fn build(of: &Described, config: Reader, inputs: &Inputs, class: &Class, at: &mut Builder) -> Result<Outputs> {
    inputs.check(of.name, of.inputs)?;
    let bart = BartConfig::read(config)?;
    let since = at.parameters().len();
    let outputs = match seq2seq::head(config, class, of.architectures)? {
        Head::Language => bart.decoder_alone(inputs, at)?,
        head => bart.whole(head, class, inputs, at)?,
    };
    initial::base(of.name, bart.range, since, at);
    Ok(outputs)
}

/// The config, with the defaults of transformers.
struct BartConfig {
    vocabulary: u64,
    hidden: u64,
    encoder: Side,
    decoder: Side,
    layers: Layers,
    positions: u64,
    range: f64,
    scaled: bool,
    tied: bool,
    labels: u64,
    eos: u64,
    start: u64,
    padding: Option<u64>,
}

impl BartConfig {
    fn read(config: Reader) -> Result<BartConfig> {
        let hidden = config.size("d_model", 1024)?;
        for (key, value) in [("normalize_before", false), ("static_position_embeddings", false)] {
            if config.flag(key, value)? != value {
                return Err(config.unsupported(key, !value, value.to_string()));
            }
        }
        let [encoder, decoder] = Side::read(config, hidden, 12, 16, 4096)?;
        let activation = config.activation("activation_function", "gelu")?;
        Ok(BartConfig {
            vocabulary: config.size("vocab_size", 50265)?,
            hidden,
            encoder,
            decoder,
            layers: Layers { hidden, activation, norms: NormPlace::After, key_bias: true },
            positions: config.size("max_position_embeddings", 1024)?,
            range: config.number("init_std", 0.02)?,
            scaled: config.flag("scale_embedding", false)?,
            tied: config.flag("tie_word_embeddings", true)?,
            labels: config.labels_or(3)?,
            eos: config.id("eos_token_id", Some(2))?.unwrap_or(2),
            start: config.id("decoder_start_token_id", Some(2))?.unwrap_or(2),
            padding: config.id("pad_token_id", Some(1))?,
        })
    }

    fn whole(&self, head: Head, class: &Class, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
        let source = seq2seq::source(self.vocabulary, self.positions, inputs, at)?;
        let (ids, mask) = match head {
            Head::Sequence | Head::Span => {
                (at.layer("", Layer::ShiftRight { first: self.start }, &[source.ids])?, None)
            }
            _ => {
                let target = seq2seq::target(self.vocabulary, self.positions, inputs, at)?;
                (target.ids, target.mask)
            }
        };
        let prefix = if head == Head::None { "" } else { BART.base_prefix };
        let (encoder, decoder) = at.under(prefix, |at| {
            at.layer("shared", Layer::Embedding { num: self.vocabulary, dim: self.hidden }, &[source.ids])?;
            at.zero_row("shared.weight", self.padding);
            let shared = self.tied.then(|| at.full_name("shared.weight"));
            let encoder = self.stack("encoder", (source.ids, source.mask), None, shared.as_deref(), at)?;
            let memory = Some((encoder.hidden, source.mask));
            Ok((encoder, self.stack("decoder", (ids, mask), memory, shared.as_deref(), at)?))
        })?;
        let mut outputs = seq2seq::outputs(class, &encoder, &decoder);
        let hidden = decoder.hidden;
        let logits = at.head(|at| match head {
            Head::Generation => self.generate(hidden, at).map(Some),
            Head::Sequence => seq2seq::classify((hidden, source.ids), self.eos, self.hidden, self.labels, at).map(Some),
            Head::Span => at.layer("qa_outputs", Layer::Linear { out: 2, bias: true }, &[hidden]).map(Some),
            _ => Ok(None),
        })?;
        outputs.extend(logits.map(|logits| ("logits".to_string(), logits)));
        Ok(outputs)
    }

    /// Logits of the words, plus a bias of shape [1, vocabulary], a buffer in the library.
    fn generate(&self, hidden: NodeId, at: &mut Builder) -> Result<NodeId> {
        let embedding = self.tied.then_some("model.shared.weight");
        let words = words("lm_head", self.vocabulary, embedding, hidden, at)?;
        let bias = Layer::Parameter { shape: [1, self.vocabulary].into(), usage: Use::Add };
        let logits = at.layer("final_logits_bias", bias, &[words])?;
        if let Some(id) = at.find(&at.full_name("final_logits_bias")) {
            at.parameter_mut(id).role = Role::Bias;
            at.parameter_mut(id).parts = Vec::new();
        }
        Ok(logits)
    }

    /// `BartForCausalLM`: the decoder with nothing to read.
    fn decoder_alone(&self, inputs: &Inputs, at: &mut Builder) -> Result<Outputs> {
        let source = seq2seq::source(self.vocabulary, self.positions, inputs, at)?;
        let decode = |at: &mut Builder| self.stack("decoder", (source.ids, source.mask), None, None, at);
        let hidden = at.under(BART.base_prefix, decode)?.hidden;
        let embedding = self.tied.then_some("model.decoder.embed_tokens.weight");
        let logits = at.head(|at| words("lm_head", self.vocabulary, embedding, hidden, at))?;
        Ok(vec![("hidden".into(), hidden), ("logits".into(), logits)])
    }

    /// One side, whose embedding is the one of this name where the two are tied.
    fn stack(
        &self,
        path: &str,
        (ids, mask): (NodeId, Option<NodeId>),
        memory: Option<Memory>,
        shared: Option<&str>,
        at: &mut Builder,
    ) -> Result<Results> {
        at.under(path, |at| {
            let words = Layer::Embedding { num: self.vocabulary, dim: self.hidden };
            let mut hidden = at.layer("embed_tokens", words, &[ids])?;
            at.zero_row("embed_tokens.weight", self.padding);
            if let Some(shared) = shared {
                at.tie(&at.full_name("embed_tokens.weight"), shared)?;
            }
            if self.scaled {
                hidden = at.layer("", Layer::Scale { factor: (self.hidden as f64).sqrt() }, &[hidden])?;
            }
            let num = self.positions.saturating_add(POSITIONS.reserved());
            hidden = at.layer("embed_positions", Layer::Positions { num, ids: POSITIONS }, &[hidden])?;
            let normed = named("layernorm_embedding")(hidden, at)?;
            let side = if path == "encoder" { self.encoder } else { self.decoder };
            self.layers.build(side, (normed, mask), memory, at)
        })
    }
}
