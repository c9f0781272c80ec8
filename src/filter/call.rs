//! Requests of the gateway to itself: probes and mirrored requests.
//!
//! ```text
//!  gateway role, tick ── callout ─► cluster `loopback` ─► internal listener ─► role loopback ─► route ─► provider role
//!          └── Call ──────── kept in this worker, found by its number ───────────────┘
//! ```
//!
//! A callout straight to a provider's cluster would come back into the module while it is still
//! inside the call that sent it, and that is a trap. Through the internal listener it comes back as
//! a request of its own, and translation, credentials and health are those of any other.
//!
//! What is asked of whom does not travel in headers. It stays in the memory of the worker, whose
//! internal listener runs in the same thread; the request names only its number. Whoever else might
//! reach that listener can therefore ask for nothing: numbers are random, and taken once, while they
//! are under way. Neither can a request that outlives its module: the one that takes its place has
//! other numbers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::service::Service;
use crate::config::rule::{Operation, Timeouts};
use crate::routing::Candidate;

/// The request header with a call's number.
pub const CALL: &str = "x-waypost-call";

/// Most calls of a worker that are under way at a time, of whatever purpose.
pub const MAX_CALLS: usize = 256;

/// How long a call may take longer than what it asked for, before it counts as lost.
const GRACE: Duration = Duration::from_secs(2);

/// A request of the gateway to itself.
#[derive(Debug)]
pub struct Call {
    /// The configuration it came under, and what is known of its providers.
    pub service: Rc<Service>,
    /// Who is asked, and nobody else.
    pub candidate: Candidate,
    /// What is asked.
    pub ask: Ask,
    /// What for.
    pub purpose: Purpose,
    /// The rule that wanted it; empty without one.
    pub rule: String,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// What is asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its list of models.
    Models,
    /// What the body says.
    Body(Operation),
}

impl Ask {
    /// As what the gateway role takes it.
    #[must_use]
    pub const fn operation(self) -> Operation {
        match self {
            Self::Models => Operation::Chat,
            Self::Body(operation) => operation,
        }
    }
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To know whether calls of this worker arrive at all: nobody is asked.
    Hello,
    /// To know how an endpoint does; it is asked again after so long.
    Probe(Duration),
    /// To compare: a copy of the client's request with this id.
    Mirror(String),
}

impl Purpose {
    /// The word for it in records.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Probe(_) => "probe",
            Self::Mirror(_) => "mirror",
        }
    }
}

/// A call under way.
#[derive(Debug)]
struct Open {
    number: u64,
    call: Rc<Call>,
    /// When it counts as lost, in nanoseconds of a clock that never goes back.
    until: u64,
    /// Whether it arrived.
    taken: bool,
}

/// Calls of a worker that are under way.
#[derive(Debug, Default)]
pub struct Calls {
    open: Vec<Open>,
    mirrors: usize,
    reached: bool,
}

impl Calls {
    /// Keeps a call under a number that nobody can guess; false when there are [`MAX_CALLS`]. `now`
    /// is in nanoseconds of a clock that never goes back.
    pub fn add(&mut self, call: Call, number: u64, now: u64) -> bool {
        if !self.has_room() || self.open.iter().any(|open| open.number == number) {
            return false;
        }
        self.mirrors += usize::from(is_mirror(&call));
        let limit = call.timeouts.total.saturating_add(GRACE).as_nanos();
        let until = now.saturating_add(u64::try_from(limit).unwrap_or(u64::MAX));
        self.open.push(Open { number, call: Rc::new(call), until, taken: false });
        true
    }

    /// The call of that number, which has arrived: it arrives once.
    pub fn take(&mut self, number: u64) -> Option<Rc<Call>> {
        let mut open = self.open.iter_mut();
        let open = open.find(|open| open.number == number && !open.taken)?;
        open.taken = true;
        self.reached = true;
        Some(Rc::clone(&open.call))
    }

