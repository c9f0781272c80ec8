//! Dialects: one file or folder for each provider's API, one trait, one registry table.
//!
//! A dialect is pure: bytes in, bytes out, safe to call again on a retry. It never sees time,
//! randomness or a credential's source; they are arguments.
//!
//! | file | what it is |
//! |---|---|
//! | [`registry`] | the table: a row for each `api` a user may name |
//! | [`settings`] | what a dialect may be told, and where its API is |
//! | [`headers`] | headers as the host gives them |
//! | [`stream`] | from held to committed to ended: what a streamed attempt may still do |
//! | [`failure`] | a provider's refusal, whatever its shape, in canonical form |
//! | `citations` | where an answer was found |
//! | `claude` | what Claude wants wherever it is served |
//! | `conversation` | messages, their parts and calls, for dialects that write them anew |
//! | `functions` | the functions on offer, and the choice among them |
//! | `ids` | ids and names that other providers made |
//! | `media` | pictures, sound and documents as clients send them |
//! | `thoughts` | thinking with its signatures |
//! | `warnings` | what becomes of a field that an API does not take |
//! | [`embeddings`] | vectors: a file for each form in which providers ask and answer |
//! | [`catalogue`] | prices, windows, capabilities and parameter flags of models |
//! | [`openai`] | OpenAI, and the base for all that speak like it |
//! | [`azure`] | Azure OpenAI, by deployment |
//! | [`anthropic`] | Anthropic Messages |
//! | [`gemini`] | Google Gemini |
//! | [`vertex`] | Gemini, Claude and others at Google's Vertex AI |
//! | [`mistral`] | Mistral's chat |
//! | [`cohere`] | Cohere's chat, version 2 |
//! | [`bedrock`] | AWS Bedrock Converse |
//! | [`compatible`] | DeepSeek, Groq, Qwen, xAI, OpenRouter, Together, Ollama, vLLM |

use std::borrow::Cow;
use std::fmt;

pub mod anthropic;
pub mod azure;
pub mod bedrock;
pub mod catalogue;
mod citations;
mod claude;
pub mod cohere;
pub mod compatible;
mod conversation;
pub mod embeddings;
pub mod failure;
mod functions;
pub mod gemini;
pub mod headers;
mod ids;
mod media;
pub mod mistral;
pub mod openai;
pub mod registry;
pub mod settings;
pub mod stream;
mod thoughts;
pub mod vertex;
mod warnings;

use crate::openai::json::RawStr;
use crate::openai::{Chat, Embeddings, Error, Usage};
use catalogue::{Capability, Facts};
pub use headers::Headers;
pub use settings::Settings;

/// A provider's API: how to ask it, and how to read what it says.
pub trait Dialect: Sync {
    /// The request for this provider. `body` is the client's, from which `chat` borrows.
    ///
    /// # Errors
    /// A 400 whose `param` names the field that this provider or model cannot honour.
    fn request(&self, chat: &Chat<'_>, body: &[u8], target: &Target<'_>)
    -> Result<Outbound, Error>;

    /// A whole answer with a status below 300, in canonical form.
    ///
    /// # Errors
    /// What is no answer: broken JSON, another shape, an error inside a 200.
    fn answer(&self, call: &Call<'_>, headers: &Headers<'_>, body: &[u8]) -> Result<Answer, Error>;

    /// A translator for one streamed answer.
    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator>;

    /// The request for vectors. `body` is the client's, from which `asked` borrows.
    ///
    /// # Errors
    /// A 400 whose `param` names the field that this provider or model cannot honour; the model
    /// itself where the API has no embeddings.
    fn embed(
        &self,
        _asked: &Embeddings<'_>,
        _body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        Err(embeddings::none(target))
    }

    /// Vectors with a status below 300, in canonical form.
    ///
    /// # Errors
    /// As [`Dialect::answer`]; and too few vectors, or such of another length than was asked for.
    fn embedded(
        &self,
        _asked: &Embeddings<'_>,
        target: &Target<'_>,
        _headers: &Headers<'_>,
        _body: &[u8],
    ) -> Result<Answer, Error> {
        Err(embeddings::none(target))
    }

    /// The request for the list of models: what costs nothing and shows that the API is there and
    /// takes the credential. Nothing where there is no such list. Of `target` the model does not
    /// count.
    fn models(&self, _: &Target<'_>) -> Option<Outbound> {
        None
    }

    /// A refusal in canonical form. Never fails: an unreadable body is itself the explanation.
    fn error(&self, status: u16, headers: &Headers<'_>, body: &[u8]) -> Error {
        failure::read(status, headers, body)
    }

    /// The header that carries a credential: its name, and the value for `secret`.
    fn credential(&self, secret: &str, _: &Settings) -> (&'static str, String) {
        ("authorization", format!("Bearer {secret}"))
    }

    /// Whether a request that needs `lacking` is translated for a model without it, by other means
    /// that come to the same: a JSON schema by a tool that has it for its arguments.
    fn emulates(&self, _lacking: Capability, _: &Target<'_>) -> bool {
        false
    }

    /// The media type of streamed answers: what is asked for, and what is read as a stream.
    fn stream_type(&self) -> &'static str {
        EVENT_STREAM
    }
}

/// The media type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// What is asked of a provider: where, which model, and what is known of that model.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The host and the path before the dialect's own.
    pub base: &'a Base,
    /// The dialect's settings from the provider's entry in the configuration.
    pub settings: &'a Settings,
    /// The model's name at the provider.
    pub model: &'a str,
    /// What is known of the model.
    pub facts: &'a Facts,
    /// What happens to parameters that the provider or model does not take.
    pub policy: Policy,
}

