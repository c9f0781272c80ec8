//! The role in the listener: once per request.
//!
//! ```text
//!  Heading ──► Receiving ──► Sent ──────► Rewriting    Envoy's own reply becomes an OpenAI error
//!     │            │
//!     └────────────┴──► Replied    our own reply: it comes back through the callbacks, and is
//!                                  left alone there
//! ```

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::arrived;
use super::call::Call;
use super::exchange::{Exchange, Origin, span_of_refusal};
use super::host::{self, Buffer, Map, Packed, borrow};
use super::identity::Asker;
use super::intake::{self, Asking, Incoming};
use super::mirror;
use super::property::{CLUSTER, EXCHANGE, is_connected, tell};
use super::record::{self, Unasked, times::Clock};
use super::refusal::Refusal;
use super::reply::{self, Reply};
use super::service::Service;
use super::shared::{self, Handle};
use crate::config::Gateway;
use crate::config::rule::{Expression, Operation};
use crate::openai::{Class, Error};
use crate::providers::Headers;
use crate::tenancy::{Caller, Proof};

/// The property, and so the filter state `wasm.waypost_record`, that holds the record of the request
/// for the access log: see [`record`].
const RECORD: &str = "waypost_record";

/// What every request of a configuration needs.
pub struct Desk {
    /// The configuration, and what is known of its providers.
    pub service: Rc<Service>,
    /// When the configuration came, in seconds since 1970.
    pub since: u64,
    /// Envoy's tokens of its expressions, by [`Expression::at`].
    pub expressions: Vec<Vec<u8>>,
}

impl Desk {
    /// Compiles the expressions of a configuration.
    ///
    /// # Errors
    /// One line for each that Envoy does not take.
    pub fn new(gateway: Gateway, since: u64) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut expressions = Vec::new();
        for (at, rule) in gateway.rules.iter().enumerate() {
            let Some(cel) = &rule.when.cel else { continue };
            // A name that there is not is no mistake to Envoy; a mistake in the grammar and a
            // function that there is not are. Why, it only writes to its own log.
            match host::foreign("expr_create", cel.text.as_bytes()) {
                Some(token) => expressions.push(token),
                None => problems.push(format!(
                    "rules[{at}].when.cel: Envoy cannot read the expression \"{}\"",
                    cel.text
                )),
            }
        }
        let service = Rc::new(Service::new(Rc::new(gateway), Box::new(shared::Envoy)));
        let desk = Self { service, since, expressions };
        if problems.is_empty() { Ok(desk) } else { Err(problems) }
    }

    /// Whether Envoy says yes to an expression. One that fails on a request, for a header or a
    /// certificate that is not there, does not match. Envoy 1.40 takes 1.0 to 1.6 µs.
    fn holds(&self, expression: &Expression) -> bool {
        let token = self.expressions.get(expression.at);
        let said = token.and_then(|token| host::foreign("expr_evaluate", token));
        said.as_deref() == Some(&[1])
    }
}

// Tokens belong to the root context; whoever is the last to hold them belongs to it too.
impl Drop for Desk {
    fn drop(&mut self) {
        for token in &self.expressions {
            host::foreign("expr_delete", token);
        }
    }
}

/// A request on its way through the listener.
pub struct GatewayStream {
    context: u32,
    desk: Rc<Desk>,
    phase: Phase,
    exchange: Option<u64>,
    /// How much of the body Envoy holds for us, in bytes.
    received: usize,
    /// The gateway's own call that it is, rather than a client's request.
    call: Option<Rc<Call>>,
    /// Whom it belongs to.
    caller: Option<Rc<Caller>>,
    /// When its headers came, in nanoseconds of a clock that never goes back.
    arrived: u64,
    /// When all of it was here, by the same clock; 0 before.
    complete: u64,
    /// Why it was refused, for its record.
    refusal: Option<Refusal>,
    /// What it asked for, for its record.
    operation: Option<&'static str>,
    /// The status and the length of the answer of our own that the client got.
    told: Option<(u16, usize)>,
}

enum Phase {
    Heading,
    Receiving(Operation, Packed),
    Sent,
    Rewriting(Vec<u8>),
    Replied,
}

