//! GPT-2 and Whisper as OpenAI publishes them: other names, and GPT-2's matrices as convolutions of one place, `(1, in, out)`.

use super::{Dialect, Rule, same};
use crate::adapt::Op;

/// GPT-2's: the variables of its TensorFlow checkpoints.
pub(super) const GPT2: Dialect = Dialect {
    name: "openai",
    markers: &["model/h{i}/attn/c_attn/w"],
    alone: &["model/h0/attn/c_attn/w", "model/h0/mlp/c_fc/w", "model/wpe"],
    rules: &GPT2_RULES,
    ..Dialect::PLAIN
};

const GPT2_RULES: [Rule; 16] = [
    renamed(&["transformer.wte.weight"], &["model/wte"]),
    renamed(&["transformer.wpe.weight"], &["model/wpe"]),
    renamed(&["transformer.ln_f.weight"], &["model/ln_f/g"]),
    renamed(&["transformer.ln_f.bias"], &["model/ln_f/b"]),
    renamed(&["transformer.h.{i}.ln_1.weight"], &["model/h{i}/ln_1/g"]),
    renamed(&["transformer.h.{i}.ln_1.bias"], &["model/h{i}/ln_1/b"]),
    renamed(&["transformer.h.{i}.ln_2.weight"], &["model/h{i}/ln_2/g"]),
    renamed(&["transformer.h.{i}.ln_2.bias"], &["model/h{i}/ln_2/b"]),
    renamed(&["transformer.h.{i}.attn.c_attn.bias"], &["model/h{i}/attn/c_attn/b"]),
    renamed(&["transformer.h.{i}.attn.c_proj.bias"], &["model/h{i}/attn/c_proj/b"]),
    renamed(&["transformer.h.{i}.mlp.c_fc.bias"], &["model/h{i}/mlp/c_fc/b"]),
    renamed(&["transformer.h.{i}.mlp.c_proj.bias"], &["model/h{i}/mlp/c_proj/b"]),
    matrix(&["transformer.h.{i}.attn.c_attn.weight"], &["model/h{i}/attn/c_attn/w"]),
    matrix(&["transformer.h.{i}.attn.c_proj.weight"], &["model/h{i}/attn/c_proj/w"]),
    matrix(&["transformer.h.{i}.mlp.c_fc.weight"], &["model/h{i}/mlp/c_fc/w"]),
    matrix(&["transformer.h.{i}.mlp.c_proj.weight"], &["model/h{i}/mlp/c_proj/w"]),
];

/// `(in, out)` from `(1, in, out)`.
const fn matrix(ours: &'static [&'static str], theirs: &'static [&'static str]) -> Rule {
    Rule { ours, theirs, read: |_| vec![vec![Op::Reshape { shape: [].into() }]], write: |_| vec![vec![Op::Stack]] }
}

/// Whisper's.
pub(super) const WHISPER: &[Dialect] = &[Dialect {
    name: "openai",
    markers: &["decoder.blocks.{i}.attn.query.weight", "encoder.blocks.{i}.attn.query.weight"],
    alone: &[
        "encoder.blocks.0.attn.query.weight",
        "decoder.blocks.0.cross_attn.query.weight",
        "encoder.positional_embedding",
    ],
    rules: &RULES,
    ..Dialect::PLAIN
}];

const fn renamed(ours: &'static [&'static str], theirs: &'static [&'static str]) -> Rule {
    Rule { ours, theirs, read: same, write: same }
}

