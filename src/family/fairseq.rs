//! RoBERTa as fairseq publishes it: the names of its transformer, and in its first version q, k and v in one matrix.

use super::dialect::{Dialect, Rule, joined, rules, thirds};

/// Those of RoBERTa: both versions of fairseq, and the gamma and beta of old checkpoints.
pub(super) const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "fairseq",
        markers: &["decoder.sentence_encoder.layers.{i}.self_attn.q_proj.weight"],
        alone: &["decoder.sentence_encoder.layers.0.self_attn.q_proj.weight", "decoder.lm_head.layer_norm.weight"],
        rules: &[NAMES, SEPARATE],
        absent: TOKEN_TYPES,
        ..Dialect::PLAIN
    },
    Dialect {
        name: "fairseq_fused",
        markers: &["decoder.sentence_encoder.layers.{i}.self_attn.in_proj_weight"],
        alone: &["decoder.sentence_encoder.layers.0.self_attn.in_proj_weight", "decoder.lm_head.layer_norm.weight"],
        rules: &[NAMES, FUSED],
        absent: TOKEN_TYPES,
        ..Dialect::PLAIN
    },
    super::bert::GAMMA_BETA,
];

/// RoBERTa knows no types of tokens; transformers adds their table, and its own conversion fills it with zeros.
const TOKEN_TYPES: &[&str] = &["embeddings.token_type_embeddings.weight"];

const NAMES: &[Rule] = rules! {
    "roberta.embeddings.{word,position}_embeddings.weight" => "decoder.sentence_encoder.embed_{tokens,positions}.weight",
    "roberta.embeddings.LayerNorm.{weight,bias}" => "decoder.sentence_encoder.emb_layer_norm.{weight,bias}",
    "roberta.encoder.layer.{i}.attention.output.{dense,LayerNorm}.{weight,bias}" =>
        "decoder.sentence_encoder.layers.{i}.{self_attn.out_proj,self_attn_layer_norm}.{weight,bias}",
    "roberta.encoder.layer.{i}.intermediate.dense.{weight,bias}" => "decoder.sentence_encoder.layers.{i}.fc1.{weight,bias}",
    "roberta.encoder.layer.{i}.output.{dense,LayerNorm}.{weight,bias}" =>
        "decoder.sentence_encoder.layers.{i}.{fc2,final_layer_norm}.{weight,bias}",
    "lm_head.{dense,layer_norm}.{weight,bias}" => "decoder.lm_head.{dense,layer_norm}.{weight,bias}",
    "lm_head.decoder.weight" => "decoder.lm_head.weight",
    "lm_head.bias" => "decoder.lm_head.bias",
};

const SEPARATE: &[Rule] = rules! {
    "roberta.encoder.layer.{i}.attention.self.{query,key,value}.{weight,bias}" =>
        "decoder.sentence_encoder.layers.{i}.self_attn.{q,k,v}_proj.{weight,bias}",
};

const FUSED: &[Rule] = rules! { thirds, joined;
    [
        "roberta.encoder.layer.{i}.attention.self.query.{weight,bias}",
        "roberta.encoder.layer.{i}.attention.self.key.{weight,bias}",
        "roberta.encoder.layer.{i}.attention.self.value.{weight,bias}"
    ] => "decoder.sentence_encoder.layers.{i}.self_attn.in_proj_{weight,bias}",
};
