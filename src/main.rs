//! The binary: parse, call one library function, print, exit.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
