//! A checkpoint as a plan would write it, read without being written.

use std::sync::{Arc, Mutex, PoisonError};

use super::produce;
use super::scratch::{room, size};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::{CheckpointFormat, Extent, Listing, Reader, row_bytes};
use crate::error::Result;
use crate::hash::HashMap;
use crate::plan::{Assignment, Plan, Value};
use crate::tensor::Rows;
use crate::transfer::error::TransferError;

/// What a plan makes of its sources: every tensor that it writes, computed where it is read. A computed tensor is held from the read
/// of its first rows to that of its last, since a transposition by pieces would read all of its input for each.
pub(crate) struct Planned {
    listing: Listing,
    seed: u64,
    /// In the order of the listing.
    assignments: Vec<Assignment>,
    readers: Vec<Arc<dyn Reader>>,
    held: Mutex<HashMap<usize, Arc<Vec<u8>>>>,
}

impl Planned {
    /// The tensors of a plan over its sources. A tied tensor has no values of its own and is left out.
    pub(crate) fn new(plan: Plan, readers: Vec<Arc<dyn Reader>>) -> Planned {
        let format = readers.first().map_or(CheckpointFormat::Safetensors, |reader| reader.listing().format);
        let is_written = |assignment: &Assignment| !matches!(assignment.value, Value::Tied { .. });
        let mut assignments: Vec<Assignment> = plan.assignments.into_iter().filter(is_written).collect();
        let tensors = assignments.iter().map(|assignment| assignment.target.clone()).collect();
        let listing = Listing::new(format, tensors, Vec::new(), None);
        assignments.sort_by_key(|assignment| listing.position(&assignment.target.name));
        Planned { listing, seed: plan.seed, assignments, readers, held: Mutex::default() }
    }

    /// The source tensor that is copied, where nothing is computed.
    fn copied(&self, tensor: usize) -> Option<(&dyn Reader, usize)> {
        match &self.assignments.get(tensor)?.value {
            Value::Source { source, tensor, .. } => {
                let reader = self.readers.get(*source)?.as_ref();
                Some((reader, reader.listing().position(tensor)?))
            }
            Value::Init { .. }
            | Value::Count { .. }
            | Value::Computed { .. }
            | Value::Apply { .. }
            | Value::Tied { .. } => None,
        }
    }

    fn whole(&self, tensor: usize, assignment: &Assignment) -> Result<Arc<Vec<u8>>> {
        if let Some(held) = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&tensor) {
            return Ok(held.clone());
        }
        let len = size(assignment.target.bytes()?)?;
        let mut bytes = room(len)?;
        bytes.resize(len, 0);
        produce(self.seed, assignment, &self.readers, 0..assignment.target.rows(), &mut bytes)?;
        let whole = Arc::new(bytes);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(tensor, whole.clone());
        Ok(whole)
    }
}

impl Reader for Planned {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn extent(&self, tensor: usize) -> Option<Extent> {
        let (reader, index) = self.copied(tensor)?;
        reader.extent(index)
    }

    fn read(&self, tensor: usize, rows: Rows, out: &mut [u8]) -> Result<()> {
        if let Some((reader, index)) = self.copied(tensor) {
            return reader.read(index, rows, out);
        }
        let Some(assignment) = self.assignments.get(tensor) else {
            return Err(CheckpointError::Index { index: tensor, tensors: self.assignments.len() }.into());
        };
        let all = assignment.target.rows();
        if rows == (0..all) {
            return produce(self.seed, assignment, &self.readers, rows, out);
        }
        let (start, len) = row_bytes(&assignment.target, assignment.target.bytes()?, rows.clone())?;
        let whole = self.whole(tensor, assignment)?;
        let part = whole.get(size(start)?..size(start.saturating_add(len))?).filter(|part| part.len() == out.len());
        match part {
            Some(part) => out.copy_from_slice(part),
            None => {
                let (tensor, expected, found) = (assignment.target.name.clone(), len, out.len() as u64);
                return Err(TransferError::Buffer { tensor: tensor.to_string(), expected, found }.into());
            }
        }
        if rows.end == all {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&tensor);
        }
        Ok(())
    }

    fn scratch(&self, tensor: usize) -> u64 {
        match self.copied(tensor) {
            Some((reader, index)) => reader.scratch(index),
            None => self.listing.tensors.get(tensor).and_then(|info| info.bytes().ok()).unwrap_or(0),
        }
    }
}
