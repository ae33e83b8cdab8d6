//! GPT-2 and Whisper as OpenAI publishes them: other names, and GPT-2's matrices as convolutions of one place, `(1, in, out)`.

use super::config::Config;
use super::dialect::{Dialect, Rule, rules};
use crate::adapt::Op;

/// GPT-2's: the variables of its TensorFlow checkpoints.
pub(super) const GPT2: Dialect = Dialect {
    name: "openai",
    markers: &["model/h{i}/attn/c_attn/w"],
    alone: &["model/h0/attn/c_attn/w", "model/h0/mlp/c_fc/w", "model/wpe"],
    rules: &[GPT2_NAMES, GPT2_MATRICES],
    ..Dialect::PLAIN
};

const GPT2_NAMES: &[Rule] = rules! {
    "transformer.{wte,wpe}.weight" => "model/{wte,wpe}",
    "transformer.ln_f.{weight,bias}" => "model/ln_f/{g,b}",
    "transformer.h.{i}.{ln_1,ln_2}.{weight,bias}" => "model/h{i}/{ln_1,ln_2}/{g,b}",
    "transformer.h.{i}.attn.{c_attn,c_proj}.bias" => "model/h{i}/attn/{c_attn,c_proj}/b",
    "transformer.h.{i}.mlp.{c_fc,c_proj}.bias" => "model/h{i}/mlp/{c_fc,c_proj}/b",
};

const GPT2_MATRICES: &[Rule] = rules! { without_place, with_place;
    "transformer.h.{i}.attn.{c_attn,c_proj}.weight" => "model/h{i}/attn/{c_attn,c_proj}/w",
    "transformer.h.{i}.mlp.{c_fc,c_proj}.weight" => "model/h{i}/mlp/{c_fc,c_proj}/w",
};

/// `(in, out)` from `(1, in, out)`.
fn without_place(_config: &Config) -> Vec<Vec<Op>> {
    vec![vec![Op::Reshape { shape: [].into() }]]
}

fn with_place(_config: &Config) -> Vec<Vec<Op>> {
    vec![vec![Op::Stack]]
}

/// Whisper's.
pub(super) const WHISPER: &[Dialect] = &[Dialect {
    name: "openai",
    markers: &["decoder.blocks.{i}.attn.query.weight", "encoder.blocks.{i}.attn.query.weight"],
    alone: &[
        "encoder.blocks.0.attn.query.weight", "decoder.blocks.0.cross_attn.query.weight",
        "encoder.positional_embedding",
    ],
    rules: &[WHISPER_RULES],
    ..Dialect::PLAIN
}];

const WHISPER_RULES: &[Rule] = rules! {
    "model.{encoder,decoder}.layers.{i}.{fc1,fc2}.{weight,bias}" => "{encoder,decoder}.blocks.{i}.mlp.{0,2}.{weight,bias}",
    "model.{encoder,decoder}.layers.{i}.{final,self_attn}_layer_norm.{weight,bias}" => "{encoder,decoder}.blocks.{i}.{mlp,attn}_ln.{weight,bias}",
    "model.{encoder,decoder}.layers.{i}.self_attn.{q_proj,v_proj,out_proj}.{weight,bias}" => "{encoder,decoder}.blocks.{i}.attn.{query,value,out}.{weight,bias}",
    "model.{encoder,decoder}.layers.{i}.self_attn.k_proj.weight" => "{encoder,decoder}.blocks.{i}.attn.key.weight",
    "model.decoder.layers.{i}.encoder_attn.{q_proj,v_proj,out_proj}.{weight,bias}" => "decoder.blocks.{i}.cross_attn.{query,value,out}.{weight,bias}",
    "model.decoder.layers.{i}.encoder_attn.k_proj.weight" => "decoder.blocks.{i}.cross_attn.key.weight",
    "model.decoder.layers.{i}.encoder_attn_layer_norm.{weight,bias}" => "decoder.blocks.{i}.cross_attn_ln.{weight,bias}",
    "model.{encoder,decoder}.layer_norm.{weight,bias}" => "{encoder.ln_post,decoder.ln}.{weight,bias}",
    "model.encoder.{conv1,conv2}.{weight,bias}" => "encoder.{conv1,conv2}.{weight,bias}",
    "model.{encoder,decoder}.embed_positions.weight" => "{encoder,decoder}.positional_embedding",
    "model.decoder.embed_tokens.weight" => "decoder.token_embedding.weight",
};
