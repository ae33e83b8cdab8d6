//! `check`: a model in memory, run once forward and backward.

use std::sync::Arc;

use super::{PlanRequest, decide};
use crate::arch::{Architecture, Flags};
use crate::batch::{self, Answers, Batch};
use crate::check::{self, Diagnosis};
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::graph::error::GraphError;
use crate::graph::{Dim, Graph, Layer};
use crate::job::error::JobError;
use crate::lsuv::{self, Pass};
use crate::model::Model;
use crate::plan::{Options, Plan};
use crate::progress::Progress;
use crate::source::{Access, Reference, Source};

/// What `check` is asked.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// MODEL, as typed: weights with what describes them, or an architecture alone.
    pub model: String,
    /// `--init`, as typed.
    pub init: Vec<String>,
    /// `--data`, as typed; a random batch where it was not given.
    pub data: Option<String>,
    /// `--seed`.
    pub seed: u64,
    /// Threads of the tensor library. They change no bit.
    pub threads: usize,
    /// How to reach the Hub.
    pub access: Access,
}

/// What a check came to.
pub struct Checked {
    /// What was found.
    pub diagnosis: Diagnosis,
    /// What the model was run on, as `--data` would say it.
    pub data: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Plans the model, makes its values in memory, and runs it once.
pub fn check(request: &CheckRequest, progress: &dyn Progress) -> Result<Checked> {
    let from = if has_weights(&request.model, &request.access, progress)? { &request.model } else { "none" };
    let plan = PlanRequest {
        from: vec![from.to_string()],
        key: Vec::new(),
        arch: request.model.clone(),
        flags: Flags { init: request.init.clone(), ..Flags::default() },
        data: None,
        options: Options { seed: request.seed, ..Options::default() },
        access: request.access.clone(),
    };
    let prepared = decide(&plan, progress)?;
    if !prepared.planned.violations.is_empty() {
        return Err(JobError::Contract { violations: prepared.planned.violations }.into());
    }
    let readers = prepared.readers(progress)?;
    let mut notes = prepared.notes;
    notes.extend(prepared.planned.plan.warnings.iter().cloned());
    let graph = prepared.architecture.graph.as_ref().ok_or(GraphError::None)?;
    let data = request.data.clone().unwrap_or_else(|| format!("random:{}", examples(graph)));
    let pinned = batch::pin(&data)?;
    let (arrays, answers) = batch::with_answers(&pinned, graph, request.seed, &request.access, progress)?;
    graph.check(&arrays)?;
    let made = Made { plan: prepared.planned.plan, architecture: prepared.architecture, readers };
    let diagnosis = judge(made, &arrays, answers.as_ref(), request.threads, progress)?;
    Ok(Checked { diagnosis, data, notes })
}

/// A model that was decided on.
pub(super) struct Made {
    pub plan: Plan,
    pub architecture: Architecture,
    pub readers: Vec<Arc<dyn Reader>>,
}

impl Made {
    /// Its values, scaled by `lsuv` on this batch where the plan says so.
    pub(crate) fn model(self, batch: &Batch, threads: usize, progress: &dyn Progress) -> Result<Model> {
        let model = Model::load(self.architecture, self.plan, &self.readers, progress)?;
        if model.plan.assignments.iter().any(|assignment| assignment.lsuv.is_some()) {
            let (plan, architecture) = (&model.plan, &model.architecture);
            let pass = Pass { plan, architecture, batch, allow_dead: &[], threads };
            lsuv::run(&pass, &model, progress)?;
        }
        Ok(model)
    }
}

fn judge(
    made: Made,
    batch: &Batch,
    answers: Option<&Answers>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Diagnosis> {
    let model = made.model(batch, threads, progress)?;
    check::check(&model, batch, answers, threads, progress)
}

/// Endings of files that hold weights.
const WEIGHTS: &[&str] =
    &["safetensors", "bin", "pt", "pth", "ckpt", "gguf", "npz", "npy", "onnx", "msgpack", "h5", "keras"];

/// Whether MODEL is more than an architecture.
pub(super) fn has_weights(model: &str, access: &Access, progress: &dyn Progress) -> Result<bool> {
    let source = Source::open(&Reference::parse(model)?, access, progress)?;
    let is_weights = |name: &String| {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        ending.is_some_and(|ending| WEIGHTS.contains(&ending))
    };
    Ok(source.names().iter().any(is_weights))
}

/// Numbers that a batch of a default size holds for each input, about.
const NUMBERS: u64 = 1 << 17;
/// Enough examples to see a unit that none of them wakes.
const EXAMPLES: u64 = 256;
/// The length of a sequence whose length is free, in a batch that is drawn.
const LENGTH: u64 = 128;

/// How many examples are drawn where nobody says: 256, fewer of large ones, 4 at least.
fn examples(graph: &Graph) -> u64 {
    let size = |dim: &Dim| match dim {
        Dim::Batch => 1,
        Dim::Known(size) => *size,
        Dim::UpTo(most) | Dim::Target(most) => LENGTH.min(*most),
    };
    let inputs = graph.nodes.iter().filter(|node| matches!(node.layer, Layer::Input { .. }));
    let numbers = |dims: &[Dim]| {
        let ids = dims.len() == 2 && matches!(dims[1], Dim::UpTo(_) | Dim::Target(_));
        // a position of a text is as much work as a vector
        dims.iter().map(size).fold(1u64, u64::saturating_mul).saturating_mul(if ids { 64 } else { 1 })
    };
    let largest = inputs.map(|node| numbers(&node.output)).max().unwrap_or(1).max(1);
    (NUMBERS / largest).clamp(4, EXAMPLES)
}
