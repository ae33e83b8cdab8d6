//! The language of the tests of planning: small checkpoints and architectures in one line each.

use std::sync::Arc;

use crate::arch::{AdaptRule, Architecture, FamilyBlock, Form, InitRule, Selector, TargetVocabulary, VocabRule};
use crate::checkpoint::vocabulary::Vocabulary;
use crate::checkpoint::{CheckpointFormat, Listing};
use crate::error::Result;
use crate::family::{Class, Config, Inputs};
use crate::graph::{Builder, Parameter, Part};
use crate::init::Fans;
use crate::plan::document::Plan;
use crate::plan::draft::{Draft, Planned};
use crate::plan::evidence::{Answer, Question};
use crate::plan::inputs::{DtypeChoice, Options, SourceView};
use crate::plan::plan;
use crate::tensor::{Dtype, Role, TensorInfo};

/// A checkpoint that exists on paper.
pub(crate) struct Stored {
    pub(crate) listing: Listing,
    pub(crate) vocabulary: Option<Vocabulary>,
    pub(crate) companions: Vec<(String, String)>,
}

/// A checkpoint of these tensors in f32.
pub(crate) fn stored(tensors: &[(&str, &[u64])]) -> Stored {
    stored_as(&tensors.iter().map(|(name, shape)| (*name, Dtype::F32, *shape)).collect::<Vec<_>>())
}

/// A checkpoint of these tensors.
pub(crate) fn stored_as(tensors: &[(&str, Dtype, &[u64])]) -> Stored {
    let tensors = tensors.iter().map(|(name, dtype, shape)| TensorInfo::new(*name, *dtype, *shape)).collect();
    Stored {
        listing: Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), None),
        vocabulary: None,
        companions: Vec::new(),
    }
}

impl Stored {
    pub(crate) fn config(mut self, json: &str) -> Stored {
        self.listing.config = Some(json.to_string());
        self
    }

    pub(crate) fn tokens(mut self, tokens: &[&str]) -> Stored {
        self.vocabulary = Some(vocabulary(tokens));
        self
    }

    pub(crate) fn companions(mut self, names: &[&str]) -> Stored {
        self.companions = names.iter().map(|name| (name.to_string(), format!("blake3:{name}"))).collect();
        self
    }

    pub(crate) fn view(&self) -> SourceView<'_> {
        SourceView {
            name: "source".into(),
            reference: "org/model".into(),
            location: "/somewhere/model".into(),
            commit: None,
            files: Vec::new(),
            key: None,
            listing: &self.listing,
            vocabulary: self.vocabulary.as_ref(),
            adapter: None,
            companions: self.companions.clone(),
        }
    }
}

/// What a plan's target would be as a checkpoint of its own.
pub(crate) fn written(plan: &Plan) -> Stored {
    let is_written = |a: &&super::Assignment| a.action != super::Action::Tied;
    let tensors = plan.assignments.iter().filter(is_written).map(|a| a.target.clone()).collect();
    let config = plan.companions.iter().find(|file| file.name == "config.json").map(|file| match &file.content {
        super::Content::Text(text) => text.to_string(),
        super::Content::Source { .. } | super::Content::File { .. } => String::new(),
    });
    Stored {
        listing: Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), config),
        vocabulary: None,
        companions: Vec::new(),
    }
}

/// A vocabulary of these tokens, in order; an empty one is no token.
pub(crate) fn vocabulary(tokens: &[&str]) -> Vocabulary {
    let token = |token: &&str| (!token.is_empty()).then(|| token.to_string());
    Vocabulary { tokens: tokens.iter().map(token).collect(), special: Vec::new() }
}

/// A parameter of this role, with the fans that its stored shape says.
pub(crate) fn parameter(name: &str, shape: &[u64], role: Role) -> Parameter {
    let mut parameter = Parameter::new(name, shape, role);
    if let (Role::Linear | Role::Conv { .. } | Role::Embedding | Role::Position, [outputs, inputs, field @ ..]) =
        (role, shape)
    {
        let field: u64 = field.iter().product();
        let fans = Fans { fan_in: inputs * field, fan_out: outputs * field };
        parameter.parts = vec![Part { rows: *outputs, fans }];
    }
    parameter
}

/// The same, in a head.
pub(crate) fn head(name: &str, shape: &[u64], role: Role) -> Parameter {
    Parameter { head: true, ..parameter(name, shape, role) }
}

/// An architecture of these parameters.
pub(crate) fn target(parameters: Vec<Parameter>) -> Architecture {
    Architecture::new(Form::Listing, parameters)
}

