//! `xfer init`: the main job.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use xfer::arch::Flags;
use xfer::error::{Error, Exit};
use xfer::job::{self, Execution, Finished, PlanRequest, Prepared};
use xfer::plan::{DtypeChoice, Options};
use xfer::report::{Report, mismatched, page, text};
use xfer::save::{Replace, Sync, default_out};
use xfer::source::Access;
use xfer::tensor::{Dtype, megabytes};
use xfer::text::Text;
use xfer::transfer;

use super::error::OutputError;
use super::output::{OutputArgs, Silent, data, hints, json_by, json_of, talk, warn_all};
use super::progress::{Shown, Signals};
use super::{size, written};

const EXAMPLES: &str = "\
Examples:
  xfer init --from bert-base --arch my.json
      my.json is a Hugging Face config, a native file or a listing; the output is ./my
  xfer init --from ./minilm --arch ./minilm --set num_hidden_layers=3 --depth encoder.layer=every:2 --out half
      keep every second layer of a checkpoint
  xfer init --from ./bert --arch ./bert --labels billing,refund,other --init 'classifier.**=xavier_uniform' --out router
      replace the classifier
  xfer init --from old=./a --from new=./b --arch my.json --map 'enc.**=old:encoder.**' --map 'dec.**=new:decoder.**'
      combine two sources
  xfer init --from none --arch my.json --init he_normal --seed 7
      initialise a model from scratch
  xfer init --from none --arch my.json --init lsuv --data batch.safetensors
      initialise a model from scratch and scale every layer to unit variance on a batch";

