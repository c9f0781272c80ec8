//! The role in a provider's cluster: once per attempt.
//!
//! ```text
//!  Asking ──► Refused ───────────────┐  a status that is no success: read it all, classify
//!     │  ├───► Whole ────────────────┤  an answer that is not streamed: read it all, translate
//!     │  └───► Streaming (held) ─────┤  until the first content
//!     │              │               ├──► Over   committed, or marked for the next candidate
//!     │              └─► Streaming ──┘           event by event, until the last
//!     └──────────────────────────────────► Over   no exchange: the request did not pass the gateway
//! ```
//!
//! Nothing goes to the client before the verdict. A verdict that another candidate may do better
//! is a response header that the route's retry policy matches: Envoy throws the answer away and
//! asks the cluster that this role names.

mod verdict;

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::asked::Asked;
use super::collected::{Collected, MAX_ANSWER_BYTES, MAX_LEFT_BYTES, MAX_REFUSAL_BYTES};
use super::exchange::{Exchange, Flow, hide, without_secrets};
use super::host::{self, Buffer, Map, borrow};
use super::property::{CLUSTER, EXCHANGE, is_connected, tell};
use super::reply::Reply;
use super::shared::{self, Handle};
use crate::openai::{Class, Error};
use crate::providers::stream::{Phase as StreamPhase, Stream};
use crate::providers::{Headers, Payload};
use crate::routing::Resolved;

/// Longest answer, or first content of a stream, that is put into Envoy's buffer; what is longer
/// is sent as a reply of our own, or in pieces. A
/// held body that is made longer than the buffer may be (1 MiB, where nothing else is said) ends
/// its stream within our call, and that ends all of Envoy.
pub const MAX_BUFFERED_BYTES: usize = 768 << 10;

/// More than any buffer holds; the host takes what there is.
const ALL: usize = usize::MAX >> 1;

/// What a provider's cluster is configured with.
pub struct Credentials {
    /// The entry of `providers` that the cluster belongs to.
    pub provider: String,
    /// The keys; the first is used.
    pub secrets: Vec<String>,
    /// The name of the variable that the first came from.
    pub name: Option<Rc<str>>,
    /// Whether keys were configured and none was found.
    pub missing: bool,
}

/// One attempt.
pub struct ProviderStream {
    credentials: Rc<Credentials>,
    phase: Phase,
    attempt: Option<Attempt>,
    /// The end of a long first content, which goes with the next bytes.
    kept: Vec<u8>,
}

/// Which attempt this is, of which exchange.
struct Attempt {
    exchange: Handle,
    /// Its place among the attempts.
    at: usize,
    /// The candidate's place in the plan.
    candidate: usize,
    /// The request's body for this provider, until it is sent.
    payload: Option<Payload>,
    warnings: Vec<String>,
    /// The provider's own status.
    status: Option<u16>,
}

enum Phase {
    Asking,
    Refused(Collected),
    Whole(Collected),
    Streaming(Stream),
    Over { swallow: bool },
}

impl ProviderStream {
    /// An attempt of which nothing is known.
    pub const fn new(credentials: Rc<Credentials>) -> Self {
        Self { credentials, phase: Phase::Asking, attempt: None, kept: Vec::new() }
    }

    fn refuse(&mut self, details: &'static str, error: &Error) -> Action {
        self.phase = Phase::Over { swallow: false };
        let reply = Reply::error(details, error);
        host::reply(reply.status, reply.details, &borrow(&reply.headers()), &reply.body);
        Action::Pause
    }

