//! Arguments that several commands share.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use xfer::arch::Flags;
use xfer::job::Execution;
use xfer::report::{Report, page};
use xfer::save::{Replace, Sync};
use xfer::source::Access;
use xfer::tensor::Dtype;
use xfer::transfer;

use super::{size, written};

/// What the user says about single tensors.
#[derive(Args, Default)]
pub struct RuleArgs {
    /// Take the target tensors TO from the source tensors FROM, for example
    /// 'enc.{i}.**=bert.encoder.layer.{i}.**'
    #[arg(long, value_name = "TO=FROM[|op…]")]
    pub(super) map: Vec<String>,
    /// Source layers for the repeated block PATH: indices, ranges and `new`, or one of first, last, every:k[+o], spaced,
    /// stack, interleave, interpolate, expand
    #[arg(long, value_name = "PATH=LIST")]
    pub(super) depth: Vec<String>,
    /// Initialisation of new tensors, for example 'classifier.**=xavier_uniform' or he_normal(mode=fan_out)
    #[arg(long, value_name = "[PATTERN=]SCHEME")]
    pub(super) init: Vec<String>,
    /// Initialise these target tensors even if the source has them
    #[arg(long, value_name = "PATTERN")]
    pub(super) reinit: Vec<String>,
    /// Class names of the classifier, in order
    #[arg(long, value_name = "A,B,C")]
    pub(super) labels: Option<String>,
    /// Override a key of the Hugging Face config, for example num_hidden_layers=6
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// How to reach the Hub.
#[derive(Args)]
pub struct HubArgs {
    /// Branch, tag or commit of a Hub repository
    #[arg(long, value_name = "R")]
    pub(super) revision: Option<String>,
    /// Hugging Face cache directory [default: HF_HUB_CACHE, or HF_HOME/hub]
    #[arg(long, value_name = "D")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Use only files in the cache, as with HF_HUB_OFFLINE=1
    #[arg(long)]
    pub(super) offline: bool,
}

/// How many threads work; no byte of a result depends on it.
#[derive(Args)]
pub struct ThreadArgs {
    /// Number of worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
}

impl ThreadArgs {
    /// The number, at least one.
    pub fn count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }
}

/// How a plan is carried out.
#[derive(Args)]
pub struct ExecutionArgs {
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
    /// Fail before the transfer starts if it needs more memory than this
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(super) max_memory: Option<u64>,
    /// Replace an existing output directory if xfer wrote it
    #[arg(long)]
    pub(super) force: bool,
    /// Do not wait until the data are on the disk (no fsync)
    #[arg(long)]
    pub(super) no_sync: bool,
    /// Allow values to become infinite when they are cast
    #[arg(long)]
    pub(super) allow_overflow: bool,
    /// Do not fail if `lsuv` finds these weights dead, non-finite or unused; leave them unscaled
    #[arg(long, value_name = "PATTERN")]
    pub(super) allow_dead: Vec<String>,
    #[command(flatten)]
    pub reports: ReportArgs,
}

/// Where the report goes beside stdout and the output directory.
#[derive(Args, Clone, Debug, Default)]
pub struct ReportArgs {
    /// Write a copy of the JSON report to this file
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Write the report as a self-contained HTML page with plots
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

impl ReportArgs {
    /// Refuses what could not be written, before any work.
    pub fn check(&self) -> Result<()> {
        written::check("--report", self.report.as_deref())?;
        Ok(written::check("--html", self.html.as_deref())?)
    }

    /// Writes what was asked for; `out` is what the page is called.
    pub fn write(&self, report: &Report, out: &Path) -> Result<()> {
        if let Some(file) = &self.report {
            written::write_by(file, |out| report.write_json(out))?;
        }
        if let Some(file) = &self.html {
            let title = out.file_name().map(|name| name.to_string_lossy().into_owned());
            written::write(file, &page::init(report, &title.unwrap_or_else(|| "plan".into())))?;
        }
        Ok(())
    }
}

/// `--dtype`.
#[derive(Clone, Copy, ValueEnum)]
pub enum DtypeArg {
    /// Keep the type of each tensor
    Keep,
    /// 32-bit floating point
    F32,
    /// 16-bit floating point
    F16,
    /// bfloat16: 16 bits with the range of f32
    Bf16,
}

impl DtypeArg {
    /// The type that floats become; `None` keeps each tensor's own.
    pub fn dtype(self) -> Option<Dtype> {
        match self {
            DtypeArg::Keep => None,
            DtypeArg::F32 => Some(Dtype::F32),
            DtypeArg::F16 => Some(Dtype::F16),
            DtypeArg::Bf16 => Some(Dtype::Bf16),
        }
    }
}

/// A number from 0 to 1.
pub fn share(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a number between 0 and 1")),
    }
}

impl HubArgs {
    /// Flags over environment over defaults.
    pub fn access(self) -> Result<Access> {
        let HubArgs { revision, cache_dir, offline } = self;
        Ok(Access::from_environment(cache_dir, offline, revision)?)
    }
}

impl ExecutionArgs {
    /// The execution into `out`.
    pub fn execution(&self, out: PathBuf) -> Execution {
        let ExecutionArgs { threads, max_memory, force, no_sync, allow_overflow, allow_dead, reports: _ } = self;
        Execution {
            out,
            replace: if *force { Replace::OwnOutput } else { Replace::Refuse },
            sync: if *no_sync { Sync::Skip } else { Sync::Wait },
            transfer: transfer::Options { threads: threads.count(), allow_overflow: *allow_overflow },
            max_memory: *max_memory,
            allow_dead: allow_dead.clone(),
        }
    }
}

impl RuleArgs {
    /// The flags of `xfer arch` and of `init` alike.
    pub fn flags(self) -> Flags {
        let RuleArgs { map, depth, init, reinit, labels, set } = self;
        Flags { map, depth, init, reinit, labels, set, new: Vec::new(), unused: Vec::new() }
    }
}
