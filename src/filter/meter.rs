//! What is counted of a request when it is over.
//!
//! A series is named once; after that a request is a handful of numbers: nine calls of the host for an
//! answer of one attempt, eleven for a stream, and one or two more for each special kind of token.

use super::exchange::Exchange;
use super::refusal::Refusal;
use super::service::Service;
use crate::openai::{Class, Usage};
use crate::routing::{Attempt, Outcome, Spent};
use crate::telemetry::metrics::series::{
    CONFIGURED, ESTIMATED, INFO, OPERATION_DURATION, OVERHEAD, REQUEST_DURATION, REQUESTS,
    SERIES_LIMIT, SPEND, TIME_PER_OUTPUT_TOKEN, TIME_TO_FIRST_TOKEN, TOKEN_USAGE, TOKENS, UNPRICED,
};
use crate::telemetry::metrics::words::{
    self, ANSWERED, BROKEN, CACHE_CREATION, CACHED_INPUT, CHAT, EMBEDDINGS, FAILED, INPUT, LEFT,
    NONE, OUTPUT, REASONING, REFUSED, Whom, Word,
};
use crate::telemetry::metrics::{Meter, Metric, meter};
use crate::tenancy::Caller;

/// Nanoseconds in a millisecond.
const MILLI: u64 = 1_000_000;

/// Nanoseconds in a microsecond.
const MICRO: u64 = 1_000;

/// How a request ended. Times are in nanoseconds, of a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The time.
    pub now: u64,
    /// The status that the client got; nothing when it left before.
    pub status: Option<u16>,
    /// How long the gateway itself took.
    pub overhead: u64,
}

/// One note after the other.
struct Notes<'a> {
    service: &'a Service,
    meter: &'a mut Meter,
}

impl Notes<'_> {
    fn add(&mut self, metric: &'static Metric, labels: &[Word], value: u64) {
        self.meter.note(metric, labels, value, &self.service.gateway, &*self.service.world);
    }
}

impl Service {
    /// Counts a request that may have been tried at providers. The gateway's own are counted by what
    /// they used only: how long a probe takes is not how long requests do.
    pub fn count_request(&self, exchange: &Exchange, ending: &Ending) {
        let mut meter = self.meter.borrow_mut();
        let words = &meter.words;
        let tenant = words.tenant(&exchange.origin.caller, &self.gateway);
        let rule = words.rule(exchange.rule_at(), &self.gateway);
        let asked = words.asked(exchange.parsed.model());
        let operation = operation(exchange.parsed.operation());
        let own = exchange.call.is_some();
        let mut notes = Notes { service: self, meter: &mut meter };
        let mut last = None;
        for tried in exchange.attempts.tried() {
            let candidate = exchange.attempts.candidates().get(tried.candidate);
            let Some((candidate, found)) =
                candidate.and_then(|at| Some((at, at.resolve(&self.gateway)?)))
            else {
                continue;
            };
            let whom = notes.meter.words.whom(*candidate, &found);
            if let Some(spent) = &tried.spent {
                notes.spent(tenant, operation, whom, spent);
            }
            if !own {
                notes.attempt(operation, whom, tried, ending.now);
            }
            last = Some((tried, whom));
        }
        if own {
            return;
        }
        let (outcome, error) = result(last.map(|(tried, _)| tried), ending.status);
        let status = ending.status.map_or(NONE, words::status);
        notes.add(&REQUESTS, &[tenant, rule, operation, outcome, status, error], 1);
        notes.add(&OVERHEAD, &[operation], ending.overhead / MICRO);
        let Some((tried, whom)) = last else { return };
        let Whom { convention, provider, model, .. } = whom;
        let arrived = exchange.origin.arrived;
        let took = ending.now.saturating_sub(arrived) / MILLI;
        let served = [operation, convention, asked, model, error, provider];
        notes.add(&REQUEST_DURATION, &served, took);
        let Some(first) = tried.first_content else { return };
        let served = [operation, convention, asked, model, provider];
        notes.add(&TIME_TO_FIRST_TOKEN, &served, first.saturating_sub(arrived) / MILLI);
        let counted = tried.spent.filter(|spent| !spent.estimated);
        let output = counted.map_or(0, |spent| spent.usage.output);
        if let (Some(after), Some(ended)) = (output.checked_sub(1).filter(|n| *n > 0), tried.ended)
        {
            let each = ended.saturating_sub(first) / after / MICRO;
            notes.add(&TIME_PER_OUTPUT_TOKEN, &served, each);
        }
    }

