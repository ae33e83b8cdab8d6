//! Rows by identity: one `gather` for tokens, classes and positions. Rows without a source are new rows, and counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::adapt::{Op, Run};
use crate::plan::value::Value;
use crate::tensor::{Dtype, TensorInfo};

/// Where each row of a target comes from: a row of the source, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowMap {
    rows: Vec<Option<u64>>,
    source_rows: u64,
    /// For rows without a source, those of the source whose mean they may become.
    pieces: BTreeMap<u64, Vec<u64>>,
    /// How many rows come from a token that is spelt otherwise and means the same.
    by_meaning: u64,
}

/// What rows without a source become.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fill {
    /// The mean of the source's rows.
    Mean,
    /// The mean of the pieces that the map knows; of all the source's rows where it knows none.
    Subwords,
    /// Rows of a fresh tensor of the target's whole shape, each its own: its bits depend on no other row.
    Fresh(Value),
}

impl RowMap {
    /// The first `target` rows of `source` ones, new rows at the end where there are more.
    pub(crate) fn in_place(source: u64, target: u64) -> RowMap {
        RowMap {
            rows: (0..target).map(|row| (row < source).then_some(row)).collect(),
            source_rows: source,
            pieces: BTreeMap::new(),
            by_meaning: 0,
        }
    }

    /// A map whose rows are given; rows that the source does not have are none.
    pub(crate) fn new(rows: impl IntoIterator<Item = Option<u64>>, source_rows: u64) -> RowMap {
        RowMap {
            rows: rows.into_iter().map(|row| row.filter(|row| *row < source_rows)).collect(),
            source_rows,
            pieces: BTreeMap::new(),
            by_meaning: 0,
        }
    }

    /// As above, with pieces for rows without a source; pieces that the source has no rows for are none.
    pub(crate) fn with_pieces(mut self, pieces: BTreeMap<u64, Vec<u64>>) -> RowMap {
        let is_new = |row: &u64| usize::try_from(*row).is_ok_and(|row| self.rows.get(row) == Some(&None));
        let has_rows = |pieces: &[u64]| !pieces.is_empty() && pieces.iter().all(|piece| *piece < self.source_rows);
        self.pieces = pieces.into_iter().filter(|(row, pieces)| is_new(row) && has_rows(pieces)).collect();
        self
    }

    /// As above; states how many of its rows were found by what their tokens mean.
    pub(crate) fn with_meanings(self, by_meaning: u64) -> RowMap {
        RowMap { by_meaning, ..self }
    }

    /// How many rows were found by what their tokens mean, not by how they are spelt.
    pub(crate) fn by_meaning(&self) -> u64 {
        self.by_meaning
    }

    /// How many rows without a source have pieces.
    pub(crate) fn spelt(&self) -> u64 {
        self.pieces.len() as u64
    }

