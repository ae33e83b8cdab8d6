use serde_json::json;

use super::{assert_wrong, open, open_with};
use crate::arch::{Architecture, Flags, Form};
use crate::error::{Exit, Result};

pub const CONFIG: &str = r#"{
  "architectures": ["BertForSequenceClassification"],
  "model_type": "bert",
  "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 3,
  "vocab_size": 20, "max_position_embeddings": 10,
  "xfer": { "depth": { "bert.encoder.layer": "every:2" }, "new": ["classifier.**"], "dtype": "bf16" }
}"#;

fn with(change: impl FnOnce(&mut Flags)) -> Result<Architecture> {
    let mut flags = Flags::default();
    change(&mut flags);
    open_with("config.json", CONFIG, &flags)
}

fn set(texts: &[&str]) -> Result<Architecture> {
    with(|flags| flags.set = texts.iter().map(|text| text.to_string()).collect())
}

#[test]
fn a_config_is_built_by_its_family_and_copied_without_its_rules() {
    let architecture = open(CONFIG).unwrap();
    assert_eq!(architecture.form, Form::HuggingFace);
    assert!(architecture.graph.is_some() && architecture.arch_json.is_none());
    assert_eq!((architecture.blocks[0].path.as_str(), architecture.blocks[0].family.name()), ("", "bert"));
    let names: Vec<_> = architecture.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names[0], "bert.embeddings.word_embeddings.weight");
    assert!(names.contains(&"bert.encoder.layer.2.output.LayerNorm.bias"));
    let head: Vec<_> = architecture.parameters.iter().filter(|parameter| parameter.head).collect();
    assert_eq!((head[0].name.as_str(), &head[0].shape), ("classifier.weight", &[2, 8].into()));
    let config = architecture.config.unwrap().0;
    assert_eq!(config["hidden_size"], 8);
    assert!(!config.contains_key("xfer"));
    assert_eq!(architecture.rules.depth[0].path.text, "bert.encoder.layer");
    assert_eq!(architecture.rules.new[0].place, "new[0]");
    assert_eq!(architecture.rules.dtype, Some(crate::tensor::Dtype::Bf16));
}

#[test]
fn set_changes_the_config_and_what_is_built() {
    let layers = |architecture: &Architecture| {
        architecture.parameters.iter().filter(|p| p.name.ends_with("attention.self.query.weight")).count()
    };
    let architecture = set(&["num_hidden_layers=1", "hidden_act=relu", "layer_norm_eps=1e-6"]).unwrap();
    assert_eq!(layers(&architecture), 1);
    let config = architecture.config.unwrap().0;
    assert_eq!((&config["hidden_act"], &config["layer_norm_eps"]), (&json!("relu"), &json!(1e-6)));
}

#[test]
fn set_reaches_into_objects_and_one_class_name_is_a_list() {
    let config = set(&["task_specific_params.a.b=3"]).unwrap().config.unwrap().0;
    assert_eq!(config["task_specific_params"], json!({"a": {"b": 3}}));
    let config = set(&["id2label.0=yes", "architectures=BertForTokenClassification"]);
    let config = config.unwrap().config.unwrap().0;
    assert_eq!(config["id2label"], json!({"0": "yes"}));
    assert_eq!(config["architectures"], json!(["BertForTokenClassification"]));
}

#[test]
fn a_key_that_neither_config_nor_family_has_is_an_error_with_the_nearest() {
    let error = set(&["num_hiden_layers=6"]).err().unwrap();
    assert_eq!(error.exit(), Exit::Input);
    assert!(
        error.to_string().contains("bert has no key `num_hiden_layers`; did you mean `num_hidden_layers`?"),
        "{error}"
    );
    assert_eq!(set(&["num_hidden_layers"]).err().unwrap().exit(), Exit::Usage);
    assert_eq!(set(&["num_labels=0"]).err().unwrap().exit(), Exit::Usage);
    assert_eq!(set(&["hidden_size.x=1"]).err().unwrap().exit(), Exit::Usage);
}

#[test]
fn labels_are_written_as_transformers_writes_them_and_size_the_head() {
    let architecture = with(|flags| flags.labels = Some("billing,refund,other".into())).unwrap();
    let classifier = architecture.parameters.iter().find(|p| p.name == "classifier.weight").unwrap();
    assert_eq!(classifier.shape, [3, 8]);
    assert_eq!(architecture.rules.labels[0].labels.len(), 3);
    let config = architecture.config.unwrap().0;
    assert_eq!(config["id2label"], json!({"0": "billing", "1": "refund", "2": "other"}));
    assert_eq!(config["label2id"], json!({"billing": 0, "refund": 1, "other": 2}));
    assert!(!config.contains_key("num_labels"));
}