    /// The call of that number is over. Nothing when it counted as lost before.
    pub fn end(&mut self, number: u64) -> Option<Rc<Call>> {
        let at = self.open.iter().position(|open| open.number == number)?;
        let open = self.open.swap_remove(at);
        self.mirrors -= usize::from(is_mirror(&open.call));
        self.reached &= open.taken;
        Some(open.call)
    }

    /// The numbers of those of whom nothing came in their time.
    #[must_use]
    pub fn lost(&self, now: u64) -> Vec<u64> {
        self.open.iter().filter(|open| open.until <= now).map(|open| open.number).collect()
    }

    /// Mirrored requests among them.
    #[must_use]
    pub const fn mirrors(&self) -> usize {
        self.mirrors
    }

    /// Whether there is room for another.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.len() < MAX_CALLS
    }

    /// Whether calls arrive, by the last of which something is known. Envoy also runs the module in
    /// its main thread, with a tick but without a listener: there none ever does.
    #[must_use]
    pub const fn reached(&self) -> bool {
        self.reached
    }
}

fn is_mirror(call: &Call) -> bool {
    matches!(call.purpose, Purpose::Mirror(_))
}

thread_local! {
    static CALLS: RefCell<Calls> = RefCell::new(Calls::default());
}

/// The calls of this worker that are under way.
pub fn under_way<T>(with: impl FnOnce(&mut Calls) -> T) -> T {
    CALLS.with_borrow_mut(with)
}

#[cfg(test)]
pub(super) mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::filter::service::tests::alone;

    /// Whom calls are for.
    pub const CANDIDATE: Candidate = Candidate { provider: 1, model: 0, endpoint: 0 };

    /// A call to the second of two providers.
    pub fn call(ask: Ask, purpose: Purpose) -> Call {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}},
                "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
            },
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        Call {
            service: alone(Rc::from(gateway)),
            candidate: CANDIDATE,
            ask,
            purpose,
            rule: "r".to_owned(),
            timeouts: Timeouts::default(),
        }
    }

    /// A copy of the request `id-1`.
    pub fn mirror() -> Call {
        call(Ask::Body(Operation::Chat), Purpose::Mirror("id-1".to_owned()))
    }

    #[test]
    fn a_call_arrives_once_and_ends_once() {
        let mut calls = Calls::default();
        assert!(calls.take(1).is_none());
        assert!(calls.add(mirror(), 7, 0) && !calls.add(mirror(), 7, 0));
        assert!(calls.take(8).is_none() && !calls.reached());
        assert!(calls.take(7).is_some() && calls.reached());
        assert!(calls.take(7).is_none());
        assert_eq!(calls.mirrors(), 1);
        assert!(calls.end(7).is_some());
        assert!(calls.end(7).is_none());
        assert_eq!(calls.mirrors(), 0);
    }

    #[test]
    fn no_more_than_so_many_calls_are_under_way() {
        let mut calls = Calls::default();
        for number in 0..MAX_CALLS as u64 {
            assert!(calls.has_room() && calls.add(mirror(), number, 0));
        }
        assert!(!calls.has_room() && !calls.add(mirror(), u64::MAX, 0));
        calls.end(1);
        assert_eq!(calls.mirrors(), MAX_CALLS - 1);
        assert!(calls.add(mirror(), u64::MAX, 0));
    }

    #[test]
    fn what_does_not_arrive_in_its_time_is_lost_and_calls_count_as_not_arriving() {
        let mut calls = Calls::default();
        let (first, second) = (3, 2);
        calls.add(mirror(), first, 0);
        calls.take(first);
        calls.add(mirror(), second, 1);
        let limit = (Timeouts::default().total + GRACE).as_nanos() as u64;
        assert!(calls.lost(limit - 1).is_empty());
        assert_eq!(calls.lost(limit), [first]);
        assert_eq!(calls.lost(limit + 1), [first, second]);
        calls.end(first);
        assert!(calls.reached());
        calls.end(second);
        assert!(!calls.reached());
    }
}
