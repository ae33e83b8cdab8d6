//! Llama and its siblings as llama.cpp's GGUF names them: rotary pairs that are neighbours where the file's architecture is `llama`, norms
//! around 1 where the family's are around 0, experts in one tensor; and the config that the metadata amounts to.

use serde_json::{Map, Value, json};

use super::frequencies::{self, TABLES};
use super::projections::rope;
use super::renamed;
use super::siblings::Llama;
use crate::adapt::Op;
use crate::checkpoint::Listing;
use crate::family::{Config, Dialect, Rule};

/// The dialect with these rules.
pub(super) const fn dialect(rules: &'static [Rule], marker: &'static [&'static str]) -> Dialect {
    Dialect { name: "gguf", markers: marker, rules, buffers: TABLES, ..Dialect::PLAIN }
}

/// A norm's scale, moved.
fn shift(offset: f64) -> Vec<Vec<Op>> {
    vec![vec![Op::Affine { scale: 1.0, offset }]]
}

/// A config from the metadata of a GGUF file of this architecture, or `None` where it is no such file. A missing number is left to the
/// family's default, and to the error that the shapes then give.
pub(super) fn config(of: &Llama, source: &Listing) -> Option<Config> {
    let get = |key: &str| source.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let architecture = get("general.architecture").filter(|name| *name == of.gguf && source.format == "gguf")?;
    let own = |key: &str| get(&format!("{architecture}.{key}"));
    // Mistral's and Mixtral's files call themselves llama
    let has_experts = own("expert_count").and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 0);
    if has_experts != of.experts.is_some() {
        return None;
    }
    let mut config = Map::new();
    config.insert("architectures".into(), json!([of.architectures.get(1)?]));
    config.insert("model_type".into(), json!(of.model_types.first()?));
    let mut number = |key: &str, value: Option<&str>| {
        let parsed = value.and_then(|text| serde_json::from_str::<Value>(text).ok());
        // a base is a float in every config
        let parsed = parsed.map(|number| if key == "rope_theta" { json!(number.as_f64()) } else { number });
        if let Some(parsed) = parsed.filter(Value::is_number) {
            config.insert(key.into(), parsed);
        }
    };
    for (key, theirs) in NUMBERS {
        number(key, own(theirs));
    }
    if let Some(experts) = of.experts {
        number(experts.count.0, own("expert_count"));
        if experts.intermediate.0 != "intermediate_size" {
            number(experts.intermediate.0, own("expert_feed_forward_length"));
        }
    }
    for (key, theirs) in TOKENS {
        number(key, get(theirs));
    }
    let rows = source.position("token_embd.weight").and_then(|at| source.tensors.get(at)).map(|table| table.rows());
    if let Some(rows) = rows {
        config.insert("vocab_size".into(), json!(rows));
    }
    config.insert("tie_word_embeddings".into(), json!(source.position("output.weight").is_none()));
    frequencies::state(of, &mut config, own);
    Some(Config(config))
}

/// What the metadata of such a file say that no config carries.
pub(super) fn unknown(source: &Listing) -> Option<String> {
    let get = |key: &str| source.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let key = format!("{}.rope.scaling.type", get("general.architecture").filter(|_| source.format == "gguf")?);
    frequencies::is_unknown(get(&key)).then_some(key)
}

/// Keys of a config, and what llama.cpp calls them below the architecture's name.
const NUMBERS: &[(&str, &str)] = &[
    ("hidden_size", "embedding_length"),
    ("num_hidden_layers", "block_count"),
    ("intermediate_size", "feed_forward_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "attention.key_length"),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    ("max_position_embeddings", "context_length"),
    ("rope_theta", "rope.freq_base"),
    ("sliding_window", "attention.sliding_window"),
    ("num_experts_per_tok", "expert_used_count"),
];

/// The same for special tokens.
const TOKENS: &[(&str, &str)] = &[
    ("bos_token_id", "tokenizer.ggml.bos_token_id"),
    ("eos_token_id", "tokenizer.ggml.eos_token_id"),
    ("pad_token_id", "tokenizer.ggml.padding_token_id"),
];

/// The names of Llama and Mistral.
pub(super) const LLAMA: [Rule; 16] = [
    renamed(&["model.embed_tokens.weight"], &["token_embd.weight"]),
    renamed(&["lm_head.weight"], &["output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["blk.{i}.attn_v.weight"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["blk.{i}.attn_output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["blk.{i}.attn_v.bias"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["blk.{i}.attn_output.bias"]),
    renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["blk.{i}.ffn_gate.weight"]),
    renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["blk.{i}.ffn_up.weight"]),
    renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["blk.{i}.ffn_down.weight"]),
    renamed(&["model.norm.weight"], &["output_norm.weight"]),
    renamed(&["model.layers.{i}.input_layernorm.weight"], &["blk.{i}.attn_norm.weight"]),
    renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["blk.{i}.ffn_norm.weight"]),
    Rule {
        ours: &["model.layers.{i}.self_attn.q_proj.weight"],
        theirs: &["blk.{i}.attn_q.weight"],
        read: rope::read_q,
        write: rope::write_q,
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.k_proj.weight"],
        theirs: &["blk.{i}.attn_k.weight"],
        read: rope::read_k,
        write: rope::write_k,
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.q_proj.bias"],
        theirs: &["blk.{i}.attn_q.bias"],
        read: rope::read_q,
        write: rope::write_q,
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.k_proj.bias"],
        theirs: &["blk.{i}.attn_k.bias"],
        read: rope::read_k,
        write: rope::write_k,
    },
];