/// A BERT as its Hugging Face config says it; keys left out are small.
pub(crate) fn bert(config: serde_json::Value) -> Architecture {
    let mut whole = serde_json::json!({
        "model_type": "bert", "vocab_size": 10, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 8, "max_position_embeddings": 6, "type_vocab_size": 2
    });
    for (key, value) in config.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let serde_json::Value::Object(whole) = whole else { unreachable!() };
    let config = Config(whole);
    let family = crate::family::by_model_type("bert").unwrap();
    let mut builder = Builder::new();
    let outputs = family.build(&config, &Inputs::default(), &Class::OfConfig, &mut builder).unwrap();
    let (parameters, graph) = builder.finish(outputs).unwrap();
    let mut architecture = Architecture::new(Form::HuggingFace, parameters);
    architecture.graph = Some(graph);
    architecture.blocks = vec![FamilyBlock { path: String::new(), family, config: config.clone() }];
    architecture.config = Some(config);
    architecture
}

/// Every tensor of an architecture as a checkpoint in this type, its config beside it.
pub(crate) fn checkpoint_of(architecture: &Architecture, dtype: Dtype) -> Stored {
    let written = architecture.parameters.iter().filter(|parameter| parameter.tied_to.is_none());
    let tensors = written.map(|p| TensorInfo::new(p.name.clone(), p.dtype.unwrap_or(dtype), p.shape.clone())).collect();
    let config = architecture.config.as_ref().map(|config| serde_json::to_string(&config.0).unwrap());
    Stored {
        listing: Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), config),
        vocabulary: None,
        companions: Vec::new(),
    }
}

pub(crate) fn selector(pattern: &str) -> Selector {
    Selector::parse(pattern, "--test").unwrap()
}

/// `--init PATTERN=SCHEME`, or without a pattern.
pub(crate) fn init(pattern: Option<&str>, scheme: &str) -> InitRule {
    InitRule { target: pattern.map(selector), scheme: scheme.parse().unwrap() }
}

pub(crate) fn adapt(pattern: &str, change: impl FnOnce(&mut AdaptRule)) -> AdaptRule {
    let mut rule = AdaptRule { target: selector(pattern), positions: None, heads: None, rows: None, prefix: None };
    change(&mut rule);
    rule
}

/// A `vocab` rule over these tokens.
pub(crate) fn vocab_rule(architecture: &mut Architecture, tokens: Vocabulary, pattern: Option<&str>) {
    architecture.rules.vocab = Some(VocabRule {
        tokenizer: "tokenizer/".into(),
        target: pattern.map(selector),
        new_tokens: crate::arch::NewRows::Mean,
    });
    let files = vec![("tokenizer.json".to_string(), Arc::new(b"{}".to_vec()))];
    architecture.vocabulary =
        Some(TargetVocabulary { vocabulary: Arc::new(tokens), files, folder: "tokenizer".into() });
}

pub(crate) fn options() -> Options {
    Options { seed: 7, dtype: DtypeChoice::Unsaid, max_shard_size: 5_000_000_000, min_coverage: 0.0, strict: false }
}

/// A plan from one checkpoint, its questions answered: copies are equal, moments are N(0.5, 0.25²).
pub(crate) fn planned_with(stored: &Stored, target: &Architecture, options: &Options) -> Result<Planned> {
    let sources = [stored.view()];
    let answered = |question: Question| match question {
        Question::Equal { .. } => (question, Answer::Equal(true)),
        Question::Moments { .. } => (question, Answer::Moments { mean: 0.5, std: 0.25 }),
        Question::Values { .. } => (question, Answer::Values(Vec::new())),
    };
    plan(&sources, target, options, |questions| Ok(questions.iter().cloned().map(answered).collect()))
}

/// What planning asks about data, where it comes to questions.
pub(crate) fn asked(sources: &[SourceView], target: &Architecture) -> Result<Vec<Question>> {
    Draft::new(sources, target, &options()).map(|draft| draft.questions())
}

/// The same with the usual options, and nothing that breaks the contract.
pub(crate) fn planned(stored: &Stored, target: &Architecture) -> Plan {
    planned_with(stored, target, &options()).unwrap().plan
}

/// The error instead of a plan.
pub(crate) fn refused(stored: &Stored, target: &Architecture) -> crate::error::Error {
    planned_with(stored, target, &options()).unwrap_err()
}

/// The assignment of this name.
pub(crate) fn of<'a>(plan: &'a Plan, name: &str) -> &'a super::Assignment {
    plan.assignments.iter().find(|assignment| assignment.target.name == name).unwrap()
}
