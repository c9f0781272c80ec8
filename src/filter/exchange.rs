//! A request on its way: what both roles know of it. Lives in the memory of a worker from the end
//! of the request's body to the access log.

mod charges;
mod journey;
mod onward;
mod prepared;
mod progress;
mod reckon;
mod running;
mod signature;
mod span;
mod told;
mod trace;

use std::rc::Rc;
use std::time::Duration;

use onward::Onward;
use prepared::Prepared;
use running::Running;

use super::asked::Asked;
use super::call::Call as OwnCall;
use super::service::{Place, Service};
use super::tab::Tab;
use crate::config::Gateway;
use crate::config::rule::Timeouts;
use crate::health::Event;
use crate::openai::{Class, Error};
use crate::providers::{Answer, Call, Headers, Outbound, Payload};
use crate::routing::{Attempts, Candidate, Outcome, Resolved};
use crate::tenancy::Caller;

pub use journey::Journey;
pub use reckon::counted;
pub use told::{MIN_SECRET_BYTES, for_client, hide, without_secrets};
pub use trace::{Trace, WORDS, span_of_refusal};

/// A request that passed the gateway role and may be tried at candidates.
#[derive(Debug)]
pub struct Exchange {
    /// The configuration it came under; a newer one does not change it.
    pub gateway: Rc<Gateway>,
    /// What is known of that configuration's providers.
    service: Rc<Service>,
    /// The request, parsed once.
    pub parsed: Asked,
    /// The rule that took it.
    pub rule: String,
    /// The rule's place in the configuration.
    rule_at: Option<usize>,
    /// Who gets a copy of it, for comparison.
    pub mirror: Option<Candidate>,
    /// What the client wished for in vain.
    warnings: Vec<String>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// What was tried, and what is next.
    pub attempts: Attempts,
    /// Where it comes from.
    pub origin: Origin,
    /// What the next attempt needs. Whoever is asked instead, and whatever else becomes of the
    /// exchange: with it goes the place it holds.
    prepared: Option<Prepared>,
    /// The places of attempts without a verdict, by attempt.
    places: Vec<(usize, Place)>,
    /// The place of an attempt that ended without a word of its provider, and what is made of that
    /// unless Envoy says that it had no connection to give.
    lost: Option<(Place, Event)>,
    /// Failovers that are not counted yet; at most one for an attempt.
    onward: Vec<Onward>,
    /// What it holds of the accounts of its caller.
    tab: Option<Tab>,
    /// What its attempts hold of their providers' caps.
    caps: Vec<(usize, Tab)>,
    /// Whether it has been logged: the client is gone, or has got everything.
    closed: bool,
    /// Whether the headers of an answer, or of a final refusal, have gone to the client.
    pub committed: bool,
    /// Whether a stream is flowing, and whether bytes came since the last look at it.
    pub flow: Flow,
    /// What the attempt under way has used so far.
    running: Running,
    /// The gateway's own call that it is, rather than a client's request.
    pub call: Option<Rc<OwnCall>>,
    /// What the record says beside attempts.
    pub journey: Journey,
    /// What its trace says.
    pub trace: Trace,
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// For the client, the logs and ids of answers that bring none.
    pub request_id: String,
    /// Whom it belongs to.
    pub caller: Rc<Caller>,
    /// When it came, in seconds since 1970.
    pub created: u64,
    /// When its headers came, in nanoseconds of a clock that never goes back.
    pub arrived: u64,
}

/// A stream on its way to the client, as the tick sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// None, or not yet, or no longer.
    #[default]
    None,
    /// Bytes came since the last look.
    Moving,
    /// None came since this time, in nanoseconds of a clock that never goes back.
    QuietSince(u64),
    /// The client has got an error event, and nothing more is to come.
    Over,
}

impl Exchange {
    /// What is known of the providers of its configuration.
    #[must_use]
    pub const fn service(&self) -> &Rc<Service> {
        &self.service
    }

    /// What the client wished for in vain.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The headers of an answer, or of a final refusal, go to the client with a body of so many bytes;
    /// those of a stream are added as they come.
    pub fn commit(&mut self, status: u16, bytes: usize) {
        self.committed = true;
        self.journey.status = Some(status);
        self.journey.answer_bytes = bytes as u64;
    }

    /// The place of its rule in the configuration; nothing when it went by its model's name.
    #[must_use]
    pub const fn rule_at(&self) -> Option<usize> {
        self.rule_at
    }

