//! From one candidate to the next: who is asked, with which place, and what became of it.
//!
//! ```text
//!            ready: translated, and a place taken          settled: its place is given back
//!  open ───► Prepared ───► begin ───► running ───► answered · failed · given up · gone
//!    ▲                                                                │
//!    └──────────────────────────── move_on ◄──────────────────────────┘
//!  close, at any time: whatever is held is dropped, and with it given back
//! ```
//!
//! An exchange holds places in three fields only, `prepared`, `places` and `lost`; a [`Place`] gives
//! itself back when it is dropped. So none is given back twice, and none is kept for longer than the exchange.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::journey::Journey;
use super::prepared::Prepared;
use super::reckon::End;
use super::running::Running;
use super::trace::Trace;
use super::{Exchange, Flow, Origin};
use crate::config::reader::show;
use crate::filter::asked::Asked;
use crate::filter::call::Purpose;
use crate::filter::refusal::Refusal;
use crate::filter::service::{Place, Service};
use crate::filter::spoken::Spoken;
use crate::health::{Event, Gate, Refused, Slot};
use crate::openai::{Class, Error};
use crate::routing::{Attempts, Outcome, Plan, Resolved, Skipped, Why, all_saturated};

/// Why a candidate cannot be asked next.
enum Hindrance {
    /// Its dialect cannot express the request.
    Inexpressible(Error),
    /// Its breaker is open, or others are trying it.
    Breaker,
    /// It has no room.
    Saturated,
    /// Its provider's budget is used up.
    Budget,
}

impl Exchange {
    /// A request for which `plan` was made. Translates it for the first candidate that can take
    /// it and has a place there.
    ///
    /// # Errors
    /// None has: the first one's reason, or a 503 when it is that nobody has room.
    pub fn open(
        service: Rc<Service>,
        parsed: Asked,
        plan: Plan,
        origin: Origin,
    ) -> Result<Self, Refusal> {
        let mut attempts = Attempts::new(plan.candidates);
        for skipped in plan.skipped {
            service.passed_over(&skipped);
            attempts.skip(skipped);
        }
        let audit = &service.gateway.audit;
        let wanted = audit.answers && matches!(parsed, Asked::Chat(_));
        let spoken = wanted.then(|| Box::new(Spoken::new(audit)));
        let mut exchange = Self {
            gateway: Rc::clone(&service.gateway),
            service,
            parsed,
            rule: plan.rule,
            rule_at: plan.at,
            mirror: plan.mirror,
            warnings: plan.warnings,
            timeouts: plan.timeouts,
            attempts,
            origin,
            prepared: None,
            places: Vec::new(),
            lost: None,
            onward: Vec::new(),
            tab: None,
            caps: Vec::new(),
            closed: false,
            committed: false,
            flow: Flow::None,
            running: Running::default(),
            call: None,
            journey: Journey { spoken, ..Journey::default() },
            trace: Trace::default(),
        };
        let all: Vec<usize> = (0..exchange.attempts.candidates().len()).collect();
        match exchange.prepare(&all) {
            Ok(()) => Ok(exchange),
            Err(error) => {
                let none = || Error::new(Class::Server, "the rule has no candidate");
                let skipped = exchange.attempts.skipped().cloned().collect();
                let refusal = Refusal::from(error.unwrap_or_else(none));
                Err(Refusal { rule: exchange.rule, skipped, ..refusal })
            }
        }
    }

