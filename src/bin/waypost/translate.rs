//! `waypost translate`.

use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum};
use waypost::cli::BadUsage;
use waypost::cli::translate::{
    self, Asked, Printed, Provider, Received, embeddings, header, pieces,
};

use super::{Output, read_file, read_stdin};

const REQUEST_EXAMPLES: &str = "\
Prints {\"method\",\"path\",\"headers\",\"body\"}, and \"warnings\" if there are any. A request that is
refused prints {\"status\",\"error\"} and exits with 1.

Examples:
  waypost translate request --api anthropic --model claude-sonnet-4-5 < openai.json
  waypost translate request --api openai --provider p.json < openai.json
  waypost translate request --api openai --operation embeddings < embeddings.json

where p.json is a provider's entry as in the configuration, of which api, endpoints and models may
be missing:
  {\"base_url\": \"https://eu.api.openai.com/v1\", \"organization\": \"org-1\"}";

const RESPONSE_EXAMPLES: &str = "\
Prints {\"status\",\"headers\",\"body\"}, and for an error also \"class\", \"retryable\" and
\"failover\". An answer with status 200 that is none is an error too.

Examples:
  waypost translate response --api anthropic --status 200 < message.json
  waypost translate response --api openai --status 429 --header 'retry-after: 20' < error.json";

const STREAM_EXAMPLES: &str = "\
Prints the events that a client gets. An error is the last event; what came before it is printed
even where the module would keep it back and ask another provider.

Examples:
  waypost translate stream --api anthropic < events.sse
  waypost translate stream --api anthropic --request r.json --chunk-bytes 1 < events.sse

where r.json holds what the client asked, as far as it matters:
  {\"stream\": true, \"stream_options\": {\"include_usage\": true}}";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is sent to a provider for an OpenAI request, read from the input.
    #[command(after_help = REQUEST_EXAMPLES)]
    Request(Request),
    /// What a client gets for a provider's answer, read from the input.
    #[command(after_help = RESPONSE_EXAMPLES)]
    Response(Response),
    /// What a client gets for a provider's streamed answer, read from the input.
    #[command(after_help = STREAM_EXAMPLES)]
    Stream(Stream),
}

#[derive(Debug, Args)]
pub struct Request {
    /// The provider's API, as in the configuration: openai, anthropic, …
    #[arg(long)]
    api: String,
    /// The model's name at the provider; without it, the request's own model.
    #[arg(long)]
    model: Option<String>,
    /// A file with the provider's entry as in the configuration, in JSON; without it, the API's
    /// defaults.
    #[arg(long, value_name = "FILE")]
    provider: Option<PathBuf>,
    /// What is asked for.
    #[arg(long, value_enum, default_value_t)]
    operation: Operation,
}

#[derive(Debug, Args)]
pub struct Response {
    /// The provider's API, as in the configuration: openai, anthropic, …
    #[arg(long)]
    api: String,
    /// The answer's HTTP status.
    #[arg(long, value_parser = RangedU64ValueParser::<u16>::new().range(100..=599))]
    status: u16,
    /// A header of the answer; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A file with the client's request, or those of its fields that matter: model, stream,
    /// stream_options, tools; of embeddings: model, input, dimensions, encoding_format.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// What was asked for.
    #[arg(long, value_enum, default_value_t)]
    operation: Operation,
}

#[derive(Debug, Args)]
pub struct Stream {
    /// The provider's API, as in the configuration: openai, anthropic, …
    #[arg(long)]
    api: String,
    /// A file with the client's request, or those of its fields that matter: model, stream,
    /// stream_options, tools.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// How many bytes are fed at a time; 0 for all at once.
    #[arg(long, value_name = "N", default_value_t = 0)]
    chunk_bytes: usize,
}

/// An operation that can be translated.
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
        let Printed { bytes, exit } = match self {
            Self::Request(arguments) => arguments.run(),
            Self::Response(arguments) => arguments.run(),
            Self::Stream(arguments) => arguments.run(),
        }?;
        Ok(Output { bytes, exit })
    }
}

impl Request {
    fn run(self) -> Result<Printed, BadUsage> {
        let entry = match &self.provider {
            Some(path) => Some(
                serde_json::from_slice(&read_file(path)?)
                    .map_err(|error| BadUsage(format!("{}: not JSON: {error}", path.display())))?,
            ),
            None => None,
        };
        let provider = Provider::new(&self.api, entry.as_ref())?;
        let (model, body) = (self.model.as_deref(), read_stdin()?);
        Ok(match self.operation {
            Operation::Chat => translate::request(&provider, model, &body),
            Operation::Embeddings => embeddings::request(&provider, model, &body),
        })
    }
}

impl Response {
    fn run(self) -> Result<Printed, BadUsage> {
        let provider = Provider::new(&self.api, None)?;
        let Self { status, headers, request, operation, .. } = self;
        let received = || Ok(Received { status, headers, body: read_stdin()? });
        match operation {
            Operation::Chat => {
                with_asked(request, |asked| Ok(translate::response(&provider, asked, &received()?)))
            }
            Operation::Embeddings => with_embeddings(request, |asked| {
                Ok(embeddings::response(&provider, asked, &received()?))
            }),
        }
    }
}

impl Stream {
    fn run(self) -> Result<Printed, BadUsage> {
        let provider = Provider::new(&self.api, None)?;
        with_asked(self.request, |asked| {
            let bytes = read_stdin()?;
            Ok(translate::stream(&provider, asked, pieces(&bytes, self.chunk_bytes)))
        })
    }
}

/// Reads the chat request behind `--request` and goes on with it.
fn with_asked(
    file: Option<PathBuf>,
    then: impl FnOnce(&Asked<'_>) -> Result<Printed, BadUsage>,
) -> Result<Printed, BadUsage> {
    let Some(path) = file else { return then(&Asked::nothing()) };
    let body = read_file(&path)?;
    then(&Asked::parse(&body).map_err(|error| in_file(&path, &error))?)
}

/// The same for a request for vectors.
fn with_embeddings(
    file: Option<PathBuf>,
    then: impl FnOnce(&embeddings::Asked<'_>) -> Result<Printed, BadUsage>,
) -> Result<Printed, BadUsage> {
    let Some(path) = file else { return then(&embeddings::Asked::nothing()) };
    let body = read_file(&path)?;
    then(&embeddings::Asked::parse(&body).map_err(|error| in_file(&path, &error))?)
}

fn in_file(path: &Path, error: &BadUsage) -> BadUsage {
    BadUsage(format!("{}: {error}", path.display()))
}
