//! `xfer check`: whether the signal passes through a model, forward and backward.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use xfer::check::Verdict;
use xfer::error::Exit;
use xfer::job::{self, CheckRequest};
use xfer::report::{diagnosis, page};

use super::arguments::{HubArgs, ThreadArgs};
use super::output::{OutputArgs, Silent, data, json, warn_all};
use super::progress::{Shown, Signals};
use super::written;

const EXAMPLES: &str = "\
Examples:
  xfer check ./my
      check the weights in ./my on a random batch
  xfer check net.json --init xavier_normal
      check the values that `xfer init --from none` would initialise
  xfer check net.json --init lsuv --data batch.safetensors
      use your own batch; with an array `labels` or `targets` the gradient is that of the loss

Exit codes: 0 ok or warn, 4 fail.";

/// Run one forward and backward pass and report vanishing or exploding signals and dead, saturated or symmetric units
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Directory or repository with weights and a config or xfer.json, or an architecture file
    #[arg(value_name = "MODEL")]
    model: String,
    /// Batch: a safetensors or npz file with one array per input, batch axis first, and optionally `labels` or `targets`;
    /// or random:64 [default: a random batch]
    #[arg(long, value_name = "FILE|random:N")]
    data: Option<String>,
    /// Initialisation of new tensors, as for `xfer init`
    #[arg(long, value_name = "[PATTERN=]SCHEME")]
    init: Vec<String>,
    /// Seed of all random values
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// Write the findings as a self-contained HTML page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn command(args: CheckArgs, signals: &Signals) -> Result<()> {
    let CheckArgs { model, data: batch, init, seed, threads, hub, html, output } = args;
    written::check("--html", html.as_deref())?;
    let progress = Shown::new(signals, output.quiet);
    let request = CheckRequest { model, init, data: batch, seed, threads: threads.count(), access: hub.access()? };
    let checked = job::check(&request, &progress)?;
    warn_all(&checked.notes);
    if let Some(file) = html {
        written::write(&file, &page::check(&checked.diagnosis, &request.model, &checked.data))?;
    }
    match output.json {
        true => json(&diagnosis::json(&checked.diagnosis))?,
        false => data(&diagnosis::text(&checked.diagnosis, &request.model, &checked.data, output.verbose))?,
    }
    match checked.diagnosis.verdict {
        Verdict::Ok | Verdict::Warn => Ok(()),
        Verdict::Fail => Err(Silent(Exit::Contract).into()),
    }
}
