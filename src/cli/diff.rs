//! `xfer diff`: how two checkpoints differ.

use anyhow::Result;
use clap::Args;
use xfer::checkpoint::OpenOptions;
use xfer::error::Exit;
use xfer::job;

use super::init::{HubArgs, ThreadArgs};
use super::output::{Silent, data, json as print_json, warn_all};
use super::progress::{Shown, Signals};

const EXAMPLES: &str = "\
Examples:
  xfer diff bert-base ./my-bert
      names, shapes and types, from the headers alone
  xfer diff before.safetensors after.safetensors --values
      how far apart the values of each tensor are
  xfer diff model.gguf ./my-llama --values
      two dialects of one family, both as Hugging Face spells and stores them

Exit codes: 0 nothing differs, 4 something does.";

/// Show which tensors of two checkpoints differ, in name, shape, type and, on demand, values
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// org/name[@rev], hf://…, an alias, a directory or a file
    a: String,
    /// The other
    b: String,
    /// Compare values too: the largest absolute and relative difference of each tensor
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
