//! `xfer arch`: what an architecture file expands to.

use anyhow::Result;
use clap::Args;
use xfer::adapt::NamedOp;
use xfer::arch;
use xfer::text::Text;

use super::arguments::{HubArgs, RuleArgs};
use super::output::{data, json};
use super::progress::{Shown, Signals};

const EXAMPLES: &str = "\
Examples:
  xfer arch my.json                      print every parameter with its shape, role, fans and init rule
  xfer arch --schema > xfer.schema.json  write the JSON Schema for an editor (\"$schema\")
  xfer arch --ops                        print the operations of map rules and their arguments
  xfer arch --snippet torch              print the Python code that exports a listing from any nn.Module";

/// Print the parameters of an architecture file
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ArchArgs {
    /// Architecture file, directory, or org/name[@rev] to use its config
    #[arg(required_unless_present_any = ["schema", "snippet", "ops"])]
    arch: Option<String>,
    /// Print the JSON Schema of architecture files
    #[arg(long, conflicts_with = "snippet")]
    schema: bool,
    /// Print the operations that `map` rules can apply
    #[arg(long, conflicts_with_all = ["schema", "snippet"])]
    ops: bool,
    /// Print code that exports a listing from a model of this framework
    #[arg(long, value_name = "FRAMEWORK")]
    snippet: Option<String>,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs the command.
pub fn command(args: ArchArgs, signals: &Signals) -> Result<()> {
    let ArchArgs { arch, schema, ops, snippet, rules, hub } = args;
    if schema {
        return json(&format!("{:#}\n", arch::schema()));
    }
    if ops {
        return data(&Text::own(NamedOp::usages().map(|(_, usage)| format!("{usage}\n")).collect::<String>()));
    }
    if let Some(framework) = snippet {
        return data(&Text::own(arch::snippet(&framework)?));
    }
    let progress = Shown::new(signals, false);
    let architecture = arch::open(&arch.unwrap_or_default(), &rules.flags(), &hub.access()?, &progress)?;
    data(&arch::describe(&architecture))
}
