//! The files beside the weights.

use crate::tensor::Dtype;
use serde_json::{Value as Json, json};

use crate::arch::Architecture;
use crate::plan::testing::*;
use crate::plan::*;

fn text(plan: &Plan, name: &str) -> Option<String> {
    plan.companions.iter().find(|file| file.name == name).map(|file| match &file.content {
        Content::Text(text) => text.to_string(),
        Content::Source { .. } | Content::File { .. } => panic!("{name} is not text"),
    })
}

fn config(plan: &Plan) -> Json {
    serde_json::from_str(&text(plan, "config.json").unwrap()).unwrap()
}

fn carried(plan: &Plan) -> Vec<&str> {
    let is_carried = |file: &&Companion| matches!(file.content, Content::Source { .. });
    plan.companions.iter().filter(is_carried).map(|file| file.name.as_str()).collect()
}

const FILES: &[&str] = &[
    "1_Pooling/config.json", "config.json", "generation_config.json", "modules.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.txt",
];

fn from_bert(target: &Architecture) -> Plan {
    planned(&checkpoint_of(&bert(json!({})), Dtype::F32).companions(FILES), target)
}

#[test]
fn the_config_says_the_type_that_was_written_and_names_no_other_model() {
    let said = json!({"_name_or_path": "google-bert/bert", "xfer": {"dtype": "f16"}, "torch_dtype": "float32"});
    let target = bert(said);
    let stored = checkpoint_of(&target, Dtype::F32);
    let options = Options { dtype: DtypeChoice::To(Dtype::Bf16), ..options() };
    let plan = planned_with(&stored, &target, &options).unwrap().plan;
    let config = config(&plan);
    assert_eq!(config["dtype"], "bfloat16");
    assert_eq!(config["torch_dtype"], "bfloat16");
    assert!(config.get("_name_or_path").is_none() && config.get("xfer").is_none());
    assert_eq!(config["vocab_size"], 10);
    let text = text(&plan, "config.json").unwrap();
    assert!(text.starts_with("{\n  \"model_type\": \"bert\"") && text.ends_with("}\n"));
    let plan = from_bert(&bert(json!({})));
    assert_eq!(self::config(&plan)["torch_dtype"], "float32", "older software reads it");
}

#[test]
fn labels_of_a_rule_stand_in_the_config() {
    let mut target = bert(json!({"architectures": ["BertForSequenceClassification"], "num_labels": 2}));
    let labels = vec!["no".to_string(), "yes".to_string()];
    target.rules.labels.push(crate::arch::LabelRule { head: None, labels });
    let config = config(&from_bert(&target));
    assert_eq!(config["id2label"], json!({"0": "no", "1": "yes"}));
    assert_eq!(config["label2id"], json!({"no": 0, "yes": 1}));
}

#[test]
fn a_bare_model_of_the_same_family_takes_everything_along() {
    assert_eq!(
        carried(&from_bert(&bert(json!({})))),
        FILES.iter().copied().filter(|f| *f != "config.json").collect::<Vec<_>>()
    );
}

#[test]
fn a_model_with_a_head_leaves_the_sentence_pipeline_behind() {
    let target = bert(json!({"architectures": ["BertForSequenceClassification"]}));
    assert_eq!(
        carried(&from_bert(&target)),
        ["generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    );
}

#[test]
fn another_number_of_rows_keeps_the_tokenizer_and_says_so() {
    let plan = from_bert(&bert(json!({"vocab_size": 12})));
    assert!(carried(&plan).contains(&"tokenizer.json"));
    assert!(plan.warnings.iter().any(|w| w.contains("has 12 rows where the source has 10")), "{:?}", plan.warnings);
    let plan = from_bert(&bert(json!({})));
    assert!(!plan.warnings.iter().any(|w| w.contains("tokenizer")), "{:?}", plan.warnings);
}

#[test]
fn a_vocab_rule_replaces_the_tokenizer() {
    let mut target = bert(json!({}));
    vocab_rule(&mut target, vocabulary(&["a", "b"]), None);
    let stored = checkpoint_of(&bert(json!({})), Dtype::F32).companions(FILES).tokens(&["b", "a"]);
    let plan = planned(&stored, &target);
    assert_eq!(text(&plan, "tokenizer.json").as_deref(), Some("{}"));
    assert_eq!(carried(&plan), ["1_Pooling/config.json", "generation_config.json", "modules.json"]);
}

#[test]
fn a_model_without_the_vocabulary_takes_no_tokenizer() {
    let plan = planned(
        &stored(&[("fc.weight", &[4, 4])]).companions(FILES),
        &of_parameters(vec![parameter("fc.weight", &[4, 4], crate::tensor::Role::Linear)]),
    );
    assert!(plan.companions.is_empty(), "{:?}", plan.companions);
    assert!(
        plan.warnings.iter().any(|warning| warning.starts_with("no config.json is written")),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn an_architecture_of_its_own_is_kept_beside_the_weights() {
    let mut to = bert(json!({}));
    to.arch_json = Some("{\"xfer\": 1}".into());
    to.form = crate::arch::Form::Layers;
    to.config = None;
    let plan = from_bert(&to);
    assert_eq!(text(&plan, "arch.json").as_deref(), Some("{\"xfer\": 1}"));
    assert!(text(&plan, "config.json").is_none());
    assert!(!carried(&plan).contains(&"modules.json"));
}

#[test]
fn tokenizers_and_module_configs_go_along_and_weights_and_the_config_do_not() {
    assert!(
        ["tokenizer.json", "vocab.txt", "source.spm", "1_Pooling/config.json"].iter().all(|name| is_companion(name))
    );
    let others =
        ["config.json", "model.safetensors", "onnx/config.json", "README.md", "x_Pooling/config.json", "xfer.json"];
    assert!(others.iter().all(|name| !is_companion(name)));
}
