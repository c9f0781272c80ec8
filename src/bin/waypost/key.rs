//! `waypost key`.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use console::Term;
use waypost::cli::BadUsage;
use waypost::cli::check;
use waypost::cli::key::{check as verdict, check_names, draw, entry, read, weakness};
use waypost::cli::usage::Date;
use waypost::tenancy::key::Hash;

use super::{Output, now, read_file};

/// Longest input that is looked at: a key has 128 bytes at most.
const MAX_INPUT: u64 = 4 << 10;

/// Exit code for a key that does not hold.
const NOT_HELD: u8 = 1;

const NEW: &str = "\
Prints the key on the output, once: only its hash is kept anywhere. What goes into the configuration
is printed beside it, on the error output, so that the key alone can be piped away.

Examples:
  waypost key new --tenant search --name search-2027 --expires 2027-12-31
  waypost key new --tenant search | vault kv put secret/search key=-

To replace a key, add the new entry beside the old one, give the new key to whoever uses it, and
remove the old entry when no record has its name as `key_id` any more.";

const HASH: &str = "\
Reads the key from the input, or asks for it where that is a terminal. It is no argument, since
shells keep a history and other users see the arguments of a program.

Examples:
  waypost key hash
  vault kv get -field=key secret/search | waypost key hash";

const CHECK: &str = "\
Reads the key as `waypost key hash` does.

Exit codes: 0 when a gateway lets it in, 1 when none does, 2 when the file cannot be read.

Example:
  waypost key check envoy.yaml < key.txt";

/// What is said of a key that is an argument.
const ARGUMENT: &str = "a key is no argument: shells keep a history, and other users see arguments. Pipe it in, or leave it out and be asked. This one is no secret any more: replace it";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draws a key, and prints it and the entry for the configuration.
    #[command(after_help = NEW)]
    New(New),
    /// What a configuration holds of a key.
    #[command(after_help = HASH)]
    Hash(HashOf),
    /// Whose a key is, and whether it holds now.
    #[command(after_help = CHECK)]
    Check(Check),
}

#[derive(Debug, Args)]
pub struct New {
    /// How records call the key; without it, by its handle.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its last day, in UTC, as in 2027-01-31.
    #[arg(long, value_name = "DATE", value_parser = super::usage::date)]
    expires: Option<Date>,
    /// Whose it is.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

#[derive(Debug, Args)]
pub struct HashOf {
    /// Takes a key that can be guessed, for a demonstration.
    #[arg(long)]
    weak: bool,
    #[arg(hide = true)]
    argument: Option<String>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Envoy's configuration.
    file: PathBuf,
    #[arg(hide = true)]
    argument: Option<String>,
}

impl Command {
    pub fn run(self) -> Result<Output, BadUsage> {
        match self {
            Self::New(new) => new.run(),
            Self::Hash(hash) => hash.run(),
            Self::Check(check) => check.run(),
        }
    }
}

impl New {
    fn run(self) -> Result<Output, BadUsage> {
        let Self { name, expires, tenant } = self;
        if let Some(date) = expires.filter(|date| date.end() <= now()) {
            return Err(BadUsage(format!("--expires: {date} is over")));
        }
        check_names(tenant.as_deref(), name.as_deref())?;
        let key = draw(chance)?;
        let text = entry(&hash(&key)?, tenant.as_deref(), name.as_deref(), expires);
        // Nobody is left to be told when this fails.
        let _ = write!(
            io::stderr().lock(),
            "The key is on the output, once. In the configuration of the gateway:\n\n{text}\n",
        );
        Ok(Output { bytes: format!("{key}\n").into_bytes(), exit: 0 })
    }
}

impl HashOf {
    fn run(self) -> Result<Output, BadUsage> {
        let input = input(self.argument.as_ref())?;
        let key = read(&input)?;
        if let Some(why) = weakness(key).filter(|_| !self.weak) {
            return Err(BadUsage(format!(
                "the key can be guessed: {why}. `waypost key new` draws one; --weak takes it as it is"
            )));
        }
        Ok(Output { bytes: format!("{}\n", hash(key)?).into_bytes(), exit: 0 })
    }
}

impl Check {
    fn run(self) -> Result<Output, BadUsage> {
        let name = self.file.display().to_string();
        if self.argument.is_some() || waypost::tenancy::key::is_key(&name) {
            return Err(BadUsage(ARGUMENT.to_owned()));
        }
        let text = String::from_utf8(read_file(&self.file)?)
            .map_err(|_| BadUsage(format!("{name}: is not UTF-8")))?;
        let gateways = check::gateways(&name, &text)?;
        if gateways.is_empty() {
            return Err(BadUsage(format!(
                "{name}: no gateway in it can be understood; `waypost check {name}` says why"
            )));
        }
        let input = input(None)?;
        let key = read(&input)?;
        let mut said = String::new();
        let mut holds = false;
        for (listener, gateway) in &gateways {
            let verdict = verdict(key, gateway, now());
            holds |= verdict.holds;
            said.push_str(&format!("{name}, {listener}: {}\n", verdict.said));
        }
        Ok(Output { bytes: said.into_bytes(), exit: if holds { 0 } else { NOT_HELD } })
    }
}

fn input(argument: Option<&String>) -> Result<Vec<u8>, BadUsage> {
    let failed = |error: io::Error| BadUsage(format!("the key cannot be read: {error}"));
    if argument.is_some() {
        return Err(BadUsage(ARGUMENT.to_owned()));
    }
    if io::stdin().is_terminal() {
        let terminal = Term::stderr();
        terminal.write_str("Key (it is not shown): ").map_err(failed)?;
        return terminal.read_secure_line().map(String::into_bytes).map_err(failed);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn hash(key: &str) -> Result<Hash, BadUsage> {
    let mut salt = [0; 16];
    chance(&mut salt)?;
    Ok(Hash::of(key, salt))
}

/// From the operating system.
fn chance(bytes: &mut [u8]) -> Result<(), BadUsage> {
    getrandom::fill(bytes)
        .map_err(|error| BadUsage(format!("the system gives no random bytes: {error}")))
}
