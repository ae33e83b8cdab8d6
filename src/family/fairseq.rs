//! RoBERTa as fairseq publishes it: the names of its transformer, and in its first version q, k and v in one matrix.

use super::{Dialect, Rule, same};

/// Those of RoBERTa: both versions of fairseq, and the gamma and beta of old checkpoints.
pub(super) const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "fairseq",
        markers: &["decoder.sentence_encoder.layers.{i}.self_attn.q_proj.weight"],
        alone: &["decoder.sentence_encoder.layers.0.self_attn.q_proj.weight", "decoder.lm_head.layer_norm.weight"],
        rules: &SEPARATE,
        absent: TOKEN_TYPES,
        ..Dialect::PLAIN
    },
    Dialect {
        name: "fairseq_fused",
        markers: &["decoder.sentence_encoder.layers.{i}.self_attn.in_proj_weight"],
        alone: &["decoder.sentence_encoder.layers.0.self_attn.in_proj_weight", "decoder.lm_head.layer_norm.weight"],
        rules: &FUSED,
        absent: TOKEN_TYPES,
        ..Dialect::PLAIN
    },
    super::bert::GAMMA_BETA,
];

/// RoBERTa knows no types of tokens; transformers adds their table, and its own conversion fills it with zeros.
const TOKEN_TYPES: &[&str] = &["embeddings.token_type_embeddings.weight"];

const fn renamed(ours: &'static [&'static str], theirs: &'static [&'static str]) -> Rule {
    Rule { ours, theirs, read: same, write: same }
}

/// q, k and v from equal pieces of one tensor.
const fn thirds(ours: &'static [&'static str], theirs: &'static [&'static str]) -> Rule {
    Rule { ours, theirs, read: |_| vec![Vec::new(); 3], write: |_| vec![vec![crate::adapt::Op::Concat { axis: 0 }]] }
}

const SEPARATE: [Rule; 26] = [
    renamed(&["roberta.embeddings.word_embeddings.weight"], &["decoder.sentence_encoder.embed_tokens.weight"]),
    renamed(&["roberta.embeddings.position_embeddings.weight"], &["decoder.sentence_encoder.embed_positions.weight"]),
    renamed(&["roberta.embeddings.LayerNorm.weight"], &["decoder.sentence_encoder.emb_layer_norm.weight"]),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.dense.weight"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.out_proj.weight"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.LayerNorm.weight"],
        &["decoder.sentence_encoder.layers.{i}.self_attn_layer_norm.weight"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.intermediate.dense.weight"],
        &["decoder.sentence_encoder.layers.{i}.fc1.weight"],
    ),
    renamed(&["roberta.encoder.layer.{i}.output.dense.weight"], &["decoder.sentence_encoder.layers.{i}.fc2.weight"]),
    renamed(
        &["roberta.encoder.layer.{i}.output.LayerNorm.weight"],
        &["decoder.sentence_encoder.layers.{i}.final_layer_norm.weight"],
    ),
    renamed(&["lm_head.dense.weight"], &["decoder.lm_head.dense.weight"]),
    renamed(&["lm_head.layer_norm.weight"], &["decoder.lm_head.layer_norm.weight"]),
    renamed(&["roberta.embeddings.LayerNorm.bias"], &["decoder.sentence_encoder.emb_layer_norm.bias"]),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.dense.bias"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.out_proj.bias"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.LayerNorm.bias"],
        &["decoder.sentence_encoder.layers.{i}.self_attn_layer_norm.bias"],
    ),
    renamed(&["roberta.encoder.layer.{i}.intermediate.dense.bias"], &["decoder.sentence_encoder.layers.{i}.fc1.bias"]),
    renamed(&["roberta.encoder.layer.{i}.output.dense.bias"], &["decoder.sentence_encoder.layers.{i}.fc2.bias"]),
    renamed(
        &["roberta.encoder.layer.{i}.output.LayerNorm.bias"],
        &["decoder.sentence_encoder.layers.{i}.final_layer_norm.bias"],
    ),
    renamed(&["lm_head.dense.bias"], &["decoder.lm_head.dense.bias"]),
    renamed(&["lm_head.layer_norm.bias"], &["decoder.lm_head.layer_norm.bias"]),
    renamed(&["lm_head.decoder.weight"], &["decoder.lm_head.weight"]),
    renamed(&["lm_head.bias"], &["decoder.lm_head.bias"]),
    renamed(
        &["roberta.encoder.layer.{i}.attention.self.query.weight"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.q_proj.weight"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.self.key.weight"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.k_proj.weight"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.self.value.weight"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.v_proj.weight"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.self.query.bias"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.q_proj.bias"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.self.key.bias"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.k_proj.bias"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.self.value.bias"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.v_proj.bias"],
    ),
];

