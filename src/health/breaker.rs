//! The circuit breaker: whether a provider is asked, by how it did.

use super::settings::{Breaker, MAX_RETRY_AFTER};
use super::window::BEHIND;
use super::{Counts, Gate, Refused, State};
use crate::openai::Class;
use crate::store::Millis;

/// A breaker. It changes by what is said to it; time by itself changes nothing, so an open one whose
/// time is up *is* half-open, and becomes it when the first trial is let through.
///
/// ```text
///                 rate, streak, dead credential, Retry-After
///        ┌───────────────────────────────────────────────────────┐
///        │                                                       ▼
///    ┌───┴────┐                                             ┌────────┐ failure with Retry-After:
///    │ Closed │                                             │  Open  ├──┐ later, never beyond
///    └────────┘                                             └─┬──────┘◄─┘ since + MAX_RETRY_AFTER
///        ▲                                                    │  ▲
///        │                            time is up, first trial │  │ a failure: doubled time
///        │                                                    ▼  │
///        │      close_after successes, reset            ┌──────────┐ a success: one more
///        └──────────────────────────────────────────────┤ HalfOpen ├──┐ may try at a time
///                                                       └──────────┘◄─┘ abandoned: the same
/// ```
///
/// An attempt that began before the present state says nothing of it. When it failed, it neither
/// opens a closed breaker again nor fails a trial (a provider that hung lets its requests time out
/// long after it is well), unless it brings Retry-After: that is said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Asked as usual.
    Closed {
        /// Since when; 0 when it never was anything else.
        since: Millis,
        /// Failures since the last success.
        streak: u32,
    },
    /// Not asked until then.
    Open {
        /// Since when.
        since: Millis,
        /// How long.
        until: Millis,
        /// How many times it opened without having closed.
        opened: u32,
        /// What opened it.
        reason: Class,
    },
    /// A few may try.
    HalfOpen {
        /// Since when.
        since: Millis,
        /// How many times it opened without having closed.
        opened: u32,
        /// What opened it.
        reason: Class,
        /// Trials that succeeded.
        successes: u32,
        /// When those that are under way began; 0 for a free place.
        trials: [Millis; MAX_TRIALS],
    },
}

/// Most trials at a time, however many have succeeded.
pub const MAX_TRIALS: usize = 8;

/// A trial that has told nothing for so long will tell nothing: its worker died. In milliseconds.
pub const TRIAL_TIMEOUT: Millis = 60_000;

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { since: 0, streak: 0 }
    }
}

/// A failure as a breaker sees it.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// When the attempt began.
    pub began: Millis,
    /// In which way it failed.
    pub class: Class,
    /// When the provider wants to be asked again, in milliseconds from now.
    pub retry_after: Option<u32>,
    /// Counts only as a part of the rate of failures, when the breaker is closed.
    pub rate_only: bool,
    /// What the shortest window has seen since the breaker closed, this failure included.
    pub seen: Counts,
}

impl Circuit {
    /// Whether a request may pass at `now`.
    #[must_use]
    pub fn gate(&self, now: Millis) -> Gate {
        match self.at(now) {
            Self::Closed { .. } => Gate::Closed,
            Self::Open { until, .. } if now < until => Gate::Open(until),
            Self::Open { .. } => Gate::Trial,
            Self::HalfOpen { successes, trials, .. } => {
                let trying = trials.iter().filter(|began| under_way(**began, now)).count();
                if trying < may_try(successes) { Gate::Trial } else { Gate::HalfOpen }
            }
        }
    }

    /// Lets a request pass at `now`: with a permit when it is a trial.
    ///
    /// # Errors
    /// [`Refused::Open`] or [`Refused::Trying`].
    pub fn admit(self, now: Millis) -> Result<(Self, Option<Millis>), Refused> {
        match self.gate(now) {
            Gate::Closed => return Ok((self, None)),
            Gate::Open(_) => return Err(Refused::Open),
            Gate::HalfOpen => return Err(Refused::Trying),
            Gate::Trial => {}
        }
        let (since, opened, reason, successes, mut trials) = match self.at(now) {
            Self::HalfOpen { since, opened, reason, successes, trials } => {
                (since, opened, reason, successes, trials)
            }
            Self::Open { opened, reason, .. } => (now, opened, reason, 0, [0; MAX_TRIALS]),
            closed @ Self::Closed { .. } => return Ok((closed, None)),
        };
        // A worker whose clock is a little behind must not look as if it had begun before.
        let permit = now.max(since).max(1);
        match trials.iter_mut().find(|began| !under_way(**began, now)) {
            Some(free) => *free = permit,
            None => return Err(Refused::Trying),
        }
        Ok((Self::HalfOpen { since, opened, reason, successes, trials }, Some(permit)))
    }

    /// A trial is over; says nothing of how.
    #[must_use]
    pub fn release(self, permit: Millis) -> Self {
        let Self::HalfOpen { since, opened, reason, successes, mut trials } = self else {
            return self;
        };
        if let Some(held) = trials.iter_mut().find(|began| **began == permit) {
            *held = 0;
        }
        Self::HalfOpen { since, opened, reason, successes, trials }
    }

