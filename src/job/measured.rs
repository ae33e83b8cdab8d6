//! `lsuv` among the commands: which batch it measures on, and its pass over an output that is not published yet.

use std::collections::BTreeMap;

use super::execution::{Execution, PlanRequest, Written, allow_memory};
use crate::arch::{self, Architecture, Selector};
use crate::batch;
use crate::error::Result;
use crate::lsuv::error::LsuvError;
use crate::lsuv::{self, Done, Pass, Staged, Visit};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::source::Access;
use crate::transfer::Outcome;

/// What came of a batch.
#[derive(Default)]
pub(crate) struct Pinned {
    /// What the user should know where no batch is needed.
    pub note: Option<String>,
    /// Bytes that the pass over the model will hold.
    pub peak: u64,
}

/// Pins the batch in a plan that needs one, and proves that it fits the model.
pub(crate) fn plan_batch(
    request: &PlanRequest,
    architecture: &Architecture,
    plan: &mut Plan,
    progress: &dyn Progress,
) -> Result<Pinned> {
    let Some(first) = plan.assignments.iter().find(|assignment| assignment.lsuv.is_some()) else {
        let idle = "--data: nothing is initialised by lsuv, so the batch is not used";
        return Ok(Pinned { note: request.data.as_ref().map(|_| idle.to_string()), peak: 0 });
    };
    let name = || first.target.name.clone();
    let typed = request.data.as_ref().ok_or_else(|| LsuvError::NoBatch { name: name().to_string() })?;
    let graph = architecture.graph.as_ref().ok_or(LsuvError::NoGraph)?;
    let pinned = batch::pin(typed)?;
    let arrays = batch::open(&pinned, graph, plan.seed, &request.access, progress)?;
    graph.check(&arrays)?;
    plan.batch = Some(pinned);
    Ok(Pinned { note: None, peak: lsuv::peak(architecture, &arrays) })
}

/// Scales what the plan marks, with the model that the output itself describes, so that `init` and `run` see the same.
pub(crate) fn scale(
    written: &Written,
    access: &Access,
    execution: &Execution,
    outcomes: &mut [Outcome],
    progress: &dyn Progress,
) -> Result<BTreeMap<usize, Visit>> {
    let Written { plan, layout, staging } = *written;
    let Some(first) = plan.assignments.iter().find(|assignment| assignment.lsuv.is_some()) else {
        return Ok(BTreeMap::new());
    };
    let pinned = plan.batch.as_ref().ok_or_else(|| LsuvError::NoBatch { name: first.target.name.to_string() })?;
    let architecture = arch::open_path(staging.path(), access, progress)?;
    let graph = architecture.graph.as_ref().ok_or(LsuvError::NoGraph)?;
    let batch = batch::open(pinned, graph, plan.seed, access, progress)?;
    allow_memory(lsuv::peak(&architecture, &batch), execution)?;
    let typed = execution.allow_dead.iter();
    let allow_dead = typed.map(|text| Selector::parse(text, "--allow-dead")).collect::<Result<Vec<_>>>()?;
    let pass = Pass {
        plan,
        architecture: &architecture,
        batch: &batch,
        allow_dead: &allow_dead,
        threads: execution.transfer.threads,
    };
    let Done { visits, digests } = lsuv::run(&pass, &Staged::open(plan, layout, staging)?, progress)?;
    for (assignment, digest) in digests {
        if let Some(outcome) = outcomes.get_mut(assignment) {
            outcome.digest = Some(digest);
        }
    }
    Ok(visits)
}
