//! Which files beside a source's weights stand beside the output's: tokenizer, generation, preprocessor, chat template, modules.

/// Names that Hugging Face and sentence-transformers use, at the top of a repository.
const COMPANIONS: &[&str] = &[
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "merges.txt",
    "modules.json",
    "preprocessor_config.json",
    "processor_config.json",
    "sentence_bert_config.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

/// Whether a file of this name, below its source, can stand beside the output's weights. `1_Pooling/config.json` and its
/// like are the configs of the modules that a `modules.json` lists.
pub fn is_companion(name: &str) -> bool {
    COMPANIONS.contains(&name) || is_module_config(name)
}

fn is_module_config(name: &str) -> bool {
    let Some((folder, "config.json")) = name.split_once('/') else { return false };
    folder.split_once('_').is_some_and(|(number, kind)| {
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && !kind.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::is_companion;

    #[test]
    fn tokenizers_and_module_configs_go_along_and_weights_and_the_config_do_not() {
        assert!(["tokenizer.json", "vocab.txt", "1_Pooling/config.json"].iter().all(|name| is_companion(name)));
        let others = ["config.json", "model.safetensors", "onnx/config.json", "README.md", "x_Pooling/config.json"];
        assert!(others.iter().all(|name| !is_companion(name)));
    }
}