    /// Rows of the source and of the target.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (self.source_rows, self.rows.len() as u64)
    }

    /// How many rows have no source.
    pub(crate) fn new_rows(&self) -> u64 {
        self.rows.iter().filter(|row| row.is_none()).count() as u64
    }

    pub(crate) fn kept(&self) -> u64 {
        self.rows.len() as u64 - self.new_rows()
    }

    /// Whether every row of the source stays where it is and none is added.
    pub(crate) fn is_identity(&self) -> bool {
        self.rows.len() as u64 == self.source_rows && self.is_cut()
    }

    /// Whether the rows are the first of the source, in order.
    fn is_cut(&self) -> bool {
        self.rows.iter().enumerate().all(|(row, from)| *from == Some(row as u64))
    }

    /// The runs over the source (input 0) and, for rows without one, over input 1: its one row again and again, or row by row.
    fn runs(&self, is_one_row: bool) -> Arc<[Run]> {
        let from = |(row, from): (usize, &Option<u64>)| match (from, is_one_row) {
            (Some(from), _) => (0, *from, 1),
            (None, true) => (1, 0, 0),
            (None, false) => (1, row as u64, 1),
        };
        joined(self.rows.iter().enumerate().map(from))
    }

    /// `value` with its rows so arranged. Where fresh rows are mixed in, both sides are first brought to `dtype`, so that no
    /// element is rounded twice; otherwise the result keeps the type of `value`.
    pub(crate) fn apply(&self, value: Value, info: &TensorInfo, dtype: Dtype, fill: Fill) -> (Value, Dtype) {
        if self.is_identity() {
            return (value, info.dtype);
        }
        if self.is_cut() {
            let narrow = Op::Narrow { axis: 0, start: 0, len: self.rows.len() as u64 };
            return (apply(narrow, vec![value]), info.dtype);
        }
        if self.new_rows() == 0 {
            return (self.gather(true, vec![value]), info.dtype);
        }
        match fill {
            Fill::Mean => {
                let mean = apply(Op::MeanRows, vec![value.clone()]);
                (self.gather(true, vec![value, mean]), info.dtype)
            }
            Fill::Subwords => (self.of_pieces(value), info.dtype),
            Fill::Fresh(fresh) => {
                let inputs = vec![cast(value, info.dtype, dtype), cast(fresh, Dtype::F32, dtype)];
                (self.gather(false, inputs), dtype)
            }
        }
    }

    /// Input 0 is the source, 1 the mean of its rows, then for each number of pieces the means of the rows that have so many.
    fn of_pieces(&self, value: Value) -> Value {
        let mut by_count: BTreeMap<u64, Vec<(u64, &Vec<u64>)>> = BTreeMap::new();
        for (row, pieces) in &self.pieces {
            by_count.entry(pieces.len() as u64).or_default().push((*row, pieces));
        }
        let mean = apply(Op::MeanRows, vec![value.clone()]);
        let mut inputs = vec![value.clone(), mean];
        let mut places: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        for (count, rows) in by_count {
            for (place, (row, _)) in rows.iter().enumerate() {
                places.insert(*row, (inputs.len(), place as u64));
            }
            let taken = joined(rows.iter().flat_map(|(_, pieces)| pieces.iter().map(|piece| (0, *piece, 1))));
            let pieces = apply(Op::Gather { axis: 0, runs: taken }, vec![value.clone()]);
            let groups = rows.len() as u64;
            let mean = Op::MeanHeads { heads: groups.saturating_mul(count), groups };
            inputs.push(if count == 1 { pieces } else { apply(mean, vec![pieces]) });
        }
        let from = |(row, from): (usize, &Option<u64>)| match (from, places.get(&(row as u64))) {
            (Some(from), _) => (0, *from, 1),
            (None, Some((input, place))) => (*input, *place, 1),
            (None, None) => (1, 0, 0),
        };
        apply(Op::Gather { axis: 0, runs: joined(self.rows.iter().enumerate().map(from)) }, inputs)
    }

    fn gather(&self, is_one_row: bool, inputs: Vec<Value>) -> Value {
        apply(Op::Gather { axis: 0, runs: self.runs(is_one_row) }, inputs)
    }
}

/// Rows of inputs (which input, which row, the step to the next) as few runs.
fn joined(rows: impl Iterator<Item = (usize, u64, i64)>) -> Arc<[Run]> {
    let mut runs: Vec<Run> = Vec::new();
    for (input, start, step) in rows {
        match runs.last_mut() {
            Some(run) if run.input == input && follows(run, start, step) => run.len += 1,
            _ => runs.push(Run { input, start, step, len: 1 }),
        }
    }
    runs.into()
}

fn follows(run: &Run, start: u64, step: i64) -> bool {
    match step {
        0 => run.step == 0 && run.start == start,
        _ => run.step == step && run.start.checked_add(run.len) == Some(start),
    }
}

pub(crate) fn apply(op: Op, inputs: Vec<Value>) -> Value {
    Value::Apply { op, inputs }
}

/// `value` in the type `to`; itself where it is so already.
pub(crate) fn cast(value: Value, from: Dtype, to: Dtype) -> Value {
    if from == to {
        return value;
    }
    // what was computed in f32 is rounded once
    let computed = match &value {
        Value::Apply { op: Op::Cast { .. }, inputs } => match inputs.as_slice() {
            [computed @ Value::Apply { op: Op::Dequantize { .. }, .. }] => Some(computed.clone()),
            _ => None,
        },
        _ => None,
    };
    match (computed, to) {
        (Some(computed), Dtype::F32) => computed,
        (Some(computed), to) => apply(Op::Cast { dtype: to }, vec![computed]),
        (None, to) => apply(Op::Cast { dtype: to }, vec![value]),
    }
}

/// How position rows become more or fewer.
#[derive(Debug, PartialEq)]
pub(crate) enum Resized {
    Rows(RowMap),
    Computed(Value),
}
