//! `xfer check`: whether the signal passes through a model, forward and backward.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use xfer::check::Verdict;
use xfer::error::Exit;
use xfer::job::{self, CheckRequest};
use xfer::report::{diagnosis, page};

use super::init::{HubArgs, ThreadArgs};
use super::output::{OutputArgs, Silent, data, json, warn_all};
use super::progress::{Shown, Signals};
use super::written;

const EXAMPLES: &str = "\
Examples:
  xfer check ./my
      the weights in ./my, on a random batch
  xfer check net.json --init xavier_normal
      an architecture with the values that `xfer init --from none` would give it
  xfer check net.json --init lsuv --data batch.safetensors
      on a batch of your own; with an array `labels` or `targets` the gradient is that of the loss

Exit codes: 0 ok or warn, 4 fail.";

/// Run a model once, forward and backward: does the signal vanish or explode, is anything dead, saturated or symmetric
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// A directory or repository with weights and what describes them, or an architecture file
    #[arg(value_name = "MODEL")]
    model: String,
    /// The batch: safetensors or npz with one array for each input, examples first, and `labels` or `targets` where there
    /// are any; or random:64 [default: a random one]
    #[arg(long, value_name = "FILE|random:N")]
    data: Option<String>,
    /// How new weights start, as in `xfer init`
    #[arg(long, value_name = "[PATTERN=]SCHEME")]
    init: Vec<String>,
    /// Seed of every draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// Write what was found as a page with pictures: one file, no network
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
