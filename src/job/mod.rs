//! The commands as straight lines: source → plan → transfer → lsuv → report → publish. Nothing here decides; nothing here prints.

mod check;
mod compare;
mod completed;
mod convert;
mod current;
pub(crate) mod error;
mod execution;
mod look;
mod measured;
mod saved;
mod sources;
mod verify;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub use check::{CheckRequest, check};
pub use compare::{CompareRequest, compare};
pub use convert::{ConvertRequest, convert};
pub use execution::{Execution, Finished, PlanRequest};
pub use look::{diff, inspect};
pub use saved::read_plan;
pub(crate) use sources::{Opened, SourceArgument};
pub use verify::verify;

use execution::{Written, allow_memory, check_memory};

use crate::arch::{self, Architecture};
use crate::checkpoint::{self, Checkpoint, OpenOptions, Reader};
use crate::error::Result;
use crate::job::error::JobError;
use crate::plan::{self, Answer, Plan, Planned, Question};
use crate::progress::Progress;
use crate::report::Report;
use crate::save::{self, Layout, Replace, Staging};
use crate::source::{Access, Reference, Source};
use crate::threads::side_by_side;
use crate::transfer;

/// A plan, its sources still open.
pub struct Prepared {
    /// The plan and what breaks the contract.
    pub planned: Planned,
    /// The sources, in the order of the plan.
    pub sources: Vec<Opened>,
    /// What the weights must become.
    pub architecture: Architecture,
    /// What was passed over while the sources were opened.
    pub notes: Vec<String>,
    /// Bytes that the pass of `lsuv` will hold.
    lsuv_peak: u64,
    access: Access,
}

impl Prepared {
    /// The bytes that carrying it out holds at most.
    pub fn peak(&self, threads: usize) -> Result<u64> {
        let transferred = transfer::peak(&self.planned.plan, &sources::readers(&self.sources), threads)?;
        Ok(transferred.max(self.lsuv_peak))
    }

    /// The sources' tensors, those that the plan reads at hand.
    fn readers(&self, progress: &dyn Progress) -> Result<Vec<Arc<dyn Reader>>> {
        fetch(&self.planned.plan, &self.sources, progress)?;
        Ok(sources::readers(&self.sources))
    }
}

/// Opens the sources and the architecture, measures what decisions need, and decides. Writes nothing.
pub fn prepare(request: &PlanRequest, progress: &dyn Progress) -> Result<Prepared> {
    let mut prepared = decide(request, progress)?;
    let Prepared { planned, architecture, notes, .. } = &mut prepared;
    let measured::Pinned { note, peak } = measured::plan_batch(request, architecture, &mut planned.plan, progress)?;
    notes.extend(note);
    prepared.lsuv_peak = peak;
    Ok(prepared)
}

/// As above, without the batch that `lsuv` may need.
fn decide(request: &PlanRequest, progress: &dyn Progress) -> Result<Prepared> {
    let arguments = SourceArgument::parse_all(&request.from)?;
    let (architecture, sources) = opened(request, &arguments, progress)?;
    let architecture = completed::architecture(architecture, sources.iter().map(Opened::listed))?;
    let views: Vec<plan::SourceView> = sources.iter().map(Opened::view).collect();
    let planned =
        plan::plan(&views, &architecture, &request.options, |questions| answered(&sources, questions, progress))?;
    let notes = sources.iter().flat_map(|s| s.checkpoint.notes.clone()).collect();
    Ok(Prepared { planned, sources, architecture, notes, lsuv_peak: 0, access: request.access.clone() })
}

/// The architecture and the sources, side by side where nothing is fetched: progress is that of one file.
fn opened(
    request: &PlanRequest,
    arguments: &[SourceArgument],
    progress: &dyn Progress,
) -> Result<(Architecture, Vec<Opened>)> {
    let architecture = || arch::open(&request.arch, &request.flags, &request.access, progress);
    let sources = || sources::open_all(arguments, &request.key, &request.access, progress);
    let is_here = |reference: &Reference| matches!(reference, Reference::Path(_) | Reference::None);
    let arch = Reference::parse(&request.arch)?;
    if arguments.iter().map(|argument| &argument.reference).chain([&arch]).all(is_here) {
        let (architecture, sources) = side_by_side(architecture, sources);
        return Ok((architecture?, sources?));
    }
    Ok((architecture()?, sources()?))
}

/// Plans and carries out, or fails with everything that breaks the coverage contract.
pub fn init(prepared: Prepared, execution: &Execution, progress: &dyn Progress) -> Result<Finished> {
    let Planned { plan, violations, .. } = prepared.planned;
    drop(prepared.architecture);
    if !violations.is_empty() {
        return Err(JobError::Contract { violations }.into());
    }
    allow_memory(prepared.lsuv_peak, execution)?;
    execute(&plan, &prepared.sources, &prepared.access, execution, progress)
}

