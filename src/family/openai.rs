//! Whisper as OpenAI publishes it: other names.

use super::{Dialect, Rule, same};

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
