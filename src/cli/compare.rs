//! `xfer compare`: which initialisation learns, on data of one's own.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use xfer::compare::{Optimizer, Settings};
use xfer::error::{Fault, Interrupted};
use xfer::job::{self, CompareRequest};
use xfer::report::{comparison, page};

use super::arguments::{HubArgs, ThreadArgs, share};
use super::output::{Silent, data, json, talk};
use super::progress::{Shown, Signals};
use super::written;

const EXAMPLES: &str = "\
Examples:
  xfer compare --arch net.json --data digits.safetensors
      compare zeros, small normals, xavier, he and lsuv with three seeds each
  xfer compare --arch net.json --data digits.npz --init he_normal --init 'he_normal(mode=fan_out)' --epochs 5
      compare other initialisations
  xfer compare --arch router.json --data tickets.safetensors --from bert-base --optimizer adamw --lr 5e-5
      also compare a transfer from bert-base

The data file holds one array per input, batch axis first, and `labels` (i64 classes, [N] or [N, T], -100 is ignored)
or `targets` (f32).";

/// Train briefly with several initialisations and compare their losses
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// Model: an architecture file, a directory, or org/name[@rev] to use its config
    #[arg(long)]
    arch: String,
    /// Training data with labels or targets: a safetensors or npz file
    #[arg(long, value_name = "FILE")]
    data: String,
    /// Also compare a transfer, as `xfer init --from` makes it: org/name[@rev], hf://…, an alias, a directory or a file
    #[arg(long, value_name = "[NAME=]SRC")]
    from: Vec<String>,
    /// Initialisations to compare, as for `xfer init` [default: zeros, normal(std=0.01), xavier_normal, he_normal, lsuv]
    #[arg(long, value_name = "[PATTERN=]SCHEME")]
    init: Vec<String>,
    /// Optimizer
    #[arg(long, value_enum, default_value = "sgd")]
    optimizer: OptimizerArg,
    /// Learning rate
    #[arg(long, default_value_t = 0.01, value_parser = positive)]
    lr: f64,
    /// SGD momentum
    #[arg(long, default_value_t = 0.9, value_parser = share)]
    momentum: f64,
    /// Number of epochs
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    /// Batch size
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Number of seeds per initialisation
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Fraction of the examples that is held out for evaluation
    #[arg(long, default_value_t = 0.2, value_parser = share)]
    holdout: f64,
    /// Loss at which the number of steps is reported [default: half of ln C for C classes]
    #[arg(long, value_name = "LOSS")]
    goal: Option<f64>,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// Write the table and the loss curves as a self-contained HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
    /// Do not print progress
    #[arg(short, long)]
    quiet: bool,
}

/// `--optimizer`.
#[derive(Clone, Copy, ValueEnum)]
enum OptimizerArg {
    /// Stochastic gradient descent with momentum
    Sgd,
    /// AdamW
    Adamw,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err(format!("`{text}` is not a positive number")),
    }
}

/// Runs the command.
pub fn command(args: CompareArgs, signals: &Signals) -> Result<()> {
    let CompareArgs { arch, data: file, from, init, lr, momentum, epochs, batch, seeds, holdout, goal, .. } = args;
    written::check("--html", args.html.as_deref())?;
    let optimizer = match args.optimizer {
        OptimizerArg::Sgd => Optimizer::Sgd { lr, momentum },
        OptimizerArg::Adamw => Optimizer::AdamW { lr },
    };
    let settings = Settings { optimizer, epochs, batch, holdout, goal, threads: args.threads.count() };
    let request = CompareRequest { arch, data: file, from, init, seeds, settings, access: args.hub.access()? };
    let found = job::compare(&request, &Shown::new(signals, args.quiet))?;
    if let Some(file) = args.html {
        written::write(&file, &page::compare(&found, &request.arch))?;
    }
    if args.json {
        json(&comparison::json(&found))?
    } else {
        data(&comparison::text(&found))?
    }
    let Some(signal) = found.interrupted else { return Ok(()) };
    talk("interrupted: these are the results so far");
    Err(Silent(Interrupted(signal).exit()).into())
}
