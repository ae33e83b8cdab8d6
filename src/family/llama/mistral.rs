//! Mistral (arXiv:2310.06825): Llama with a sliding window.

use super::LLAMA;
use super::table::{Bias, Defaults, Llama, Windows};
use crate::family::described::Described;

pub(crate) const MISTRAL: Described<Llama> = Described {
    name: "mistral",
    model_types: &["mistral"],
    architectures: &[
        "MistralModel", "MistralForCausalLM", "MistralForSequenceClassification", "MistralForTokenClassification",
        "MistralForQuestionAnswering",
    ],
    table: Llama {
        mlp_bias: false,
        span_prefix: "model",
        bias: Bias::Never,
        windows: Windows::All(Some(4096)),
        defaults: Defaults { intermediate: 14336, kv_heads: Some(8), positions: 131_072, ..LLAMA.table.defaults },
        ..LLAMA.table
    },
    ..LLAMA
};
