//! `xfer explain`: why a tensor has its value.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use xfer::job;
use xfer::report::explain;

use super::output::{data, json_of};

/// Explain where the value of a tensor comes from: rule, expression and rejected candidates
#[derive(Args)]
pub struct ExplainArgs {
    /// Output directory or plan
    place: PathBuf,
    /// Name of the tensor in the output
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