#[test]
fn num_labels_names_the_classes_as_transformers_does() {
    let architecture = set(&["num_labels=4"]).unwrap();
    let config = architecture.config.unwrap().0;
    assert_eq!(config["id2label"]["3"], "LABEL_3");
    assert_eq!(architecture.parameters.iter().find(|p| p.name == "classifier.weight").unwrap().shape, [4, 8]);
}

#[test]
fn flags_stand_after_the_rules_of_the_file_and_are_stronger() {
    let architecture = with(|flags| {
        flags.depth = vec!["bert.encoder.layer=last".into()];
        flags.init = vec!["zeros".into()];
    })
    .unwrap();
    let rules = architecture.rules;
    assert_eq!(rules.depth.iter().map(|rule| rule.list.to_string()).collect::<Vec<_>>(), ["every:2", "last"]);
    assert_eq!((rules.init.len(), rules.init_from_file), (1, 0));
}

#[test]
fn a_wrong_config_says_where() {
    assert_wrong(r#"{"model_type": ^"barf", "a": 1}"#, "no family answers to model_type `barf`; did you mean `bart`?");
    let error = open(r#"{"model_type": "mamba"}"#).err().unwrap();
    assert!(error.hints().iter().any(|hint| hint.contains("--snippet torch")));
    assert_wrong(r#"{"model_type": ^3}"#, "`model_type` must be a string, found 3");
    assert_wrong("{\"model_type\": \"bert\",\n \"hidden_size\": ^7}", "multiple of num_attention_heads");
    assert_wrong(
        r#"{"model_type": "bert", "architectures": ^["BertForDance"]}"#,
        "unknown architecture `BertForDance`",
    );
    assert_wrong(r#"{"model_type": "bert", "xfer": {^"dept": {}}}"#, "unknown key `dept`; did you mean `depth`?");
    assert_wrong(r#"{"model_type": "bert", "xfer": {^"config": {}}}"#, "unknown key `config`");
    assert_wrong(r#"{"model_type": "bert", ^"model_type": "bert"}"#, "the key `model_type` appears twice");
}

#[test]
fn a_value_that_set_wrote_has_no_place_in_the_file() {
    let error = set(&["hidden_size=7"]).err().unwrap();
    assert!(error.to_string().starts_with("config.json: bert config: hidden_size is 7"), "{error}");
}

#[test]
fn set_on_a_listing_is_a_usage_error() {
    let flags = Flags { set: vec!["a=1".into()], ..Flags::default() };
    let error = open_with("arch.json", r#"{"a": {"dtype": "F32", "shape": [1]}}"#, &flags).err().unwrap();
    assert_eq!(error.exit(), Exit::Usage);
}

#[test]
fn a_key_that_no_build_asks_for_is_an_error_and_only_a_typing_error_has_a_nearest() {
    let message = |text: &str| set(&[text]).err().unwrap().to_string();
    assert!(!message("num_local_experts=4").contains("did you mean"), "{}", message("num_local_experts=4"));
    assert!(message("hiden_act=relu").contains("did you mean `hidden_act`"));
    assert!(message("hidden-size=8").contains("did you mean `hidden_size`"));
    assert!(message("attention_head_size=4").contains("bert has no key `attention_head_size`"));
    let error = set(&["model_type=roberta"]).err().unwrap();
    assert!(error.to_string().contains("model_type is \"roberta\", it must be bert"), "{error}");
}

#[test]
fn an_unknown_key_of_a_whole_config_is_reported_and_carried() {
    let text = CONFIG
        .replace("\"vocab_size\": 20", "\"vocab_size\": 20, \"unsloth_version\": \"1\", \"num_atention_heads\": 4");
    let architecture = open(&text).unwrap();
    let notes = architecture.notes.join("\n");
    assert!(notes.contains("`num_atention_heads`") && notes.contains("did you mean `num_attention_heads`?"), "{notes}");
    assert!(notes.contains("`unsloth_version`: not known to bert; carried unchanged"), "{notes}");
    assert_eq!(architecture.config.unwrap().0["unsloth_version"], "1");
    assert!(open(CONFIG).unwrap().notes.is_empty());
}

#[test]
fn set_takes_the_place_of_the_other_name_of_a_key() {
    let gpt2 = r#"{"model_type": "gpt2", "architectures": ["GPT2Model"], "n_embd": 16, "n_head": 2, "n_layer": 1, "vocab_size": 20, "n_positions": 8}"#;
    let flags = Flags { set: vec!["hidden_size=32".into()], ..Flags::default() };
    let architecture = open_with("config.json", gpt2, &flags).unwrap();
    assert_eq!(architecture.parameters[0].shape.as_slice(), [20, 32]);
    let config = architecture.config.unwrap().0;
    assert_eq!((config.get("hidden_size"), config.get("n_embd")), (Some(&json!(32)), None));
    let both = gpt2.replace("\"n_embd\": 16", "\"n_embd\": 16, \"hidden_size\": 32");
    let error = open(&both).err().unwrap();
    assert!(error.to_string().contains("hidden_size is 32, but n_embd is 16"), "{error}");
}
