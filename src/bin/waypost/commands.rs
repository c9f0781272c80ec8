//! The commands, their input and their output. What they decide is in `waypost::cli`.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use waypost::cli::BadUsage;

#[path = "catalog.rs"]
mod catalog;
#[path = "check.rs"]
mod check;
#[path = "explain.rs"]
mod explain;
#[path = "key.rs"]
mod key;
#[path = "translate.rs"]
mod translate;
#[path = "usage.rs"]
mod usage;

/// Exit code for a command that could not be carried out; clap has the same for bad arguments.
const BAD_USAGE: u8 = 2;

/// A multi-provider AI gateway that runs inside Envoy as one WebAssembly module.
#[derive(Debug, Parser)]
#[command(name = "waypost", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists models with their windows, limits, prices and capabilities.
    Catalog(catalog::Command),
    /// Checks an Envoy file: what Envoy accepts and Waypost cannot work with.
    Check(check::Command),
    /// Shows which rule takes a request and why, who is asked in which order, and what it costs there.
    Explain(explain::Command),
    /// Makes virtual keys and the hashes that a configuration holds of them.
    #[command(subcommand)]
    Key(key::Command),
    /// Shows what the module makes of one request, answer or stream. Nothing is sent.
    #[command(subcommand)]
    Translate(translate::Command),
    /// Adds up who used what and what it cost, from logs.
    Usage(usage::Command),
}

/// What a command prints, and its exit code.
struct Output {
    bytes: Vec<u8>,
    exit: u8,
}

pub fn main() -> ExitCode {
    let ran = match Arguments::parse().command {
        Command::Catalog(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Translate(command) => command.run(),
        Command::Usage(command) => command.run(),
    };
    let printed = ran.and_then(|output| match print(&output.bytes) {
        Ok(()) => Ok(output.exit),
        Err(error) => Err(BadUsage(format!("the output cannot be written: {error}"))),
    });
    match printed {
        Ok(exit) => ExitCode::from(exit),
        Err(error) => {
            // Nobody is left to be told when this fails.
            let _ = writeln!(io::stderr().lock(), "waypost: {error}");
            ExitCode::from(BAD_USAGE)
        }
    }
}

/// Whoever reads the output may stop early, as `head` does.
fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn read_stdin() -> Result<Vec<u8>, BadUsage> {
    let mut bytes = Vec::new();
    match io::stdin().lock().read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(BadUsage(format!("the input cannot be read: {error}"))),
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the program's own clock")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, BadUsage> {
    std::fs::read(path).map_err(|error| BadUsage(format!("{}: {error}", path.display())))
}
