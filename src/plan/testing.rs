//! The language of the tests of planning: small checkpoints and architectures in one line each.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::arch::Flags;
use crate::arch::Rules;
use crate::hash::HashMap;
use crate::plan::assignment::Step;
use crate::plan::error::PlanError;
use crate::plan::matching::Matching;
use crate::plan::matching::match_all;
use crate::plan::matching::matches::Match;
use crate::plan::matching::matches::Origin;
use crate::plan::value::Value;
use crate::tensor::Shape;
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
    Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), None).into()
}

impl From<Listing> for Stored {
    fn from(listing: Listing) -> Stored {
        Stored { listing, vocabulary: None, companions: Vec::new() }
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
        self.view_as("source")
    }

    pub(crate) fn view_as(&self, name: &str) -> SourceView<'_> {
        SourceView {
            name: name.into(),
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
    Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), config).into()
}

/// A checkpoint with every name changed.
pub(crate) fn renamed(stored: impl Into<Stored>, rename: impl Fn(&str) -> String) -> Stored {
    let Stored { listing, vocabulary, companions } = stored.into();
    let tensors = listing.tensors.iter();
    let tensors = tensors.map(|one| TensorInfo { name: rename(&one.name).into(), ..one.clone() }).collect();
    let listing = Listing::new(listing.format, tensors, Vec::new(), listing.config.clone());
    Stored { listing, vocabulary, companions }
}

/// A vocabulary of these tokens, in order; an empty one is not a token.
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

/// As above, in a head.
pub(crate) fn head(name: &str, shape: &[u64], role: Role) -> Parameter {
    Parameter { head: true, ..parameter(name, shape, role) }
}

/// An architecture of these parameters.
pub(crate) fn of_parameters(parameters: Vec<Parameter>) -> Architecture {
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
    of_config(&whole)
}

/// What a Hugging Face config says.
pub(crate) fn of_config(config: &serde_json::Value) -> Architecture {
    let family = crate::family::by_model_type(config["model_type"].as_str().unwrap()).unwrap();
    let config = Config(config.as_object().unwrap().clone());
    let mut builder = Builder::new();
    let outputs = family.build(&config, &Inputs::default(), &Class::OfConfig, &mut builder).unwrap();
    let (parameters, graph) = builder.finish(outputs).unwrap();
    let mut architecture = Architecture::new(Form::HuggingFace, parameters);
    architecture.graph = Some(graph);
    architecture.blocks = vec![FamilyBlock { path: String::new(), family, config: config.clone() }];
    architecture.config = Some(config);
    architecture
}

/// A BERT of this class with so many layers.
pub(crate) fn bert_of(class: &str, layers: u64) -> Architecture {
    bert(serde_json::json!({"architectures": [class], "num_hidden_layers": layers}))
}

/// Every tensor of an architecture as a checkpoint in this type, its config beside it.
pub(crate) fn checkpoint_of(architecture: &Architecture, dtype: Dtype) -> Stored {
    let written = architecture.parameters.iter().filter(|parameter| parameter.tied_to.is_none());
    let tensors = written.map(|p| TensorInfo::new(p.name.clone(), p.dtype.unwrap_or(dtype), p.shape.clone())).collect();
    let config = architecture.config.as_ref().map(|config| serde_json::to_string(&config.0).unwrap());
    Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), config).into()
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
    Options { seed: 7, dtype: DtypeChoice::Default, max_shard_size: 5_000_000_000, min_coverage: 0.0, strict: false }
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

/// As above, with the usual options, and nothing that breaks the contract.
pub(crate) fn planned(stored: &Stored, target: &Architecture) -> Plan {
    planned_with(stored, target, &options()).unwrap().plan
}

/// The error instead of a plan.
pub(crate) fn refused(stored: &Stored, target: &Architecture) -> crate::error::Error {
    planned_with(stored, target, &options()).unwrap_err()
}

pub(crate) fn of<'a>(plan: &'a Plan, name: &str) -> &'a super::Assignment {
    plan.assignments.iter().find(|assignment| assignment.target.name == name).unwrap()
}

/// Names with `{0-2}` written out, each with its shape and what stands behind `=`.
fn lines(text: &str) -> Vec<(String, Vec<u64>, Option<String>)> {
    let mut all = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (line, tie) = match line.split_once(" = ") {
            Some((line, tie)) => (line.trim(), Some(tie.trim().to_string())),
            None => (line, None),
        };
        let (name, shape) = line.split_once(' ').unwrap_or((line, "2"));
        let shape: Vec<u64> = shape.trim().split('x').map(|size| size.parse().unwrap()).collect();
        all.extend(expanded(name).into_iter().map(|name| (name, shape.clone(), tie.clone())));
    }
    all
}

fn expanded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_string()] };
    let (range, after) = rest.split_once('}').unwrap();
    let choices: Vec<String> = match range.split_once('-') {
        Some((first, last)) => {
            (first.parse::<u64>().unwrap()..=last.parse().unwrap()).map(|index| index.to_string()).collect()
        }
        None => range.split(',').map(str::to_string).collect(),
    };
    choices.iter().flat_map(|choice| expanded(&format!("{before}{choice}{after}"))).collect()
}

/// A checkpoint of the tensors of a text: `encoder.{0-2}.fc.weight 4x4` is three of them.
pub(crate) fn listed(text: &str) -> Stored {
    let tensors = lines(text).into_iter().map(|(name, shape, _)| TensorInfo::new(name, Dtype::F32, shape)).collect();
    Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), None).into()
}

