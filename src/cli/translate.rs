//! `waypost translate`: one request, answer or stream through a dialect, as the module does it.
//!
//! What the module takes from its surroundings is fixed here, so that the same input always prints
//! the same: the id for answers without one is [`ID`], and the time is 0.

pub mod embeddings;

use std::borrow::Cow;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::BadUsage;
use crate::config;
use crate::config::reader::unknown;
use crate::openai::{Chat, Error};
use crate::providers::catalogue::{Catalogue, Facts};
use crate::providers::registry;
use crate::providers::stream::{Phase, Stream};
use crate::providers::{Answer, Call, Dialect, Headers, Outbound, Target};

/// Stands in place of a generated id: `chatcmpl-waypost`.
pub const ID: &str = "waypost";

/// The provider that is spoken to.
#[derive(Debug)]
pub struct Provider {
    entry: config::Provider,
    catalogue: Catalogue,
}

/// What is printed, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// For the output.
    pub bytes: Vec<u8>,
    /// 0, or 1 when the request was refused.
    pub exit: u8,
}

/// A provider's answer as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case, as [`header`] reads them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A client's request, of which only what the answer depends on need be there.
#[derive(Debug)]
pub struct Asked<'a>(Chat<'a>);

impl Provider {
    /// The provider behind `--api` and `--provider`.
    ///
    /// # Errors
    /// An unknown API, or everything that is wrong with the entry, a line each.
    pub fn new(api: &str, entry: Option<&Value>) -> Result<Self, BadUsage> {
        let Some(api) = registry::find(api) else {
            return Err(BadUsage(format!("--api: {}", unknown(api, &registry::names()))));
        };
        let nothing = Value::Object(serde_json::Map::new());
        let catalogue = Catalogue::builtin();
        match config::provider::read_alone(entry.unwrap_or(&nothing), api, &catalogue) {
            Ok(entry) => Ok(Self { entry, catalogue }),
            Err(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Err(BadUsage(format!("the provider's entry:\n  {}", lines.join("\n  "))))
            }
        }
    }

    fn facts(&self, model: &str) -> Cow<'_, Facts> {
        let said = self.entry.model(model).map(|model| Cow::Borrowed(&model.facts));
        said.or_else(|| self.catalogue.presume(self.entry.api.family, model))
            .unwrap_or_else(|| Cow::Owned(Facts::unknown()))
    }

    fn target<'a>(&'a self, model: &'a str, facts: &'a Facts) -> Target<'a> {
        let config::Provider { base, settings, policy, .. } = &self.entry;
        Target { base, settings, model, facts, policy: *policy }
    }

    const fn dialect(&self) -> &'static dyn Dialect {
        self.entry.api.dialect
    }

    fn call<'a>(&'a self, asked: &'a Asked<'_>, facts: &'a Facts) -> Call<'a> {
        let target = self.target(&asked.0.model, facts);
        Call { chat: &asked.0, target, id: ID, created: 0 }
    }
}

impl<'a> Asked<'a> {
    /// Reads the file behind `--request`.
    ///
    /// # Errors
    /// What is no JSON object, or a field of the wrong type.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadUsage> {
        Chat::parse(body).map(Self).map_err(|error| BadUsage(error.message))
    }

    /// Of a request nothing is known.
    #[must_use]
    pub fn nothing() -> Self {
        Self(Chat::default())
    }
}

/// Reads `name: value`.
///
/// # Errors
/// A text without a colon, or without a name before it.
pub fn header(text: &str) -> Result<(String, String), BadUsage> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(BadUsage(format!("{text:?} is not of the form 'name: value'"))),
    }
}

/// `translate request`: what is sent to the provider for the request `body`, to `model` unless that
/// is the request's own. A refusal has the exit code 1.
#[must_use]
pub fn request(provider: &Provider, model: Option<&str>, body: &[u8]) -> Printed {
    sent(outbound(provider, model, body), body)
}

/// What is printed for what became of the request `body`.
fn sent(outbound: Result<Outbound, Error>, body: &[u8]) -> Printed {
    match outbound {
        Ok(outbound) => {
            let sent = outbound.body.apply(body);
            let warnings = outbound.warnings.iter().map(ToString::to_string).collect();
            let headers = outbound.headers.iter().map(|(name, value)| (*name, value.clone()));
            let sent = Sent {
                method: outbound.method,
                path: &outbound.path,
                headers: Pairs(headers.collect()),
                body: Body::read(&sent),
                warnings,
            };
            Printed { bytes: line(&sent), exit: 0 }
        }
        Err(error) => {
            let body = error.body();
            let envelope: Envelope<'_> = serde_json::from_slice(&body).unwrap_or_default();
            let refused = Refused { status: error.status, error: envelope.error };
            Printed { bytes: line(&refused), exit: 1 }
        }
    }
}

