//! Wires rooms and tasks, and is the only place that knows them all. Reads clocks, listens, handles signals; holds no
//! domain logic.

mod check;
mod events;
mod explain;
mod heap;
mod key;
mod lead;
mod logging;
mod reload;
mod serve;
mod setup;
mod state;
mod stop;

use std::io::Write as _;
use std::process::ExitCode;

pub use self::key::KeyError;
pub use self::serve::{ConfigSource, Extras, ServeSettings, Source, serve, serve_with};
use self::setup::SetupError;
use crate::cli::args::{Cli, Command, ShippedDashboard};
use crate::cli::shipped;

/// Exit code for a command that could not run: usage, unreadable input, no cluster.
const COULD_NOT_RUN: u8 = 2;

/// Run a command to its exit code.
pub fn main(cli: Cli) -> ExitCode {
    let Cli { common, command } = cli;
    let outcome = match command {
        Command::Serve(args) => serve::command(&common, args),
        Command::Check(args) => check::command(&common, &args),
        Command::Explain(args) => explain::command(&common, &args),
        Command::Rules => print(shipped::RULES),
        Command::Dashboard { which: ShippedDashboard::Team } => print(shipped::DASHBOARD),
        Command::Dashboard { which: ShippedDashboard::Daemon } => print(shipped::DAEMON_DASHBOARD),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// Data to standard output; a reader that went away early (`| head`) is no error.
fn print(text: &str) -> Result<ExitCode, SetupError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(SetupError::Output(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// An error with its causes, a line each, to standard error.
fn complain(error: &dyn std::error::Error) {
    let mut text = format!("error: {error}\n");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Errors of libraries often hold the text of their cause already.
        let words = error.to_string();
        if !said.contains(&words) {
            text = format!("{text}  caused by: {words}\n");
        }
        said = words;
        cause = error.source();
    }
    // Nothing can be done when standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
