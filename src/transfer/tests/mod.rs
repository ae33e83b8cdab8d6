mod facts;
mod failures;
mod laws;
mod pieces;
mod plans;

use std::sync::{Arc, Mutex};

use super::{Options, Outcome};
use crate::adapt::Op;
use crate::adapt::tests::{Stored, whole};
use crate::checkpoint::{CheckpointFormat, Extent, Listing, Reader};
use crate::error::{Error, Result};
use crate::init::{Generator, Scheme};
use crate::plan::{Action, Assignment, InitPart, Plan, Step, Target, Value};
use crate::progress::{Progress, Silent};
use crate::save::Layout;
use crate::source::Bytes;
use crate::tensor::{Rows, TensorInfo};

pub(super) const SEED: u64 = 7;

/// Bytes in memory.
struct Held(Vec<u8>);

impl Bytes for Held {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
    fn name(&self) -> &str {
        "held"
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        out.copy_from_slice(&self.0[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
}

/// How a checkpoint gives its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gives {
    /// They lie verbatim in a file.
    Extents,
    /// Only rows, as a packed format does.
    Rows,
}

/// A checkpoint in memory.
pub(super) struct Memory {
    listing: Listing,
    file: Arc<dyn Bytes>,
    offsets: Vec<u64>,
    gives: Gives,
}

impl Memory {
    pub fn of(tensors: &[Stored], gives: Gives) -> Arc<dyn Reader> {
        let infos: Vec<TensorInfo> = tensors.iter().map(|t| t.info.clone()).collect();
        let listing = Listing::new(CheckpointFormat::Safetensors, infos, Vec::new(), None);
        let mut bytes = vec![0xee; 13];
        let mut offsets = Vec::new();
        for info in &listing.tensors {
            offsets.push(bytes.len() as u64);
            bytes.extend(&tensors.iter().find(|t| t.info.name == info.name).unwrap().bytes);
        }
        Arc::new(Memory { listing, file: Arc::new(Held(bytes)), offsets, gives })
    }
}

impl Reader for Memory {
    fn listing(&self) -> &Listing {
        &self.listing
    }
    fn extent(&self, tensor: usize) -> Option<Extent> {
        let len = self.listing.tensors[tensor].bytes().unwrap();
        match self.gives {
            Gives::Extents => Some(Extent { file: Arc::clone(&self.file), offset: self.offsets[tensor], len }),
            Gives::Rows => None,
        }
    }
    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        let row = self.listing.tensors[tensor].row_bytes()?;
        assert_eq!(out.len() as u64, (rows.end - rows.start) * row, "a read takes a buffer of its length");
        self.file.read_at(self.offsets[tensor] + rows.start * row, out)
    }
    fn scratch(&self, _tensor: usize) -> u64 {
        match self.gives {
            Gives::Extents => 0,
            Gives::Rows => 1000,
        }
    }
}

pub(super) fn source(stored: &Stored) -> Value {
    let TensorInfo { name, dtype, shape } = stored.info.clone();
    Value::Source { source: 0, tensor: name, dtype, shape }
}

pub(super) fn apply(op: Op, inputs: Vec<Value>) -> Value {
    Value::Apply { op, inputs }
}

pub(super) fn normal(std: f64) -> Scheme {
    Scheme::Normal { mean: 0.0, std }
}

pub(super) fn init(shape: &[u64], first: u64, scheme: Scheme) -> Value {
    let rows = shape.first().copied().unwrap_or(1);
    Value::Init { shape: shape.to_vec().into(), first, parts: vec![InitPart { rows, scheme }] }
}

/// An assignment of a value to a target of just its type and shape.
pub(super) fn assign(name: &str, value: Value) -> Assignment {
    let target = TensorInfo { name: name.into(), ..type_of(&value) };
    let action = if matches!(value, Value::Tied { .. }) { Action::Tied } else { Action::Adapted };
    Assignment {
        target,
        action,
        value,
        step: Step::Name,
        reason: "".into(),
        runners_up: Vec::new(),
        init: None,
        new_rows: 0,
        head: false,
        lsuv: None,
        mismatched: None,
    }
}

fn type_of(value: &Value) -> TensorInfo {
    match value {
        Value::Source { tensor, dtype, shape, .. } => TensorInfo::new(tensor.clone(), *dtype, shape.clone()),
        Value::Init { shape, .. } => TensorInfo::new("", crate::tensor::Dtype::F32, shape.clone()),
        Value::Count { dtype, shape, .. } | Value::Computed { dtype, shape, .. } => {
            TensorInfo::new("", *dtype, shape.clone())
        }
        Value::Apply { op, inputs } => op.out(&inputs.iter().map(type_of).collect::<Vec<_>>()).unwrap(),
        Value::Tied { .. } => TensorInfo::new("", crate::tensor::Dtype::F32, [1]),
    }
}

pub(super) fn plan(assignments: Vec<Assignment>) -> Plan {
    Plan {
        xfer_plan: 1,
        seed: SEED,
        generator: Generator::VERSION.into(),
        sources: Vec::new(),
        target: Target { form: "listing".into(), family: None, tensors: 0, parameters: 0 },
        assignments,
        max_shard_size: 5_000_000_000,
        companions: Vec::new(),
        unused: Vec::new(),
        dropped: Vec::new(),
        warnings: Vec::new(),
        evidence: Vec::new(),
        batch: None,
    }
}

/// The value by whole tensors, each operation once.
pub(super) fn naive(target: &str, value: &Value, tensors: &[Stored]) -> Stored {
    match value {
        Value::Source { tensor, .. } => tensors.iter().find(|t| t.info.name == *tensor).unwrap().clone(),
        Value::Init { shape, first, parts } => {
            let generator = Generator::new(SEED, target);
            let row: u64 = shape.iter().skip(1).product();
            let (mut values, mut base) = (Vec::new(), *first);
            for part in parts {
                let shape: Vec<u64> = if shape.is_empty() { vec![] } else { [&[part.rows], &shape[1..]].concat() };
                let len = part.rows * row;
                let mut out = vec![0f32; len as usize];
                generator.fill(&part.scheme, &shape, base, 0..len, &mut out).unwrap();
                values.extend(out);
                base += len;
            }
            Stored::f32(target, shape, &values)
        }
        Value::Computed { dtype, shape, formula } => {
            let info = TensorInfo::new(target, *dtype, shape.clone());
            let element = |place| formula.element(place, shape);
            let bytes = |place| match dtype.is_float() {
                true => (element(place) as f32).to_le_bytes().to_vec(),
                false => (element(place) as i64).to_le_bytes()[..(dtype.bits() / 8) as usize].to_vec(),
            };
            let bytes = (0..info.elements().unwrap()).flat_map(bytes).collect();
            Stored { info, bytes }
        }
        Value::Count { dtype, shape, axis } => {
            let info = TensorInfo::new(target, *dtype, shape.clone());
            let width = (dtype.bits() / 8) as usize;
            let index = |element: u64| match axis {
                Some(axis) => element / shape[axis + 1..].iter().product::<u64>() % shape[*axis],
                None => 0,
            };
            let elements = 0..info.elements().unwrap();
            let bytes = elements.flat_map(|k| index(k).to_le_bytes()[..width].to_vec()).collect();
            Stored { info, bytes }
        }
        Value::Apply { op, inputs } => {
            let inputs: Vec<Stored> = inputs.iter().map(|input| naive(target, input, tensors)).collect();
            whole(op, &inputs).unwrap()
        }
        Value::Tied { to } => panic!("tied to {to}"),
    }
}

pub(super) fn options(threads: usize) -> Options {
    Options { threads, allow_overflow: false }
}

/// Runs a plan into memory: the bytes of each weight file, and the outcomes.
pub(super) fn run(plan: &Plan, readers: &[Arc<dyn Reader>], options: Options) -> Result<(Vec<Vec<u8>>, Vec<Outcome>)> {
    run_in_pieces(plan, readers, options, 4096)
}

pub(super) fn run_in_pieces(
    plan: &Plan,
    readers: &[Arc<dyn Reader>],
    options: Options,
    piece: u64,
) -> Result<(Vec<Vec<u8>>, Vec<Outcome>)> {
    let layout = Layout::of(plan)?;
    let files: Vec<Mutex<Vec<Option<u8>>>> =
        layout.files.iter().map(|file| Mutex::new(vec![None; file.bytes as usize])).collect();
    let write = |file: usize, offset: u64, bytes: &[u8]| {
        let mut file = files[file].lock().unwrap();
        for (slot, byte) in file[offset as usize..].iter_mut().zip(bytes) {
            assert!(slot.is_none(), "a byte is written once");
            *slot = Some(*byte);
        }
        Ok(())
    };
    let outcomes = super::run::transfer(plan, &layout, readers, options, &Silent, piece, &write)?;
    let bytes = files
        .into_iter()
        .map(|file| file.into_inner().unwrap().into_iter().map(|b| b.expect("every byte is written")).collect());
    Ok((bytes.collect(), outcomes))
}

/// The bytes of an assignment in what `run` wrote.
pub(super) fn written(plan: &Plan, files: &[Vec<u8>], assignment: usize) -> Vec<u8> {
    all_written(plan, files).swap_remove(assignment).expect("the assignment takes space")
}

/// The bytes of every assignment in what `run` wrote; `None` for one that takes no space.
pub(super) fn all_written(plan: &Plan, files: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let mut all = vec![None; plan.assignments.len()];
    for (file, bytes) in Layout::of(plan).unwrap().files.iter().zip(files) {
        for span in &file.spans {
            all[span.assignment] = Some(bytes[span.offset as usize..(span.offset + span.len) as usize].to_vec());
        }
    }
    all
}

pub(super) fn digest(bytes: &[u8]) -> String {
    crate::digest::of(bytes)
}

/// Stops after so many questions.
pub(super) struct Interrupted(pub std::sync::atomic::AtomicI64);

impl Progress for Interrupted {
    fn start(&self, _phase: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn interrupted(&self) -> Result<()> {
        match self.0.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) {
            left if left > 0 => Ok(()),
            _ => Err(crate::error::Interrupted(15).into()),
        }
    }
}