    /// Decides who is asked after the candidate at `failed` failed with `error`: the next that may
    /// answer, whose dialect can express the request, and that has a place for it.
    pub fn move_on(&mut self, failed: usize, error: &Error) -> Option<Resolved<'_>> {
        // Nobody waits for another answer.
        if self.closed {
            return None;
        }
        let after: Vec<usize> = self.attempts.after(failed, error, &self.gateway).collect();
        self.prepare(&after).ok()?;
        let from = *self.attempts.candidates().get(failed)?;
        let (_, to) = self.attempts.next()?;
        self.goes_on(from, to, error.class);
        self.next()
    }

    /// Makes the first of `candidates` the next that can take the request and has a place for it. One
    /// whose breaker is open is asked when there is no other: that beats failing.
    pub(super) fn prepare(&mut self, candidates: &[usize]) -> Result<(), Option<Error>> {
        let (mut first, mut saturated, mut spent) = (None, false, false);
        let mut behind = Vec::new();
        let ways = candidates.iter().map(|at| (*at, false));
        let mut ways: VecDeque<(usize, bool)> = ways.collect();
        while let Some((at, insist)) = ways.pop_front() {
            let hindrance = match self.ready(at, insist) {
                Ok(prepared) => {
                    self.attempts.set_next(Some(at));
                    self.prepared = Some(prepared);
                    return Ok(());
                }
                Err(hindrance) => hindrance,
            };
            let (why, reason) = match &hindrance {
                Hindrance::Inexpressible(error) => (Why::Inexpressible, &*error.message),
                Hindrance::Breaker => (Why::Breaker, "asked after the others: its breaker is open"),
                Hindrance::Saturated => {
                    (Why::Saturated, "as many requests are in flight there as may be")
                }
                Hindrance::Budget => (Why::Budget, "its provider's budget is used up"),
            };
            if let Some(candidate) = self.attempts.candidates().get(at) {
                let skipped = Skipped::new(*candidate, why, reason);
                if self.attempts.skip(skipped.clone()) {
                    self.service.passed_over(&skipped);
                }
            }
            match hindrance {
                Hindrance::Inexpressible(error) => first = first.or(Some(error)),
                // Whoever insists is refused by no breaker; were it so, it must not be asked for ever.
                Hindrance::Breaker if !insist => behind.push((at, true)),
                Hindrance::Breaker => {}
                Hindrance::Saturated => saturated = true,
                Hindrance::Budget => spent = true,
            }
            if ways.is_empty() {
                ways.extend(std::mem::take(&mut behind));
            }
        }
        self.prepared = None;
        self.attempts.set_next(None);
        Err(match (saturated, spent) {
            (true, _) => Some(all_saturated()),
            (false, true) => Some(all_spent()),
            (false, false) => first,
        })
    }

    /// What an attempt at the candidate at `at` needs. `insist` when no breaker shall refuse it.
    fn ready(&self, at: usize, insist: bool) -> Result<Prepared, Hindrance> {
        let slot = self.slot(at);
        // A translation is dearer than a look at what this worker knows.
        let standing = slot.map(|slot| self.service.standing(slot)).unwrap_or_default();
        if standing.saturated {
            return Err(Hindrance::Saturated);
        }
        if !insist && matches!(standing.gate, Gate::Open(_) | Gate::HalfOpen) {
            return Err(Hindrance::Breaker);
        }
        let outbound = self.translate(at).map_err(Hindrance::Inexpressible)?;
        let cap = self.cap(at).map_err(|()| Hindrance::Budget)?;
        let place = slot.map(|slot| self.service.admit(slot, insist)).transpose();
        let place = place.map_err(|refused| match refused {
            Refused::Saturated => Hindrance::Saturated,
            Refused::Trying | Refused::Open => Hindrance::Breaker,
        })?;
        Ok(Prepared { candidate: at, outbound: Some(outbound), place, cap })
    }

    fn slot(&self, at: usize) -> Option<Slot> {
        let slot = self.attempts.candidates().get(at)?.slot(&self.gateway)?;
        // A list of models says nothing of any of them.
        Some(if matches!(self.parsed, Asked::Models) { slot.without_target() } else { slot })
    }

    /// Begins an attempt at the next candidate. Gives the attempt's and the candidate's places;
    /// nothing when there is no candidate left. `now`, here and below, is in nanoseconds of a clock
    /// that never goes back.
    ///
    /// The place that was taken ahead goes with it. There is none when Envoy went on to a candidate
    /// that this role did not choose. None can be refused here any more (Envoy retries no local reply
    /// of an upstream filter, whatever its headers), so then an attempt may run beside
    /// `max_concurrency`.
    pub fn begin(&mut self, now: u64) -> Option<(usize, usize)> {
        self.settle_lost();
        let (at, candidate) = self.attempts.begin(now)?;
        self.went_on(candidate);
        let price = self.candidate(candidate).and_then(|found| found.model.price());
        self.running = Running::at(price);
        let slot = self.slot(candidate);
        self.prepared.take_if(|prepared| prepared.candidate != candidate);
        let ahead = self.prepared.as_mut().and_then(|prepared| prepared.place.take());
        let place = ahead.or_else(|| slot.and_then(|slot| self.service.admit(slot, true).ok()));
        self.places.extend(place.map(|place| (at, place)));
        let cap = self.prepared.as_mut().and_then(|prepared| prepared.cap.take());
        self.caps.extend(cap.map(|cap| (at, cap)));
        if let Some(slot) = slot.filter(|_| self.call.is_none()) {
            self.service.led(self.rule_at, slot);
        }
        self.name_next(candidate);
        Some((at, candidate))
    }

    /// Names who is asked after the candidate at `begun` should Envoy not ask this role: the first
    /// behind it that looks as if it had room. No place is taken for that.
    fn name_next(&mut self, begun: usize) {
        let tried = self.attempts.tried().iter().map(|tried| tried.candidate);
        // What was passed over before may have been tried behind: `begun` is its last resort.
        let from = tried.max().unwrap_or(begun).max(begun) + 1;
        let behind = from..self.attempts.candidates().len();
        let open = |at: &usize| {
            let standing = self.slot(*at).map(|slot| self.service.standing(slot));
            let standing = standing.unwrap_or_default();
            !standing.saturated && matches!(standing.gate, Gate::Closed | Gate::Trial)
        };
        let next = behind.clone().find(open).or(Some(from)).filter(|at| behind.contains(at));
        self.attempts.set_next(next);
    }

    /// The first content of a stream came.
    pub fn flows(&mut self, attempt: usize, now: u64) {
        self.attempts.flow(attempt, now);
        if !self.is_probe()
            && let Some((_, place)) = self.places.iter().find(|(at, _)| *at == attempt)
            && let Some(slot) = place.slot()
        {
            self.service.first_token(slot, self.millis(attempt, now));
        }
    }

    /// The client has got, or is getting, a whole answer.
    pub fn answered(&mut self, attempt: usize, now: u64) {
        let (total, stream) = (self.millis(attempt, now), self.parsed.stream());
        // How long a probe takes is not how long requests do. That of a whole stream is no sample.
        let event = Event::Answered { total, stream: stream || self.is_probe() };
        self.reckon(attempt, End::Whole);
        self.end_attempt(attempt, Outcome::Answered, event, now);
    }

    fn is_probe(&self) -> bool {
        self.call.as_ref().is_some_and(|call| matches!(call.purpose, Purpose::Probe(_)))
    }

    /// An attempt failed: `status` is the provider's own.
    pub fn failed(&mut self, attempt: usize, status: Option<u16>, error: &Error, now: u64) {
        let wait = error.retry_after_ms.map(|wait| u32::try_from(wait).unwrap_or(u32::MAX));
        let event = Event::Failed { class: error.class, retry_after: wait };
        self.reckon(attempt, self.failing(attempt, Some(error)));
        self.end_attempt(attempt, failure(status, error), event, now);
    }

    /// An attempt failed by no fault of the provider's.
    pub fn given_up(&mut self, attempt: usize, status: Option<u16>, error: &Error, now: u64) {
        self.reckon(attempt, self.failing(attempt, Some(error)));
        self.end_attempt(attempt, failure(status, error), Event::Abandoned, now);
    }

    fn end_attempt(&mut self, attempt: usize, outcome: Outcome, event: Event, now: u64) {
        self.attempts.end(attempt, outcome, now);
        if let Some(at) = self.places.iter().position(|(at, _)| *at == attempt) {
            self.places.swap_remove(at).1.settle(event);
        }
    }

    /// Whether it is not known yet what became of an attempt, and somebody still wants to know.
    #[must_use]
    pub fn is_under_way(&self, attempt: usize) -> bool {
        let outcome = self.attempts.outcome(attempt);
        !self.closed && matches!(outcome, Some(Outcome::Pending | Outcome::Flowing))
    }

    /// The provider's side of an attempt ended. Without a verdict that is a failure; a client that
    /// left has closed the exchange before. Gives the cluster that is asked next, if there is one.
    ///
    /// Envoy ends the provider's side first when the provider or a timeout cut it, and the client's
    /// side, with its log, first when the client left or the tick closed it.
    pub fn gone(&mut self, attempt: usize, status: Option<u16>, now: u64) -> Option<String> {
        if self.closed {
            return None;
        }
        match self.attempts.outcome(attempt)? {
            // Neither verdict nor answer: no connection, a reset, or Envoy's timeout.
            Outcome::Pending => {
                let candidate = self.attempts.tried().get(attempt)?.candidate;
                let error = self.lost(attempt, now);
                self.lose(attempt, status, &error, now);
                Some(self.move_on(candidate, &error)?.endpoint.cluster.clone())
            }
            Outcome::Flowing => {
                if self.out_of_time(now) {
                    self.given_up(attempt, status, &self.too_long(), now);
                } else {
                    let message = "the stream was cut after content had gone out";
                    self.failed(attempt, status, &Error::new(Class::Server, message), now);
                }
                self.flow = Flow::None;
                None
            }
            Outcome::Answered | Outcome::Failed { .. } => None,
        }
    }

    /// Notes that an attempt was lost. What that says of its provider is settled when Envoy goes on:
    /// if its pool was full, it said so to nobody yet. Nothing, if the time for all attempts together
    /// was used up before the attempt's own.
    fn lose(&mut self, attempt: usize, status: Option<u16>, error: &Error, now: u64) {
        self.reckon(attempt, self.failing(attempt, None));
        self.attempts.end(attempt, failure(status, error), now);
        let Some(at) = self.places.iter().position(|(at, _)| *at == attempt) else { return };
        let (_, place) = self.places.swap_remove(at);
        let event = match self.out_of_time(now) && !self.over(attempt, now) {
            true => Event::Abandoned,
            false => Event::Failed { class: error.class, retry_after: None },
        };
        self.settle_lost();
        self.lost = Some((place, event));
    }

    fn settle_lost(&mut self) {
        if let Some((place, event)) = self.lost.take() {
            place.settle(event);
        }
    }

    /// A stream has been silent for longer than it may: ends its attempt, before its client's stream
    /// is closed.
    pub fn silent(&mut self, now: u64) {
        let flowing =
            self.attempts.tried().iter().rposition(|tried| tried.outcome == Outcome::Flowing);
        if let Some(attempt) = flowing {
            let limit = show(self.timeouts.idle);
            let error = Error::new(Class::Timeout, format!("the stream was silent for {limit}"));
            self.failed(attempt, None, &error, now);
        }
    }

    /// Envoy's own pool of connections to `cluster` is full, and Envoy asks nobody else then. Gives the
    /// error for the client.
    ///
    /// The attempt may not have begun, or have begun and been lost at once: that depends on which of
    /// Envoy's limits it was.
    pub fn overflowed(&mut self, cluster: &str) -> Error {
        let mut candidates = self.attempts.candidates().iter();
        let full = candidates.find(|candidate| {
            candidate.resolve(&self.gateway).is_some_and(|found| found.endpoint.cluster == cluster)
        });
        if let Some(slot) = full.and_then(|candidate| candidate.slot(&self.gateway)) {
            let here = |(place, _): &mut (Place, Event)| {
                place.slot().is_some_and(|lost| lost.endpoint == slot.endpoint)
            };
            // No fault of the provider's: its place is given back as one of which nothing is known.
            drop(self.lost.take_if(here));
            self.service.overflowed(slot);
        }
        self.prepared = None;
        self.went_nowhere(cluster);
        all_saturated()
    }

    /// It is about to be logged, and nothing more will go to the client: reckons what it used, and gives
    /// back whatever it holds. The provider's side of an attempt may end after this, and changes
    /// nothing any more.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.reckon_left();
        self.settle_accounts();
        self.count_failovers();
        self.settle_lost();
        self.prepared = None;
        self.places.clear();
    }

    /// Milliseconds since an attempt began.
    fn millis(&self, attempt: usize, now: u64) -> u32 {
        let began = self.attempts.tried().get(attempt).map_or(now, |attempt| attempt.began);
        u32::try_from(now.saturating_sub(began) / 1_000_000).unwrap_or(u32::MAX)
    }

    /// Why an attempt ended without a verdict: nobody was there, the connection broke, or Envoy gave
    /// up after the time it was told.
    pub(super) fn lost(&self, attempt: usize, now: u64) -> Error {
        if self.over(attempt, now) {
            let limit = show(self.attempt_limit());
            Error::new(Class::Timeout, format!("no answer within {limit}"))
        } else if self.out_of_time(now) {
            self.too_long()
        } else {
            Error::new(Class::Server, "the connection failed or was reset")
        }
    }

    fn too_long(&self) -> Error {
        let limit = show(self.timeouts.total);
        Error::new(Class::Timeout, format!("the request was not answered within {limit}"))
    }

    /// Whether an attempt has used up its time.
    fn over(&self, attempt: usize, now: u64) -> bool {
        let began = self.attempts.tried().get(attempt).map(|attempt| attempt.began);
        passed(began, now, self.attempt_limit())
    }

    /// Whether the time for all attempts together is used up.
    fn out_of_time(&self, now: u64) -> bool {
        passed(self.attempts.tried().first().map(|first| first.began), now, self.timeouts.total)
    }
}

/// How much earlier than it was told Envoy's timer may fire, by our clock: it counts from the
/// beginning of its loop's turn, in which much else may have been done.
pub(super) const EARLY: Duration = Duration::from_millis(20);

fn passed(began: Option<u64>, now: u64, limit: Duration) -> bool {
    began.is_some_and(|began| {
        u128::from(now.saturating_sub(began)) >= limit.saturating_sub(EARLY).as_nanos()
    })
}

/// The error when the budget of every provider that could answer is used up.
fn all_spent() -> Error {
    let message = "The budgets of all providers for this request are used up.";
    let error = Error::new(Class::Overloaded, message).with_code("provider_budget_exceeded");
    Error { should_retry: Some(false), ..error }
}

fn failure(status: Option<u16>, error: &Error) -> Outcome {
    let reason = match status {
        Some(status) => format!("{status} {}", error.message),
        None => error.message.clone(),
    };
    Outcome::Failed { status, class: error.class, reason }
}
