//! SmolLM3 (Hugging Face, 2025, huggingface.co/blog/smollm3): Llama with layers that do not know positions.

use super::table::{Defaults, Llama, Rotary, Windows};
use super::{LLAMA, fused, gguf_rules};
use crate::family::described::Described;

pub(crate) const SMOLLM3: Described<Llama> = Described {
    name: "smollm3",
    model_types: &["smollm3"],
    architectures: &[
        "SmolLM3Model", "SmolLM3ForCausalLM", "SmolLM3ForSequenceClassification", "SmolLM3ForTokenClassification",
        "SmolLM3ForQuestionAnswering",
    ],
    dialects: &[gguf_rules::LLAMA, fused::FUSED],
    table: Llama {
        gguf: "smollm3",
        rotary: Rotary::Listed,
        windows: Windows::WithoutRotary,
        defaults: Defaults {
            vocabulary: 128_256,
            hidden: 2048,
            layers: 36,
            heads: 16,
            kv_heads: Some(4),
            positions: 32768,
            tied: true,
            padding: Some(128_004),
            theta: 2_000_000.0,
            ..LLAMA.table.defaults
        },
        ..LLAMA.table
    },
    ..LLAMA
};
