//! What `init` is asked to plan, how a plan is carried out, and what came of it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::arch;
use crate::checkpoint::Reader;
use crate::error::Result;
use crate::job::error::JobError;
use crate::plan::{self, Plan};
use crate::report::Report;
use crate::save::{Layout, Replace, Staging, Sync};
use crate::source::Access;
use crate::transfer;

/// What `init` is asked to plan.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// `--from`, as typed and in order; empty where it was not given.
    pub from: Vec<String>,
    /// `--key`: which dictionary of a nested checkpoint.
    pub key: Vec<String>,
    /// `--arch`, as typed.
    pub arch: String,
    /// The rule flags.
    pub flags: arch::Flags,
    /// `--data`, as typed: what `lsuv` measures the model on.
    pub data: Option<String>,
    /// Seed, dtype, shards and the coverage contract.
    pub options: plan::Options,
    /// How to reach the Hub.
    pub access: Access,
}

/// How a plan is carried out; nothing here changes a byte of the weights.
#[derive(Clone, Debug)]
pub struct Execution {
    /// DIR.
    pub out: PathBuf,
    /// What may stand there.
    pub replace: Replace,
    /// Whether to wait for the disk.
    pub sync: Sync,
    /// Worker threads and casts that may overflow.
    pub transfer: transfer::Options,
    /// `--max-memory` in bytes.
    pub max_memory: Option<u64>,
    /// `--allow-dead`, as typed: weights that `lsuv` may leave as they are.
    pub allow_dead: Vec<String>,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What `xfer.json` holds.
    pub report: Report,
    /// Whether DIR already was what the plan makes, so that nothing was written.
    pub up_to_date: bool,
    /// Bytes of source tensors that the values were made from.
    pub bytes_read: u64,
}

/// An output that is not published yet.
pub(super) struct Written<'a> {
    pub plan: &'a Plan,
    pub layout: &'a Layout,
    pub staging: &'a Staging,
}

pub(super) fn check_memory(plan: &Plan, readers: &[Arc<dyn Reader>], execution: &Execution) -> Result<()> {
    match execution.max_memory {
        Some(_) => allow_memory(transfer::peak(plan, readers, execution.transfer.threads)?, execution),
        None => Ok(()),
    }
}

/// An error where so many bytes are more than `--max-memory` allows.
pub(super) fn allow_memory(needed: u64, execution: &Execution) -> Result<()> {
    match execution.max_memory {
        Some(allowed) if needed > allowed => Err(JobError::Memory { needed, allowed }.into()),
        Some(_) | None => Ok(()),
    }
}