    /// Says which module this is, and since when its configuration holds, in seconds since 1970. All
    /// workers say the same.
    pub fn announce(&self, since: u64) {
        meter::put(&INFO, &[env!("CARGO_PKG_VERSION")], 1, &*self.world);
        meter::put(&CONFIGURED, &[], since, &*self.world);
        meter::put(&SERIES_LIMIT, &[], self.gateway.metrics.max_series.into(), &*self.world);
    }

    /// Counts a request that was refused before anyone was asked, or whose client left before that.
    pub fn count_refusal(
        &self,
        caller: Option<&Caller>,
        operation: Option<&'static str>,
        refusal: Option<&Refusal>,
    ) {
        let mut meter = self.meter.borrow_mut();
        let words = &meter.words;
        let tenant = caller.map_or(NONE, |caller| words.tenant(caller, &self.gateway));
        let rule = refusal.map_or("", |refusal| &*refusal.rule);
        let rule = self.gateway.rules.iter().position(|known| known.name == rule);
        let rule = rule.map_or(NONE, |rule| words.rule(Some(rule), &self.gateway));
        let (outcome, status, error) = match refusal {
            Some(refusal) => {
                let error = &refusal.error;
                (REFUSED, words::status(error.status), words::class(error.class))
            }
            None => (LEFT, NONE, NONE),
        };
        let operation = operation.map_or(NONE, self::operation);
        let mut notes = Notes { service: self, meter: &mut meter };
        notes.add(&REQUESTS, &[tenant, rule, operation, outcome, status, error], 1);
    }
}

impl Notes<'_> {
    /// What an attempt used.
    fn spent(&mut self, tenant: Word, operation: Word, whom: Whom, spent: &Spent) {
        let Whom { convention, provider, model, .. } = whom;
        let usage = &spent.usage;
        for (kind, tokens) in kinds(usage) {
            self.add(&TOKENS, &[tenant, provider, model, kind], tokens);
            // The convention: what is not known must not be reported.
            if tokens > 0 && !spent.estimated {
                self.add(&TOKEN_USAGE, &[operation, convention, model, kind, provider], tokens);
            }
        }
        match spent.cost {
            Some(cost) => self.add(&SPEND, &[tenant, provider, model], cost.0),
            None => self.add(&UNPRICED, &[tenant, provider, model], usage.total()),
        }
        if spent.estimated {
            self.add(&ESTIMATED, &[provider, model], 1);
        }
    }

    /// How an attempt went.
    fn attempt(&mut self, operation: Word, whom: Whom, tried: &Attempt, now: u64) {
        let error = match &tried.outcome {
            Outcome::Answered => NONE,
            Outcome::Failed { class, .. } => words::class(*class),
            Outcome::Pending | Outcome::Flowing => LEFT,
        };
        let took = tried.ended.unwrap_or(now).saturating_sub(tried.began) / MILLI;
        let Whom { convention, provider, model, cluster } = whom;
        let labels = [operation, convention, model, error, provider, cluster];
        self.add(&OPERATION_DURATION, &labels, took);
    }
}

/// Tokens by kind. The first two are all of them; the others are parts of these.
fn kinds(usage: &Usage) -> [(Word, u64); 5] {
    [
        (INPUT, usage.prompt()),
        (OUTPUT, usage.output),
        (CACHED_INPUT, usage.cache_read),
        (CACHE_CREATION, usage.cache_write),
        (REASONING, usage.reasoning),
    ]
}

/// What became of a request, by its last attempt, and its class of error.
fn result(last: Option<&Attempt>, status: Option<u16>) -> (Word, Word) {
    let Some(last) = last else {
        // Nobody could be asked: Envoy answered, or the client left.
        return if status.is_some() {
            (FAILED, words::class(Class::Overloaded))
        } else {
            (LEFT, NONE)
        };
    };
    match &last.outcome {
        Outcome::Answered => (ANSWERED, NONE),
        Outcome::Failed { class, .. } if last.first_content.is_some() => {
            (BROKEN, words::class(*class))
        }
        Outcome::Failed { class, .. } => (FAILED, words::class(*class)),
        Outcome::Pending if status.is_some() => (FAILED, words::class(Class::Timeout)),
        Outcome::Pending | Outcome::Flowing => (LEFT, NONE),
    }
}

fn operation(name: &str) -> Word {
    match name {
        "chat" => CHAT,
        "embeddings" => EMBEDDINGS,
        _ => NONE,
    }
}