impl GatewayStream {
    /// A request of which nothing has arrived.
    pub const fn new(context: u32, desk: Rc<Desk>) -> Self {
        let phase = Phase::Heading;
        Self {
            context,
            desk,
            phase,
            exchange: None,
            received: 0,
            call: None,
            caller: None,
            arrived: 0,
            complete: 0,
            refusal: None,
            operation: None,
            told: None,
        }
    }

    /// A request of the gateway to itself.
    pub fn for_call(context: u32, call: Rc<Call>) -> Self {
        let service = Rc::clone(&call.service);
        let desk = Desk { service, since: 0, expressions: Vec::new() };
        Self { call: Some(call), ..Self::new(context, Rc::new(desk)) }
    }

    fn gateway(&self) -> &Gateway {
        &self.desk.service.gateway
    }

    /// The exchange, from the end of the request's body to the log.
    pub fn exchange(&self) -> Option<Handle> {
        self.exchange.and_then(shared::find)
    }

    fn reply(&mut self, reply: &Reply) -> Action {
        self.phase = Phase::Replied;
        self.told = Some((reply.status, reply.body.len()));
        let headers = reply.headers();
        host::reply(reply.status, reply.details, &borrow(&headers), &reply.body);
        Action::Pause
    }

    fn refuse(&mut self, refusal: impl Into<Refusal>) -> Action {
        let refusal = refusal.into();
        let mut reply = Reply::error("waypost_refused", &refusal.error);
        reply.advice.extend(refusal.limits.iter().cloned());
        if self.gateway().tracing {
            let tenant = self.caller.as_ref().map_or("", |caller| &*caller.tenant);
            tell(span_of_refusal(&refusal, self.operation, tenant));
        }
        self.refusal = Some(refusal);
        self.reply(&reply)
    }

    /// The whole body is here: decide, and let it go.
    fn release(&mut self, size: usize) -> Action {
        let Phase::Receiving(operation, packed) = std::mem::replace(&mut self.phase, Phase::Sent)
        else {
            return Action::Pause;
        };
        self.complete = host::monotonic();
        let limits = self.gateway().limits;
        let bytes = size as u64;
        if bytes > limits.body {
            return self.refuse(intake::too_large(limits.body));
        }
        if !shared::hold(bytes, limits.held) {
            return self.refuse(intake::too_busy(limits.held));
        }
        match self.open(operation, &packed, size) {
            Ok(exchange) => {
                self.send(exchange, bytes);
                if let Some(exchange) = self.exchange() {
                    mirror::send(&exchange.borrow(), operation);
                }
                Action::Continue
            }
            Err(refusal) => {
                shared::release(bytes);
                self.refuse(refusal)
            }
        }
    }

    fn open(
        &self,
        operation: Operation,
        packed: &Packed,
        size: usize,
    ) -> Result<Exchange, Refusal> {
        let body = host::buffer(Buffer::Request, size).unwrap_or_default();
        let pairs = packed.pairs();
        for (name, _) in pairs.iter().filter(|(name, _)| intake::is_control_header(name)) {
            host::remove_header(Map::Request, name);
        }
        let headers = Headers::new(pairs);
        let (created, arrived) = (host::unix_time(), self.arrived);
        let request_id = headers
            .text("x-request-id")
            .map_or_else(|| format!("{created:x}-{}", self.context), str::to_owned);
        if let Some(call) = &self.call {
            let caller = Rc::new(Caller { proof: Proof::Own, ..Caller::anonymous(&"".into(), 0) });
            return arrived::open(call, body, Origin { request_id, caller, created, arrived });
        }
        // Nobody gets as far as this without.
        let caller = self.caller.as_ref().map(Rc::clone);
        let caller = caller.ok_or_else(|| Error::new(Class::Auth, "It is not known who asks."))?;
        let cel = |expression: &Expression| self.desk.holds(expression);
        let headers = &headers;
        intake::open(
            &self.desk.service,
            Incoming {
                operation,
                headers,
                body,
                origin: Origin { request_id, caller, created, arrived },
                cel: &cel,
            },
        )
    }

