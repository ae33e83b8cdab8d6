//! Models that read one sequence and write another: their inputs, their outputs, and the layers of BART and its relatives.

use super::block::{NormPlace, residual};
use super::config::Reader;
use super::head::{self, Head};
use super::model::{Class, Inputs, Outputs};
use super::text::{Text, text};
use crate::error::Result;
use crate::graph::{Attention, Builder, Dim, Layer, NodeId, Nonlinearity, Projections};

/// The inputs of a model of two texts.
pub(super) const INPUTS: &[&str] = &["input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"];

/// The text to read, of at most so many tokens.
pub(super) fn source(vocabulary: u64, longest: u64, inputs: &Inputs, at: &mut Builder) -> Result<Text> {
    text(["input_ids", "attention_mask"], vocabulary, Dim::UpTo(longest), inputs, at)
}

/// The text that was written so far, of at most so many tokens.
pub(super) fn target(vocabulary: u64, longest: u64, inputs: &Inputs, at: &mut Builder) -> Result<Text> {
    text(["decoder_input_ids", "decoder_attention_mask"], vocabulary, Dim::Target(longest), inputs, at)
}

/// The head of the class that is built, one of `known`; a bare block has none.
pub(super) fn head(config: Reader, class: &Class, known: &'static [&'static str]) -> Result<Head> {
    match class {
        Class::Bare => Ok(Head::None),
        Class::OfConfig => head::of(config, known),
    }
}

/// The last result of a side, and those of its layers.
pub(super) struct Results {
    pub hidden: NodeId,
    pub layers: Vec<NodeId>,
}

/// The outputs of a body: `hidden` and `encoder_hidden`, and of a bare body those of each layer.
pub(super) fn outputs(class: &Class, encoder: &Results, decoder: &Results) -> Outputs {
    let mut outputs = vec![("hidden".to_string(), decoder.hidden), ("encoder_hidden".to_string(), encoder.hidden)];
    if *class == Class::Bare {
        let named = |side: &str, (i, node): (usize, &NodeId)| (format!("{side}layer.{i}"), *node);
        outputs.extend(encoder.layers.iter().enumerate().map(|layer| named("encoder_", layer)));
        outputs.extend(decoder.layers.iter().enumerate().map(|layer| named("", layer)));
    }
    outputs
}

/// `dense`, tanh and `out_proj` of the last position that holds the `eos` token.
pub(super) fn classify(
    (hidden, ids): (NodeId, NodeId),
    eos: u64,
    width: u64,
    labels: u64,
    at: &mut Builder,
) -> Result<NodeId> {
    let last = at.layer("", Layer::At { token: eos }, &[hidden, ids])?;
    at.under("classification_head", |at| {
        let dense = at.layer("dense", Layer::Linear { out: width, bias: true }, &[last])?;
        let active = at.layer("", Layer::Activation(Nonlinearity::Tanh), &[dense])?;
        at.layer("out_proj", Layer::Linear { out: labels, bias: true }, &[active])
    })
}

/// Logits of each token of the vocabulary, by the embedding where the two are tied.
pub(super) fn words(
    name: &str,
    vocabulary: u64,
    embedding: Option<&str>,
    hidden: NodeId,
    at: &mut Builder,
) -> Result<NodeId> {
    let logits = at.layer(name, Layer::Linear { out: vocabulary, bias: false }, &[hidden])?;
    if let Some(embedding) = embedding {
        at.tie(&at.full_name(&format!("{name}.weight")), &at.full_name(embedding))?;
    }
    Ok(logits)
}

/// What is read: its last result, and its mask.
pub(super) type Memory = (NodeId, Option<NodeId>);

/// One side of BART and its relatives.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub layers: u64,
    pub heads: u64,
    pub intermediate: u64,
    pub decodes: bool,
}