    /// Begins an attempt: translates the request and names who is asked if this one fails.
    fn begin(&mut self) -> Result<Attempt, (&'static str, Error)> {
        let handle = host::property(EXCHANGE)
            .and_then(|id| std::str::from_utf8(&id).ok()?.parse().ok())
            .and_then(shared::find)
            .ok_or_else(|| {
                let message = "This cluster is only reached through the gateway.";
                ("waypost_no_exchange", Error::new(Class::Client, message).with_status(403))
            })?;
        let mut guard = handle.borrow_mut();
        let exchange = &mut *guard;
        let now = host::monotonic();
        let (at, candidate) =
            exchange.begin(now).ok_or_else(|| ("waypost_exhausted", exchange.exhausted(503)))?;
        let outbound = exchange.outbound(candidate).map_err(|error| {
            exchange.given_up(at, None, &error, host::monotonic());
            exchange.commit(error.status, error.body().len());
            ("waypost_untranslatable", error)
        })?;
        // For a failure without a response: who is asked is Envoy's to look up, not ours to say.
        if let Some(next) = exchange.next() {
            host::set_property(CLUSTER, &next.endpoint.cluster);
        }
        let is_for = |found: &Resolved<'_>| found.provider.name == self.credentials.provider;
        if !exchange.candidate(candidate).is_some_and(|found| is_for(&found)) {
            let message = format!(
                "The cluster's provider filter is configured for \"{}\", which is not the provider that was chosen.",
                self.credentials.provider
            );
            let error = Error::new(Class::Server, message);
            exchange.given_up(at, None, &error, host::monotonic());
            return Err(("waypost_misconfigured", error));
        }
        let told = exchange.candidate(candidate).is_some_and(|found| found.provider.trace_context);
        let parent = (exchange.gateway.tracing || told)
            .then(|| host::property("request\0headers\0traceparent").unwrap_or_default())
            .and_then(|parent| exchange.trace.follow(parent).map(str::to_owned));
        let found = exchange
            .candidate(candidate)
            .ok_or_else(|| ("waypost_exhausted", exchange.exhausted(503)))?;
        let length = outbound.body.len(exchange.parsed.body().len()).to_string();
        let dialect = found.provider.api.dialect;
        let streamed = exchange.parsed.stream();
        let accept = if streamed { dialect.stream_type() } else { "application/json" };
        let credential = self
            .credentials
            .secrets
            .first()
            .map(|secret| dialect.credential(secret, &found.provider.settings));
        let mut headers: Vec<(&str, &str)> = vec![
            (":method", outbound.method),
            (":scheme", "https"),
            (":authority", &found.provider.base.authority),
            (":path", &outbound.path),
            ("accept", accept),
            // What is compressed could not be read here.
            ("accept-encoding", "identity"),
            ("user-agent", concat!("waypost/", env!("CARGO_PKG_VERSION"))),
        ];
        headers.extend(parent.as_deref().filter(|_| told).map(|parent| ("traceparent", parent)));
        if outbound.method != "GET" {
            headers.push(("content-length", &length));
        }
        headers.extend(outbound.headers.iter().map(|(name, value)| (*name, &**value)));
        headers.extend(credential.iter().map(|(name, value)| (*name, &**value)));
        host::set_headers(Map::Request, &headers);
        let warnings: Vec<String> = outbound.warnings.iter().map(ToString::to_string).collect();
        exchange.attempts.warn(at, warnings.len());
        if let Some(name) = &self.credentials.name {
            exchange.attempts.sign(at, Rc::clone(name));
        }
        exchange.journey.inside += host::since(now);
        let payload = Some(outbound.body);
        drop(guard);
        Ok(Attempt { exchange: handle, at, candidate, payload, warnings, status: None })
    }

