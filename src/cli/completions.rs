//! `xfer completions`: for the shell.

use anyhow::Result;
use clap::{Args, Command};
use xfer::text::Text;

use super::output::data;

/// Print completions for a shell
#[derive(Args)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Runs the command, of which `xfer` is the whole command line.
pub fn command(args: &CompletionsArgs, mut xfer: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut xfer, "xfer", &mut script);
    data(&Text::own(String::from_utf8_lossy(&script)))
}
