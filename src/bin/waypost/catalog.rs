//! `waypost catalog`.

use std::path::PathBuf;

use clap::Args;
use waypost::cli::BadUsage;
use waypost::cli::catalog::{Options, builtin, capability, configured};
use waypost::providers::catalogue::Capability;

use super::{Output, read_file};

const EXAMPLES: &str = "\
Examples:
  waypost catalog --family anthropic
  waypost catalog --capability audio --capability tools
  waypost catalog envoy.yaml";

/// Models with their windows, limits, prices and capabilities.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Envoy's configuration: shows the models that it serves, with the facts that hold there.
    file: Option<PathBuf>,
    /// Only models of this family: openai, anthropic, …
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// Only models that are known to have this capability; may be given several times.
    #[arg(long = "capability", value_name = "CAPABILITY", value_parser = capability)]
    capabilities: Vec<Capability>,
    /// Every fact, in the words of the configuration.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub fn run(self) -> Result<Output, BadUsage> {
        let options = Options {
            family: self.family,
            capabilities: self.capabilities.into_iter().collect(),
            json: self.json,
        };
        let bytes = match self.file {
            None => builtin(&options)?,
            Some(path) => {
                let name = path.display().to_string();
                let text = String::from_utf8(read_file(&path)?)
                    .map_err(|_| BadUsage(format!("{name}: is not UTF-8")))?;
                configured(&name, &text, &options)?
            }
        };
        Ok(Output { bytes, exit: 0 })
    }
}
