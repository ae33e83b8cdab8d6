use crate::adapt::tests::{Stored, whole};
use crate::arch::Architecture;
use crate::checkpoint::{CheckpointFormat, Listing};
use crate::graph::{Layout, Parameter};
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::evidence::Answer;
use crate::plan::matching::matches::Origin;
use crate::plan::testing::*;
use crate::plan::value::Value;
use crate::tensor::{Dtype, Role, TensorInfo};

fn old(name: &str) -> String {
    name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
}

#[test]
fn gamma_and_beta_of_an_old_bert_are_weight_and_bias() {
    let target = bert_of("BertModel", 2);
    let case = case(renamed(checkpoint_of(&target, Dtype::F32), old), target);
    let matched = case.matched().clean();
    assert_eq!(matched.from("embeddings.LayerNorm.weight"), "embeddings.LayerNorm.gamma");
    assert_eq!(matched.from("encoder.layer.1.output.LayerNorm.bias"), "encoder.layer.1.output.LayerNorm.beta");
    assert_eq!(matched.step("embeddings.LayerNorm.weight"), Step::Dialect);
    assert_eq!(matched.families, [Some("bert".to_string())]);
    assert_eq!(matched.dialects[0].len(), 1);
    assert_eq!(matched.unused(), Vec::<String>::new());
}

#[test]
fn an_old_bert_with_its_prefix_fills_one_without() {
    let target = bert_of("BertModel", 2);
    let source = renamed(checkpoint_of(&target, Dtype::F32), |name| format!("module.bert.{}", old(name)));
    let case = case(source, target);
    let matched = case.matched().clean();
    assert_eq!(matched.from("embeddings.LayerNorm.weight"), "module.bert.embeddings.LayerNorm.gamma");
    assert_eq!(matched.unused(), Vec::<String>::new());
}

#[test]
fn an_honest_gamma_stays_a_gamma_beside_old_norms() {
    let norms = "enc.{0-1}.LayerNorm.{gamma,beta} 4\nenc.{0-1}.scale.gamma 4";
    let case = texts(norms, "enc.{0-1}.LayerNorm.{weight,bias} 4\nenc.{0-1}.scale.gamma 4");
    let matched = case.matched().clean();
    assert_eq!(matched.from("enc.0.scale.gamma"), "enc.0.scale.gamma");
    assert_eq!(matched.from("enc.0.LayerNorm.weight"), "enc.0.LayerNorm.gamma");
    assert_eq!(matched.from("enc.1.LayerNorm.bias"), "enc.1.LayerNorm.beta");
}

#[test]
fn a_gamma_is_no_weight_where_the_target_has_a_gamma_there() {
    let case = texts("ls.gamma 4", "ls.weight 4\nls.gamma 4");
    let matched = case.matched();
    assert_eq!((matched.from("ls.weight"), matched.from("ls.gamma")), ("new".into(), "ls.gamma".into()));
}

#[test]
fn gamma_within_a_component_is_no_norm() {
    let case = texts("ls.gamma_1 4\nx.gammas 4", "ls.weight_1 4\nx.weights 4");
    let matched = case.matched();
    assert_eq!((matched.from("ls.weight_1"), matched.from("x.weights")), ("new".into(), "new".into()));
}

#[test]
fn an_old_target_takes_a_new_source() {
    let target = bert_of("BertModel", 1);
    let source = checkpoint_of(&target, Dtype::F32);
    let mut parameters = target.parameters.clone();
    parameters.iter_mut().for_each(|parameter| parameter.name = old(&parameter.name).into());
    let case = case(source, of_parameters(parameters));
    let matched = case.matched().clean();
    assert_eq!(matched.from("embeddings.LayerNorm.gamma"), "embeddings.LayerNorm.weight");
}

fn gpt2() -> Architecture {
    of_config(&serde_json::json!({
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 4, "n_head": 2, "n_layer": 2, "n_inner": 6,
        "vocab_size": 9, "n_positions": 5,
    }))
}

