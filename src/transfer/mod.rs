//! The one place where values arise: rows of an assignment into a buffer, and the loop that honours every operation's demand.

mod answer;
mod count;
mod difference;
mod digest;
pub(crate) mod error;
mod fresh;
mod node;
mod number;
mod outcome;
mod overflow;
mod parallel;
mod peak;
mod planned;
mod queue;
mod run;
mod scratch;
mod statistics;
mod stored;
mod table;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;

use crate::adapt::error::AdaptError;
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::plan::{Answer, Assignment, Plan, Question};
use crate::progress::{Progress, Silent};
use crate::save::{self, Layout, StagedFile, Staging};
use crate::tensor::Rows;
use crate::transfer::error::TransferError;
pub(crate) use difference::Difference;
use node::Node;
pub use outcome::Options;
pub(crate) use outcome::Outcome;
pub(crate) use parallel::each;
pub(crate) use planned::Planned;
use scratch::{PIECE, Scratch};
pub(crate) use statistics::Statistics;
use stored::Stored;

/// Rows of one assignment into `out`, whose length is exactly theirs. A tied assignment is an error: its owner has the value.
pub(crate) fn produce(
    seed: u64,
    assignment: &Assignment,
    readers: &[Arc<dyn Reader>],
    rows: Rows,
    out: &mut [u8],
) -> Result<()> {
    let node = Node::of(seed, assignment, readers)?;
    let row = node.info.row_bytes()?;
    let expected = rows.end.saturating_sub(rows.start).saturating_mul(row);
    if rows.start > rows.end || rows.end > node.info.rows() {
        return Err(AdaptError::Rows { out: node.info, rows }.into());
    }
    if expected != out.len() as u64 {
        let tensor = assignment.target.name.clone();
        return Err(TransferError::Buffer { tensor: tensor.to_string(), expected, found: out.len() as u64 }.into());
    }
    node.rows(rows, out, None, &mut Scratch::new(PIECE, &Silent))
}

/// Writes every weight file of the layout into the staging folder; one outcome for each assignment, in order.
/// The bytes and digests are the same for any number of threads.
pub(crate) fn run(
    plan: &Plan,
    layout: &Layout,
    readers: &[Arc<dyn Reader>],
    staging: &Staging,
    options: Options,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    let files: Vec<Arc<StagedFile>> =
        layout.files.iter().map(|file| staging.create(&file.name, file.bytes)).collect::<Result<_>>()?;
    let write = |file: usize, offset: u64, bytes: &[u8]| match files.get(file) {
        Some(file) => file.write_at(offset, bytes),
        None => Ok(()),
    };
    let outcomes = run::transfer(plan, layout, readers, options, progress, PIECE, &write)?;
    layout.files.iter().zip(&files).try_for_each(|(weights, file)| save::fill_in(weights, file, progress))?;
    Ok(outcomes)
}

/// What `run` would write, written nowhere: one outcome for each assignment, in order.
pub(crate) fn rehearse(
    plan: &Plan,
    layout: &Layout,
    readers: &[Arc<dyn Reader>],
    options: Options,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    run::compute("compute", plan, layout, readers, options, progress, PIECE, &|_, _, _| Ok(()))
}

/// The digest of each of these source tensors (which source, and its name there), whole, in its stored type; read on
/// `threads` threads, each tensor once.
pub(crate) fn digests(
    tensors: &[(usize, &str)],
    readers: &[Arc<dyn Reader>],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<String>> {
    run::digests(tensors, readers, threads, progress, PIECE)
}

/// The bytes that `run` holds at most beside its code: buffers of all threads, the largest demand, scratch of the readers.
pub(crate) fn peak(plan: &Plan, readers: &[Arc<dyn Reader>], threads: usize) -> Result<u64> {
    peak::peak(plan, readers, threads)
}

/// The statistics of every tensor of a checkpoint, in the order of its listing; `None` for types that are no numbers by
/// themselves. Each tensor is read once, on one thread, in bounded memory.
pub(crate) fn statistics(
    reader: &Arc<dyn Reader>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Option<Statistics>>> {
    let (tensors, readers) = (&reader.listing().tensors, std::slice::from_ref(reader));
    progress.start("measure", Some(tensors.iter().map(|tensor| tensor.bytes().unwrap_or(0)).sum()));
    let measure = |index: usize| {
        let name = tensors.get(index).map_or("", |tensor| tensor.name.as_str());
        statistics::statistics(&Stored::find(readers, 0, name)?, &mut Scratch::new(PIECE, progress))
    };
    let found = parallel::each(tensors.len(), threads, measure)?;
    progress.finish();
    Ok(found)
}

/// How the values of tensors differ that two checkpoints have under one name and in one shape, in the order of the names;
/// `None` where their types have no values in common. Each is read once, on one thread, in bounded memory.
pub(crate) fn differences(
    names: &[&str],
    checkpoints: [&Arc<dyn Reader>; 2],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Option<Difference>>> {
    let readers = checkpoints.map(Arc::clone);
    let pair = |index: usize| {
        let name = names.get(index).copied().unwrap_or_default();
        Ok::<_, crate::error::Error>((Stored::find(&readers, 0, name)?, Stored::find(&readers, 1, name)?))
    };
    let bytes = |index| pair(index).map_or(0, |(a, b)| a.info.bytes().unwrap_or(0) + b.info.bytes().unwrap_or(0));
    progress.start("compare", Some((0..names.len()).map(bytes).sum()));
    let compare = |index| {
        let (a, b) = pair(index)?;
        difference::difference(&a, &b, &mut Scratch::new(PIECE, progress))
    };
    let found = parallel::each(names.len(), threads, compare)?;
    progress.finish();
    Ok(found)
}

/// Measures what planning asked for, in bounded memory.
pub(crate) fn answer(
    questions: &[Question],
    readers: &[Arc<dyn Reader>],
    progress: &dyn Progress,
) -> Result<Vec<(Question, Answer)>> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    progress.start("measure", Some(questions.iter().map(|question| answer::bytes(question, readers)).sum()));
    let answers =
        questions.iter().map(|question| Ok((question.clone(), answer::answer(question, readers, progress)?))).collect();
    progress.finish();
    answers
}
