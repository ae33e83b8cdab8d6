//! `xfer convert`: another type, sharding or file, tensor for tensor.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use xfer::job::{self, ConvertRequest};

use super::arguments::{DtypeArg, ExecutionArgs, HubArgs};
use super::init::conclude;
use super::output::OutputArgs;
use super::progress::{Shown, Signals};
use super::size;

const EXAMPLES: &str = "\
Examples:
  xfer convert bert-base ./bert-bf16 --dtype bf16
      write a Hugging Face directory in bf16, with its config and tokenizer
  xfer convert ./sharded model.safetensors
      write all tensors to one file
  xfer convert ./bert encoder.safetensors --only 'bert.encoder.**'
      write only some tensors";

/// Convert a checkpoint to another dtype, sharding, file format or naming
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ConvertArgs {
    /// Checkpoint: org/name[@rev], hf://…, an alias, a directory or a file
    #[arg(value_name = "SRC")]
    from: String,
    /// Output: a directory, or a file that ends in .safetensors, .pt (.pth, .bin, .ckpt) or .npz
    #[arg(value_name = "DST")]
    out: PathBuf,
    /// Floating-point type of the output [default: as stored]
    #[arg(long, value_enum)]
    dtype: Option<DtypeArg>,
    /// Write tensor names and layouts of this dialect, or `hf` for those of transformers [default: as stored]
    #[arg(long, value_name = "DIALECT")]
    to: Option<String>,
    /// Maximum size of a weight file of a directory, in decimal units [default: 5GB]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_shard_size: Option<u64>,
    /// Write only these source tensors; can be repeated
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Key of the state_dict in a nested PyTorch checkpoint, for example state_dict or model.ema; `.` for the whole file
    /// [default: the usual keys]
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