/// These weights as nanoGPT saves them from a compiled model.
fn nanogpt() -> Listing {
    let mut listing = renamed(checkpoint_of(&gpt2(), Dtype::F32), |name| format!("_orig_mod.{name}")).listing;
    for tensor in listing.tensors.iter_mut().filter(|tensor| is_matrix(&tensor.name)) {
        tensor.shape.reverse();
    }
    let head = TensorInfo::new("_orig_mod.lm_head.weight", Dtype::F32, [9, 4]);
    listing.tensors.push(head);
    Listing::new(CheckpointFormat::PyTorch, listing.tensors, Vec::new(), None)
}

fn is_matrix(name: &str) -> bool {
    [".c_attn.weight", ".c_proj.weight", ".c_fc.weight"].iter().any(|end| name.ends_with(end))
}

/// A listing of a GPT-2 whose matrices are owned by this class.
fn gpt2_of(module: &str, layout: Layout) -> Architecture {
    let mut parameters = gpt2().parameters;
    for parameter in parameters.iter_mut().filter(|parameter| is_matrix(&parameter.name)) {
        (parameter.module, parameter.layout) = (Some(module.into()), layout);
        if layout == Layout::OutIn {
            parameter.shape.reverse();
        }
    }
    of_parameters(parameters)
}

fn equal(mut case: Case) -> Case {
    case.evidence = case.questions().into_iter().map(|question| (question, Answer::Equal(true))).collect();
    case
}

#[test]
fn matrices_of_nanogpt_and_gpt2_are_turned_exactly_where_the_layouts_differ() {
    let (own, linear) = (checkpoint_of(&gpt2(), Dtype::F32).listing, Layout::OutIn);
    let cases = [
        (own.clone(), gpt2(), false),
        (own.clone(), gpt2_of("Conv1D", Layout::InOut), false),
        (own.clone(), gpt2_of("Linear", linear), true),
        (Listing::new(own.format, own.tensors, Vec::new(), None), gpt2_of("Linear", linear), true),
        (nanogpt(), gpt2(), true),
        (nanogpt(), gpt2_of("Conv1D", Layout::InOut), true),
        (nanogpt(), gpt2_of("Linear", linear), false),
    ];
    for (case_number, (source, target, turned)) in cases.into_iter().enumerate() {
        let case = equal(case(source, target));
        let matched = case.matched().clean();
        for parameter in case.target.parameters.iter().filter(|parameter| is_matrix(&parameter.name)) {
            let from = matched.from(&parameter.name);
            assert_eq!(from.starts_with("transpose("), turned, "case {case_number}: {} from {from}", parameter.name);
            assert_eq!(matched.shape(&parameter.name), parameter.shape, "case {case_number}: {}", parameter.name);
        }
        assert_eq!(matched.families, [Some("gpt2".to_string())]);
        assert_eq!(matched.from("transformer.wte.weight").trim_start_matches("_orig_mod."), "transformer.wte.weight");
    }
}

#[test]
fn nanogpt_is_told_by_a_matrix_that_is_not_square() {
    let case = equal(case(nanogpt(), gpt2()));
    let matched = case.matched();
    assert_eq!(matched.dialects, [["nanogpt"]]);
    assert_eq!(
        matched.from("transformer.h.1.attn.c_proj.weight"),
        "transpose(_orig_mod.transformer.h.1.attn.c_proj.weight)"
    );
    let own = self::case(checkpoint_of(&gpt2(), Dtype::F32), gpt2());
    assert_eq!(own.matched().dialects, [Vec::<String>::new()]);
}

#[test]
fn a_gpt2_under_a_path_of_its_own_is_turned_too() {
    let source = renamed(nanogpt(), |name| name.replace("_orig_mod.transformer", "net.trunk.gpt"));
    let mut target = gpt2();
    target.parameters.iter_mut().for_each(|one| one.name = one.name.replace("transformer", "net.trunk.gpt").into());
    let case = equal(case(source, of_parameters(target.parameters)));
    let matched = case.matched();
    assert_eq!(matched.from("net.trunk.gpt.h.0.attn.c_proj.weight"), "transpose(net.trunk.gpt.h.0.attn.c_proj.weight)");
}

