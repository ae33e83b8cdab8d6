//! An expression made ready: every source found, every shape checked, what several rows share computed once.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::count::Count;
use super::fresh::Fresh;
use super::overflow::overflows;
use super::scratch::{Buffer, Scratch, room, size};
use super::stored::Stored;
use super::table::Table;
use crate::adapt::{Block, Demand, Op, Scan};
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::plan::{Assignment, Value};
use crate::tensor::{Dtype, Rows, Shape, TensorInfo};
use crate::transfer::error::TransferError;

/// An expression made ready.
pub(super) struct Node<'a> {
    /// Its type and its shape, which may be folded: fewer axes over the same bytes.
    pub info: TensorInfo,
    pub kind: Kind<'a>,
    /// All of its bytes, while an operation above needs them for each of its own rows.
    whole: Mutex<Option<Arc<Vec<u8>>>>,
}

/// What a value is made of.
pub(super) enum Kind<'a> {
    Source(Stored<'a>),
    Fresh(Fresh<'a>),
    Count(Count),
    Table(Table),
    Apply { op: Op, inputs: Vec<Node<'a>> },
}

impl<'a> Node<'a> {
    /// The value of an assignment; an error where a source has changed or the expression gives something else than its target.
    pub(crate) fn of(seed: u64, assignment: &'a Assignment, readers: &'a [Arc<dyn Reader>]) -> Result<Node<'a>> {
        let node = Node::build(seed, &assignment.target.name, &assignment.value, readers)?;
        if node.info.dtype != assignment.target.dtype || node.info.shape != assignment.target.shape {
            return Err(TransferError::Value { target: assignment.target.clone(), value: node.info }.into());
        }
        Ok(node)
    }

    fn build(seed: u64, target: &'a str, value: &'a Value, readers: &'a [Arc<dyn Reader>]) -> Result<Node<'a>> {
        match value {
            Value::Source { source, tensor, dtype, shape } => {
                let stored = Stored::find(readers, *source, tensor)?;
                if stored.info.dtype != *dtype || stored.info.shape != *shape {
                    let planned = TensorInfo::new(tensor.clone(), *dtype, shape.clone());
                    return Err(TransferError::Changed { planned, found: stored.info.clone() }.into());
                }
                Ok(Node::new(stored.info.clone(), Kind::Source(stored)))
            }
            Value::Init { shape, first, parts } => {
                let info = TensorInfo::new(target, Dtype::F32, shape.clone());
                let fresh = Fresh::new(seed, target, &info, *first, parts)?;
                Ok(Node::new(info, Kind::Fresh(fresh)))
            }
            Value::Count { dtype, shape, axis } => {
                let info = TensorInfo::new(target, *dtype, shape.clone());
                value.info()?;
                let count = Count::new(&info, *axis);
                Ok(Node::new(info, Kind::Count(count)))
            }
            Value::Computed { dtype, shape, formula } => {
                value.info()?;
                let info = TensorInfo::new(target, *dtype, shape.clone());
                let table = Table::new(&info, formula);
                Ok(Node::new(info, Kind::Table(table)))
            }
            Value::Apply { op, inputs } => {
                let inputs: Vec<Node> =
                    inputs.iter().map(|input| Node::build(seed, target, input, readers)).collect::<Result<_>>()?;
                Node::apply(op.clone(), inputs)
            }
            Value::Tied { to } => Err(TransferError::Tied { tensor: target.into(), owner: to.clone() }.into()),
        }
    }

    fn new(info: TensorInfo, kind: Kind<'a>) -> Node<'a> {
        Node { info, kind, whole: Mutex::new(None) }
    }

    fn apply(op: Op, inputs: Vec<Node<'a>>) -> Result<Node<'a>> {
        let infos: Vec<TensorInfo> = inputs.iter().map(|input| input.info.clone()).collect();
        let info = op.out(&infos)?;
        Ok(Node::new(info, Kind::Apply { op, inputs }))
    }

    /// These bytes in rows that are short beside a piece, as far as the expression allows: a stack of matrices becomes
    /// their rows one after the other.
    pub(crate) fn refined(self, piece: u64) -> Result<Node<'a>> {
        let mut node = self.without_reshape();
        while node.info.shape.len() > 1 && node.info.row_bytes().is_ok_and(|row| row > piece / 16) && node.folds() {
            node = node.folded()?;
        }
        Ok(node)
    }

    fn without_reshape(mut self) -> Node<'a> {
        while let Kind::Apply { op: Op::Reshape { .. }, inputs } = &mut self.kind {
            let Some(input) = inputs.pop() else { break };
            self = input;
        }
        self
    }

    /// Whether axes 0 and 1 can be seen as one.
    fn folds(&self) -> bool {
        if self.info.shape.len() < 2 {
            return false;
        }
        match &self.kind {
            Kind::Source(stored) => stored.is_verbatim(),
            Kind::Fresh(_) | Kind::Count(_) | Kind::Table(_) => true,
            Kind::Apply { op: Op::Stack | Op::Reshape { .. }, .. } => true,
            Kind::Apply {
                op: Op::Cast { .. } | Op::Affine { .. } | Op::Lerp { .. } | Op::Concat { axis: 0 },
                inputs,
            } => inputs.iter().all(Node::folds),
            Kind::Apply { op: Op::Dequantize { block }, inputs } => {
                // no block lies in two of the stacked matrices
                let is_apart = match (block.as_slice(), self.info.shape.as_slice()) {
                    ([1, high, _, ..], [_, rows, _, ..]) => rows.is_multiple_of(*high),
                    _ => false,
                };
                is_apart && inputs.first().is_some_and(Node::folds)
            }
            Kind::Apply { .. } => false,
        }
    }

    /// These bytes with axes 0 and 1 as one; only where `folds`.
    fn folded(self) -> Result<Node<'a>> {
        let shape = folded_shape(&self.info.shape);
        let Node { info, kind, .. } = self;
        match kind {
            Kind::Source(_) | Kind::Fresh(_) | Kind::Count(_) | Kind::Table(_) => {
                Ok(Node::new(TensorInfo { shape, ..info }, kind))
            }
            Kind::Apply { op: Op::Reshape { .. }, inputs } => Node::apply(Op::Reshape { shape }, inputs),
            Kind::Apply { op: Op::Stack, inputs } => Node::apply(Op::Concat { axis: 0 }, inputs),
            Kind::Apply { op: Op::Dequantize { block }, inputs } => {
                // scales that do not fold are needed whole, as they are
                let is_stack = |input: &Node| input.info.shape.len() > 2 && input.folds();
                let inputs = inputs.into_iter().map(|input| if is_stack(&input) { input.folded() } else { Ok(input) });
                let block = block.into_iter().skip(1).collect();
                Node::apply(Op::Dequantize { block }, inputs.collect::<Result<_>>()?)
            }
            Kind::Apply { op, inputs } => {
                let inputs = inputs.into_iter().map(Node::folded).collect::<Result<_>>()?;
                Node::apply(op, inputs)
            }
        }
    }

    /// Whether rows share something that is computed once and kept: then one thread does them all.
    pub(crate) fn shares(&self) -> Result<bool> {
        match &self.kind {
            Kind::Source(_) | Kind::Count(_) | Kind::Table(_) => Ok(false),
            Kind::Fresh(fresh) => Ok(fresh.needs_whole()),
            Kind::Apply { inputs, .. } => {
                let demands = self.demand(&(0..self.info.rows()))?;
                if demands.iter().any(|demand| matches!(demand, Demand::Whole | Demand::Scan)) {
                    return Ok(true);
                }
                inputs.iter().try_fold(false, |any, input| Ok(any || input.shares()?))
            }
        }
    }

    /// What each input must supply for some rows; nothing for a leaf.
    pub(crate) fn demand(&self, rows: &Rows) -> Result<Vec<Demand>> {
        match &self.kind {
            Kind::Source(_) | Kind::Fresh(_) | Kind::Count(_) | Kind::Table(_) => Ok(Vec::new()),
            Kind::Apply { op, inputs } => {
                let infos: Vec<&TensorInfo> = inputs.iter().map(|input| &input.info).collect();
                op.demand_of(&infos, &self.info, rows)
            }
        }
    }

    /// The rows of about a piece, at least one, to cut a value into.
    pub(crate) fn rows_at_once(&self, piece: u64) -> Result<u64> {
        Ok((piece / self.info.row_bytes()?.max(1)).max(1))
    }

    /// Some rows into `out`, whose length is theirs. `window` is the part of `out` in which values that become infinite are
    /// counted; below the root it is `None`, and they are only noticed.
    pub(crate) fn rows(
        &self,
        rows: Rows,
        out: &mut [u8],
        window: Option<&Range<usize>>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let row = self.info.row_bytes()?;
        match &self.kind {
            Kind::Source(stored) => stored.read(rows.start * row..rows.end * row, out, scratch),
            Kind::Fresh(fresh) => {
                let elements = self.info.row_elements()?;
                fresh.fill(rows.start * elements..rows.end * elements, out)
            }
            Kind::Count(count) => {
                let elements = self.info.row_elements()?;
                count.fill(rows.start * elements..rows.end * elements, out)
            }
            Kind::Table(table) => {
                let elements = self.info.row_elements()?;
                table.fill(rows.start * elements..rows.end * elements, out)
            }
            Kind::Apply { op, inputs } => {
                let demands = self.demand(&rows)?;
                if demands.contains(&Demand::Scan) {
                    let all = self.whole(scratch)?;
                    out.copy_from_slice(&all[size(rows.start * row)?..size(rows.end * row)?]);
                    return Ok(());
                }
                let supplies = supply(inputs, demands, scratch)?;
                let blocks: Vec<Block> = inputs.iter().zip(&supplies).map(|(input, s)| s.block(&input.info)).collect();
                op.apply_to(&self.info, &blocks, rows, out)?;
                self.notice_overflow(op, &blocks, out, window, scratch);
                drop(blocks);
                supplies.into_iter().for_each(|supply| supply.give(scratch));
                Ok(())
            }
        }
    }

    /// All bytes, computed once and kept until `forget`.
    fn whole(&self, scratch: &mut Scratch) -> Result<Arc<Vec<u8>>> {
        let mut slot = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = &*slot {
            return Ok(Arc::clone(bytes));
        }
        let len = size(self.info.bytes()?)?;
        let mut bytes = room(len)?;
        bytes.resize(len, 0);
        match &self.kind {
            Kind::Apply { op, inputs } => match op.scan(&infos(inputs))? {
                Some(scan) => scan_all(scan, inputs, &mut bytes, scratch)?,
                None => self.all_rows(&mut bytes, scratch)?,
            },
            Kind::Source(_) | Kind::Fresh(_) | Kind::Count(_) | Kind::Table(_) => self.all_rows(&mut bytes, scratch)?,
        }
        self.forget_inputs();
        let bytes = Arc::new(bytes);
        *slot = Some(Arc::clone(&bytes));
        Ok(bytes)
    }

    fn all_rows(&self, bytes: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        let step = self.rows_at_once(scratch.piece)?;
        let len = size(step.min(self.info.rows()) * self.info.row_bytes()?)?;
        let mut start = 0;
        for piece in bytes.chunks_mut(len.max(1)) {
            scratch.progress.interrupted()?;
            let end = (start + step).min(self.info.rows());
            self.rows(start..end, piece, None, scratch)?;
            start = end;
        }
        Ok(())
    }

    fn forget_inputs(&self) {
        match &self.kind {
            Kind::Source(_) | Kind::Count(_) | Kind::Table(_) => {}
            Kind::Fresh(fresh) => fresh.forget(),
            Kind::Apply { inputs, .. } => inputs.iter().for_each(|input| {
                *input.whole.lock().unwrap_or_else(PoisonError::into_inner) = None;
                input.forget_inputs();
            }),
        }
    }

    fn notice_overflow(
        &self,
        op: &Op,
        blocks: &[Block],
        out: &[u8],
        window: Option<&Range<usize>>,
        scratch: &mut Scratch,
    ) {
        let count = overflows(op, &self.info, blocks, out, window);
        match window {
            Some(_) => scratch.root_overflows += count,
            None => scratch.inner_overflow |= count > 0,
        }
    }
}

fn infos(inputs: &[Node]) -> Vec<TensorInfo> {
    inputs.iter().map(|input| input.info.clone()).collect()
}

fn folded_shape(shape: &[u64]) -> Shape {
    match shape {
        // a product within that of the whole, which does not overflow unless another axis is 0
        [a, b, rest @ ..] => [&[a.saturating_mul(*b)], rest].concat().into(),
        short => short.into(),
    }
}

/// What an input supplied: rows in a buffer of this thread, or all of it, kept.
enum Supply {
    Rows(Vec<Rows>, Buffer),
    Whole(Rows, Arc<Vec<u8>>),
}

impl Supply {
    fn block<'b>(&'b self, info: &'b TensorInfo) -> Block<'b> {
        match self {
            Supply::Rows(rows, bytes) => Block { info, rows: rows.clone(), bytes },
            Supply::Whole(rows, bytes) => Block { info, rows: vec![rows.clone()], bytes },
        }
    }

    fn give(self, scratch: &mut Scratch) {
        match self {
            Supply::Rows(_, bytes) => scratch.give(bytes),
            Supply::Whole(..) => {}
        }
    }
}

fn supply(inputs: &[Node], demands: Vec<Demand>, scratch: &mut Scratch) -> Result<Vec<Supply>> {
    inputs.iter().zip(demands).map(|(input, demand)| supply_one(input, demand, scratch)).collect()
}

fn supply_one(input: &Node, demand: Demand, scratch: &mut Scratch) -> Result<Supply> {
    match demand {
        Demand::None | Demand::Scan => Ok(Supply::Rows(Vec::new(), Buffer::default())),
        Demand::Whole => Ok(Supply::Whole(0..input.info.rows(), input.whole(scratch)?)),
        Demand::Rows(ranges) => {
            let row = input.info.row_bytes()?;
            let count: u64 = ranges.iter().map(|rows| rows.end - rows.start).sum();
            let mut bytes = scratch.take(size(count * row)?)?;
            let mut rest = &mut bytes[..];
            for rows in &ranges {
                let (piece, after) = std::mem::take(&mut rest).split_at_mut(size((rows.end - rows.start) * row)?);
                input.rows(rows.clone(), piece, None, scratch)?;
                rest = after;
            }
            Ok(Supply::Rows(ranges, bytes))
        }
    }
}

/// Feeds every row of the only input to a scan, in order.
fn scan_all(mut scan: Box<dyn Scan>, inputs: &[Node], out: &mut [u8], scratch: &mut Scratch) -> Result<()> {
    let [input] = inputs else { return Ok(()) };
    let (rows, row) = (input.info.rows(), input.info.row_bytes()?);
    let step = input.rows_at_once(scratch.piece)?;
    for start in (0..rows).step_by(size(step)?) {
        scratch.progress.interrupted()?;
        let end = (start + step).min(rows);
        let mut bytes = scratch.take(size((end - start) * row)?)?;
        input.rows(start..end, &mut bytes, None, scratch)?;
        scan.push(&bytes)?;
        scratch.give(bytes);
    }
    scan.finish(out)
}
