//! The work of a transfer, cut into pieces that any thread may take.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::digest::Digest;
use super::node::{Kind, Node};
use super::stored::Stored;
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::plan::{Assignment, Plan, Value};
use crate::save::{Layout, Span};
use crate::transfer::error::TransferError;

/// A tensor that is written.
pub(super) struct Output<'a> {
    pub assignment: &'a Assignment,
    /// Its place in the plan.
    pub index: usize,
    /// Which weight file, and where in it.
    pub file: usize,
    pub offset: u64,
    pub digest: Digest,
    pub source: Source<'a>,
    /// Pieces that are not written yet.
    pub remaining: AtomicU64,
    pub nan: AtomicU64,
    pub infinite: AtomicU64,
    /// Finite values that the last operation made infinite.
    pub overflows: AtomicU64,
    /// Whether an operation before the last made one infinite.
    pub inner_overflow: AtomicBool,
}

/// Where an output's bytes come from.
pub(super) enum Source<'a> {
    /// They are those of a source tensor.
    Copy(Stored<'a>),
    /// An expression gives them; made ready when the first piece is worked on, dropped after the last.
    Evaluate(Mutex<Option<Arc<Node<'a>>>>),
}

/// A source tensor that is hashed because no output is a copy of it.
pub(super) struct Input<'a> {
    pub stored: Stored<'a>,
    pub digest: Digest,
}

/// What one thread does at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    Chunk {
        output: usize,
        piece: u64,
    },
    /// All pieces of an output, whose rows share something.
    All {
        output: usize,
    },
    /// A piece of an input's digest.
    Hash {
        input: usize,
        piece: u64,
    },
}

/// Where the digest of a source tensor is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Digested {
    Output(usize),
    Input(usize),
}

/// A source tensor: which source, and its name there.
pub(super) type Mention<'a> = (usize, &'a str);

/// All the work of a plan.
pub(super) struct Work<'a> {
    pub outputs: Vec<Output<'a>>,
    pub inputs: Vec<Input<'a>>,
    pub items: Vec<Item>,
    pub digests: BTreeMap<Mention<'a>, Digested>,
    /// Bytes that are worked on at once: a power of two.
    pub piece: u64,
}

impl<'a> Work<'a> {
    /// Cuts a plan into pieces; an error, before anything is written, for an expression that does not fit.
    pub(crate) fn of(plan: &'a Plan, layout: &Layout, readers: &'a [Arc<dyn Reader>], piece: u64) -> Result<Work<'a>> {
        let mut work =
            Work { outputs: Vec::new(), inputs: Vec::new(), items: Vec::new(), digests: BTreeMap::new(), piece };
        let (mut alone, mut pieces) = (Vec::new(), Vec::new());
        for (file, weights) in layout.files.iter().enumerate() {
            for span in &weights.spans {
                let (output, shares) = Output::of(plan, file, *span, readers, piece)?;
                let index = work.outputs.len();
                if let (Source::Copy(_), Some(mention)) = (&output.source, mentions(&output.assignment.value).first()) {
                    work.digests.entry(*mention).or_insert(Digested::Output(index));
                }
                match shares {
                    true => alone.push(Item::All { output: index }),
                    false => {
                        pieces.extend((0..output.digest.pieces()).map(|piece| Item::Chunk { output: index, piece }))
                    }
                }
                work.outputs.push(output);
            }
        }
        // what cannot be shared by threads comes first, so that no thread is left alone with it
        work.items = alone;
        work.items.append(&mut pieces);
        work.hash_inputs(plan.assignments.iter().flat_map(|assignment| mentions(&assignment.value)), readers)?;
        Ok(work)
    }

    /// Only the digests of source tensors.
    pub(crate) fn hashing(tensors: &[Mention<'a>], readers: &'a [Arc<dyn Reader>], piece: u64) -> Result<Work<'a>> {
        let mut work =
            Work { outputs: Vec::new(), inputs: Vec::new(), items: Vec::new(), digests: BTreeMap::new(), piece };
        work.hash_inputs(tensors.iter().copied(), readers)?;
        Ok(work)
    }

    /// Adds the digests of source tensors that no output is a copy of, each once.
    fn hash_inputs(
        &mut self,
        tensors: impl Iterator<Item = Mention<'a>>,
        readers: &'a [Arc<dyn Reader>],
    ) -> Result<()> {
        for (source, tensor) in tensors {
            if self.digests.contains_key(&(source, tensor)) {
                continue;
            }
            let stored = Stored::find(readers, source, tensor)?;
            let input = self.inputs.len();
            self.digests.insert((source, tensor), Digested::Input(input));
            let digest = Digest::new(stored.info.bytes()?, self.piece);
            self.items.extend((0..digest.pieces()).map(|piece| Item::Hash { input, piece }));
            self.inputs.push(Input { stored, digest });
        }
        Ok(())
    }

    /// The bytes that are written and hashed.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let mut sum = 0u64;
        for output in &self.outputs {
            sum = sum.saturating_add(output.assignment.target.bytes()?);
        }
        for input in &self.inputs {
            sum = sum.saturating_add(input.stored.info.bytes()?);
        }
        Ok(sum)
    }

    /// `blake3:…` of a source tensor that the plan mentions.
    pub(crate) fn digest_of(&self, mention: Mention) -> Option<String> {
        match self.digests.get(&mention)? {
            Digested::Output(index) => self.outputs.get(*index).map(|output| output.digest.text()),
            Digested::Input(index) => self.inputs.get(*index).map(|input| input.digest.text()),
        }
    }
}