#[test]
fn a_rule_turns_what_it_takes_under_another_name() {
    let mut target = gpt2_of("Linear", Layout::OutIn);
    target.parameters.retain(|one| is_matrix(&one.name));
    target.parameters.iter_mut().for_each(|one| one.name = one.name.replace("transformer.h", "blocks").into());
    let case = case(checkpoint_of(&gpt2(), Dtype::F32), target).map(&["blocks.{i}.{p}=transformer.h.{i}.{p}"]);
    let matched = case.matched();
    assert_eq!(matched.from("blocks.1.attn.c_proj.weight"), "transpose(transformer.h.1.attn.c_proj.weight)");
}

#[test]
fn a_listing_that_does_not_say_its_layout_is_refused_in_either_dialect() {
    for source in [checkpoint_of(&gpt2(), Dtype::F32).listing, nanogpt()] {
        let mut target = gpt2();
        for parameter in target.parameters.iter_mut().filter(|parameter| is_matrix(&parameter.name)) {
            (parameter.module, parameter.layout) = (None, Layout::Unknown);
        }
        let case = case(source, of_parameters(target.parameters));
        let error = case.error();
        assert!(
            matches!(&error, PlanError::LayoutUnknown { target, .. } if target.ends_with("h.0.attn.c_attn.weight")),
            "{error}"
        );
    }
}

#[test]
fn a_family_of_a_few_like_names_is_not_taken_for_gpt2() {
    let names = "transformer.h.{0-1}.attn.attention.q_proj.weight 4x4\ntransformer.h.{0-1}.mlp.c_fc.weight 6x4\ntransformer.wpe.weight 5x4";
    let case = texts(names, names);
    assert_eq!(case.matched().from("transformer.h.1.mlp.c_fc.weight"), "transformer.h.1.mlp.c_fc.weight");
}

#[test]
fn every_sibling_of_llama_into_its_own_config_is_all_copies() {
    for model_type in ["llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma3_text", "gpt2"] {
        let target = of_config(&serde_json::json!({
            "model_type": model_type, "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
            "num_hidden_layers": 2, "intermediate_size": 6, "vocab_size": 9,
        }));
        let case = case(checkpoint_of(&target, Dtype::F32), target);
        let matched = case.matched().clean();
        for parameter in &case.target.parameters {
            assert_eq!(matched.from(&parameter.name), parameter.name);
        }
        assert_eq!(matched.unused(), Vec::<String>::new());
        assert_eq!(matched.families, [Some(model_type.to_string())]);
    }
}

#[test]
fn a_tied_head_is_copied_into_an_untied_model() {
    let config = |tied: bool| {
        serde_json::json!({
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_attention_heads": 2,
            "num_hidden_layers": 1, "intermediate_size": 6, "vocab_size": 9, "tie_word_embeddings": tied,
        })
    };
    let case = case(checkpoint_of(&of_config(&config(true)), Dtype::F32), of_config(&config(false)));
    let matched = case.matched().clean();
    assert_eq!(matched.from("lm_head.weight"), "model.embed_tokens.weight");
    assert_eq!(matched.from("model.embed_tokens.weight"), "model.embed_tokens.weight");
}

/// The tensors of a fixture.
fn fixture(file: &str) -> Vec<Stored> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let stored = |(name, tensor): (&String, &candle_core::Tensor)| {
        let shape: Vec<u64> = tensor.dims().iter().map(|size| *size as u64).collect();
        Stored::f32(name, &shape, &tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
    };
    tensors.iter().map(stored).collect()
}

fn listing_of(tensors: &[Stored], config: Option<&str>) -> Listing {
    let infos = tensors.iter().map(|tensor| tensor.info.clone()).collect();
    Listing::new(CheckpointFormat::Safetensors, infos, Vec::new(), config.map(str::to_string))
}

