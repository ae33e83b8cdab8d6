//! `convert`: another type, sharding or file, tensor for tensor.

use std::path::{Path, PathBuf};

use super::execution::{Execution, Finished, check_memory};
use super::sources::{self, Opened, SourceArgument};
use super::{current, execute, fetch};
use crate::arch::Selector;
use crate::error::Result;
use crate::job::error::JobError;
use crate::plan::{self, Conversion, Plan};
use crate::progress::Progress;
use crate::report::Report;
use crate::save::{Archive, Layout, Staging};
use crate::source::Access;
use crate::source::error::SourceError;
use crate::tensor::Dtype;
use crate::transfer;

/// The size of a shard where none is said, in bytes.
const SHARD: u64 = 5_000_000_000;

/// What `convert` is asked for.
#[derive(Clone, Debug)]
pub struct ConvertRequest {
    /// SRC, as typed.
    pub from: String,
    /// `--key`: which dictionary of a nested checkpoint.
    pub key: Option<String>,
    /// The type that floats become; `None` keeps each tensor's own.
    pub dtype: Option<Dtype>,
    /// `--to`: the dialect; `None` keeps names and layouts.
    pub to: Option<String>,
    /// `--only`, as typed.
    pub only: Vec<String>,
    /// `--max-shard-size` in bytes, where it was said.
    pub max_shard_size: Option<u64>,
    /// How to reach the Hub.
    pub access: Access,
}

/// Where a conversion goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    /// A directory in Hugging Face's layout.
    Directory,
    File,
    /// One file of another format.
    Archive(Archive),
}

impl Destination {
    /// By the ending. A directory that is there, and a path that ends in `/`, is a directory whatever its name.
    fn of(path: &Path) -> Result<Destination> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let is_spelt = path.as_os_str().to_string_lossy().ends_with('/');
        match ending.as_deref() {
            _ if is_spelt || path.is_dir() => Ok(Destination::Directory),
            Some("safetensors") => Ok(Destination::File),
            Some("pt" | "pth" | "bin" | "ckpt") => Ok(Destination::Archive(Archive::Torch)),
            Some("npz") => Ok(Destination::Archive(Archive::Npz)),
            Some(ending) if is_format(ending) => {
                Err(JobError::Ending { path: path.to_path_buf(), ending: ending.into() }.into())
            }
            Some(_) | None => Ok(Destination::Directory),
        }
    }
}

/// Whether an ending means a format: `x.npz` is not a directory, `llama-3.1-8b` is one.
fn is_format(ending: &str) -> bool {
    let is_short = ending.len() <= 12 && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_short && ending.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// Converts SRC into `execution.out`: a directory with config and companion files, or one file: safetensors, PyTorch, or NumPy, by its ending.
pub fn convert(request: &ConvertRequest, execution: &Execution, progress: &dyn Progress) -> Result<Finished> {
    let destination = Destination::of(&execution.out)?;
    let max_shard_size = match (destination, request.max_shard_size) {
        (Destination::Directory, size) => size.unwrap_or(SHARD),
        (Destination::File | Destination::Archive(_), None) => u64::MAX,
        (Destination::File | Destination::Archive(_), Some(_)) => {
            return Err(JobError::ShardsOfFile { path: execution.out.clone() }.into());
        }
    };
    let only = request.only.iter().map(|text| Selector::parse(text, "--only")).collect::<Result<_>>()?;
    let argument = SourceArgument::only(&request.from)?;
    let opened = sources::open_all(&[argument], request.key.as_slice(), &request.access, progress)?;
    let Some(source) = opened.first() else { return Err(SourceError::NoSource.into()) };
    let with_companions = destination == Destination::Directory;
    let asked = Conversion { dtype: request.dtype, to: request.to.clone(), only, max_shard_size, with_companions };
    let view = source.view();
    let mut plan = plan::convert(&view, &asked, |questions| super::answered(&opened, questions, progress))?;
    plan.warnings.splice(0..0, source.checkpoint.notes.iter().cloned());
    if with_companions && !plan.companions.iter().any(|file| file.name == "config.json") {
        plan.warnings.push("no config.json is written: the source has none".into());
    }
    if destination == Destination::Archive(Archive::Torch) && asked.only.is_empty() {
        let tied = plan::tied_names(&source.view(), &plan.assignments);
        plan.target.tensors += tied.len() as u64;
        plan.assignments.extend(tied);
    }
    match destination {
        Destination::Directory => execute(&plan, &opened, &request.access, execution, progress),
        Destination::File => write_file(&plan, Layout::of(&plan)?, &opened, &request.access, execution, progress),
        Destination::Archive(archive) => {
            let layout = Layout::of_archive(&plan, archive)?;
            write_file(&plan, layout, &opened, &request.access, execution, progress)
        }
    }
}

/// One file, staged beside itself. It holds no report, so that it is up to date is seen from its bytes.
fn write_file(
    plan: &Plan,
    layout: Layout,
    opened: &[Opened],
    access: &Access,
    execution: &Execution,
    progress: &dyn Progress,
) -> Result<Finished> {
    let readers = sources::readers(opened);
    check_memory(plan, &readers, execution)?;
    let (out, options): (&PathBuf, _) = (&execution.out, execution.transfer);
    let bytes_read = fetch(plan, opened, progress)?;
    if current::may_be(&layout, out) {
        let outcomes = transfer::rehearse(plan, &layout, &readers, options, progress)?;
        let report = Report::of(plan, Some(&outcomes));
        let is_same = current::is_file(&report, access, out, options.threads, progress)?;
        if is_same && current::sums_agree(&layout, out, progress)? {
            return Ok(Finished { report, up_to_date: true, bytes_read });
        }
    }
    let staging = Staging::open_file(out, &plan.hash(), execution.replace)?;
    let outcomes = transfer::run(plan, &layout, &readers, &staging, options, progress)?;
    progress.interrupted()?;
    if let Some(file) = layout.files.first() {
        staging.publish_file(&file.name, execution.sync)?;
    }
    Ok(Finished { report: Report::of(plan, Some(&outcomes)), up_to_date: false, bytes_read })
}