/// Transfer pretrained weights into an architecture and initialise the remaining tensors
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// Source of the weights: org/name[@rev], hf://…, an alias (xfer inspect --aliases), a directory, a file, or `none`;
    /// each of several sources needs a name
    #[arg(long, value_name = "[NAME=]SRC", required = true)]
    from: Vec<String>,
    /// Target architecture: an architecture file, a directory, or org/name[@rev] to use its config
    #[arg(long)]
    arch: String,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    contract: ContractArgs,
    /// Batch for `lsuv`: a safetensors file with one array per input, batch axis first; or random:64 to generate one from
    /// the declared inputs
    #[arg(long, value_name = "FILE|random:N")]
    data: Option<String>,
    /// Seed of all random values
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Floating-point type of the output [default: as the architecture specifies]
    #[arg(long, value_enum)]
    dtype: Option<DtypeArg>,
    /// Maximum size of a weight file, in decimal units
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = size::parse)]
    max_shard_size: u64,
    /// Key of the state_dict in a nested PyTorch checkpoint, for example state_dict or model.ema; `.` for the whole file;
    /// NAME=KEY for one of several sources [default: the usual keys]
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    hub: HubArgs,
    /// Output directory [default: the name of the ARCH file without its extension, in the working directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    execution: ExecutionArgs,
    /// Print the plan and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the plan as JSON for `xfer run`
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What the user says about single tensors.
#[derive(Args, Default)]
pub struct RuleArgs {
    /// Take the target tensors TO from the source tensors FROM, for example
    /// 'enc.{i}.**=bert.encoder.layer.{i}.**'
    #[arg(long, value_name = "TO=FROM[|op…]")]
    map: Vec<String>,
    /// Source layers for the repeated block PATH: indices, ranges and `new`, or one of first, last, every:k[+o], spaced,
    /// stack, interleave, interpolate, expand
    #[arg(long, value_name = "PATH=LIST")]
    depth: Vec<String>,
    /// Initialisation of new tensors, for example 'classifier.**=xavier_uniform' or he_normal(mode=fan_out)
    #[arg(long, value_name = "[PATTERN=]SCHEME")]
    init: Vec<String>,
    /// Initialise these target tensors even if the source has them
    #[arg(long, value_name = "PATTERN")]
    reinit: Vec<String>,
    /// Class names of the classifier, in order
    #[arg(long, value_name = "A,B,C")]
    labels: Option<String>,
    /// Override a key of the Hugging Face config, for example num_hidden_layers=6
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// The coverage contract.
#[derive(Args)]
struct ContractArgs {
    /// Target tensors that are expected to be new
    #[arg(long, value_name = "PATTERN")]
    new: Vec<String>,
    /// Source tensors that are expected to be unused
    #[arg(long, value_name = "PATTERN")]
    unused: Vec<String>,
    /// Fail if a tensor is new, mismatched or unused without being declared
    #[arg(long)]
    strict: bool,
    /// Minimum fraction of the target's parameters, without heads, that the source must provide
    #[arg(long, value_name = "F", default_value_t = 0.5, value_parser = share)]
    min_coverage: f64,
}

/// How to reach the Hub.
#[derive(Args)]
pub struct HubArgs {
    /// Branch, tag or commit of a Hub repository
    #[arg(long, value_name = "R")]
    revision: Option<String>,
    /// Hugging Face cache directory [default: HF_HUB_CACHE, or HF_HOME/hub]
    #[arg(long, value_name = "D")]
    cache_dir: Option<PathBuf>,
    /// Use only files in the cache, as with HF_HUB_OFFLINE=1
    #[arg(long)]
    offline: bool,
}

/// How many threads work; no byte of a result depends on it.
#[derive(Args)]
pub struct ThreadArgs {
    /// Number of worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
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
    threads: ThreadArgs,
    /// Fail before the transfer starts if it needs more memory than this
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_memory: Option<u64>,
    /// Replace an existing output directory if xfer wrote it
    #[arg(long)]
    force: bool,
    /// Do not wait until the data are on the disk (no fsync)
    #[arg(long)]
    no_sync: bool,
    /// Allow values to become infinite when they are cast
    #[arg(long)]
    allow_overflow: bool,
    /// Do not fail if `lsuv` finds these weights dead, non-finite or unused; leave them unscaled
    #[arg(long, value_name = "PATTERN")]
    allow_dead: Vec<String>,
    #[command(flatten)]
    pub reports: ReportArgs,
}

/// Where the report goes beside stdout and the output directory.
#[derive(Args, Clone, Debug, Default)]
pub struct ReportArgs {
    /// Write a copy of the JSON report to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the report as a self-contained HTML page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
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

/// Runs the command.
pub fn command(args: InitArgs, signals: &Signals) -> Result<()> {
    let started = Instant::now();
    let InitArgs {
        from,
        arch,
        rules,
        contract,
        data,
        seed,
        dtype,
        max_shard_size,
        key,
        hub,
        out,
        execution,
        dry_run,
        plan,
        output,
    } = args;
    execution.reports.check()?;
    written::check("--plan", plan.as_deref())?;
    let ContractArgs { new, unused, strict, min_coverage } = contract;
    let out = if dry_run { out.unwrap_or_default() } else { output_directory(out, &arch)? };
    let request = PlanRequest {
        from,
        key,
        arch,
        flags: Flags { new, unused, ..rules.flags() },
        data,
        options: Options { seed, dtype: choice(dtype), max_shard_size, min_coverage, strict },
        access: hub.access()?,
    };
    let progress = Shown::new(signals, output.quiet);
    let prepared = job::prepare(&request, &progress)?;
    warn_all(&prepared.notes);
    if let Some(path) = &plan {
        written::write_by(path, |out| prepared.planned.plan.write_json(out))?;
    }
    let how = execution.execution(out);
    if dry_run {
        return dry(prepared, &how, &output, &execution.reports);
    }
    let finished = job::init(prepared, &how, &progress)?;
    conclude(&finished, &how.out, READY, &execution.reports, &output, started)
}

fn output_directory(out: Option<PathBuf>, arch: &str) -> Result<PathBuf> {
    out.or_else(|| default_out(Path::new(arch)))
        .ok_or_else(|| Error::from(OutputError::NoOut { arch: arch.to_string() }).into())
}

fn choice(dtype: Option<DtypeArg>) -> DtypeChoice {
    match dtype.map(DtypeArg::dtype) {
        None => DtypeChoice::Unsaid,
        Some(None) => DtypeChoice::Keep,
        Some(Some(dtype)) => DtypeChoice::To(dtype),
    }
}

fn dry(prepared: Prepared, how: &Execution, output: &OutputArgs, reports: &ReportArgs) -> Result<()> {
    let threads = how.transfer.threads;
    let peak = prepared.peak(threads)?;
    let Prepared { planned, sources, architecture, .. } = prepared;
    // of a hundred thousand tensors they take as much memory as the report
    drop((sources, architecture));
    let report = Report::of(&planned.plan, None);
    reports.write(&report, &how.out)?;
    warn_all(&report.warnings);
    if output.json {
        json_by(|out| report.write_json(out))?;
    } else {
        let mut text = text::render(&report, output.detail());
        text.blank();
        let _ = writeln!(text, "memory: at most {} with {threads} threads", megabytes(peak));
        // with violations nothing passes, and what --strict would add to them is no news
        if planned.violations.is_empty() || !planned.strict_lines.is_empty() {
            strict_lines(&planned.strict_lines, &mut text);
        }
        data(&text)?;
    }
    if planned.violations.is_empty() {
        return Ok(());
    }
    for violation in &planned.violations {
        talk(&format!("error: {violation}"));
        hints(&xfer::error::Fault::hints(violation));
    }
    Err(Silent(Exit::Contract).into())
}

fn strict_lines(lines: &[String], text: &mut Text) {
    text.blank();
    if lines.is_empty() {
        text.line("--strict would pass as it is");
        return;
    }
    text.line("to pass --strict add");
    for (number, line) in lines.iter().enumerate() {
        let more = if number + 1 < lines.len() { " \\" } else { "" };
        let _ = writeln!(text, "  {line}{more}");
    }
}

/// What an output of `init` and `run` is.
pub const READY: &str = "is ready to fine-tune";

/// Prints what was done, and what `out` is now.
pub fn conclude(
    finished: &Finished,
    out: &Path,
    state: &str,
    reports: &ReportArgs,
    output: &OutputArgs,
    started: Instant,
) -> Result<()> {
    let Finished { report, up_to_date, bytes_read } = finished;
    reports.write(report, out)?;
    warn_all(&report.warnings);
    let seconds = started.elapsed().as_secs_f64();
    if output.json {
        let measured = Measured { report, seconds, bytes_read: *bytes_read, peak_memory: peak_memory() };
        return json_of(&measured);
    }
    let mut text = text::render(report, output.detail());
    let state = match (*up_to_date, mismatched::summary(&report.mismatched)) {
        (true, None) => "is already up to date".to_string(),
        (true, Some(mismatched)) => format!("is already up to date, in which {mismatched}"),
        (false, None) => state.to_string(),
        (false, Some(mismatched)) => format!("is written; {mismatched}"),
    };
    text.blank();
    let _ = writeln!(text, "{} {state} ({seconds:.1} s)", out.display());
    data(&text)
}

/// The report, and what this run took.
#[derive(serde::Serialize)]
struct Measured<'a> {
    #[serde(flatten)]
    report: &'a Report,
    seconds: f64,
    bytes_read: u64,
    peak_memory: Option<u64>,
}

/// The largest resident size of this process in bytes, as the operating system counts it; `None` where it does not say.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
