//! What goes where: data to stdout, talk to stderr. A closed pipe is not an error.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use xfer::error::{Error, Exit};
use xfer::report::text::Detail;
use xfer::text::{JsonWriter, Text, escaped};

use super::hints::fitting;

/// How much is printed, and for whom.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    pub json: bool,
    /// Print only the coverage, without progress
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// List copied tensors too
    #[arg(short, long)]
    pub verbose: bool,
}

impl OutputArgs {
    /// The detail that the flags ask for.
    pub fn detail(&self) -> Detail {
        match (self.quiet, self.verbose) {
            (true, _) => Detail::Brief,
            (false, true) => Detail::Full,
            (false, false) => Detail::Normal,
        }
    }
}

/// The end of a command with this exit code, after everything was printed.
#[derive(Debug, thiserror::Error)]
#[error("exit code {}", *.0 as u8)]
pub struct Silent(pub Exit);

/// Writes to stdout; a reader that went away ends the process quietly, as other tools do.
pub fn data(text: &Text) -> Result<()> {
    data_by(|out| out.write_all(text.as_str().as_bytes()))
}

/// As above, for JSON that is made while it is written.
pub fn json_by(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    data_by(|out| content(&mut JsonWriter(out)))
}

/// As above, for JSON.
pub fn json(text: &str) -> Result<()> {
    json_by(|out| out.write_all(text.as_bytes()))
}

fn data_by(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut stdout = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match content(&mut stdout).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Silent(Exit::Done).into()),
        Err(error) => Err(Error::io("write", "<stdout>", error).into()),
    }
}

/// Writes a value to stdout as JSON on one line.
pub fn json_of(value: &impl serde::Serialize) -> Result<()> {
    json_by(|out| {
        serde_json::to_writer(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

/// Writes a line to stderr, its controls escaped; where that fails there is nobody to tell.
pub fn talk(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escaped(line));
}

/// Prints warnings, each a line.
pub fn warn_all<'a>(warnings: impl IntoIterator<Item = &'a String>) {
    for warning in warnings {
        talk(&format!("warning: {warning}"));
    }
}

/// Prints hints, each a line.
pub fn hints(hints: &[String]) {
    hints.iter().for_each(|hint| talk(&format!("hint: {hint}")));
}

/// Prints an error, with the hints of the library's, and gives its exit code.
pub fn fail(error: &anyhow::Error, command: Option<&clap::Command>) -> ExitCode {
    let exit = match (error.downcast_ref::<Silent>(), error.downcast_ref::<Error>()) {
        (Some(Silent(exit)), _) => *exit,
        (None, Some(error)) => {
            error.facts().iter().for_each(|fact| talk(&format!("error: {fact}")));
            hints(&fitting(error.hints(), command));
            error.exit()
        }
        (None, None) => {
            talk(&format!("error: {error:#}"));
            Exit::Machine
        }
    };
    ExitCode::from(exit as u8)
}
