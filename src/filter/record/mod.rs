//! The record of a request, for the access log: one line of JSON with each attempt, its tokens, its
//! cost and its times, and whom the request belongs to. `docs/audit.md` says what each field means;
//! `docs/audit.schema.json` says it to programs.
//!
//! It is left in Envoy's filter state as `wasm.waypost_record` when the request is logged, whatever
//! became of it. A field without a value is left out, except those of the short form: `request_id`,
//! `route`, `provider_chosen`, `model`, `fallback_used`, `cache_hit`, `input_tokens`,
//! `output_tokens`, `latency_ms` and `cost_usd` stand in every record.
//!
//! | file | what it is |
//! |---|---|
//! | `attempt` | an attempt, and who was not asked |
//! | [`content`] | what was asked and answered |
//! | [`times`] | where the time went |
//! | [`time`] | times as texts |
//! | [`writer`] | JSON that stays one line and within its length |
//!
//! New fields may come; what a field means changes only with `v`. Reasons are in the words of
//! providers, without credentials; like everything in a log they may repeat a part of what a client
//! sent.

mod attempt;
pub mod content;
pub mod time;
pub mod times;
pub mod writer;

use times::{Clock, Times};
use writer::Writer;

use super::asked::Asked;
use super::call::{Call, Purpose};
use super::exchange::Exchange;
use super::refusal::Refusal;
use crate::config::Gateway;
use crate::openai::Usage;
use crate::routing::{Attempts, Total};
use crate::tenancy::Caller;

pub use attempt::MAX_REASON_BYTES;
pub use writer::MAX_RECORD_BYTES;

/// The version of what fields mean.
pub const VERSION: u64 = 2;

/// A request that got no exchange: it was refused before anyone was asked, or its client left, or it
/// asked for what the gateway itself knows.
pub struct Unasked<'a> {
    /// The configuration it came under.
    pub gateway: &'a Gateway,
    /// Why it was refused, if it was.
    pub refusal: Option<&'a Refusal>,
    /// The gateway's own call that it is, if it is one.
    pub call: Option<&'a Call>,
    /// Whom it belongs to, where that is known.
    pub caller: Option<&'a Caller>,
    /// Its id.
    pub request_id: &'a str,
    /// What it asked for, where that is known.
    pub operation: Option<&'static str>,
    /// The status that the client got.
    pub status: Option<u16>,
    /// When it came and when all of it was here.
    pub clock: Clock,
    /// How much of its body came, in bytes.
    pub request_bytes: u64,
    /// The body that the client got, in bytes.
    pub answer_bytes: u64,
}

/// The record of a request that passed the gateway role. `unix_millis` and `now` are the time of the
/// log, by the calendar and by the clock that never goes back.
#[must_use]
pub fn of(exchange: &Exchange, unix_millis: u64, now: u64) -> String {
    let (asked, operation, stream) = match &exchange.parsed {
        Asked::Chat(parsed) => (&*parsed.chat().model, "chat", Some(parsed.chat().stream)),
        Asked::Embeddings(parsed) => (&*parsed.asked().model, "embeddings", None),
        Asked::Models => ("", "models", None),
    };
    let gateway = &*exchange.gateway;
    let (attempts, journey) = (&exchange.attempts, &exchange.journey);
    let clock =
        Clock { unix_millis, now, arrived: exchange.origin.arrived, complete: journey.complete };
    let mut record = Writer::begin();
    let origin = &exchange.origin;
    begin(&mut record, &clock, &origin.request_id, Some(&origin.caller), exchange.call.as_deref());
    record.maybe("trace_id", exchange.trace.id());
    record.text("route", &exchange.rule);
    record.some("requested_model", asked);
    record.text("operation", operation);
    if let Some(stream) = stream {
        record.flag("stream", stream);
    }
    let last = attempts.tried().last().map(|last| last.candidate);
    let chosen = last.and_then(|last| exchange.candidate(last));
    record.maybe_or_null("provider_chosen", chosen.map(|found| &*found.provider.name));
    record.text("model", chosen.map_or(asked, |found| &*found.model.name));
    // Whoever was passed over before the first attempt was a choice too.
    record.flag("fallback_used", last.is_some_and(|last| last > 0) || attempts.tried().len() > 1);
    record.flag("cache_hit", false);
    record.maybe_number("status", journey.status.map(u64::from));
    sum(&mut record, &exchange.total());
    let times = Times::of(attempts, &clock, journey.inside);
    end(&mut record, &times, (exchange.parsed.body().len() as u64, journey.answer_bytes));
    warnings(&mut record, exchange.warnings());
    attempt::attempts(&mut record, exchange);
    attempt::skipped(&mut record, &mut attempts.skipped(), gateway);
    content::prompt(&mut record, &exchange.parsed, &gateway.audit);
    content::answer(&mut record, journey.spoken.as_deref(), &gateway.audit);
    record.end()
}

