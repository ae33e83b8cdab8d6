//! `xfer verify`: whether an output still is what its report says.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use xfer::error::Exit;
use xfer::job;
use xfer::source::Access;

use super::arguments::ThreadArgs;
use super::output::{Silent, data, json as print_json, warn_all};
use super::progress::{Shown, Signals};

const EXAMPLES: &str = "\
Example:
  xfer verify my
      read every tensor and file of ./my, compare them with my/xfer.json, and generate new values again from the seed

Exit codes: 0 the output matches its report, 4 it differs, 3 there is no report.";

/// Verify that an output directory matches its report
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// Output directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    threads: ThreadArgs,
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn command(args: VerifyArgs, signals: &Signals) -> Result<()> {
    let VerifyArgs { directory, threads, json } = args;
    let progress = Shown::new(signals, false);
    let access = Access::from_environment(None, true, None)?;
    let found = job::verify(&directory, &access, threads.count(), &progress)?;
    warn_all(&found.notes);
    if json {
        print_json(&found.to_json())?
    } else {
        data(&found.to_text(&directory.display().to_string()))?
    }
    if found.same { Ok(()) } else { Err(Silent(Exit::Contract).into()) }
}
