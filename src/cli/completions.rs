//! `xfer completions`: for the shell.

use anyhow::Result;
use clap::{Args, CommandFactory};
use xfer::text::Text;

use super::output::data;

/// Print completions for a shell
#[derive(Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Runs the command.
pub fn command(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "xfer", &mut script);
    data(&Text::own(String::from_utf8_lossy(&script)))
}