    /// An attempt that began at `began` was answered.
    #[must_use]
    pub fn succeeded(self, began: Millis, now: Millis, settings: &Breaker) -> Self {
        match self.at(now) {
            Self::Closed { since, .. } => Self::Closed { since, streak: 0 },
            Self::HalfOpen { since, opened, reason, successes, trials } if began >= since => {
                let successes = successes.saturating_add(1);
                if successes >= settings.close_after {
                    return Self::Closed { since: now, streak: 0 };
                }
                Self::HalfOpen { since, opened, reason, successes, trials }
            }
            same => same,
        }
    }

    /// An attempt failed.
    #[must_use]
    pub fn failed(self, failure: &Failure, now: Millis, random: u64, settings: &Breaker) -> Self {
        let asked = failure.retry_after.filter(|after| *after > 0).map(|after| {
            now.saturating_add(Millis::from(after).min(MAX_RETRY_AFTER.as_millis() as u64))
        });
        let asked = if failure.rate_only { None } else { asked };
        let present = self.at(now);
        let late = failure.began < present.since() && asked.is_none();
        match present {
            same if late => same,
            Self::Closed { since, streak } => {
                let dead = match failure.class {
                    Class::Auth | Class::Quota => true,
                    // Also what a provider says to one request that it does not want, or that names
                    // a file it does not have: while others are answered, only the target's if many.
                    Class::Permission | Class::NotFound => {
                        failure.seen.requests == failure.seen.failures
                    }
                    _ => false,
                };
                let streak = if failure.rate_only { streak } else { streak.saturating_add(1) };
                let often = failure.seen.requests >= settings.min_requests
                    && failure.seen.per_mille() >= settings.error_rate_per_mille;
                let alone = !failure.rate_only
                    && (dead || asked.is_some() || streak >= settings.consecutive_failures);
                if !alone && !often {
                    return Self::Closed { since, streak };
                }
                let until = asked.unwrap_or_else(|| now.saturating_add(wait(0, random, settings)));
                Self::Open { since: now, until, opened: 1, reason: failure.class }
            }
            Self::Open { since, until, opened, reason } => {
                let last = since.saturating_add(MAX_RETRY_AFTER.as_millis() as u64);
                let until = until.max(asked.unwrap_or(0).min(last));
                Self::Open { since, until, opened, reason }
            }
            Self::HalfOpen { opened, .. } => {
                let until = now.saturating_add(wait(opened, random, settings));
                let until = until.max(asked.unwrap_or(0));
                let opened = opened.saturating_add(1);
                Self::Open { since: now, until, opened, reason: failure.class }
            }
        }
    }

    /// Its state, for people. One whose time is up and that nobody has tried yet is still open.
    #[must_use]
    pub const fn state(&self) -> State {
        match self {
            Self::Closed { .. } => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Since when it is in its state.
    #[must_use]
    pub const fn since(&self) -> Millis {
        match self {
            Self::Closed { since, .. }
            | Self::Open { since, .. }
            | Self::HalfOpen { since, .. } => *since,
        }
    }

    /// How many times it opened without having closed.
    #[must_use]
    pub const fn opened(&self) -> u32 {
        match self {
            Self::Closed { .. } => 0,
            Self::Open { opened, .. } | Self::HalfOpen { opened, .. } => *opened,
        }
    }

    /// What opened it, and until when it is open.
    #[must_use]
    pub const fn opening(&self) -> (Option<Class>, Option<Millis>) {
        match self {
            Self::Closed { .. } => (None, None),
            Self::Open { reason, until, .. } => (Some(*reason), Some(*until)),
            Self::HalfOpen { reason, .. } => (Some(*reason), None),
        }
    }

    /// The same for a clock that was set back since: what is of the future begins now.
    fn at(self, now: Millis) -> Self {
        if self.since() <= now.saturating_add(BEHIND) {
            return self;
        }
        match self {
            Self::Closed { streak, .. } => Self::Closed { since: now, streak },
            // Its time by the new clock is not known: a trial will tell.
            Self::Open { opened, reason, .. } => {
                Self::Open { since: now, until: now, opened, reason }
            }
            Self::HalfOpen { opened, reason, successes, trials, .. } => {
                Self::HalfOpen { since: now, opened, reason, successes, trials }
            }
        }
    }
}

/// How many may try at a time: one more for each that succeeded.
fn may_try(successes: u32) -> usize {
    (successes as usize).saturating_add(1).min(MAX_TRIALS)
}

fn under_way(began: Millis, now: Millis) -> bool {
    began != 0 && now.abs_diff(began) < TRIAL_TIMEOUT
}

/// How long it is open when it was `opened` times before, in milliseconds.
fn wait(opened: u32, random: u64, settings: &Breaker) -> Millis {
    let longest = settings.max_open.as_millis() as u64;
    let first = settings.open_for.as_millis() as u64;
    let wait = first.saturating_mul(1 << opened.min(20)).min(longest);
    (wait / 5).saturating_mul(4).saturating_add(random % (wait / 5 * 2 + 1)).min(longest)
}

#[cfg(test)]
mod tests;