/// The names of Mixtral.
pub(super) const MIXTRAL: [Rule; 17] = [
    renamed(&["model.embed_tokens.weight"], &["token_embd.weight"]),
    renamed(&["lm_head.weight"], &["output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["blk.{i}.attn_v.weight"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["blk.{i}.attn_output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["blk.{i}.attn_v.bias"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["blk.{i}.attn_output.bias"]),
    renamed(&["model.norm.weight"], &["output_norm.weight"]),
    renamed(&["model.layers.{i}.input_layernorm.weight"], &["blk.{i}.attn_norm.weight"]),
    renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["blk.{i}.ffn_norm.weight"]),
    Rule {
        ours: &["model.layers.{i}.self_attn.q_proj.weight"],
        theirs: &["blk.{i}.attn_q.weight"],
        read: rope::read_q,
        write: rope::write_q,
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.k_proj.weight"],
        theirs: &["blk.{i}.attn_k.weight"],
        read: rope::read_k,
        write: rope::write_k,
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.q_proj.bias"],
        theirs: &["blk.{i}.attn_q.bias"],
        read: rope::read_q,
        write: rope::write_q,
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.k_proj.bias"],
        theirs: &["blk.{i}.attn_k.bias"],
        read: rope::read_k,
        write: rope::write_k,
    },
    renamed(&["model.layers.{i}.block_sparse_moe.gate.weight"], &["blk.{i}.ffn_gate_inp.weight"]),
    renamed(&["model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight"], &["blk.{i}.ffn_gate_exps.weight"]),
    renamed(&["model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"], &["blk.{i}.ffn_up_exps.weight"]),
    renamed(&["model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight"], &["blk.{i}.ffn_down_exps.weight"]),
];

/// The names of Qwen 2 and 3.
pub(super) const QWEN: [Rule; 18] = [
    renamed(&["model.embed_tokens.weight"], &["token_embd.weight"]),
    renamed(&["lm_head.weight"], &["output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["blk.{i}.attn_v.weight"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["blk.{i}.attn_output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["blk.{i}.attn_v.bias"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["blk.{i}.attn_output.bias"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.weight"], &["blk.{i}.attn_q.weight"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.weight"], &["blk.{i}.attn_k.weight"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.bias"], &["blk.{i}.attn_q.bias"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.bias"], &["blk.{i}.attn_k.bias"]),
    renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["blk.{i}.ffn_gate.weight"]),
    renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["blk.{i}.ffn_up.weight"]),
    renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["blk.{i}.ffn_down.weight"]),
    renamed(&["model.norm.weight"], &["output_norm.weight"]),
    renamed(&["model.layers.{i}.input_layernorm.weight"], &["blk.{i}.attn_norm.weight"]),
    renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["blk.{i}.ffn_norm.weight"]),
    renamed(&["model.layers.{i}.self_attn.q_norm.weight"], &["blk.{i}.attn_q_norm.weight"]),
    renamed(&["model.layers.{i}.self_attn.k_norm.weight"], &["blk.{i}.attn_k_norm.weight"]),
];

/// The names of Qwen 3 with experts.
pub(super) const QWEN_MOE: [Rule; 22] = [
    renamed(&["model.embed_tokens.weight"], &["token_embd.weight"]),
    renamed(&["lm_head.weight"], &["output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["blk.{i}.attn_v.weight"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["blk.{i}.attn_output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["blk.{i}.attn_v.bias"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["blk.{i}.attn_output.bias"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.weight"], &["blk.{i}.attn_q.weight"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.weight"], &["blk.{i}.attn_k.weight"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.bias"], &["blk.{i}.attn_q.bias"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.bias"], &["blk.{i}.attn_k.bias"]),
    renamed(&["model.norm.weight"], &["output_norm.weight"]),
    renamed(&["model.layers.{i}.input_layernorm.weight"], &["blk.{i}.attn_norm.weight"]),
    renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["blk.{i}.ffn_norm.weight"]),
    renamed(&["model.layers.{i}.self_attn.q_norm.weight"], &["blk.{i}.attn_q_norm.weight"]),
    renamed(&["model.layers.{i}.self_attn.k_norm.weight"], &["blk.{i}.attn_k_norm.weight"]),
    renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["blk.{i}.ffn_gate.weight"]),
    renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["blk.{i}.ffn_up.weight"]),
    renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["blk.{i}.ffn_down.weight"]),
    renamed(&["model.layers.{i}.mlp.gate.weight"], &["blk.{i}.ffn_gate_inp.weight"]),
    renamed(&["model.layers.{i}.mlp.experts.{e}.gate_proj.weight"], &["blk.{i}.ffn_gate_exps.weight"]),
    renamed(&["model.layers.{i}.mlp.experts.{e}.up_proj.weight"], &["blk.{i}.ffn_up_exps.weight"]),
    renamed(&["model.layers.{i}.mlp.experts.{e}.down_proj.weight"], &["blk.{i}.ffn_down_exps.weight"]),
];

