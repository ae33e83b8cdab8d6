//! Matching, told in small listings: `encoder.{0-2}.fc.weight 4x4` is three tensors, `out.weight 4x4 = in.weight` a tie.

#![allow(clippy::unwrap_used, clippy::panic)]

mod coverage;
mod depth;
mod dialects;
mod laws;
mod names;
mod prefixes;
mod rules;
mod sequences;
mod ties;

use crate::arch::FamilyBlock;
use crate::arch::{Flags, Form, Rules};
use crate::checkpoint::{CheckpointFormat, Listing};
use crate::family::{Class, Inputs, by_name};
use crate::graph::{Builder, Parameter};
use crate::plan::matching::*;
use crate::tensor::TensorInfo;
use crate::tensor::{Dtype, Role, Shape};

/// Names with `{0-2}` spelt out, each with its shape and what stands behind `=`.
fn lines(text: &str) -> Vec<(String, Vec<u64>, Option<String>)> {
    let mut all = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (line, tie) = match line.split_once(" = ") {
            Some((line, tie)) => (line.trim(), Some(tie.trim().to_string())),
            None => (line, None),
        };
        let (name, shape) = line.split_once(' ').unwrap_or((line, "2"));
        let shape: Vec<u64> = shape.trim().split('x').map(|size| size.parse().unwrap()).collect();
        all.extend(spelt_out(name).into_iter().map(|name| (name, shape.clone(), tie.clone())));
    }
    all
}

fn spelt_out(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_string()] };
    let (range, after) = rest.split_once('}').unwrap();
    let choices: Vec<String> = match range.split_once('-') {
        Some((first, last)) => {
            (first.parse::<u64>().unwrap()..=last.parse().unwrap()).map(|index| index.to_string()).collect()
        }
        None => range.split(',').map(str::to_string).collect(),
    };
    choices.iter().flat_map(|choice| spelt_out(&format!("{before}{choice}{after}"))).collect()
}

fn listing(text: &str) -> Listing {
    let tensors = lines(text).into_iter().map(|(name, shape, _)| TensorInfo::new(name, Dtype::F32, shape)).collect();
    Listing::new(CheckpointFormat::Safetensors, tensors, Vec::new(), None)
}

fn architecture(text: &str) -> Architecture {
    let lines = lines(text);
    let names: Vec<String> = lines.iter().map(|(name, _, _)| name.clone()).collect();
    let parameters = lines.into_iter().map(|(name, shape, tie)| {
        let mut parameter = Parameter::new(name, shape, Role::Linear);
        parameter.tied_to = tie.map(|owner| names.iter().position(|name| *name == owner).unwrap());
        parameter
    });
    of_parameters(parameters.collect())
}

fn of_parameters(parameters: Vec<Parameter>) -> Architecture {
    Architecture {
        form: Form::Listing,
        name: None,
        parameters,
        graph: None,
        blocks: Vec::new(),
        rules: Rules::default(),
        config: None,
        arch_json: None,
        vocabulary: None,
        has_weights: false,
        notes: Vec::new(),
    }
}

fn bert_config(class: &str, layers: u64) -> serde_json::Value {
    serde_json::json!({
        "model_type": "bert", "architectures": [class], "hidden_size": 4, "num_hidden_layers": layers,
        "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 10, "max_position_embeddings": 6,
    })
}

/// A BERT of transformers, tiny.
fn bert(config: &serde_json::Value) -> Architecture {
    of_config(config)
}

/// What a Hugging Face config says.
fn of_config(config: &serde_json::Value) -> Architecture {
    let family = crate::family::by_model_type(config["model_type"].as_str().unwrap()).unwrap();
    let config = Config(config.as_object().unwrap().clone());
    let mut at = Builder::new();
    let outputs = family.build(&config, &Inputs::default(), &Class::OfConfig, &mut at).unwrap();
    let (parameters, graph) = at.finish(outputs).unwrap();
    let mut architecture = of_parameters(parameters);
    architecture.form = Form::HuggingFace;
    architecture.graph = Some(graph);
    architecture.blocks = vec![FamilyBlock { path: String::new(), family, config }];
    architecture
}

/// The checkpoint that such a BERT would be saved as; a tie is written once.
fn saved(architecture: &Architecture) -> Listing {
    let stored = architecture.parameters.iter().filter(|parameter| parameter.tied_to.is_none());
    let tensors =
        stored.map(|one| TensorInfo::new(one.name.clone(), one.dtype.unwrap_or(Dtype::F32), one.shape.clone()));
    let config = architecture.blocks.first().map(|block| serde_json::to_string(&block.config.0).unwrap());
    Listing::new(CheckpointFormat::Safetensors, tensors.collect(), Vec::new(), config)
}

