//! Rows by identity: one `gather` for tokens, classes and positions. Rows without a source are new rows, and counted.

use std::sync::Arc;

use crate::adapt::{Op, Run};
use crate::init::Scheme;
use crate::plan::{InitPart, Value};
use crate::tensor::{Dtype, Shape, TensorInfo};

/// Where each row of a target comes from: a row of the source, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowMap {
    rows: Vec<Option<u64>>,
    source_rows: u64,
}

/// What rows without a source become.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fill {
    /// The mean of the source's rows.
    Mean,
    /// Rows of a fresh tensor of the target's whole shape, each its own: its bits depend on no other row.
    Fresh(Value),
}

/// The fresh tensor that is zero everywhere.
pub(crate) fn zeros(shape: &Shape) -> Value {
    let rows = shape.first().copied().unwrap_or(1);
    Value::Init {
        shape: shape.clone(),
        first: 0,
        parts: vec![InitPart { rows, scheme: Scheme::Constant { value: 0.0 } }],
    }
}

impl RowMap {
    /// The first `target` rows of `source` ones, new rows at the end where there are more.
    pub(crate) fn in_place(source: u64, target: u64) -> RowMap {
        RowMap { rows: (0..target).map(|row| (row < source).then_some(row)).collect(), source_rows: source }
    }

    /// A map whose rows are given; rows that the source does not have are none.
    pub(crate) fn new(rows: impl IntoIterator<Item = Option<u64>>, source_rows: u64) -> RowMap {
        RowMap { rows: rows.into_iter().map(|row| row.filter(|row| *row < source_rows)).collect(), source_rows }
    }

    /// Rows of the source and of the target.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (self.source_rows, self.rows.len() as u64)
    }

    /// How many rows have no source.
    pub(crate) fn new_rows(&self) -> u64 {
        self.rows.iter().filter(|row| row.is_none()).count() as u64
    }

    /// How many rows have one.
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
        let mut runs: Vec<Run> = Vec::new();
        for (row, from) in self.rows.iter().enumerate() {
            let (input, start, step) = match (from, is_one_row) {
                (Some(from), _) => (0, *from, 1),
                (None, true) => (1, 0, 0),
                (None, false) => (1, row as u64, 1),
            };
            match runs.last_mut() {
                Some(run) if run.input == input && follows(run, start, step) => run.len += 1,
                _ => runs.push(Run { input, start, step, len: 1 }),
            }
        }
        runs.into()
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
            Fill::Fresh(fresh) => {
                let inputs = vec![cast(value, info.dtype, dtype), cast(fresh, Dtype::F32, dtype)];
                (self.gather(false, inputs), dtype)
            }
        }
    }

    fn gather(&self, is_one_row: bool, inputs: Vec<Value>) -> Value {
        apply(Op::Gather { axis: 0, runs: self.runs(is_one_row) }, inputs)
    }
}

fn follows(run: &Run, start: u64, step: i64) -> bool {
    match step {
        0 => run.step == 0 && run.start == start,
        _ => run.step == step && run.start.checked_add(run.len) == Some(start),
    }
}

/// An operation over values.
pub(crate) fn apply(op: Op, inputs: Vec<Value>) -> Value {
    Value::Apply { op, inputs }
}

/// `value` in the type `to`; itself where it is so already.
pub(crate) fn cast(value: Value, from: Dtype, to: Dtype) -> Value {
    if from == to { value } else { apply(Op::Cast { dtype: to }, vec![value]) }
}