/// What the layers of both sides have in common.
#[derive(Clone, Copy)]
pub(super) struct Layers {
    pub hidden: u64,
    pub activation: Nonlinearity,
    pub norms: NormPlace,
    /// Whether projections to keys have a bias.
    pub key_bias: bool,
}

impl Side {
    /// The encoder and the decoder that a config states, with these defaults.
    pub(crate) fn read(config: Reader, hidden: u64, layers: u64, heads: u64, intermediate: u64) -> Result<[Side; 2]> {
        let side = |keys: [&'static str; 3], decodes| -> Result<Side> {
            let heads = config.size(keys[1], heads)?;
            config.divides(("d_model", hidden), (keys[1], heads))?;
            let (layers, intermediate) = (config.count(keys[0], layers)?, config.size(keys[2], intermediate)?);
            Ok(Side { layers, heads, intermediate, decodes })
        };
        Ok([
            side(["encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"], false)?,
            side(["decoder_layers", "decoder_attention_heads", "decoder_ffn_dim"], true)?,
        ])
    }
}

impl Layers {
    /// The result of each layer of a side, from the first input on.
    pub(crate) fn build(
        &self,
        side: Side,
        (first, mask): (NodeId, Option<NodeId>),
        memory: Option<Memory>,
        at: &mut Builder,
    ) -> Result<Results> {
        let mut results = Results { hidden: first, layers: Vec::new() };
        for i in 0..side.layers {
            let input = (results.hidden, mask);
            results.hidden = at.under(&format!("layers.{i}"), |at| self.layer(side, input, memory, at))?;
            results.layers.push(results.hidden);
        }
        Ok(results)
    }

    /// A residual branch of attention, in the decoder one of attention to the memory, and one of W₂ · act(W₁ · x).
    fn layer(
        &self,
        side: Side,
        (input, mask): (NodeId, Option<NodeId>),
        memory: Option<Memory>,
        at: &mut Builder,
    ) -> Result<NodeId> {
        let attend = |input, at: &mut Builder| {
            let sources: Vec<NodeId> = std::iter::once(input).chain(mask).collect();
            let attention = Attention { causal: side.decodes, ..self.attention(side) };
            at.layer("self_attn", Layer::Attention(attention), &sources)
        };
        let mut hidden = residual(self.norms, input, named("self_attn_layer_norm"), attend, at)?;
        if side.decodes {
            let attend = |input, at: &mut Builder| {
                let (read, mask) = memory.unwrap_or((input, None));
                let sources: Vec<NodeId> = [input, read].into_iter().chain(mask).collect();
                let attention = Attention { cross: true, ..self.attention(side) };
                at.layer("encoder_attn", Layer::Attention(attention), &sources)
            };
            let attended = residual(self.norms, hidden, named("encoder_attn_layer_norm"), attend, at)?;
            // without a memory the weights exist and their result is used for nothing
            hidden = if memory.is_some() { attended } else { hidden };
        }
        let transform = |input, at: &mut Builder| {
            let wide = at.layer("fc1", Layer::Linear { out: side.intermediate, bias: true }, &[input])?;
            let active = at.layer("", Layer::Activation(self.activation), &[wide])?;
            at.layer("fc2", Layer::Linear { out: self.hidden, bias: true }, &[active])
        };
        residual(self.norms, hidden, named("final_layer_norm"), transform, at)
    }

    fn attention(&self, side: Side) -> Attention {
        let [q, k, v, out] = ["q_proj", "k_proj", "v_proj", "out_proj"].map(str::to_string);
        let projections = Projections::Separate { q, k, v, out };
        Attention { key_bias: self.key_bias, ..Attention::new(side.heads, self.hidden / side.heads, projections) }
    }
}

/// A LayerNorm of this name.
pub(super) fn named(name: &str) -> impl Fn(NodeId, &mut Builder) -> Result<NodeId> {
    move |input, at| at.layer(name, Layer::LayerNorm { eps: 1e-5, bias: true }, &[input])
}