/// The record of a request without an exchange.
#[must_use]
pub fn unasked(request: &Unasked<'_>) -> String {
    let Unasked { gateway, refusal, call, clock, .. } = request;
    let mut record = Writer::begin();
    begin(&mut record, clock, request.request_id, request.caller, *call);
    record.text("route", refusal.map_or("", |refusal| &*refusal.rule));
    let model = refusal.map_or("", |refusal| &*refusal.model);
    record.some("requested_model", model);
    record.maybe("operation", request.operation);
    record.null("provider_chosen");
    record.text("model", model);
    record.flag("fallback_used", false);
    record.flag("cache_hit", false);
    record.maybe_number("status", request.status.map(u64::from));
    sum(&mut record, &Total::default());
    let times = Times::of(&Attempts::new(Vec::new()), clock, 0);
    end(&mut record, &times, (request.request_bytes, request.answer_bytes));
    if let Some(refusal) = refusal {
        let error = &refusal.error;
        record.open("refused", b'{');
        record.number("status", u64::from(error.status));
        record.text("class", error.class.word());
        record.maybe("code", error.code.as_deref());
        record.maybe("param", error.param.as_deref());
        record.maybe("limit", refusal.limit);
        record.close(b'}');
        attempt::skipped(&mut record, &mut refusal.skipped.iter(), gateway);
    }
    record.end()
}

/// Which request, whose, and what for.
fn begin(
    record: &mut Writer,
    clock: &Clock,
    request_id: &str,
    caller: Option<&Caller>,
    call: Option<&Call>,
) {
    record.number("v", VERSION);
    record.text("time", &time::rfc3339(clock.began_millis()));
    record.text("request_id", request_id);
    if let Some(caller) = caller {
        record.some("tenant", &caller.tenant);
        for (name, text) in [
            ("team", &caller.team),
            ("user", &caller.user),
            ("application", &caller.application),
            ("tier", &caller.tier),
            ("key_id", &caller.key),
        ] {
            record.maybe(name, text.as_deref());
        }
        record.text("proof", caller.proof.word());
    }
    if let Some(call) = call {
        record.text("purpose", call.purpose.word());
        if let Purpose::Mirror(of) = &call.purpose {
            record.text("mirror_of", of);
        }
    }
}

/// How long it took and how long it was.
fn end(record: &mut Writer, times: &Times, (request, answer): (u64, u64)) {
    times.write(record);
    // Neither is there yet.
    record.text("cache", "off");
    record.text("guard", "off");
    record.number("request_bytes", request);
    record.number("answer_bytes", answer);
}

fn warnings(record: &mut Writer, warnings: &[String]) {
    if !warnings.is_empty() {
        record.open("warnings", b'[');
        for warning in warnings {
            record.entry(attempt::MAX_ATTEMPT_BYTES, &mut |record| {
                record.item("warnings", warning, MAX_REASON_BYTES);
            });
        }
        record.close(b']');
    }
}

/// What all attempts together used.
fn sum(record: &mut Writer, total: &Total) {
    let Usage { cache_read, cache_write, output, reasoning, .. } = total.usage;
    record.number("input_tokens", total.usage.prompt());
    record.number("output_tokens", output);
    record.number("cached_tokens", cache_read);
    record.number("cache_write_tokens", cache_write);
    record.number("reasoning_tokens", reasoning);
    if total.estimated {
        record.flag("estimated", true);
    }
    record.money("cost_usd", total.cost());
    if total.unpriced {
        record.flag("unpriced", true);
    }
}

#[cfg(test)]
pub(in crate::filter) mod tests;