const FUSED: [Rule; 22] = [
    renamed(&["roberta.embeddings.word_embeddings.weight"], &["decoder.sentence_encoder.embed_tokens.weight"]),
    renamed(&["roberta.embeddings.position_embeddings.weight"], &["decoder.sentence_encoder.embed_positions.weight"]),
    renamed(&["roberta.embeddings.LayerNorm.weight"], &["decoder.sentence_encoder.emb_layer_norm.weight"]),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.dense.weight"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.out_proj.weight"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.LayerNorm.weight"],
        &["decoder.sentence_encoder.layers.{i}.self_attn_layer_norm.weight"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.intermediate.dense.weight"],
        &["decoder.sentence_encoder.layers.{i}.fc1.weight"],
    ),
    renamed(&["roberta.encoder.layer.{i}.output.dense.weight"], &["decoder.sentence_encoder.layers.{i}.fc2.weight"]),
    renamed(
        &["roberta.encoder.layer.{i}.output.LayerNorm.weight"],
        &["decoder.sentence_encoder.layers.{i}.final_layer_norm.weight"],
    ),
    renamed(&["lm_head.dense.weight"], &["decoder.lm_head.dense.weight"]),
    renamed(&["lm_head.layer_norm.weight"], &["decoder.lm_head.layer_norm.weight"]),
    renamed(&["roberta.embeddings.LayerNorm.bias"], &["decoder.sentence_encoder.emb_layer_norm.bias"]),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.dense.bias"],
        &["decoder.sentence_encoder.layers.{i}.self_attn.out_proj.bias"],
    ),
    renamed(
        &["roberta.encoder.layer.{i}.attention.output.LayerNorm.bias"],
        &["decoder.sentence_encoder.layers.{i}.self_attn_layer_norm.bias"],
    ),
    renamed(&["roberta.encoder.layer.{i}.intermediate.dense.bias"], &["decoder.sentence_encoder.layers.{i}.fc1.bias"]),
    renamed(&["roberta.encoder.layer.{i}.output.dense.bias"], &["decoder.sentence_encoder.layers.{i}.fc2.bias"]),
    renamed(
        &["roberta.encoder.layer.{i}.output.LayerNorm.bias"],
        &["decoder.sentence_encoder.layers.{i}.final_layer_norm.bias"],
    ),
    renamed(&["lm_head.dense.bias"], &["decoder.lm_head.dense.bias"]),
    renamed(&["lm_head.layer_norm.bias"], &["decoder.lm_head.layer_norm.bias"]),
    renamed(&["lm_head.decoder.weight"], &["decoder.lm_head.weight"]),
    renamed(&["lm_head.bias"], &["decoder.lm_head.bias"]),
    thirds(
        &[
            "roberta.encoder.layer.{i}.attention.self.query.weight",
            "roberta.encoder.layer.{i}.attention.self.key.weight",
            "roberta.encoder.layer.{i}.attention.self.value.weight",
        ],
        &["decoder.sentence_encoder.layers.{i}.self_attn.in_proj_weight"],
    ),
    thirds(
        &[
            "roberta.encoder.layer.{i}.attention.self.query.bias",
            "roberta.encoder.layer.{i}.attention.self.key.bias",
            "roberta.encoder.layer.{i}.attention.self.value.bias",
        ],
        &["decoder.sentence_encoder.layers.{i}.self_attn.in_proj_bias"],
    ),
];