const RULES: [Rule; 50] = [
    renamed(&["model.encoder.layers.{i}.fc1.weight"], &["encoder.blocks.{i}.mlp.0.weight"]),
    renamed(&["model.encoder.layers.{i}.fc2.weight"], &["encoder.blocks.{i}.mlp.2.weight"]),
    renamed(&["model.encoder.layers.{i}.final_layer_norm.weight"], &["encoder.blocks.{i}.mlp_ln.weight"]),
    renamed(&["model.encoder.layers.{i}.self_attn_layer_norm.weight"], &["encoder.blocks.{i}.attn_ln.weight"]),
    renamed(&["model.encoder.layers.{i}.self_attn.q_proj.weight"], &["encoder.blocks.{i}.attn.query.weight"]),
    renamed(&["model.encoder.layers.{i}.self_attn.k_proj.weight"], &["encoder.blocks.{i}.attn.key.weight"]),
    renamed(&["model.encoder.layers.{i}.self_attn.v_proj.weight"], &["encoder.blocks.{i}.attn.value.weight"]),
    renamed(&["model.encoder.layers.{i}.self_attn.out_proj.weight"], &["encoder.blocks.{i}.attn.out.weight"]),
    renamed(&["model.encoder.layer_norm.weight"], &["encoder.ln_post.weight"]),
    renamed(&["model.encoder.conv1.weight"], &["encoder.conv1.weight"]),
    renamed(&["model.encoder.conv2.weight"], &["encoder.conv2.weight"]),
    renamed(&["model.encoder.layers.{i}.fc1.bias"], &["encoder.blocks.{i}.mlp.0.bias"]),
    renamed(&["model.encoder.layers.{i}.fc2.bias"], &["encoder.blocks.{i}.mlp.2.bias"]),
    renamed(&["model.encoder.layers.{i}.final_layer_norm.bias"], &["encoder.blocks.{i}.mlp_ln.bias"]),
    renamed(&["model.encoder.layers.{i}.self_attn_layer_norm.bias"], &["encoder.blocks.{i}.attn_ln.bias"]),
    renamed(&["model.encoder.layers.{i}.self_attn.q_proj.bias"], &["encoder.blocks.{i}.attn.query.bias"]),
    renamed(&["model.encoder.layers.{i}.self_attn.v_proj.bias"], &["encoder.blocks.{i}.attn.value.bias"]),
    renamed(&["model.encoder.layers.{i}.self_attn.out_proj.bias"], &["encoder.blocks.{i}.attn.out.bias"]),
    renamed(&["model.encoder.layer_norm.bias"], &["encoder.ln_post.bias"]),
    renamed(&["model.encoder.conv1.bias"], &["encoder.conv1.bias"]),
    renamed(&["model.encoder.conv2.bias"], &["encoder.conv2.bias"]),
    renamed(&["model.encoder.embed_positions.weight"], &["encoder.positional_embedding"]),
    renamed(&["model.decoder.layers.{i}.fc1.weight"], &["decoder.blocks.{i}.mlp.0.weight"]),
    renamed(&["model.decoder.layers.{i}.fc2.weight"], &["decoder.blocks.{i}.mlp.2.weight"]),
    renamed(&["model.decoder.layers.{i}.final_layer_norm.weight"], &["decoder.blocks.{i}.mlp_ln.weight"]),
    renamed(&["model.decoder.layers.{i}.self_attn_layer_norm.weight"], &["decoder.blocks.{i}.attn_ln.weight"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn_layer_norm.weight"], &["decoder.blocks.{i}.cross_attn_ln.weight"]),
    renamed(&["model.decoder.layers.{i}.self_attn.q_proj.weight"], &["decoder.blocks.{i}.attn.query.weight"]),
    renamed(&["model.decoder.layers.{i}.self_attn.k_proj.weight"], &["decoder.blocks.{i}.attn.key.weight"]),
    renamed(&["model.decoder.layers.{i}.self_attn.v_proj.weight"], &["decoder.blocks.{i}.attn.value.weight"]),
    renamed(&["model.decoder.layers.{i}.self_attn.out_proj.weight"], &["decoder.blocks.{i}.attn.out.weight"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn.q_proj.weight"], &["decoder.blocks.{i}.cross_attn.query.weight"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn.k_proj.weight"], &["decoder.blocks.{i}.cross_attn.key.weight"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn.v_proj.weight"], &["decoder.blocks.{i}.cross_attn.value.weight"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn.out_proj.weight"], &["decoder.blocks.{i}.cross_attn.out.weight"]),
    renamed(&["model.decoder.layer_norm.weight"], &["decoder.ln.weight"]),
    renamed(&["model.decoder.layers.{i}.fc1.bias"], &["decoder.blocks.{i}.mlp.0.bias"]),
    renamed(&["model.decoder.layers.{i}.fc2.bias"], &["decoder.blocks.{i}.mlp.2.bias"]),
    renamed(&["model.decoder.layers.{i}.final_layer_norm.bias"], &["decoder.blocks.{i}.mlp_ln.bias"]),
    renamed(&["model.decoder.layers.{i}.self_attn_layer_norm.bias"], &["decoder.blocks.{i}.attn_ln.bias"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn_layer_norm.bias"], &["decoder.blocks.{i}.cross_attn_ln.bias"]),
    renamed(&["model.decoder.layers.{i}.self_attn.q_proj.bias"], &["decoder.blocks.{i}.attn.query.bias"]),
    renamed(&["model.decoder.layers.{i}.self_attn.v_proj.bias"], &["decoder.blocks.{i}.attn.value.bias"]),
    renamed(&["model.decoder.layers.{i}.self_attn.out_proj.bias"], &["decoder.blocks.{i}.attn.out.bias"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn.q_proj.bias"], &["decoder.blocks.{i}.cross_attn.query.bias"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn.v_proj.bias"], &["decoder.blocks.{i}.cross_attn.value.bias"]),
    renamed(&["model.decoder.layers.{i}.encoder_attn.out_proj.bias"], &["decoder.blocks.{i}.cross_attn.out.bias"]),
    renamed(&["model.decoder.layer_norm.bias"], &["decoder.ln.bias"]),
    renamed(&["model.decoder.embed_positions.weight"], &["decoder.positional_embedding"]),
    renamed(&["model.decoder.embed_tokens.weight"], &["decoder.token_embedding.weight"]),
];
