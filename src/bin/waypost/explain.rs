//! `waypost explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use waypost::cli::BadUsage;
use waypost::cli::explain::{Inquiry, Options, configured};
use waypost::cli::translate::{Printed, header};

use super::{Output, read_file};

const EXAMPLES: &str = "\
Nothing is sent. The exit code is 0, or 1 when the client would get an error, or 2 when a file cannot
be read. Where chance has a part, the decision is made ten thousand times, and the shares are shown.

Examples:
  waypost explain envoy.yaml --request r.json
  waypost explain envoy.yaml --request r.json --header 'x-data-class: phi' --tenant acme
  waypost explain envoy.yaml --request r.json --header 'authorization: Bearer wp-demo'
  curl -s http://127.0.0.1:9902/waypost/status > status.json
  waypost explain envoy.yaml --request r.json --status status.json

where r.json is the body that a client sends:
  {\"model\": \"gpt-4o\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}";

/// Which rule takes a request and why, who is asked in which order, and what it costs there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Envoy's configuration, YAML or JSON.
    file: PathBuf,
    /// A file with the body of the request.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// A header of the request; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The tenant that asks. Without it the headers say who does, as in Envoy.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// What is asked for.
    #[arg(long, value_enum, default_value_t)]
    operation: Operation,
    /// A file with what GET /waypost/status said: breakers, times and counts as they are now.
    #[arg(long, value_name = "FILE")]
    status: Option<PathBuf>,
    /// Of several gateways in the file only the one in the listener of this name.
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// The same as one JSON object.
    #[arg(long)]
    json: bool,
}

/// An operation that is routed.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Operation {
    /// Chat completions.
    #[default]
    Chat,
    /// Vectors for texts.
    Embeddings,
}

impl Command {
    pub fn run(self) -> Result<Output, BadUsage> {
        use waypost::config::rule::Operation as Asked;
        let name = self.file.display().to_string();
        let text = String::from_utf8(read_file(&self.file)?)
            .map_err(|_| BadUsage(format!("{name}: is not UTF-8")))?;
        let inquiry = Inquiry {
            operation: match self.operation {
                Operation::Chat => Asked::Chat,
                Operation::Embeddings => Asked::Embeddings,
            },
            headers: self.headers,
            body: read_file(&self.request)?,
            tenant: self.tenant,
            now: super::now(),
        };
        let status = self.status.as_deref().map(read_file).transpose()?;
        let options = Options { gateway: self.gateway, status, json: self.json };
        let Printed { bytes, exit } = configured(&name, &text, &inquiry, &options)?;
        Ok(Output { bytes, exit })
    }
}