    /// Names the first cluster and says how long and how often Envoy may try.
    fn send(&mut self, mut exchange: Exchange, bytes: u64) {
        exchange.journey.complete = self.complete;
        tell(exchange.request_span(false));
        let timeouts = exchange.timeouts;
        let attempt = exchange.attempt_limit();
        let retries = exchange.attempts.candidates().len().saturating_sub(1);
        if let Some(next) = exchange.next() {
            host::set_property(CLUSTER, &next.endpoint.cluster);
        }
        let id = shared::open(exchange, self.context, bytes);
        self.exchange = Some(id);
        host::set_property(EXCHANGE, &id.to_string());
        // Setting a header also makes Envoy match the route anew, now that the cluster is named.
        for (name, value) in [
            ("x-envoy-upstream-rq-per-try-timeout-ms", attempt.as_millis()),
            ("x-envoy-upstream-rq-timeout-ms", timeouts.total.as_millis()),
            ("x-envoy-max-retries", retries as u128),
        ] {
            host::set_header(Map::Request, name, &value.to_string());
        }
    }

    /// Counts a request that got no exchange, and gives its record.
    fn unasked(&self) -> String {
        let packed = host::headers(Map::Request).unwrap_or_default();
        let id = Headers::new(packed.pairs()).text("x-request-id").map(str::to_owned);
        let (unix_millis, now) = (host::unix_millis(), host::monotonic());
        let unasked = Unasked {
            gateway: self.gateway(),
            refusal: self.refusal.as_ref(),
            call: self.call.as_deref(),
            caller: self.caller.as_deref(),
            request_id: id.as_deref().unwrap_or_default(),
            operation: self.operation,
            status: self.told.map(|(status, _)| status),
            clock: Clock { unix_millis, now, arrived: self.arrived, complete: self.complete },
            request_bytes: self.received as u64,
            answer_bytes: self.told.map_or(0, |(_, bytes)| bytes as u64),
        };
        self.desk.service.count_unasked(&unasked);
        record::unasked(&unasked)
    }

    /// Tells the request's span what is known: in the log it is too late for that.
    fn trace(&self, ended: bool) {
        if self.gateway().tracing
            && let Some(exchange) = self.exchange()
            && let Ok(mut exchange) = exchange.try_borrow_mut()
        {
            tell(exchange.request_span(ended));
        }
    }

    /// Takes an answer that no provider gave, and says it in OpenAI's words.
    fn rewrite(&mut self, status: u16, bare: bool) {
        let (error, signature) = match self.exchange.and_then(shared::find) {
            Some(exchange) => {
                let mut exchange = exchange.borrow_mut();
                let error = match status {
                    503 if overflowed() => exchange.overflowed(&cluster()),
                    502..=504 => exchange.exhausted(status),
                    _ => reply::local_error(status),
                };
                exchange.trace.error = Some(error.class.word());
                (error, exchange.signature(&[]))
            }
            None => (reply::local_error(status), Vec::new()),
        };
        let body = if bare { Vec::new() } else { error.body() };
        self.told = Some((error.status, body.len()));
        let mut headers = vec![
            (":status", error.status.to_string()),
            ("content-type", "application/json".to_owned()),
            ("content-length", body.len().to_string()),
        ];
        headers.extend(error.advice());
        headers.extend(signature);
        host::set_headers(Map::Response, &borrow(&headers));
        self.phase = Phase::Rewriting(body);
    }
}

/// Whether Envoy answered because the pool of connections of the cluster that was to be asked is full.
/// Envoy never retries that, and runs no filter of the cluster.
fn overflowed() -> bool {
    let details = host::property("response\0code_details").unwrap_or_default();
    details.ends_with(b"{overflow}")
}

/// The cluster that Envoy asked last, or tried to.
fn cluster() -> String {
    let name = host::property("xds\0cluster_name").unwrap_or_default();
    String::from_utf8(name).unwrap_or_default()
}

/// Panics when a client asks for it, and the worker's module with it: for the tests that show how
/// Envoy brings it back.
#[cfg(feature = "trap")]
#[expect(clippy::panic, reason = "the one panic that is wanted; no release has this feature")]
fn trap(headers: &Headers<'_>) {
    if headers.text("x-waypost-trap") == Some("now") {
        panic!("a request asked for a trap");
    }
}