/// An architecture of the tensors of a text; `out.weight 4x4 = in.weight` is a tie.
pub(crate) fn architecture(text: &str) -> Architecture {
    let lines = lines(text);
    let names: Vec<String> = lines.iter().map(|(name, _, _)| name.clone()).collect();
    let parameters = lines.into_iter().map(|(name, shape, tie)| {
        let mut parameter = Parameter::new(name, shape, Role::Linear);
        parameter.tied_to = tie.map(|owner| names.iter().position(|name| *name == owner).unwrap());
        parameter
    });
    of_parameters(parameters.collect())
}

/// A source, or several, and a target.
pub(crate) struct Case {
    pub(crate) sources: Vec<(String, Stored)>,
    pub(crate) target: Architecture,
    pub(crate) evidence: Vec<(Question, Answer)>,
}

pub(crate) fn case(source: impl Into<Stored>, target: Architecture) -> Case {
    Case { sources: vec![("source".into(), source.into())], target, evidence: Vec::new() }
}

pub(crate) fn texts(source: &str, target: &str) -> Case {
    case(listed(source), architecture(target))
}

impl Case {
    pub(crate) fn and(mut self, name: &str, source: impl Into<Stored>) -> Case {
        self.sources.push((name.into(), source.into()));
        self
    }
    pub(crate) fn flags(mut self, flags: Flags) -> Case {
        self.target.rules = Rules::from_flags(&flags).unwrap();
        self
    }
    pub(crate) fn map(self, rules: &[&str]) -> Case {
        self.flags(Flags { map: rules.iter().map(|rule| rule.to_string()).collect(), ..Flags::default() })
    }
    pub(crate) fn depth(self, rule: &str) -> Case {
        self.flags(Flags { depth: vec![rule.into()], ..Flags::default() })
    }
    pub(crate) fn views(&self) -> Vec<SourceView<'_>> {
        self.sources.iter().map(|(name, stored)| stored.view_as(name)).collect()
    }
    pub(crate) fn found(&self) -> Result<Matched<'_>> {
        let views = self.views();
        let mut matching = match_all(&views, &self.target)?;
        let violations = matching.settle(&self.evidence)?;
        let Matching { matches, warnings, used, unused_reasons, families, dialects, .. } = matching;
        Ok(Matched { case: self, matches, violations, warnings, used, unused_reasons, families, dialects })
    }
    pub(crate) fn matched(&self) -> Matched<'_> {
        self.found().unwrap()
    }
    pub(crate) fn error(&self) -> PlanError {
        let error = self.found().err().unwrap();
        error.downcast().unwrap_or_else(|other| panic!("expected an error of planning, found {other}"))
    }
    pub(crate) fn questions(&self) -> Vec<Question> {
        match_all(&self.views(), &self.target).unwrap().questions()
    }
}

pub(crate) struct Matched<'a> {
    pub(crate) case: &'a Case,
    pub(crate) matches: Vec<Match>,
    pub(crate) violations: Vec<PlanError>,
    pub(crate) warnings: Vec<String>,
    pub(crate) used: Vec<Vec<bool>>,
    pub(crate) unused_reasons: Vec<HashMap<usize, String>>,
    pub(crate) families: Vec<Option<String>>,
    pub(crate) dialects: Vec<Vec<String>>,
}

impl Matched<'_> {
    pub(crate) fn of(&self, target: &str) -> &Match {
        let id = self.case.target.parameters.iter().position(|parameter| parameter.name == target);
        &self.matches[id.unwrap_or_else(|| panic!("no target {target}"))]
    }
    /// A target's origin in words.
    pub(crate) fn from(&self, target: &str) -> String {
        match &self.of(target).origin {
            Origin::New => "new".into(),
            Origin::Tied(owner) => format!("tied to {}", self.case.target.parameters[*owner].name),
            Origin::Found { value, .. } => words(value),
        }
    }
    pub(crate) fn step(&self, target: &str) -> Step {
        self.of(target).step
    }
    pub(crate) fn shape(&self, target: &str) -> Shape {
        match &self.of(target).origin {
            Origin::Found { info, .. } => info.shape.clone(),
            other => panic!("{target} has {other:?}"),
        }
    }
    pub(crate) fn clean(self) -> Self {
        assert_eq!(self.violations(), Vec::<String>::new());
        self
    }
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.iter().map(ToString::to_string).collect()
    }
    pub(crate) fn hints(&self) -> Vec<String> {
        use crate::error::Fault;
        self.violations.iter().flat_map(|violation| violation.hints()).collect()
    }
    pub(crate) fn unused(&self) -> Vec<String> {
        let mut unused = Vec::new();
        for ((_, stored), used) in self.case.sources.iter().zip(&self.used) {
            let left = stored.listing.tensors.iter().zip(used).filter(|(_, used)| !**used);
            unused.extend(left.map(|(tensor, _)| tensor.name.to_string()));
        }
        unused
    }
}

/// An expression in words: `transpose(a)`, `lerp(a, b)`.
pub(crate) fn words(value: &Value) -> String {
    match value {
        Value::Source { tensor, .. } => tensor.to_string(),
        Value::Init { .. } => "zeros".into(),
        Value::Count { .. } => "count".into(),
        Value::Computed { .. } => "computed".into(),
        Value::Tied { to } => format!("tied to {to}"),
        Value::Apply { op, inputs } => {
            format!("{}({})", op.name(), inputs.iter().map(words).collect::<Vec<_>>().join(", "))
        }
    }
}

impl Plan {
    /// What `write_json` writes.
    pub(crate) fn to_json(&self) -> String {
        let mut text = Vec::new();
        // into memory, and JSON is UTF-8
        let written = self.write_json(&mut text);
        debug_assert!(written.is_ok());
        String::from_utf8(text).unwrap_or_default()
    }
}
