//! The command line: what was typed, and what is printed. One file for each command.

mod arch;
mod arguments;
mod check;
mod compare;
mod completions;
mod convert;
mod diff;
mod error;
mod explain;
mod hints;
mod init;
mod inspect;
mod output;
mod progress;
mod run;
mod size;
mod verify;
mod written;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  xfer init --from bert-base --arch my.json              transfer into the architecture of my.json, write ./my
  xfer init --from bert-base --arch my.json --dry-run    print the plan, write nothing
  xfer init --from ./checkpoint --arch org/name --set num_hidden_layers=6 --depth encoder.layer=every:2 --out six
  xfer explain my classifier.weight                      print where the value of this tensor comes from
  xfer arch my.json                                      print the parameters of an architecture file

Exit codes: 0 success or up to date, 1 system error, 2 usage error, 3 invalid input, 4 coverage or check failed,
5 source not found or access denied, 75 temporary failure (retry), 130 and 143 interrupted.";

/// Transfer pretrained weights into a new architecture: every tensor is copied, adapted, tied or initialised, and reported
#[derive(Parser)]
#[command(name = "xfer", version, about, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(Box<init::InitArgs>),
    Run(run::RunArgs),
    Explain(explain::ExplainArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::VerifyArgs),
    Check(check::CheckArgs),
    Compare(compare::CompareArgs),
    Diff(diff::DiffArgs),
    Convert(Box<convert::ConvertArgs>),
    Arch(arch::ArchArgs),
    Completions(completions::CompletionsArgs),
}

/// Parses, runs one command, prints its error, and gives the exit code.
pub fn main() -> ExitCode {
    let signals = match progress::Signals::install() {
        Ok(signals) => signals,
        Err(error) => return output::fail(&error.into(), None),
    };
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Init(args) => init::command(*args, &signals),
        Command::Run(args) => run::command(args, &signals),
        Command::Explain(args) => explain::command(args),
        Command::Inspect(args) => inspect::command(args, &signals),
        Command::Diff(args) => diff::command(args, &signals),
        Command::Convert(args) => convert::command(*args, &signals),
        Command::Check(args) => check::command(args, &signals),
        Command::Compare(args) => compare::command(args, &signals),
        Command::Verify(args) => verify::command(args, &signals),
        Command::Arch(args) => arch::command(args, &signals),
        Command::Completions(args) => completions::command(&args, Cli::command()),
    };
    match signals.judge(result) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut commands = Cli::command();
            commands.build();
            output::fail(&error, matches.subcommand_name().and_then(|name| commands.find_subcommand(name)))
        }
    }
}
