//! The threads that do the work.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::node::Node;
use super::outcome::{InputDigest, Options, Outcome};
use super::queue::{Chunk, Queue};
use super::scratch::{Buffer, Scratch, size};
use super::work::{Input, Item, Output, Source, Work};
use crate::adapt::float::non_finite;
use crate::checkpoint::Reader;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::save::Layout;
use crate::threads::on_all;

/// Takes bytes of a weight file: which, where, what.
pub(super) type Write<'a> = &'a (dyn Fn(usize, u64, &[u8]) -> Result<()> + Sync);

/// What all threads see.
struct Run<'a, 'p> {
    work: Work<'a>,
    seed: u64,
    readers: &'a [Arc<dyn Reader>],
    write: Write<'p>,
    queue: Queue,
    allow_overflow: bool,
    progress: &'p dyn Progress,
    next: AtomicUsize,
    stop: AtomicBool,
    /// The error of the earliest item that failed.
    failure: Mutex<Option<(usize, Error)>>,
}

/// Does all the work of a plan in pieces of `piece` bytes (a power of two, at least 1024), through `write`.
pub(super) fn transfer(
    plan: &Plan,
    layout: &Layout,
    readers: &[Arc<dyn Reader>],
    options: Options,
    progress: &dyn Progress,
    piece: u64,
    write: Write,
) -> Result<Vec<Outcome>> {
    compute("write", plan, layout, readers, options, progress, piece, write)
}

/// As above, under another name of the phase.
#[expect(clippy::too_many_arguments, reason = "those of a transfer and the name of its phase")]
pub(super) fn compute(
    phase: &str,
    plan: &Plan,
    layout: &Layout,
    readers: &[Arc<dyn Reader>],
    options: Options,
    progress: &dyn Progress,
    piece: u64,
    write: Write,
) -> Result<Vec<Outcome>> {
    let work = Work::of(plan, layout, readers, piece)?;
    progress.start(phase, Some(work.bytes()?));
    for (file, weights) in layout.files.iter().enumerate() {
        write(file, 0, &weights.header)?;
        weights.rest.iter().try_for_each(|(offset, bytes)| write(file, *offset, bytes))?;
    }
    let run = Run::new(work, plan.seed, readers, options, progress, write, layout.files.len());
    run.on_threads(options.threads)?;
    progress.finish();
    Ok(outcomes(plan, &run.work))
}

/// The digests of source tensors, in the order in which they are asked for.
pub(super) fn digests(
    tensors: &[(usize, &str)],
    readers: &[Arc<dyn Reader>],
    threads: usize,
    progress: &dyn Progress,
    piece: u64,
) -> Result<Vec<String>> {
    let work = Work::hashing(tensors, readers, piece)?;
    progress.start("hash", Some(work.bytes()?));
    let options = Options { threads, allow_overflow: false };
    let run = Run::new(work, 0, readers, options, progress, &|_, _, _| Ok(()), 0);
    run.on_threads(threads)?;
    progress.finish();
    Ok(tensors.iter().filter_map(|tensor| run.work.digest_of(*tensor)).collect())
}

