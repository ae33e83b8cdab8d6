//! Configs that cannot be are refused by key and by both numbers.

use serde_json::{Value, json};

use super::bert::tiny;
use super::{Run, built, config, outputs, refusal, runs};
use crate::error::Exit;

#[test]
fn a_bert_that_cannot_be_is_refused_by_key_and_value() {
    let cases = [
        (
            json!({ "hidden_size": 25 }),
            "bert config: hidden_size is 25, it must be a multiple of num_attention_heads, which is 4",
        ),
        (json!({ "num_attention_heads": 0 }), "bert config: num_attention_heads is 0, it must be at least 1"),
        (json!({ "vocab_size": -1 }), "bert config: vocab_size is -1, it must be an integer, 0 or more"),
        (json!({ "vocab_size": "40" }), "bert config: vocab_size is \"40\", it must be an integer, 0 or more"),
        (json!({ "hidden_act": "mish" }), "bert config: hidden_act `mish` is not supported"),
        (
            json!({ "position_embedding_type": "relative_key" }),
            "bert config: position_embedding_type `relative_key` is not supported",
        ),
        (json!({ "add_cross_attention": true }), "bert config: add_cross_attention `true` is not supported"),
        (
            json!({ "num_labels": 7, "id2label": { "0": "a" } }),
            "bert config: num_labels is 7, but id2label is 1 labels",
        ),
        (json!({ "id2label": {} }), "bert config: id2label is {}, it must be an object of at least one label"),
        (
            json!({ "layer_norm_eps": "1e-12" }),
            "bert config: layer_norm_eps is \"1e-12\", it must be a number, 0 or more",
        ),
        (json!({ "architectures": ["BertForMaskedLm"] }), "bert config: unknown architecture `BertForMaskedLm`"),
        (
            json!({ "architectures": "BertModel" }),
            "bert config: architectures is \"BertModel\", it must be a list of class names",
        ),
        (
            json!({ "hidden_size": 1u64 << 62, "num_attention_heads": 1 }),
            "embedding embeddings.word_embeddings: one example of [batch, up to 20, 4611686018427387904] is larger than 64 bits can count",
        ),
    ];
    for (changes, message) in cases {
        let error = refusal(&tiny(changes));
        assert_eq!(error.to_string(), message);
        assert_eq!(error.exit(), Exit::Input);
    }
}

#[test]
fn an_unknown_class_is_answered_with_the_nearest() {
    let error = refusal(&tiny(json!({ "architectures": ["BertForMaskedLm"] })));
    assert_eq!(error.hints()[0], "did you mean `BertForMaskedLM`?");
}

#[test]
fn labels_are_counted_from_either_key() {
    let count = |changes: Value| {
        let mut changes = changes;
        changes["architectures"] = json!(["BertForTokenClassification"]);
        built(&tiny(changes)).0.last().unwrap().shape[0]
    };
    assert_eq!(count(json!({})), 2);
    assert_eq!(count(json!({ "num_labels": 7 })), 7);
    assert_eq!(count(json!({ "id2label": { "0": "a", "1": "b", "2": "c" } })), 3);
    assert_eq!(count(json!({ "num_labels": 1, "id2label": { "0": "a" } })), 1);
    assert_eq!(count(json!({ "num_labels": null })), 2);
}

#[test]
fn a_decoder_that_cannot_be_is_refused_by_key_and_both_numbers() {
    let cases = [
        (
            json!({ "model_type": "llama", "num_attention_heads": 6, "num_key_value_heads": 4, "hidden_size": 12 }),
            "llama config: num_key_value_heads is 4, it must be a divisor of num_attention_heads, which is 6",
        ),
        (
            json!({ "model_type": "mistral", "num_attention_heads": 8, "hidden_size": 12 }),
            "mistral config: hidden_size is 12, it must be a multiple of num_attention_heads, which is 8, or head_dim stated",
        ),
        (
            json!({ "model_type": "qwen2", "num_hidden_layers": 3, "layer_types": ["full_attention"] }),
            "qwen2 config: num_hidden_layers is 3, but layer_types is 1 layers",
        ),
        (
            json!({ "model_type": "smollm3", "num_hidden_layers": 3, "no_rope_layers": [1, 0] }),
            "smollm3 config: num_hidden_layers is 3, but no_rope_layers is 2 layers",
        ),
        (
            json!({ "model_type": "smollm3", "num_hidden_layers": 2, "no_rope_layers": [1, 2] }),
            "smollm3 config: no_rope_layers is 2, it must be a list of 1 for layers with a rotary embedding and 0 for the others",
        ),
        (
            json!({ "model_type": "gemma3_text", "final_logit_softcapping": 30.0 }),
            "gemma3_text config: final_logit_softcapping `30.0` is not supported",
        ),
        (
            json!({ "model_type": "llama", "rope_scaling": { "rope_type": "linear" } }),
            "llama config: rope_scaling.factor is missing, it must be a number above 0",
        ),
        (
            json!({ "model_type": "phi3", "hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2,
                "rope_scaling": { "type": "su", "short_factor": [1.0, 1.0, 1.0], "long_factor": [1.0] } }),
            "attention layers.0.self_attn: number of rope factors is 1, it must be half of the 6 dimensions that are rotated",
        ),
        (
            json!({ "model_type": "phi3", "rope_scaling": { "rope_type": "longrope", "short_factor": [1.0, 0] } }),
            "phi3 config: rope_scaling.short_factor is 0, it must be a list of numbers above 0",
        ),
        (
            json!({ "model_type": "gpt2", "architectures": ["GPT2DoubleHeadsModel"], "summary_type": "attn" }),
            "gpt2 config: summary_type `attn` is not supported",
        ),
        (
            json!({ "model_type": "qwen3", "architectures": ["Qwen2ForCausalLM"] }),
            "qwen3 config: unknown architecture `Qwen2ForCausalLM`",
        ),
    ];
    for (value, message) in cases {
        let error = refusal(&config(value));
        assert_eq!(error.to_string(), message);
        assert_eq!(error.exit(), Exit::Input);
    }
}

#[test]
fn a_deberta_that_cannot_be_is_refused_by_key_and_value() {
    let cases = [
        (json!({ "conv_kernel_size": 4 }), "conv_kernel_size is 4, it must be odd: a result for each token"),
        (json!({ "conv_kernel_size": 3, "conv_act": "mish" }), "conv_act `mish` is not supported"),
        (json!({ "embedding_size": 12, "legacy": false }), "embedding_size `12` is not supported"),
        (json!({ "pooler_hidden_size": 12 }), "pooler_hidden_size `12` is not supported"),
    ];
    for (changes, message) in cases {
        let mut config = config(json!({ "model_type": "deberta-v2" }));
        config.0.extend(changes.as_object().unwrap().clone());
        let error = refusal(&config);
        assert_eq!(error.to_string(), format!("deberta-v2 config: {message}"));
    }
}

#[test]
fn a_kind_of_rope_scaling_without_code_has_parameters_and_does_not_run() {
    let Run { mut config, weights, reference, .. } =
        runs().into_iter().find(|run| run.config.0["model_type"] == "llama").unwrap();
    let count = built(&config).0.len();
    config.0.insert("rope_parameters".into(), json!({ "rope_type": "proportional", "rope_theta": 100.0 }));
    assert_eq!(built(&config).0.len(), count);
    let error = outputs(&config, &weights, &reference).unwrap_err().to_string();
    assert!(error.contains("self_attn") && error.contains("rope_scaling of type proportional"), "{error}");
}