/// The names of Phi-3.
pub(super) const PHI: [Rule; 9] = [
    renamed(&["model.embed_tokens.weight"], &["token_embd.weight"]),
    renamed(&["lm_head.weight"], &["output.weight"]),
    renamed(&["model.norm.weight"], &["output_norm.weight"]),
    renamed(&["model.layers.{i}.input_layernorm.weight"], &["blk.{i}.attn_norm.weight"]),
    renamed(&["model.layers.{i}.post_attention_layernorm.weight"], &["blk.{i}.ffn_norm.weight"]),
    renamed(&["model.layers.{i}.self_attn.qkv_proj.weight"], &["blk.{i}.attn_qkv.weight"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["blk.{i}.attn_output.weight"]),
    renamed(&["model.layers.{i}.mlp.gate_up_proj.weight"], &["blk.{i}.ffn_up.weight"]),
    renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["blk.{i}.ffn_down.weight"]),
];

/// The names of Gemma.
pub(super) const GEMMA: [Rule; 16] = [
    renamed(&["model.embed_tokens.weight"], &["token_embd.weight"]),
    renamed(&["lm_head.weight"], &["output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["blk.{i}.attn_v.weight"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["blk.{i}.attn_output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["blk.{i}.attn_v.bias"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["blk.{i}.attn_output.bias"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.weight"], &["blk.{i}.attn_q.weight"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.weight"], &["blk.{i}.attn_k.weight"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.bias"], &["blk.{i}.attn_q.bias"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.bias"], &["blk.{i}.attn_k.bias"]),
    renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["blk.{i}.ffn_gate.weight"]),
    renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["blk.{i}.ffn_up.weight"]),
    renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["blk.{i}.ffn_down.weight"]),
    Rule {
        ours: &["model.norm.weight"],
        theirs: &["output_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.input_layernorm.weight"],
        theirs: &["blk.{i}.attn_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.post_attention_layernorm.weight"],
        theirs: &["blk.{i}.ffn_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
];

/// The names of Gemma 3.
pub(super) const GEMMA3: [Rule; 20] = [
    renamed(&["model.embed_tokens.weight"], &["token_embd.weight"]),
    renamed(&["lm_head.weight"], &["output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.weight"], &["blk.{i}.attn_v.weight"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.weight"], &["blk.{i}.attn_output.weight"]),
    renamed(&["model.layers.{i}.self_attn.v_proj.bias"], &["blk.{i}.attn_v.bias"]),
    renamed(&["model.layers.{i}.self_attn.o_proj.bias"], &["blk.{i}.attn_output.bias"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.weight"], &["blk.{i}.attn_q.weight"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.weight"], &["blk.{i}.attn_k.weight"]),
    renamed(&["model.layers.{i}.self_attn.q_proj.bias"], &["blk.{i}.attn_q.bias"]),
    renamed(&["model.layers.{i}.self_attn.k_proj.bias"], &["blk.{i}.attn_k.bias"]),
    renamed(&["model.layers.{i}.mlp.gate_proj.weight"], &["blk.{i}.ffn_gate.weight"]),
    renamed(&["model.layers.{i}.mlp.up_proj.weight"], &["blk.{i}.ffn_up.weight"]),
    renamed(&["model.layers.{i}.mlp.down_proj.weight"], &["blk.{i}.ffn_down.weight"]),
    Rule {
        ours: &["model.norm.weight"],
        theirs: &["output_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.input_layernorm.weight"],
        theirs: &["blk.{i}.attn_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.post_attention_layernorm.weight"],
        theirs: &["blk.{i}.post_attention_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.pre_feedforward_layernorm.weight"],
        theirs: &["blk.{i}.ffn_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.post_feedforward_layernorm.weight"],
        theirs: &["blk.{i}.post_ffw_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.q_norm.weight"],
        theirs: &["blk.{i}.attn_q_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
    Rule {
        ours: &["model.layers.{i}.self_attn.k_norm.weight"],
        theirs: &["blk.{i}.attn_k_norm.weight"],
        read: |_| shift(-1.0),
        write: |_| shift(1.0),
    },
];