impl<'a, 'p> Run<'a, 'p> {
    fn new(
        work: Work<'a>,
        seed: u64,
        readers: &'a [Arc<dyn Reader>],
        options: Options,
        progress: &'p dyn Progress,
        write: Write<'p>,
        files: usize,
    ) -> Run<'a, 'p> {
        Run {
            work,
            seed,
            readers,
            write,
            queue: Queue::new(files),
            allow_overflow: options.allow_overflow,
            progress,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Does all the work; the error of the earliest item that failed.
    fn on_threads(&self, threads: usize) -> Result<()> {
        on_all(threads.min(self.work.items.len()), || self.take_items());
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn take_items(&self) {
        let mut scratch = Scratch::new(self.work.piece, self.progress);
        while !self.stop.load(Ordering::Acquire) {
            let index = self.next.fetch_add(1, Ordering::AcqRel);
            let Some(item) = self.work.items.get(index) else { return };
            if let Err(error) = self.item(*item, &mut scratch) {
                self.fail(index, error);
            }
        }
    }

    fn fail(&self, index: usize, error: Error) {
        self.stop.store(true, Ordering::Release);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
            *failure = Some((index, error));
        }
    }

    fn item(&self, item: Item, scratch: &mut Scratch) -> Result<()> {
        match item {
            Item::Chunk { output, piece } => self.piece(&self.work.outputs[output], piece, scratch),
            Item::All { output } => {
                let output = &self.work.outputs[output];
                (0..output.digest.pieces()).try_for_each(|piece| self.piece(output, piece, scratch))
            }
            Item::Hash { input, piece } => self.hash(&self.work.inputs[input], piece, scratch),
        }
    }

    fn piece(&self, output: &Output<'a>, piece: u64, scratch: &mut Scratch) -> Result<()> {
        self.progress.interrupted()?;
        let span = output.digest.span(piece);
        let (bytes, window) = self.produce(output, &span, scratch)?;
        let part = &bytes[window.clone()];
        let found = non_finite(output.assignment.target.dtype, part);
        output.nan.fetch_add(found.nan, Ordering::AcqRel);
        output.infinite.fetch_add(found.infinite, Ordering::AcqRel);
        output.overflows.fetch_add(std::mem::take(&mut scratch.root_overflows), Ordering::AcqRel);
        output.inner_overflow.fetch_or(std::mem::take(&mut scratch.inner_overflow), Ordering::AcqRel);
        output.digest.put(piece, part);
        match part.is_empty() {
            true => scratch.give(bytes),
            false => {
                let piece = Chunk { offset: output.offset + span.start, bytes, window };
                let write = |offset: u64, bytes: &[u8]| (self.write)(output.file, offset, bytes);
                self.queue.put(output.file, piece, &write, scratch)?;
            }
        }
        self.progress.advance(span.end - span.start);
        output.piece_done(self.allow_overflow)
    }

    /// A buffer, and where in it the span's bytes are.
    fn produce(&self, output: &Output<'a>, span: &Range<u64>, scratch: &mut Scratch) -> Result<(Buffer, Range<usize>)> {
        match &output.source {
            Source::Copy(stored) => {
                let len = size(span.end - span.start)?;
                let mut bytes = scratch.take(len)?;
                stored.read(span.clone(), &mut bytes, scratch)?;
                Ok((bytes, 0..len))
            }
            Source::Evaluate(slot) => {
                let node = output.node(slot, self.seed, self.readers, self.work.piece)?;
                evaluate(&node, span, scratch)
            }
        }
    }

    fn hash(&self, input: &Input, piece: u64, scratch: &mut Scratch) -> Result<()> {
        self.progress.interrupted()?;
        let span = input.digest.span(piece);
        let mut bytes = scratch.take(size(span.end - span.start)?)?;
        input.stored.read(span.clone(), &mut bytes, scratch)?;
        input.digest.put(piece, &bytes);
        scratch.give(bytes);
        self.progress.advance(span.end - span.start);
        Ok(())
    }
}

/// The rows that cover a span of a value's bytes.
fn evaluate(node: &Node, span: &Range<u64>, scratch: &mut Scratch) -> Result<(Buffer, Range<usize>)> {
    if span.is_empty() {
        return Ok((Buffer::default(), 0..0));
    }
    let row = node.info.row_bytes()?.max(1);
    let rows = span.start / row..span.end.div_ceil(row);
    let skip = size(span.start - rows.start * row)?;
    let window = skip..skip + size(span.end - span.start)?;
    let mut bytes = scratch.take(size((rows.end - rows.start) * row)?)?;
    node.rows(rows, &mut bytes, Some(&window), scratch)?;
    Ok((bytes, window))
}

/// One outcome for each assignment.
fn outcomes(plan: &Plan, work: &Work) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = plan
        .assignments
        .iter()
        .map(|assignment| Outcome { digest: None, inputs: inputs(work, &assignment.value), non_finite: 0 })
        .collect();
    for output in &work.outputs {
        if let Some(outcome) = outcomes.get_mut(output.index) {
            outcome.digest = Some(output.digest.text());
            outcome.non_finite = output.non_finite();
        }
    }
    outcomes
}

fn inputs(work: &Work, value: &crate::plan::Value) -> Vec<InputDigest> {
    super::work::mentions(value)
        .into_iter()
        .filter_map(|(source, tensor)| {
            let digest = work.digest_of((source, tensor))?;
            Some(InputDigest { source, tensor: tensor.into(), digest })
        })
        .collect()
}
