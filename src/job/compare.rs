//! `compare`: the same model under several initialisations, each trained briefly.

use super::check::Made;
use super::{PlanRequest, Prepared, decide};
use crate::arch::Flags;
use crate::batch::error::BatchError;
use crate::batch::{self, Answers, Batch};
use crate::compare::{self, Candidate, Comparison, Data, Settings};
use crate::error::Result;
use crate::graph::Graph;
use crate::graph::error::GraphError;
use crate::job::error::JobError;
use crate::model::Model;
use crate::plan::Options;
use crate::progress::{Progress, Quiet};
use crate::source::Access;

/// What `compare` is asked.
#[derive(Clone, Debug)]
pub struct CompareRequest {
    /// `--arch`, as typed.
    pub arch: String,
    /// `--data`, as typed: a file with answers.
    pub data: String,
    /// `--from`, as typed and in order; empty where it was not given.
    pub from: Vec<String>,
    /// `--init`, as typed: the strategies; empty for the usual ones.
    pub init: Vec<String>,
    /// How many seeds each strategy gets.
    pub seeds: u64,
    /// How they are trained.
    pub settings: Settings,
    /// How to reach the Hub.
    pub access: Access,
}

/// What a course on initialisation compares.
const USUAL: &[(&str, &str)] = &[
    ("zeros", "zeros"),
    ("small normal", "normal(std=0.01)"),
    ("xavier", "xavier_normal"),
    ("he", "he_normal"),
    ("lsuv", "lsuv"),
];
/// What `--from` adds.
const PRETRAINED: &str = "pretrained";
/// Examples that LSUV measures on.
const MEASURED: usize = 256;

/// A strategy: its name, the scheme of its new weights, and whether they are those of `--from`.
struct Strategy {
    name: String,
    scheme: Option<String>,
    from: Vec<String>,
}

/// Trains every strategy with every seed.
pub fn compare(request: &CompareRequest, progress: &dyn Progress) -> Result<Comparison> {
    let strategies = strategies(request);
    let prepared: Vec<(String, Prepared)> = strategies
        .into_iter()
        .map(|strategy| Ok((strategy.name.clone(), plan(request, &strategy, progress)?)))
        .collect::<Result<_>>()?;
    let Some((_, first)) = prepared.first() else { return Err(GraphError::None.into()) };
    let graph = first.architecture.graph.as_ref().ok_or(GraphError::None)?;
    let pinned = batch::pin(&request.data)?;
    let (inputs, answers) = batch::with_answers(&pinned, graph, 0, &request.access, progress)?;
    graph.check(&inputs)?;
    let answers = answers.ok_or(BatchError::NoAnswers)?;
    let classes = prove(first, graph, &inputs, &answers, progress)?;
    let goal = request.settings.goal.or_else(|| compare::usual_goal(&answers, classes));
    let settings = Settings { goal, ..request.settings };
    let split = compare::split(batch::rows(&inputs), &settings)?;
    let measured = batch::rows_of(&inputs, split.training.get(..MEASURED).unwrap_or(&split.training))?;
    let data = Data { inputs: &inputs, answers: &answers, split: &split };
    let mut candidates = Vec::new();
    for (name, prepared) in &prepared {
        for seed in 0..request.seeds {
            let measured = &measured;
            let make = move || model(prepared, seed, measured, progress);
            candidates.push(Candidate { strategy: name.clone(), seed, make: Box::new(make) });
        }
    }
    compare::compare(&candidates, &data, &settings, progress)
}

fn strategies(request: &CompareRequest) -> Vec<Strategy> {
    let none = || vec!["none".to_string()];
    let scratch = |name: &str, scheme: &str| Strategy { name: name.into(), scheme: Some(scheme.into()), from: none() };
    let mut all: Vec<Strategy> = match request.init.is_empty() {
        true => USUAL.iter().map(|(name, scheme)| scratch(name, scheme)).collect(),
        false => request.init.iter().map(|scheme| scratch(scheme, scheme)).collect(),
    };
    if !request.from.is_empty() {
        all.push(Strategy { name: PRETRAINED.into(), scheme: None, from: request.from.clone() });
    }
    all
}

fn plan(request: &CompareRequest, strategy: &Strategy, progress: &dyn Progress) -> Result<Prepared> {
    let plan = PlanRequest {
        from: strategy.from.clone(),
        key: Vec::new(),
        arch: request.arch.clone(),
        flags: Flags { init: strategy.scheme.iter().cloned().collect(), ..Flags::default() },
        data: None,
        options: Options::default(),
        access: request.access.clone(),
    };
    let prepared = decide(&plan, progress)?;
    match prepared.planned.violations.is_empty() {
        true => Ok(prepared),
        false => Err(JobError::Contract { violations: prepared.planned.violations }.into()),
    }
}

/// Runs one example through the model before anything is trained: whether the answers fit what it gives. How many classes it has.
fn prove(
    prepared: &Prepared,
    graph: &Graph,
    inputs: &Batch,
    answers: &Answers,
    progress: &dyn Progress,
) -> Result<u64> {
    let model = Model::load(
        prepared.architecture.clone(),
        prepared.planned.plan.clone(),
        &prepared.readers(progress)?,
        progress,
    )?;
    let shape = compare::output_shape(&model, graph, &batch::rows_of(inputs, &[0])?)?;
    let mut expected = shape.clone();
    if let (Some(examples), Some(rows)) = (expected.first_mut(), answers.array().dims().first()) {
        *examples = *rows;
    }
    answers.check(&expected)?;
    Ok(shape.last().copied().unwrap_or(1) as u64)
}

/// The model of a strategy with one seed.
fn model(prepared: &Prepared, seed: u64, measured: &Batch, progress: &dyn Progress) -> Result<Model> {
    let mut plan = prepared.planned.plan.clone();
    plan.seed = seed;
    let architecture = prepared.architecture.clone();
    let progress = &Quiet(progress);
    Made { plan, architecture, readers: prepared.readers(progress)? }.model(measured, 1, progress)
}
