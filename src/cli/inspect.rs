//! `xfer inspect`: what is in a checkpoint, from its headers.

use anyhow::Result;
use clap::Args;
use xfer::checkpoint::OpenOptions;
use xfer::job;
use xfer::source::aliases;
use xfer::text::Text;

use super::arguments::{HubArgs, ThreadArgs};
use super::output::{data, json as print_json, warn_all};
use super::progress::{Shown, Signals};

const EXAMPLES: &str = "\
Examples:
  xfer inspect bert-base
      read only the headers
  xfer inspect ./my --stats
      also print statistics of the values";

/// Print the contents of a checkpoint: format, family, tensors, dtypes and parameter counts
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct InspectArgs {
    /// Checkpoint: org/name[@rev], hf://…, an alias, a directory or a file
    #[arg(required_unless_present = "aliases")]
    source: Option<String>,
    /// Print the aliases and the repositories that they stand for
    #[arg(long)]
    aliases: bool,
    /// Also read all values and print mean, standard deviation, minimum, maximum, NaN and infinities of each tensor
    #[arg(long)]
    stats: bool,
    /// Key of the state_dict in a nested PyTorch checkpoint, for example state_dict or model.ema; `.` for the whole file
    /// [default: the usual keys]
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn command(args: InspectArgs, signals: &Signals) -> Result<()> {
    let InspectArgs { source, aliases: list, stats, key, threads, hub, json } = args;
    if list {
        let lines = aliases().map(|(alias, repository)| format!("{alias}\t{repository}\n"));
        return data(&Text::own(lines.collect::<String>()));
    }
    let progress = Shown::new(signals, false);
    let options = OpenOptions { key: key.as_deref(), headers: !stats, part: true, ..OpenOptions::default() };
    let opened = job::open(&source.unwrap_or_default(), &options, &hub.access()?, &progress)?;
    let inspected = job::inspect(&opened, stats, threads.count(), &progress)?;
    warn_all(&inspected.notes);
    if json { print_json(&inspected.to_json()) } else { data(&inspected.to_text()) }
}
