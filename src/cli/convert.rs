//! `xfer convert`: another type, sharding or file, tensor for tensor.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use xfer::job::{self, ConvertRequest};

use super::init::{DtypeArg, ExecutionArgs, HubArgs, conclude};
use super::output::OutputArgs;
use super::progress::{Shown, Signals};
use super::size;

const EXAMPLES: &str = "\
Examples:
  xfer convert bert-base ./bert-bf16 --dtype bf16
      a directory in Hugging Face's layout, its config and tokenizer carried along
  xfer convert ./sharded model.safetensors
      all tensors in one file
  xfer convert ./bert encoder.safetensors --only 'bert.encoder.**'
      some of them";

/// Write a checkpoint in another type, sharding or file, tensor for tensor
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ConvertArgs {
    /// org/name[@rev], hf://…, an alias, a directory or a file
    #[arg(value_name = "SRC")]
    from: String,
    /// A directory, or a file ending in .safetensors, .pt (.pth, .bin, .ckpt) or .npz
    #[arg(value_name = "DST")]
    out: PathBuf,
    /// Element type of the floats that are written [default: as they are stored]
    #[arg(long, value_enum)]
    dtype: Option<DtypeArg>,
    /// Spell and lay out tensors as this dialect of their family, or `hf` for Hugging Face's own [default: as they are]
    #[arg(long, value_name = "DIALECT")]
    to: Option<String>,
    /// Largest size of a weight file of a directory, decimal [default: 5GB]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_shard_size: Option<u64>,
    /// Write these source tensors alone; repeatable
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Which dictionary of a nested PyTorch checkpoint, as state_dict or model.ema; `.` for all [default: the usual ones]
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    execution: ExecutionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn command(args: ConvertArgs, signals: &Signals) -> Result<()> {
    let started = Instant::now();
    let ConvertArgs { from, out, dtype, to, max_shard_size, only, key, hub, execution, output } = args;
    execution.reports.check()?;
    let dtype = dtype.and_then(DtypeArg::dtype);
    let request = ConvertRequest { from, key, dtype, to, only, max_shard_size, access: hub.access()? };
    let progress = Shown::new(signals, output.quiet);
    let how = execution.execution(out);
    let finished = job::convert(&request, &how, &progress)?;
    conclude(&finished, &how.out, "is written", &execution.reports, &output, started)
}
