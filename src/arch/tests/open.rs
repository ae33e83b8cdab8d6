use std::path::Path;

use super::open_path;
use crate::arch::{Architecture, Flags, Form};
use crate::error::{Exit, Result};
use crate::tensor::Dtype;

const CONFIG: &str =
    r#"{"model_type": "bert", "num_hidden_layers": 1, "hidden_size": 4, "num_attention_heads": 1, "vocab_size": 9}"#;

fn open(path: &Path) -> Result<Architecture> {
    open_path(path.to_str().unwrap(), &Flags::default())
}

/// A safetensors file of these tensors in f16.
fn safetensors(tensors: &[(&str, &[u64])]) -> Vec<u8> {
    let mut offset = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, shape)| {
            let start = offset;
            offset += 2 * shape.iter().product::<u64>();
            format!("\"{name}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},\"data_offsets\":[{start},{offset}]}}")
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(std::iter::repeat_n(0, usize::try_from(offset).unwrap()));
    bytes
}

#[test]
fn a_directory_stands_for_its_description_or_else_for_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("model.safetensors"), safetensors(&[("a.weight", &[2, 3])])).unwrap();
    assert_eq!(open(path).unwrap().form, Form::Listing);
    std::fs::write(path.join("config.json"), CONFIG).unwrap();
    assert_eq!(open(path).unwrap().form, Form::HuggingFace);
    std::fs::write(path.join("arch.json"), super::native::DIGITS).unwrap();
    assert_eq!(open(path).unwrap().form, Form::Layers);
}

#[test]
fn a_directory_with_neither_is_an_input_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path()).err().unwrap();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().ends_with("neither a config.json nor weights"), "{error}");
}

#[test]
fn weights_are_a_listing_of_their_headers_whatever_the_file_is_called() {
    let folder = tempfile::tempdir().unwrap();
    // 123 header bytes: the file begins with the byte of a brace
    let name = "a".repeat(123 - r#"{"":{"dtype":"F16","shape":[2, 3],"data_offsets":[0,12]}}"#.len());
    let bytes = safetensors(&[(&name, &[2, 3])]);
    assert_eq!(bytes[0], b'{');
    for file in ["model.safetensors", "weights"] {
        std::fs::write(folder.path().join(file), &bytes).unwrap();
        let architecture = open(&folder.path().join(file)).unwrap();
        assert_eq!(architecture.form, Form::Listing);
        assert_eq!(
            (architecture.parameters[0].name.as_str(), architecture.parameters[0].dtype),
            (name.as_str(), Some(Dtype::F16))
        );
        let again = super::open(architecture.arch_json.as_ref().unwrap()).unwrap();
        assert_eq!(again.parameters, architecture.parameters);
    }
}

#[test]
fn an_index_stands_for_its_shards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("model-00001-of-00002.safetensors"), safetensors(&[("b", &[2])])).unwrap();
    std::fs::write(path.join("model-00002-of-00002.safetensors"), safetensors(&[("a", &[3])])).unwrap();
    let index = path.join("model.safetensors.index.json");
    std::fs::write(
        &index,
        r#"{"metadata": {"total_size": 10}, "weight_map": {"a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}}"#,
    )
    .unwrap();
    for reference in [path, &index] {
        let architecture = open(reference).unwrap();
        assert_eq!(architecture.parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[test]
fn a_vocab_rule_reads_the_tokenizer_beside_the_file_and_carries_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = folder.path().join("tokenizer");
    std::fs::create_dir(&tokenizer).unwrap();
    std::fs::write(tokenizer.join("vocab.txt"), "[PAD]\n[UNK]\nhello\n").unwrap();
    std::fs::write(tokenizer.join("tokenizer_config.json"), r#"{"pad_token": "[PAD]"}"#).unwrap();
    std::fs::write(tokenizer.join("notes.md"), "no part of it").unwrap();
    let path = folder.path().join("my.json");
    for named in ["tokenizer/", "tokenizer", "tokenizer/vocab.txt", "./tokenizer"] {
        std::fs::write(
            &path,
            CONFIG.replace("{\"model", &format!("{{\"xfer\": {{\"vocab\": {{\"tokenizer\": \"{named}\"}}}}, \"model")),
        )
        .unwrap();
        let read = open(&path).unwrap().vocabulary.unwrap();
        assert_eq!(read.vocabulary.tokens.len(), 3, "{named}");
        assert_eq!(read.vocabulary.special, [("pad_token".to_string(), "[PAD]".to_string())]);
        assert_eq!(
            read.files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["tokenizer_config.json", "vocab.txt"]
        );
        assert!(Path::new(&read.folder).join("vocab.txt").exists());
    }
}

#[test]
fn a_vocab_rule_without_a_vocabulary_is_an_input_error_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let path = folder.path().join("my.json");
    for (named, words) in [
        ("empty", "neither a tokenizer.json nor a vocab.txt"),
        ("none/vocab.txt", "no such file"),
        ("none", "no such file"),
    ] {
        std::fs::write(
            &path,
            CONFIG
                .replace("{\"model", &format!("{{\"xfer\": {{\"vocab\": {{\"tokenizer\": \"{named}\"}}}},\n \"model")),
        )
        .unwrap();
        let error = open(&path).err().unwrap();
        assert_eq!(error.exit(), Exit::Input, "{error}");
        assert!(error.to_string().starts_with("my.json:1:34: ") && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.json");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let error = open(&path).err().unwrap().to_string();
    assert!(error.contains("67108864") && error.contains("67108865"), "{error}");
}

#[test]
fn what_does_not_exist_is_exit_5() {
    assert_eq!(open(Path::new("./none/arch.json")).err().unwrap().exit(), Exit::Source);
}
