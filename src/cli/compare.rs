//! `xfer compare`: which initialisation learns, on data of one's own.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use xfer::compare::{Optimizer, Settings};
use xfer::error::{Fault, Interrupted};
use xfer::job::{self, CompareRequest};
use xfer::report::{comparison, page};

use super::init::{HubArgs, ThreadArgs, share};
use super::output::{Silent, data, json, talk};
use super::progress::{Shown, Signals};
use super::written;

const EXAMPLES: &str = "\
Examples:
  xfer compare --arch net.json --data digits.safetensors
      zeros, small normals, xavier, he and lsuv, each with three seeds
  xfer compare --arch net.json --data digits.npz --init he_normal --init 'he_normal(mode=fan_out)' --epochs 5
      strategies of one's own
  xfer compare --arch router.json --data tickets.safetensors --from bert-base --optimizer adamw --lr 5e-5
      and what `xfer init --from bert-base` gives

The data file holds one array for each input, examples first, and `labels` (i64 classes, [N] or [N, T], -100 is ignored)
or `targets` (f32).";

/// Train briefly under several initialisations and show which of them learns
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// The model: an architecture file, a directory, or org/name[@rev] for its config
    #[arg(long)]
    arch: String,
    /// Inputs and answers: safetensors or npz
    #[arg(long, value_name = "FILE")]
    data: String,
    /// Add what `xfer init --from` gives: org/name[@rev], hf://…, an alias, a directory or a file
    #[arg(long, value_name = "[NAME=]SRC")]
    from: Vec<String>,
    /// Strategies, as in `xfer init` [default: zeros, normal(std=0.01), xavier_normal, he_normal, lsuv]
    #[arg(long, value_name = "[PATTERN=]SCHEME")]
    init: Vec<String>,
    /// What takes the steps
    #[arg(long, value_enum, default_value = "sgd")]
    optimizer: OptimizerArg,
    /// The step
    #[arg(long, default_value_t = 0.01, value_parser = positive)]
    lr: f64,
    /// How much of the last step SGD takes again
    #[arg(long, default_value_t = 0.9, value_parser = share)]
    momentum: f64,
    /// How often every example is seen
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    /// Examples of one step
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Seeds of each strategy
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The share of examples that are held out
    #[arg(long, default_value_t = 0.2, value_parser = share)]
    holdout: f64,
    /// Count the steps to this loss [default: half of ln C]
    #[arg(long, value_name = "LOSS")]
    goal: Option<f64>,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// Write the table and the loss curves as a page: one file, no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
    /// No progress
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
        _ => Err(format!("`{text}` is no positive number")),
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
    talk("interrupted: this is what there was by then");
    Err(Silent(Interrupted(signal).exit()).into())
}