impl Context for GatewayStream {}

impl HttpContext for GatewayStream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        self.arrived = host::monotonic();
        let packed = host::headers(Map::Request).unwrap_or_default();
        let headers = Headers::new(packed.pairs());
        #[cfg(feature = "trap")]
        trap(&headers);
        if self.call.is_none() {
            match self.gateway().tenancy.identify(&Asker(&headers), host::unix_millis()) {
                Ok(caller) => self.caller = Some(Rc::new(caller)),
                Err(error) => return self.refuse(error),
            }
        }
        let own = self.call.as_ref().map(|call| Ok(Asking::Passed(call.ask.operation())));
        let operation = match own.unwrap_or_else(|| Asking::find(&headers)) {
            Ok(Asking::Passed(operation)) => operation,
            Ok(Asking::Models) => {
                self.operation = Some("models");
                return self.reply(&intake::list_models(
                    self.gateway(),
                    self.caller.as_deref(),
                    self.desk.since,
                ));
            }
            Ok(Asking::Model(id)) => {
                self.operation = Some("models");
                return self.reply(&intake::show_model(
                    self.gateway(),
                    self.caller.as_deref(),
                    id,
                    self.desk.since,
                ));
            }
            Err(error) => return self.refuse(error),
        };
        self.operation = Some(operation.word());
        if let Some(caller) = &self.caller
            && let Err(error) = intake::check_operation(self.gateway(), caller, operation)
        {
            return self.refuse(error);
        }
        let limit = self.gateway().limits.body;
        let length = headers.text("content-length").and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit) {
            return self.refuse(intake::too_large(limit));
        }
        self.phase = Phase::Receiving(operation, packed);
        if end { self.release(0) } else { Action::Pause }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.received = size;
        match self.phase {
            Phase::Receiving(..) if end || size as u64 > self.gateway().limits.body => {
                self.release(size)
            }
            Phase::Receiving(..) => Action::Pause,
            Phase::Heading | Phase::Replied => Action::Pause,
            Phase::Sent | Phase::Rewriting(_) => Action::Continue,
        }
    }

    // With trailers no body callback says that it was the last. They are not for the provider:
    // over HTTP/2 they would reach it, a client's credential among them.
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let trailers = host::headers(Map::RequestTrailers).unwrap_or_default();
        for (name, _) in trailers.pairs() {
            host::remove_header(Map::RequestTrailers, name);
        }
        match self.phase {
            Phase::Receiving(..) => self.release(self.received),
            Phase::Heading | Phase::Replied => Action::Pause,
            Phase::Sent | Phase::Rewriting(_) => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        if matches!(self.phase, Phase::Replied) {
            return Action::Continue;
        }
        let answered = self
            .exchange
            .and_then(shared::find)
            .is_some_and(|exchange| exchange.borrow().committed);
        if !answered {
            let headers = host::headers(Map::Response).unwrap_or_default();
            let status = Headers::new(headers.pairs()).text(":status").and_then(|s| s.parse().ok());
            self.rewrite(status.unwrap_or(502), end);
        }
        self.trace(end);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if end {
            self.trace(true);
        }
        if let Phase::Rewriting(body) = &mut self.phase {
            host::replace(Buffer::Response, size, body);
            body.clear();
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.trace(true);
        Action::Continue
    }

    fn on_log(&mut self) {
        if let Some(id) = self.exchange.take() {
            if let Some(exchange) = shared::find(id)
                && let Ok(mut exchange) = exchange.try_borrow_mut()
            {
                if exchange.waits() && is_connected() {
                    exchange.sent();
                }
                exchange.close();
                if let Some((status, bytes)) = self.told {
                    exchange.journey.status = Some(status);
                    exchange.journey.answer_bytes = bytes as u64;
                }
                let (unix, now) = (host::unix_millis(), host::monotonic());
                exchange.service().count_request(&exchange, now);
                host::set_property(RECORD, &record::of(&exchange, unix, now));
            }
            shared::close(id);
        } else if self.arrived > 0 {
            host::set_property(RECORD, &self.unasked());
        }
    }
}