    /// The provider's headers are here: what kind of answer is it?
    fn receive(&mut self, end: bool) -> Action {
        let Some(attempt) = &mut self.attempt else { return Action::Continue };
        let packed = host::headers(Map::Response).unwrap_or_default();
        let headers = Headers::new(packed.pairs());
        let status = headers.text(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        attempt.status = Some(status);
        attempt.exchange.borrow_mut().sent();
        if let Some(id) = headers.provider_request_id() {
            let id = hide(&id, &self.credentials.secrets);
            attempt.exchange.borrow_mut().attempts.identify(attempt.at, id);
        }
        {
            let attempts = &mut attempt.exchange.borrow_mut().attempts;
            if let Some(after) = connected_after() {
                attempts.connected(attempt.at, after);
            }
            if let Some(millis) = headers.processing_millis() {
                attempts.told(attempt.at, millis);
            }
        }
        let encoding = headers.text("content-encoding").filter(|encoding| *encoding != "identity");
        let encoding = encoding.map(str::to_owned);
        let length = headers.text("content-length").and_then(|length| length.parse().ok());
        let kind = headers.text("content-type").unwrap_or_default();
        let (streamed, stream) = {
            let exchange = attempt.exchange.borrow();
            let streamed = exchange.parsed.stream();
            let stream = || {
                let call = exchange.call(attempt.candidate)?;
                let dialect = exchange.candidate(attempt.candidate)?.provider.api.dialect;
                let is_stream = kind.is_empty() || is_of_type(kind, dialect.stream_type());
                is_stream.then(|| Stream::new(dialect.stream(&call)))
            };
            (streamed, if streamed { stream() } else { None })
        };
        if (200..300).contains(&status) && matches!(attempt.exchange.borrow().parsed, Asked::Models)
        {
            return self.accept();
        }
        let collected = |limit| Collected::new(packed, limit);
        if !(200..300).contains(&status) {
            // What is compressed explains nothing.
            let limit = if encoding.is_some() { 0 } else { MAX_REFUSAL_BYTES };
            self.phase = Phase::Refused(collected(limit));
        } else if let Some(encoding) = encoding {
            attempt.exchange.borrow_mut().unread();
            let message =
                format!("the provider sent content-encoding {encoding}, though asked for identity");
            return self.fail(&Error::new(Class::Server, message));
        } else if let Some(stream) = stream {
            self.phase = Phase::Streaming(stream);
        } else if streamed {
            // A success that is no stream is an error in disguise.
            self.phase = Phase::Refused(collected(MAX_REFUSAL_BYTES));
        } else {
            let mut collected = collected(MAX_ANSWER_BYTES);
            collected.left = length.is_some_and(|length: usize| length <= MAX_LEFT_BYTES);
            self.phase = Phase::Whole(collected);
        }
        if end { self.end(0) } else { Action::Pause }
    }

    /// A probe's answer is a success by its status. A list of models can be long, and nobody reads
    /// it: its bytes are thrown away as they come.
    fn accept(&mut self) -> Action {
        self.phase = Phase::Over { swallow: true };
        if let Some(attempt) = &self.attempt {
            let mut exchange = attempt.exchange.borrow_mut();
            exchange.answered(attempt.at, host::monotonic());
            commit(&mut exchange, &[], 200, "application/json", Some(0), None);
        }
        Action::Continue
    }

    /// Bytes of the answer are here.
    fn take(&mut self, size: usize) -> Action {
        match &mut self.phase {
            Phase::Asking => Action::Continue,
            Phase::Over { swallow } => {
                if *swallow {
                    host::replace(Buffer::Response, size, b"");
                }
                Action::Continue
            }
            Phase::Refused(collected) | Phase::Whole(collected) => {
                if size > 0 && !collected.left {
                    collected.push(&host::buffer(Buffer::Response, size).unwrap_or_default());
                    host::replace(Buffer::Response, size, b"");
                }
                Action::Pause
            }
            Phase::Streaming(_) => self.stream(size, false),
        }
    }

    /// The last bytes of the answer are here.
    fn end(&mut self, size: usize) -> Action {
        if let Phase::Streaming(_) = self.phase {
            return self.stream(size, true);
        }
        self.take(size);
        match std::mem::replace(&mut self.phase, Phase::Over { swallow: false }) {
            Phase::Refused(collected) => self.judge_refusal(&collected),
            Phase::Whole(mut collected) => {
                if collected.left {
                    collected.push(&host::buffer(Buffer::Response, ALL).unwrap_or_default());
                }
                self.judge_answer(&collected)
            }
            other => {
                self.phase = other;
                Action::Continue
            }
        }
    }

    /// Translates the next bytes of a stream.
    fn stream(&mut self, size: usize, end: bool) -> Action {
        let (Phase::Streaming(stream), Some(attempt)) = (&mut self.phase, &self.attempt) else {
            return Action::Continue;
        };
        let before = stream.phase();
        let bytes = if size > 0 { host::buffer(Buffer::Response, size) } else { None };
        let bytes = bytes.unwrap_or_default();
        let mut out = std::mem::take(&mut self.kept);
        let kept = out.len();
        out.reserve(bytes.len() + 64);
        let mut phase = stream.push(&bytes, &mut out);
        if end {
            phase = stream.finish(&mut out);
        }
        match phase {
            StreamPhase::Held => {
                host::replace(Buffer::Response, size, b"");
                attempt.exchange.borrow_mut().told(stream.usage(), 0);
                return Action::Pause;
            }
            StreamPhase::Failed => {
                attempt.exchange.borrow_mut().told(stream.usage(), 0);
                let error = stream.error().cloned();
                host::replace(Buffer::Response, size, b"");
                return self.fail(
                    &error.unwrap_or_else(|| Error::new(Class::Server, "the stream failed")),
                );
            }
            StreamPhase::Flowing | StreamPhase::Ended | StreamPhase::Broken => {}
        }
        let mut exchange = attempt.exchange.borrow_mut();
        exchange.told(stream.usage(), stream.text_bytes());
        if before == StreamPhase::Held {
            exchange.answered_by(&out);
            exchange.flows(attempt.at, host::monotonic());
            commit(&mut exchange, &attempt.warnings, 200, "text/event-stream", None, None);
        }
        exchange.flow = match phase {
            StreamPhase::Broken => Flow::Over,
            StreamPhase::Ended => Flow::None,
            _ => Flow::Moving,
        };
        if phase != StreamPhase::Flowing && phase != before {
            match stream.error() {
                Some(error) => {
                    let secrets = &self.credentials.secrets;
                    out = hide(&String::from_utf8_lossy(&out), secrets).into_bytes();
                    let error = without_secrets(error, secrets);
                    exchange.failed(attempt.at, attempt.status, &error, host::monotonic());
                }
                None => {
                    exchange.answered(attempt.at, host::monotonic());
                    exchange.bill_in_stream(&mut out);
                }
            }
        }
        exchange.journey.answer_bytes += out.len().saturating_sub(kept) as u64;
        if let Some(spoken) = &mut exchange.journey.spoken {
            spoken.events(out.get(kept..).unwrap_or_default());
        }
        if before == StreamPhase::Held && out.len() > MAX_BUFFERED_BYTES {
            if end {
                let mut headers = vec![
                    ("content-type", "text/event-stream".to_owned()),
                    ("cache-control", "no-cache".to_owned()),
                ];
                headers.extend(exchange.signature(&attempt.warnings));
                drop(exchange);
                host::reply(200, "waypost_answer", &borrow(&headers), &out);
                return Action::Pause;
            }
            // Once the headers are gone, what is put in does not count against the buffer.
            self.kept = out.split_off(MAX_BUFFERED_BYTES);
        }
        if out != bytes && !host::replace(Buffer::Response, size, &out) && end {
            // Behind trailers nothing can be added. A clean end would pass for a whole answer, so
            // it is kept back until the tick cuts the stream.
            exchange.flow = Flow::Over;
            return Action::Pause;
        }
        Action::Continue
    }
}

/// Lets an answer's headers go to the client: ours alone, none of the provider's.
fn commit(
    exchange: &mut Exchange,
    warnings: &[String],
    status: u16,
    kind: &str,
    length: Option<usize>,
    error: Option<&Error>,
) {
    exchange.commit(status, length.unwrap_or(0));
    let mut headers = vec![(":status", status.to_string()), ("content-type", kind.to_owned())];
    match length {
        Some(length) => headers.push(("content-length", length.to_string())),
        None => headers.push(("cache-control", "no-cache".to_owned())),
    }
    headers.extend(error.into_iter().flat_map(Error::advice));
    headers.extend(exchange.signature(warnings));
    host::set_headers(Map::Response, &borrow(&headers));
}

/// How long Envoy took to give this attempt a connection, in nanoseconds.
fn connected_after() -> Option<u64> {
    let waited = host::property("upstream\0cx_pool_ready_duration")?;
    Some(u64::from_le_bytes(waited.try_into().ok()?))
}

fn is_of_type(content_type: &str, media_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(media_type)
}

impl Context for ProviderStream {
    fn on_done(&mut self) -> bool {
        let Some(attempt) = &self.attempt else { return true };
        let Ok(mut guard) = attempt.exchange.try_borrow_mut() else { return true };
        if guard.waits() && is_connected() {
            guard.sent();
        }
        if guard.is_under_way(attempt.at)
            && let Some(cluster) = guard.gone(attempt.at, attempt.status, host::monotonic())
        {
            host::set_property(CLUSTER, &cluster);
        }
        tell(guard.attempt_span(attempt.at));
        true
    }
}

impl HttpContext for ProviderStream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        match self.begin() {
            Ok(attempt) => {
                self.attempt = Some(attempt);
                Action::Continue
            }
            Err((details, error)) => self.refuse(details, &error),
        }
    }

    fn on_http_request_body(&mut self, size: usize, _: bool) -> Action {
        let Some(attempt) = &mut self.attempt else { return Action::Continue };
        match attempt.payload.take() {
            Some(Payload::Same) => attempt.payload = Some(Payload::Same),
            Some(Payload::Prefix { drop, insert }) if drop <= size => {
                host::replace(Buffer::Request, drop, &insert);
                attempt.payload = Some(Payload::Same);
            }
            Some(payload) => {
                let exchange = attempt.exchange.borrow();
                host::replace(Buffer::Request, size, &payload.apply(exchange.parsed.body()));
            }
            None => {
                host::replace(Buffer::Request, size, b"");
            }
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        self.receive(end)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if end { self.end(size) } else { self.take(size) }
    }

    // With trailers no body callback says that it was the last.
    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let trailers = host::headers(Map::ResponseTrailers).unwrap_or_default();
        for (name, _) in trailers.pairs() {
            host::remove_header(Map::ResponseTrailers, name);
        }
        self.end(0)
    }
}
