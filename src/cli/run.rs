//! `xfer run`: carries out a plan that was written, reviewed, perhaps edited.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use xfer::job;

use super::arguments::{ExecutionArgs, HubArgs};
use super::init::{READY, conclude};
use super::output::OutputArgs;
use super::progress::{Shown, Signals};

const EXAMPLES: &str = "\
Example:
  xfer init --from bert-base --arch my.json --dry-run --plan plan.json
  xfer run plan.json --out my";

/// Execute a plan written by `xfer init --plan FILE`
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Plan file
    plan: PathBuf,
    /// Output directory
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    execution: ExecutionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn command(args: RunArgs, signals: &Signals) -> Result<()> {
    let started = Instant::now();
    let RunArgs { plan, out, hub, execution, output } = args;
    execution.reports.check()?;
    let plan = job::read_plan(&plan)?;
    let progress = Shown::new(signals, output.quiet);
    let how = execution.execution(out);
    let finished = job::run(&plan, &hub.access()?, &how, &progress)?;
    conclude(&finished, &how.out, READY, &execution.reports, &output, started)
}
