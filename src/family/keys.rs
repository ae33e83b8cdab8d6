//! Which keys of a config are known: those that a build asks for, and those without an effect on weights.

use std::collections::BTreeSet;

use serde_json::json;

use super::aliases;
use super::asked::Asked;
use super::config::Config;
use super::config::Reader;
use super::model::{Class, Family, Inputs};
use crate::graph::Builder;

/// Keys that change neither a name, a shape nor a number of what is built: dropout rates and what training, text generation and files need.
/// A key that some family asks for is not here.
pub(crate) const INERT: &[&str] = &[
    "activation_dropout", "add_cross_attention", "apply_spec_augment", "attention_dropout",
    "attention_probs_dropout_prob", "attn_implementation", "attn_pdrop", "auto_map", "bad_words_ids",
    "begin_suppress_tokens", "bos_token_id", "cache_implementation", "chunk_size_feed_forward", "classif_dropout",
    "classifier_dropout", "classifier_dropout_prob", "cls_dropout", "cls_token_id", "cross_attention_hidden_size",
    "decoder_layerdrop", "decoder_start_token_id", "dense_act_fn", "deterministic_flash_attn", "directionality",
    "diversity_penalty", "do_sample", "down_scale_factor", "dropout", "dropout_rate", "dtype", "early_stopping",
    "embd_pdrop", "embedding_dropout", "encoder_layerdrop", "encoder_no_repeat_ngram_size", "eos_token_id",
    "exponential_decay_length_penalty", "finetuning_task", "force_bos_token_to_be_generated", "forced_bos_token_id",
    "forced_decoder_ids", "forced_eos_token_id", "gap_size", "gradient_checkpointing", "hidden_dropout",
    "hidden_dropout_prob", "id2label", "initializer_factor", "is_decoder", "is_encoder_decoder", "is_gated_act",
    "label2id", "length_penalty", "mask_feature_length", "mask_feature_min_masks", "mask_feature_prob",
    "mask_time_length", "mask_time_min_masks", "mask_time_prob", "mask_token_id", "max_length", "median_filter_width",
    "min_length", "mlp_dropout", "model_type", "n_ctx", "n_special", "name_or_path", "net_structure_type",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_labels", "num_memory_blocks", "num_return_sequences",
    "output_attentions", "output_hidden_states", "output_past", "output_router_logits", "output_scores",
    "pad_token_id", "pooler_dropout", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type", "predict_special_tokens", "prefix", "pretraining_tp", "problem_type",
    "qa_dropout", "quantization_config", "reference_compile", "remove_invalid_values", "reorder_and_upcast_attn",
    "repad_logits_with_grad", "repetition_penalty", "resid_pdrop", "return_dict", "return_dict_in_generate",
    "router_aux_loss_coef", "router_jitter_noise", "save_step", "sep_token_id", "sinusoidal_pos_embds",
    "seq_classif_dropout", "sparse_pred_ignore_index", "sparse_prediction", "student", "summary_first_dropout",
    "summary_last_dropout", "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss", "tie_weights_",
    "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript", "transformers_version", "typical_p",
    "unk_token_id", "use_bfloat16", "use_cache", "use_return_dict",
];

/// The keys of one family: what it asks for in any of its classes, their other names, and those without an effect.
pub(crate) struct Known {
    asked: BTreeSet<String>,
}

impl Known {
    /// Those of a family for a config like this one.
    pub(crate) fn of(family: &'static dyn Family, config: &Config) -> Known {
        let asked = Asked::default();
        let mut config = config.clone();
        let stated = config.0.get("architectures").cloned();
        let classes = family.architectures().iter().map(|class| json!([class]));
        for class in stated.into_iter().chain(classes) {
            config.0.insert("architectures".into(), class);
            // what does not build was asked for as far as it came
            let _ = Reader::new(family.name(), &config, &asked)
                .and_then(|reader| family.declare(reader, &Inputs::default(), &Class::OfConfig, &mut Builder::new()));
        }
        let mut keys: BTreeSet<String> = asked.keys().into_iter().map(|(key, _)| key).collect();
        keys.extend(aliases::of(family.name()).map(|(alias, _)| alias.to_string()));
        Known { asked: keys }
    }

    /// Whether a class of the family asks for a key, so that it may have an effect.
    pub(crate) fn asks(&self, key: &str) -> bool {
        self.asked.contains(key)
    }

    /// Whether a key is one of them. Keys that begin with `_` are transformers' own.
    pub(crate) fn has(&self, key: &str) -> bool {
        key.starts_with('_') || self.asks(key) || INERT.contains(&key)
    }

    /// The key that a misspelt name is closest to, or `None`.
    pub(crate) fn meant(&self, name: &str) -> Option<&str> {
        let all = self.asked.iter().map(String::as_str).chain(INERT.iter().copied());
        let near = all.map(|key| (distance(name, key), key)).filter(|(distance, key)| {
            let length = name.len().min(key.len());
            *distance <= if length < 6 { 1 } else { 2 }
        });
        near.min().map(|(_, key)| key)
    }
}

/// The number of letters changed, left out, added or exchanged; case and separators do not count.
fn distance(a: &str, b: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().replace(['-', '.'], "_");
    strsim::damerau_levenshtein(&plain(a), &plain(b))
}
