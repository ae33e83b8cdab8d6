//! `xfer init`: the main job.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use xfer::arch::Flags;
use xfer::error::{Error, Exit};
use xfer::job::{self, Execution, Finished, PlanRequest, Prepared};
use xfer::plan::{DtypeChoice, Options};
use xfer::report::{Report, mismatched, text};
use xfer::save::default_out;
use xfer::tensor::megabytes;
use xfer::text::Text;

use super::arguments::{DtypeArg, ExecutionArgs, HubArgs, ReportArgs, RuleArgs, share};
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
        None => DtypeChoice::Default,
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