fn named<'a>(tensors: &'a [Stored], name: &str) -> &'a Stored {
    tensors.iter().find(|tensor| tensor.info.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn evaluated(value: &Value, tensors: &[Stored]) -> Stored {
    match value {
        Value::Source { tensor, .. } => named(tensors, tensor).clone(),
        Value::Apply { op, inputs } => {
            whole(op, &inputs.iter().map(|input| evaluated(input, tensors)).collect::<Vec<_>>()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// That the target, filled from these tensors, is bit for bit what is expected.
fn becomes(tensors: &[Stored], config: Option<&str>, target: Architecture, expected: &[Stored]) {
    let case = equal(case(listing_of(tensors, config), target));
    let matched = case.matched().clean();
    for (parameter, found) in case.target.parameters.iter().zip(&matched.matches) {
        match &found.origin {
            Origin::Found { value, .. } => {
                let (found, expected) = (evaluated(value, tensors), named(expected, &parameter.name));
                assert_eq!(
                    (found.info.shape, found.bytes),
                    (expected.info.shape.clone(), expected.bytes.clone()),
                    "{}",
                    parameter.name
                );
            }
            Origin::Tied(_) => {}
            Origin::New => panic!("{} is new", parameter.name),
        }
    }
}

fn run_config(folder: &str, name: &str) -> serde_json::Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder).join("runs.json");
    let runs: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    runs.as_array().unwrap().iter().find(|run| run["name"] == name).unwrap()["config"].clone()
}

/// A listing of these tensors; whatever has two axes is owned by a `Linear`.
fn target_of(tensors: &[Stored]) -> Architecture {
    of_parameters(
        tensors.iter().map(|one| Parameter::new(one.info.name.clone(), one.info.shape.clone(), Role::Linear)).collect(),
    )
}

#[test]
fn nanogpt_becomes_gpt2_and_back_bit_for_bit() {
    let (theirs, ours) = (fixture("gpt2/nanogpt.safetensors"), fixture("gpt2/language_model.safetensors"));
    let config = run_config("gpt2", "language_model");
    becomes(&theirs, None, of_config(&config), &ours);
    let mut back = target_of(&theirs);
    let embedding = back.parameters.iter().position(|one| one.name.ends_with("wte.weight"));
    let head = back.parameters.iter().position(|one| one.name.ends_with("lm_head.weight")).unwrap();
    back.parameters[head].tied_to = embedding;
    becomes(&ours, Some(&config.to_string()), back, &theirs);
}

const PARAMS: &str = r#"{ "dim": 16, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 6, "vocab_size": 30 }"#;

#[test]
fn a_llama_of_meta_becomes_one_of_transformers_and_back_bit_for_bit() {
    let (theirs, ours) = (fixture("llama/meta.safetensors"), fixture("llama/llama_untied.safetensors"));
    let config = run_config("llama", "llama_untied");
    becomes(&theirs, Some(PARAMS), of_config(&config), &ours);
    becomes(&ours, Some(&config.to_string()), target_of(&theirs), &theirs);
}

#[test]
fn a_llama_of_meta_fills_a_body_without_a_head_and_back() {
    let (theirs, ours) = (fixture("llama/meta.safetensors"), fixture("llama/llama_untied.safetensors"));
    let mut config = run_config("llama", "llama_untied");
    config["architectures"] = serde_json::json!(["LlamaModel"]);
    let body = |tensor: &Stored| {
        let name = tensor.info.name.strip_prefix("model.")?.to_string();
        Some(Stored { info: TensorInfo { name: name.into(), ..tensor.info.clone() }, bytes: tensor.bytes.clone() })
    };
    let ours: Vec<Stored> = ours.iter().filter_map(body).collect();
    becomes(&theirs, Some(PARAMS), of_config(&config), &ours);
    let headless: Vec<Stored> = theirs.iter().filter(|one| one.info.name != "output.weight").cloned().collect();
    becomes(&ours, Some(&config.to_string()), target_of(&headless), &theirs);
}

#[test]
fn a_llama_of_meta_without_a_number_of_heads_is_refused() {
    let theirs = fixture("llama/meta.safetensors");
    for config in [None, Some(r#"{ "n_heads": 4 }"#)] {
        let case = self::case(listing_of(&theirs, config), of_config(&run_config("llama", "llama_untied")));
        let error = case.error().to_string();
        let expected = "layers.0.attention.wq.weight is laid out by heads in the meta dialect, \
                        and no config of the source states how many there are";
        assert_eq!(error, expected);
    }
}