fn outbound(provider: &Provider, model: Option<&str>, body: &[u8]) -> Result<Outbound, Error> {
    let chat = Chat::parse(body)?;
    chat.validate()?;
    let model = model.unwrap_or(&chat.model);
    let facts = provider.facts(model);
    provider.dialect().request(&chat, body, &provider.target(model, &facts))
}

/// `translate response`: what a client gets for a whole answer. A status that is not of success,
/// and an answer that is none, become an error, whose class is printed too.
#[must_use]
pub fn response(provider: &Provider, asked: &Asked<'_>, received: &Received) -> Printed {
    let facts = provider.facts(&asked.0.model);
    let pairs = received.headers.iter().map(|(name, value)| (&**name, &**value));
    let headers: Headers<'_> = pairs.collect();
    let Received { status, body, .. } = received;
    let dialect = provider.dialect();
    let answer = if (200..300).contains(status) {
        dialect.answer(&provider.call(asked, &facts), &headers, body)
    } else {
        Err(dialect.error(*status, &headers, body))
    };
    answered(answer, received, None)
}

/// What is printed for what became of the answer `received`.
fn answered(
    answer: Result<Answer, Error>,
    received: &Received,
    warning: Option<&'static str>,
) -> Printed {
    let bytes = match answer {
        Ok(answer) => {
            let body = answer.body.apply(&received.body);
            let headers = Pairs(vec![("content-type", "application/json".into())]);
            let warnings = warning.into_iter().collect();
            let (status, body) = (received.status, Body::read(&body));
            line(&Answered { status, headers, body, warnings, fault: None })
        }
        Err(error) => {
            let body = error.body();
            let class = error.class;
            line(&Answered {
                status: error.status,
                headers: error_headers(&error),
                body: Body::read(&body),
                warnings: Vec::new(),
                fault: Some(Fault {
                    class: class.word(),
                    retryable: error.retryable(),
                    failover: error.failover(),
                }),
            })
        }
    };
    Printed { bytes, exit: 0 }
}

/// `translate stream`: the events that a client gets for a provider's bytes, in the given pieces.
/// An error is the last event. Of a stream that failed before its first content, which the module
/// would keep from the client, everything is shown.
#[must_use]
pub fn stream<'p>(
    provider: &Provider,
    asked: &Asked<'_>,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Printed {
    let facts = provider.facts(&asked.0.model);
    let mut stream = Stream::new(provider.dialect().stream(&provider.call(asked, &facts)));
    let mut bytes = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut bytes);
    }
    if stream.finish(&mut bytes) == Phase::Failed {
        bytes.extend_from_slice(stream.held());
        bytes.extend(stream.error().map(Error::event).unwrap_or_default());
    }
    Printed { bytes, exit: 0 }
}

/// The pieces in which `bytes` are fed: of `size` bytes, or all at once when it is 0.
pub fn pieces(bytes: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(if size == 0 { bytes.len().max(1) } else { size })
}

fn error_headers(error: &Error) -> Pairs<'static> {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(error.advice());
    Pairs(headers)
}

#[derive(Serialize)]
struct Sent<'a> {
    method: &'static str,
    path: &'a str,
    headers: Pairs<'a>,
    body: Body<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Refused<'a> {
    status: u16,
    error: Option<&'a RawValue>,
}

#[derive(Default, serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Answered<'a> {
    status: u16,
    headers: Pairs<'a>,
    body: Body<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
    #[serde(flatten)]
    fault: Option<Fault>,
}

#[derive(Serialize)]
struct Fault {
    class: &'static str,
    retryable: bool,
    failover: bool,
}

/// Headers in their order; a name that comes again is joined to the first, as HTTP has it.
struct Pairs<'a>(Vec<(&'a str, String)>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut joined: Vec<(&str, String)> = Vec::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            match joined.iter_mut().find(|(known, _)| known == name) {
                Some((_, first)) => {
                    first.push_str(", ");
                    first.push_str(value);
                }
                None => joined.push((name, value.clone())),
            }
        }
        let mut map = serializer.serialize_map(Some(joined.len()))?;
        for (name, value) in &joined {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A body as it is sent, so that the digits of its numbers and the order of its fields can be seen.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(&'a RawValue),
    /// What is not JSON.
    Text(Cow<'a, str>),
    Empty,
}

impl<'a> Body<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(json) => Self::Json(json),
            Err(_) if bytes.is_empty() => Self::Empty,
            Err(_) => Self::Text(String::from_utf8_lossy(bytes)),
        }
    }
}

fn line(printed: &impl Serialize) -> Vec<u8> {
    // Texts, numbers and raw values always have a JSON form.
    let mut bytes = serde_json::to_vec(printed).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
