//! `xfer explain`: why a tensor has its value.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use xfer::job;
use xfer::report::explain;

use super::output::{data, json_of};

/// Say why a tensor has the value that it has: the step, the rule, the expression, the runners-up
#[derive(Args)]
pub struct ExplainArgs {
    /// An output directory, or a plan
    place: PathBuf,
    /// The tensor, as it is called in the output
    name: String,
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn command(args: ExplainArgs) -> Result<()> {
    let ExplainArgs { place, name, json } = args;
    let report = job::report_of(&place)?;
    let tensor = explain::find(&report, &name)?;
    if json {
        return json_of(tensor);
    }
    data(&explain::render(&report, tensor))
}
