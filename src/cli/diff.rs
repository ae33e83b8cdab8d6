//! `xfer diff`: how two checkpoints differ.

use anyhow::Result;
use clap::Args;
use xfer::checkpoint::OpenOptions;
use xfer::error::Exit;
use xfer::job;

use super::arguments::{HubArgs, ThreadArgs};
use super::output::{Silent, data, json as print_json, warn_all};
use super::progress::{Shown, Signals};

const EXAMPLES: &str = "\
Examples:
  xfer diff bert-base ./my-bert
      compare names, shapes and types; read only the headers
  xfer diff before.safetensors after.safetensors --values
      also compare the values of each tensor
  xfer diff model.gguf ./my-llama --values
      compare two naming schemes of one family, both converted to that of transformers

Exit codes: 0 no differences, 4 differences.";

/// Compare the tensors of two checkpoints: names, shapes, dtypes and, with --values, values
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// First checkpoint: org/name[@rev], hf://…, an alias, a directory or a file
    a: String,
    /// Second checkpoint
    b: String,
    /// Also compare values and print the largest absolute and relative difference of each tensor
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn command(args: DiffArgs, signals: &Signals) -> Result<()> {
    let DiffArgs { a, b, values, threads, hub, json } = args;
    let progress = Shown::new(signals, false);
    let access = hub.access()?;
    let options = OpenOptions { headers: !values, part: true, ..OpenOptions::default() };
    let open = |typed: &str| job::open(typed, &options, &access, &progress);
    let (left, right) = (open(&a)?, open(&b)?);
    warn_all(left.notes.iter().chain(&right.notes));
    let found = job::diff(&left.reader, &right.reader, values, threads.count(), &progress)?;
    if json {
        print_json(&found.to_json())?
    } else {
        data(&found.to_text(&a, &b))?
    }
    if found.same { Ok(()) } else { Err(Silent(Exit::Contract).into()) }
}