/// Carries out a plan that was written before, after proving that its sources are what they were.
pub fn run(plan: &Plan, access: &Access, execution: &Execution, progress: &dyn Progress) -> Result<Finished> {
    let sources = sources::reopen(plan, access, progress)?;
    execute(plan, &sources, access, execution, progress)
}

fn execute(
    plan: &Plan,
    sources: &[Opened],
    access: &Access,
    execution: &Execution,
    progress: &dyn Progress,
) -> Result<Finished> {
    let readers = sources::readers(sources);
    check_memory(plan, &readers, execution)?;
    save::settle(&execution.out)?;
    let layout = Layout::of(plan)?;
    let claimed = current::claimed(plan, &execution.out);
    let replace = match save::admit(&execution.out, execution.replace) {
        Ok(()) => execution.replace,
        Err(_) if current::only_lacks(plan, &layout, sources, &execution.out, progress)? => Replace::Part,
        // it may be up to date
        Err(_) if claimed.is_some() => execution.replace,
        // refused before anything is fetched
        Err(error) => return Err(error),
    };
    let bytes_read = fetch(plan, sources, progress)?;
    let (out, threads) = (&execution.out, execution.transfer.threads);
    if let Some(report) = claimed
        && current::is_laid_out(&layout, out)
        && current::is_up_to_date(&report, plan, sources, access, out, threads, progress)?
    {
        return Ok(Finished { report, up_to_date: true, bytes_read });
    }
    let staging = Staging::open(&execution.out, &plan.hash(), replace)?;
    let mut outcomes = transfer::run(plan, &layout, &readers, &staging, execution.transfer, progress)?;
    write_companions(plan, sources, &layout, &staging, progress)?;
    let written = Written { plan, layout: &layout, staging: &staging };
    let visits = measured::scale(&written, access, execution, &mut outcomes, progress)?;
    let report = Report::of(plan, Some(&outcomes)).with_visits(&visits);
    staging.write_by(Report::FILE, |out| report.write_json(out))?;
    progress.interrupted()?;
    staging.publish(execution.sync)?;
    Ok(Finished { report, up_to_date: false, bytes_read })
}

fn write_companions(
    plan: &Plan,
    sources: &[Opened],
    layout: &Layout,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<()> {
    for companion in &plan.companions {
        staging.write(&companion.name, &sources::content(&companion.content, sources, progress)?)?;
    }
    match &layout.index {
        Some(index) => staging.write(Layout::INDEX, index.as_bytes()),
        None => Ok(()),
    }
}

/// Fetches the files whose tensors the plan reads, where they are not at hand; how many bytes of tensors those are.
fn fetch(plan: &Plan, sources: &[Opened], progress: &dyn Progress) -> Result<u64> {
    let values = plan.assignments.iter().map(|assignment| &assignment.value);
    let read: BTreeSet<(usize, &str)> =
        values.flat_map(|value| value.sources().map(|leaf| (leaf.source, leaf.tensor.as_str()))).collect();
    sources::fetch(sources, read.iter().copied(), progress)?;
    let bytes = read.iter().filter_map(|(source, tensor)| sources.get(*source)?.tensor_bytes(tensor));
    Ok(bytes.fold(0, u64::saturating_add))
}

/// The answers to what planning asks about data.
fn answered(sources: &[Opened], questions: &[Question], progress: &dyn Progress) -> Result<Vec<(Question, Answer)>> {
    sources::fetch(sources, questions.iter().flat_map(asked_about), progress)?;
    transfer::answer(questions, &sources::readers(sources), progress)
}

/// The tensors that an answer is measured on.
fn asked_about(question: &Question) -> Vec<(usize, &str)> {
    match question {
        Question::Equal { source, a, b } => vec![(*source, a), (*source, b)],
        Question::Moments { source, tensor } | Question::Values { source, tensor } => vec![(*source, tensor)],
    }
}

/// The report of an output directory, or of a plan file that was not carried out yet.
pub fn report_of(path: &Path) -> Result<Report> {
    saved::report_of(path)
}

/// Opens the weights of a source to look at them; a key that it has no use for is an error.
pub fn open(typed: &str, options: &OpenOptions, access: &Access, progress: &dyn Progress) -> Result<Checkpoint> {
    let source = Source::open(&Reference::parse(typed)?, access, progress)?;
    let checkpoint = checkpoint::open(&source, options, progress)?;
    sources::check_key(options.key, std::iter::once(&checkpoint))?;
    Ok(checkpoint)
}
