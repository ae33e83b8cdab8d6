//! `xfer inspect`: what is in a checkpoint, from its headers.

use anyhow::Result;
use clap::Args;
use xfer::checkpoint::OpenOptions;
use xfer::job;
use xfer::source::aliases;
use xfer::text::Text;

use super::init::{HubArgs, ThreadArgs};
use super::output::{data, json as print_json, warn_all};
use super::progress::{Shown, Signals};

const EXAMPLES: &str = "\
Examples:
  xfer inspect bert-base
      from the headers alone
  xfer inspect ./my --stats
      what the values of each tensor are like";

/// Print what is in a checkpoint: format, tensors, dtypes, parameters, family
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct InspectArgs {
    /// org/name[@rev], hf://…, an alias, a directory or a file
    #[arg(required_unless_present = "aliases")]
    source: Option<String>,
    /// Print the aliases and what they stand for
    #[arg(long)]
    aliases: bool,
    /// Read all values too: mean, standard deviation, extremes, NaN and infinite ones of each tensor
    #[arg(long)]
    stats: bool,
    /// Which dictionary of a nested PyTorch checkpoint, as state_dict or model.ema; `.` for all [default: the usual ones]
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
