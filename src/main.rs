//! Parse the arguments and run the command.

use std::process::ExitCode;

use pull_patrol::cli::args::Cli;
use pull_patrol::runtime;

fn main() -> ExitCode {
    runtime::main(Cli::from_process())
}