    /// The candidate that the next attempt will ask.
    #[must_use]
    pub fn next(&self) -> Option<Resolved<'_>> {
        self.attempts.next()?.1.resolve(&self.gateway)
    }

    /// The candidate at a place of the plan.
    #[must_use]
    pub fn candidate(&self, at: usize) -> Option<Resolved<'_>> {
        self.attempts.candidates().get(at)?.resolve(&self.gateway)
    }

    fn translate(&self, at: usize) -> Result<Outbound, Error> {
        let found = self.candidate(at).ok_or_else(|| {
            Error::new(Class::Server, "the candidate is not in the configuration")
        })?;
        self.parsed.translate(found.provider.api.dialect, &found.provider.target(found.model))
    }

    /// How long an attempt may take: to the first content of a stream, to the end of an answer.
    #[must_use]
    pub fn attempt_limit(&self) -> Duration {
        if self.parsed.stream() { self.timeouts.first_token } else { self.timeouts.answer }
    }

    /// The request for the candidate at `at`: the one translated ahead, or a fresh one.
    ///
    /// # Errors
    /// The candidate's dialect cannot express it.
    pub fn outbound(&mut self, at: usize) -> Result<Outbound, Error> {
        let ahead = self.prepared.take_if(|prepared| prepared.candidate == at);
        match ahead.and_then(|prepared| prepared.outbound) {
            Some(outbound) => Ok(outbound),
            None => self.translate(at),
        }
    }

    /// What a whole answer of the candidate at `at` says, in canonical form.
    ///
    /// # Errors
    /// It is none.
    pub fn answer(&self, at: usize, headers: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        let gone = || Error::new(Class::Server, "the candidate is gone");
        let found = self.candidate(at).ok_or_else(gone)?;
        let dialect = found.provider.api.dialect;
        match &self.parsed {
            Asked::Chat(_) => dialect.answer(&self.call(at).ok_or_else(gone)?, headers, body),
            Asked::Embeddings(parsed) => {
                let target = found.provider.target(found.model);
                dialect.embedded(parsed.asked(), &target, headers, body)
            }
            // Nothing of it is read.
            Asked::Models => Ok(Answer { body: Payload::Whole(Vec::new()), usage: None }),
        }
    }

    /// What a dialect needs to know to read the answer of the candidate at `at` to a chat.
    #[must_use]
    pub fn call(&self, at: usize) -> Option<Call<'_>> {
        let Asked::Chat(parsed) = &self.parsed else { return None };
        let found = self.candidate(at)?;
        Some(Call {
            chat: parsed.chat(),
            target: found.provider.target(found.model),
            id: &self.origin.request_id,
            created: self.origin.created,
        })
    }

    /// The error for a client after every attempt failed and none left an answer: what Envoy says
    /// itself when it could not connect or had to give up.
    #[must_use]
    pub fn exhausted(&self, status: u16) -> Error {
        let class = if status == 504 { Class::Timeout } else { Class::Overloaded };
        let mut tried = String::new();
        for attempt in self.attempts.tried() {
            let Some(found) = self.candidate(attempt.candidate) else { continue };
            let how = match &attempt.outcome {
                Outcome::Failed { reason, .. } => reason,
                Outcome::Pending => "no answer yet",
                Outcome::Flowing | Outcome::Answered => continue,
            };
            if !tried.is_empty() {
                tried.push_str("; ");
            }
            tried.push_str(&format!("{}/{}: {how}", found.provider.name, found.model.name));
        }
        for skipped in self.attempts.skipped() {
            let Some(found) = skipped.candidate.resolve(&self.gateway) else { continue };
            let (provider, model) = (&found.provider.name, &found.model.name);
            let line = format!("not asked: {provider}/{model}: {}", skipped.reason);
            // Endpoints of one provider are passed over for the same reason.
            if !tried.contains(&line) {
                tried.push_str(if tried.is_empty() { "" } else { "; " });
                tried.push_str(&line);
            }
        }
        let message = match (class, tried.is_empty()) {
            (Class::Timeout, true) => "No provider answered in time.".to_owned(),
            (Class::Timeout, false) => format!("No provider answered in time ({tried})."),
            (_, true) => "No provider could be reached.".to_owned(),
            (_, false) => format!("No provider could answer ({tried})."),
        };
        Error::new(class, message).with_code("all_candidates_failed")
    }
}

#[cfg(test)]
mod tests;
