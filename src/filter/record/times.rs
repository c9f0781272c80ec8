//! Where the time of a request went.
//!
//! ```text
//!  arrived        complete      began          ended  began       ended        log
//!     │── upload_ms ──│─ gateway ─│── attempt 1 ──│─ g. ─│─ attempt 2 ─│─ gateway ─│
//!                                 │ network │ inference
//! ```
//!
//! An attempt begins when its request is handed to Envoy's pool of connections and ends when the last
//! byte of the answer was here, or nothing came in its time. What the pool took to give a connection,
//! TLS included, is `network`, the rest `inference`: of a single exchange of bytes nobody can say how
//! long they travelled. What the module itself did meanwhile, as far as it is measured, is taken off and
//! added to `gateway`; the translation of a stream, event by event, is not.

use super::writer::Writer;
use crate::routing::Attempts;

/// When things happened. All but the first are in nanoseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The time of the log, in milliseconds since 1970.
    pub unix_millis: u64,
    /// The same by the other clock.
    pub now: u64,
    /// When the request's headers came.
    pub arrived: u64,
    /// When all of it was here; 0 when that never was.
    pub complete: u64,
}

impl Clock {
    /// When the request's headers came, in milliseconds since 1970.
    #[must_use]
    pub const fn began_millis(&self) -> u64 {
        self.unix_millis.saturating_sub(self.now.saturating_sub(self.arrived) / 1_000_000)
    }
}

/// Where the time went, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From the headers to the log.
    pub whole: u64,
    /// From the headers to the end of the body.
    pub upload: u64,
    /// Spent by this module and by Envoy around it.
    pub gateway: u64,
    /// Waiting for connections.
    pub network: u64,
    /// Waiting for providers.
    pub inference: u64,
    /// From the headers to the first content of a stream.
    pub first_token: Option<u64>,
}

impl Times {
    /// The times of a request. `inside` is what the module took within attempts.
    #[must_use]
    pub fn of(attempts: &Attempts, clock: &Clock, inside: u64) -> Self {
        let complete = if clock.complete == 0 { clock.now } else { clock.complete };
        let (mut asked, mut network, mut first_token) = (0_u64, 0_u64, None);
        for tried in attempts.tried() {
            let took = tried.ended.unwrap_or(clock.now).saturating_sub(tried.began);
            asked = asked.saturating_add(took);
            network = network.saturating_add(tried.connect.unwrap_or(0).min(took));
            first_token = first_token.or(tried.first_content);
        }
        let inside = inside.min(asked.saturating_sub(network));
        Self {
            whole: clock.now.saturating_sub(clock.arrived),
            upload: complete.saturating_sub(clock.arrived),
            gateway: clock.now.saturating_sub(complete).saturating_sub(asked) + inside,
            network,
            inference: asked - network - inside,
            first_token: first_token.map(|first| first.saturating_sub(clock.arrived)),
        }
    }

    pub(super) fn write(&self, record: &mut Writer) {
        record.number("latency_ms", self.whole / 1_000_000);
        record.open("timings", b'{');
        record.number("upload_ms", self.upload / 1_000_000);
        record.number("gateway_us", self.gateway / 1_000);
        record.number("network_ms", self.network / 1_000_000);
        record.number("inference_ms", self.inference / 1_000_000);
        record.maybe_number("first_token_ms", self.first_token.map(|nanos| nanos / 1_000_000));
        record.close(b'}');
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::routing::{Candidate, Outcome};

    fn attempts() -> Attempts {
        let mut attempts = Attempts::new(vec![Candidate { provider: 0, model: 0, endpoint: 0 }; 2]);
        attempts.begin(1_000);
        attempts.connected(0, 100);
        attempts.end(0, Outcome::Answered, 3_000);
        attempts.begin(3_500);
        attempts.connected(1, 50);
        attempts.flow(1, 5_000);
        attempts
    }

    #[test]
    fn the_parts_are_the_whole() {
        let mut attempts = attempts();
        attempts.end(1, Outcome::Answered, 9_000);
        let clock = Clock { unix_millis: 5_000, now: 9_900, arrived: 200, complete: 700 };
        let times = Times::of(&attempts, &clock, 25);
        assert_eq!(
            times,
            Times {
                whole: 9_700,
                upload: 500,
                gateway: 300 + 500 + 900 + 25,
                network: 150,
                inference: 2_000 + 5_500 - 150 - 25,
                first_token: Some(4_800),
            }
        );
        assert_eq!(times.upload + times.gateway + times.network + times.inference, times.whole);
        assert_eq!(clock.began_millis(), 5_000);
    }

    #[test]
    fn an_attempt_without_an_end_lasts_until_the_log() {
        let clock = Clock { now: 9_900, complete: 700, ..Clock::default() };
        let times = Times::of(&attempts(), &clock, 0);
        assert_eq!(times.inference, 2_000 + 6_400 - 150);
        assert_eq!(times.gateway, 300 + 500);
    }

    #[test]
    fn a_body_that_never_came_is_all_upload() {
        let clock = Clock { now: 9_900, arrived: 900, ..Clock::default() };
        let times = Times::of(&Attempts::new(Vec::new()), &clock, 0);
        assert_eq!((times.upload, times.gateway, times.whole), (9_000, 0, 9_000));
    }
}