impl<'a> Output<'a> {
    /// An output, and whether one thread must do it alone.
    fn of(
        plan: &'a Plan,
        file: usize,
        span: Span,
        readers: &'a [Arc<dyn Reader>],
        piece: u64,
    ) -> Result<(Output<'a>, bool)> {
        let Some(assignment) = plan.assignments.get(span.assignment) else {
            return Err(TransferError::Layout { assignment: span.assignment, expected: 0, found: span.len }.into());
        };
        let expected = assignment.target.bytes()?;
        if expected != span.len {
            return Err(TransferError::Layout { assignment: span.assignment, expected, found: span.len }.into());
        }
        let node = Node::of(plan.seed, assignment, readers)?.refined(piece)?;
        let shares = node.shares()?;
        let piece = piece_of(&node, piece)?;
        let source = match node.kind {
            Kind::Source(stored) => Source::Copy(stored),
            Kind::Fresh(_) | Kind::Count(_) | Kind::Table(_) | Kind::Apply { .. } => Source::Evaluate(Mutex::new(None)),
        };
        let digest = Digest::new(span.len, piece);
        let output = Output {
            assignment,
            index: span.assignment,
            file,
            offset: span.offset,
            remaining: AtomicU64::new(digest.pieces()),
            digest,
            source,
            nan: AtomicU64::new(0),
            infinite: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            inner_overflow: AtomicBool::new(false),
        };
        Ok((output, shares))
    }

    /// The expression made ready, the same for all threads.
    pub(crate) fn node(
        &self,
        slot: &Mutex<Option<Arc<Node<'a>>>>,
        seed: u64,
        readers: &'a [Arc<dyn Reader>],
        piece: u64,
    ) -> Result<Arc<Node<'a>>> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = &*slot {
            return Ok(Arc::clone(node));
        }
        let node = Arc::new(Node::of(seed, self.assignment, readers)?.refined(piece)?);
        *slot = Some(Arc::clone(&node));
        Ok(node)
    }

    /// Marks one more piece as written; after the last, frees what the pieces shared and judges overflow.
    pub(crate) fn piece_done(&self, allow_overflow: bool) -> Result<()> {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        if let Source::Evaluate(slot) = &self.source {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let count = match self.inner_overflow.load(Ordering::Acquire) {
            true => self.infinite.load(Ordering::Acquire),
            false => self.overflows.load(Ordering::Acquire),
        };
        if count == 0 || allow_overflow {
            return Ok(());
        }
        let target = &self.assignment.target;
        Err(TransferError::Overflow { tensor: target.name.to_string(), dtype: target.dtype, count }.into())
    }

    /// How many elements are NaN or infinite.
    pub(crate) fn non_finite(&self) -> u64 {
        self.nan.load(Ordering::Acquire) + self.infinite.load(Ordering::Acquire)
    }
}

/// The bytes of a piece of a value: the row where two pieces meet is computed for both, so rows must be short beside it.
pub(super) fn piece_of(node: &Node, piece: u64) -> Result<u64> {
    match &node.kind {
        Kind::Source(_) => Ok(piece),
        Kind::Fresh(_) | Kind::Count(_) | Kind::Table(_) | Kind::Apply { .. } => {
            let row = node.info.row_bytes()?;
            Ok(row.saturating_mul(4).checked_next_power_of_two().unwrap_or(piece).max(piece))
        }
    }
}

/// Every source tensor that a value mentions, once, in order of mention.
pub(super) fn mentions(value: &Value) -> Vec<Mention<'_>> {
    let mut seen = std::collections::BTreeSet::new();
    let mentions = value.sources().map(|leaf| (leaf.source, leaf.tensor.as_str()));
    mentions.filter(|mention| seen.insert(*mention)).collect()
}