/// One attempt's request, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The client's request; fields may be missing on the command line.
    pub chat: &'a Chat<'a>,
    /// Whom it was sent to.
    pub target: Target<'a>,
    /// An id for answers that bring none, without the `chatcmpl-` in front.
    pub id: &'a str,
    /// When it was asked, in seconds since 1970: for answers that bring no time.
    pub created: u64,
}

/// The provider's id of an answer, or one made of `ours` where it gave none.
pub(crate) fn completion_id(given: Option<RawStr<'_>>, ours: &str) -> String {
    match given.filter(|id| !id.is_empty()) {
        Some(id) => id.decode().into_owned(),
        None => format!("chatcmpl-{ours}"),
    }
}

/// The model that answered, or the one that was asked where the answer does not say.
pub(crate) fn answering_model(given: Option<RawStr<'_>>, asked: &str) -> String {
    match given.filter(|model| !model.is_empty()) {
        Some(model) => model.decode().into_owned(),
        None => asked.to_owned(),
    }
}

/// Host and path in front of every request to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// For the `host` header.
    pub authority: String,
    /// Without a slash at the end; may be empty.
    pub path: String,
}

impl Base {
    /// Splits `https://host[:port]/path`. Nothing when it is not of that form.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at_checked(slash)?,
            None => (rest, ""),
        };
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte);
        let fits = !authority.is_empty() && rest.bytes().all(plain);
        fits.then(|| Self {
            authority: authority.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

/// What happens to parameters that a provider or model does not take. What is only a hint is
/// always dropped, with a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Drop, rather than refuse, what would change the answer's shape (`n`, `logprobs`, …).
    pub drop_unsupported: bool,
    /// Refuse, rather than clamp, what is out of the provider's range.
    pub reject_out_of_range: bool,
}

/// A request for a provider. The credential is added by who has it.
#[derive(Debug)]
pub struct Outbound {
    /// `POST`, mostly.
    pub method: &'static str,
    /// With query, if any.
    pub path: String,
    /// The dialect's own headers, names in lower case; `content-length` and `host` are not among them.
    pub headers: Vec<(&'static str, String)>,
    /// What to send.
    pub body: Payload,
    /// What the client should know.
    pub warnings: Vec<Warning>,
}

impl Outbound {
    /// A `GET`.
    #[must_use]
    pub const fn get(path: String, headers: Vec<(&'static str, String)>) -> Self {
        Self { method: "GET", path, headers, body: Payload::Same, warnings: Vec::new() }
    }
}

/// A body, as a change to the one it came from where that is cheaper.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    /// As it came.
    Same,
    /// With the first `drop` bytes replaced.
    Prefix {
        /// How many bytes go.
        drop: usize,
        /// What stands there instead.
        insert: Vec<u8>,
    },
    /// Another body.
    Whole(Vec<u8>),
}

impl Payload {
    /// The bytes in full.
    #[must_use]
    pub fn apply<'a>(&'a self, original: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Same => Cow::Borrowed(original),
            Self::Prefix { drop, insert } => {
                let rest = original.get(*drop..).unwrap_or_default();
                Cow::Owned([insert.as_slice(), rest].concat())
            }
            Self::Whole(body) => Cow::Borrowed(body),
        }
    }

    /// The length in bytes, given that of the original.
    #[must_use]
    pub const fn len(&self, original: usize) -> usize {
        match self {
            Self::Same => original,
            Self::Prefix { drop, insert } => original.saturating_sub(*drop) + insert.len(),
            Self::Whole(body) => body.len(),
        }
    }
}

/// Something that was done to a parameter, for `x-waypost-warnings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// It was left out.
    Dropped(Cow<'static, str>),
    /// It was changed to what the provider takes.
    Changed {
        /// Which parameter.
        param: Cow<'static, str>,
        /// To what.
        to: String,
    },
    /// It was missing and had to be chosen.
    Defaulted {
        /// Which parameter.
        param: Cow<'static, str>,
        /// To what.
        to: String,
    },
    /// It is passed on, and its provider charges for it what no price here says.
    Unpriced(&'static str),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped(param) => write!(f, "{param} dropped"),
            Self::Changed { param, to } => write!(f, "{param} changed to {to}"),
            Self::Defaulted { param, to } => write!(f, "{param} defaulted to {to}"),
            Self::Unpriced(param) => write!(f, "{param} is not in the cost"),
        }
    }
}

/// A whole answer in canonical form.
#[derive(Debug)]
pub struct Answer {
    /// The body for the client, as a change to the provider's.
    pub body: Payload,
    /// What it used, where the provider said so.
    pub usage: Option<Usage>,
}

/// Turns a provider's streamed bytes into canonical events.
pub trait Translator {
    /// Takes the next bytes, cut anywhere, and appends the events they complete.
    ///
    /// # Errors
    /// The provider's error event, or what is no event. The stream is over then; events appended
    /// before are still good.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// The bytes have ended. Appends what was still owed.
    ///
    /// # Errors
    /// A stream that ended before its terminal event was cut, and is no whole answer.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;

    /// How far it has come.
    fn progress(&self) -> Progress;

    /// What it used so far, where the provider said so.
    fn usage(&self) -> Option<Usage>;
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing that a client could not also get from another candidate.
    Preamble,
    /// Content, reasoning, a tool call or a finish reason has been seen.
    Content,
    /// The terminal event has been seen, and everything owed was written.
    Ended,
}