/// The same with every name changed.
fn renamed(listing: Listing, rename: impl Fn(&str) -> String) -> Listing {
    let tensors = listing.tensors.iter().map(|one| TensorInfo { name: rename(&one.name).into(), ..one.clone() });
    Listing::new(listing.format, tensors.collect(), Vec::new(), listing.config.clone())
}

/// A source, or several, and a target.
struct Case {
    sources: Vec<(String, Listing)>,
    target: Architecture,
    evidence: Vec<(Question, Answer)>,
}

fn case(source: Listing, target: Architecture) -> Case {
    Case { sources: vec![("source".into(), source)], target, evidence: Vec::new() }
}

fn texts(source: &str, target: &str) -> Case {
    case(listing(source), architecture(target))
}

impl Case {
    fn and(mut self, name: &str, source: Listing) -> Case {
        self.sources.push((name.into(), source));
        self
    }
    fn flags(mut self, flags: Flags) -> Case {
        self.target.rules = Rules::from_flags(&flags).unwrap();
        self
    }
    fn map(self, rules: &[&str]) -> Case {
        self.flags(Flags { map: rules.iter().map(|rule| rule.to_string()).collect(), ..Flags::default() })
    }
    fn depth(self, rule: &str) -> Case {
        self.flags(Flags { depth: vec![rule.into()], ..Flags::default() })
    }
    fn views(&self) -> Vec<SourceView<'_>> {
        let mut views = Vec::new();
        for (name, listing) in &self.sources {
            views.push(SourceView {
                name: name.clone(),
                reference: name.clone(),
                location: name.clone(),
                commit: None,
                files: Vec::new(),
                key: None,
                listing,
                vocabulary: None,
                adapter: None,
                companions: Vec::new(),
            });
        }
        views
    }
    fn found(&self) -> Result<Matched<'_>> {
        let views = self.views();
        let mut matching = match_all(&views, &self.target)?;
        let violations = matching.settle(&self.evidence)?;
        let Matching { matches, warnings, used, unused_reasons, families, dialects, .. } = matching;
        Ok(Matched { case: self, matches, violations, warnings, used, unused_reasons, families, dialects })
    }
    fn matched(&self) -> Matched<'_> {
        self.found().unwrap()
    }
    fn error(&self) -> PlanError {
        let error = self.found().err().unwrap();
        error.downcast().unwrap_or_else(|other| panic!("expected an error of planning, found {other}"))
    }
    fn questions(&self) -> Vec<Question> {
        match_all(&self.views(), &self.target).unwrap().questions()
    }
}

struct Matched<'a> {
    case: &'a Case,
    matches: Vec<Match>,
    violations: Vec<PlanError>,
    warnings: Vec<String>,
    used: Vec<Vec<bool>>,
    unused_reasons: Vec<HashMap<usize, String>>,
    families: Vec<Option<String>>,
    dialects: Vec<Vec<String>>,
}

impl Matched<'_> {
    fn of(&self, target: &str) -> &Match {
        let id = self.case.target.parameters.iter().position(|parameter| parameter.name == target);
        &self.matches[id.unwrap_or_else(|| panic!("no target {target}"))]
    }
    /// A target's origin in words.
    fn from(&self, target: &str) -> String {
        match &self.of(target).origin {
            Origin::New => "new".into(),
            Origin::Tied(owner) => format!("tied to {}", self.case.target.parameters[*owner].name),
            Origin::Found { value, .. } => words(value),
        }
    }
    fn step(&self, target: &str) -> Step {
        self.of(target).step
    }
    fn shape(&self, target: &str) -> Shape {
        match &self.of(target).origin {
            Origin::Found { info, .. } => info.shape.clone(),
            other => panic!("{target} has {other:?}"),
        }
    }
    fn clean(self) -> Self {
        assert_eq!(self.violations(), Vec::<String>::new());
        self
    }
    fn violations(&self) -> Vec<String> {
        self.violations.iter().map(ToString::to_string).collect()
    }
    fn hints(&self) -> Vec<String> {
        use crate::error::Fault;
        self.violations.iter().flat_map(|violation| violation.hints()).collect()
    }
    fn unused(&self) -> Vec<String> {
        let mut unused = Vec::new();
        for ((_, listing), used) in self.case.sources.iter().zip(&self.used) {
            let left = listing.tensors.iter().zip(used).filter(|(_, used)| !**used);
            unused.extend(left.map(|(tensor, _)| tensor.name.to_string()));
        }
        unused
    }
}

/// An expression in words: `transpose(a)`, `lerp(a, b)`.
fn words(value: &Value) -> String {
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
