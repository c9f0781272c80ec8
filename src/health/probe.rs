//! When an endpoint is asked without being asked for.

use std::time::Duration;

use crate::store::{ABSENT, Millis, Store};

/// Whether it is time to probe `cluster`: exactly one worker of all is told so, and what becomes of
/// it is told to [`told`]. The first one comes somewhere within the first interval, so that not all
/// endpoints are asked at the same time.
#[must_use]
pub fn due(store: &dyn Store, cluster: &str, now: Millis, every: Duration, random: u64) -> bool {
    let key = key(cluster);
    let every = millis(every);
    let found = store.read(&key);
    let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
    let Some(plan) = found.and_then(|(value, _)| Plan::decode(&value)) else {
        let first = Plan { next: now + random % every, failures: 0 };
        store.write(&key, &first.encode(), Some(version));
        return false;
    };
    // A time further away than any wait is of a clock that was set back.
    if now < plan.next && plan.next - now <= 2 * longest(every) {
        return false;
    }
    let next = Plan { next: now + plan.wait(every, random), ..plan };
    store.write(&key, &next.encode(), Some(version))
}

/// What became of a probe: while it is down, the time between two probes doubles, with ±20 % of
/// jitter, up to ten intervals or [`MAX_WAIT`], whichever is less (yet never below one interval).
pub fn told(store: &dyn Store, cluster: &str, up: bool, now: Millis, every: Duration, random: u64) {
    let key = key(cluster);
    let every = millis(every);
    let found = store.read(&key);
    let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
    let known = found.and_then(|(value, _)| Plan::decode(&value));
    let failures = known.map_or(0, |plan| plan.failures);
    let mut plan = Plan { next: 0, failures: if up { 0 } else { failures.saturating_add(1) } };
    plan.next = now + plan.wait(every, random);
    // Whoever was quicker has planned the next one; the count of failures is then one short.
    store.write(&key, &plan.encode(), Some(version));
}

/// The longest wait between two probes, in milliseconds, unless one interval is longer.
pub const MAX_WAIT: Millis = 5 * 60 * 1000;

const VERSION: u8 = 1;

#[derive(Clone, Copy)]
struct Plan {
    next: Millis,
    failures: u8,
}

impl Plan {
    fn decode(value: &[u8]) -> Option<Self> {
        let [VERSION, failures, next @ ..] = value else { return None };
        Some(Self { next: u64::from_le_bytes(next.try_into().ok()?), failures: *failures })
    }

    fn encode(self) -> [u8; 10] {
        let mut value = [VERSION, self.failures, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Some(next) = value.last_chunk_mut() {
            *next = self.next.to_le_bytes();
        }
        value
    }

    fn wait(self, every: Millis, random: u64) -> Millis {
        let doubled = every.saturating_mul(1 << self.failures.min(4)).min(longest(every));
        doubled * 4 / 5 + random % (doubled * 2 / 5 + 1)
    }
}

fn longest(every: Millis) -> Millis {
    every.saturating_mul(10).min(MAX_WAIT).max(every)
}

/// An interval in milliseconds, of one second to one day.
fn millis(every: Duration) -> Millis {
    (every.as_millis() as u64).clamp(1000, 24 * 60 * 60 * 1000)
}

fn key(cluster: &str) -> String {
    ["health/p/", cluster].concat()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::store::memory::Memory;

    const T0: Millis = 1_800_000_000_000;
    const EVERY: Duration = Duration::from_secs(30);

    /// How long until the next probe is due, and by how many of three workers it is then made.
    fn next(store: &Memory, from: Millis) -> (Millis, usize) {
        let mut now = from;
        loop {
            let made = (0..3).filter(|random| due(store, "c", now, EVERY, *random)).count();
            if made > 0 {
                return (now - from, made);
            }
            now += 100;
        }
    }

    #[test]
    fn the_first_one_comes_within_the_first_interval() {
        for random in [0, 29_999, 30_000, u64::MAX] {
            let store = Memory::new();
            assert!(!due(&store, "c", T0, EVERY, random));
            assert!(due(&store, "c", T0 + 30_000, EVERY, 0));
        }
    }

    #[test]
    fn exactly_one_worker_probes_at_about_each_interval() {
        let store = Memory::new();
        let (first, made) = next(&store, T0);
        assert_eq!(made, 1);
        let mut now = T0 + first;
        for _ in 0..20 {
            told(&store, "c", true, now, EVERY, now);
            let (wait, made) = next(&store, now);
            assert!((24_000..=36_100).contains(&wait) && made == 1, "{wait} {made}");
            now += wait;
        }
    }

    #[test]
    fn while_it_is_down_the_wait_doubles_up_to_the_cap_and_ends_with_the_first_success() {
        let store = Memory::new();
        let mut now = T0 + next(&store, T0).0;
        for plain in [60_000, 120_000, 240_000, 300_000, 300_000, 300_000] {
            told(&store, "c", false, now, EVERY, 17 * now);
            let (wait, made) = next(&store, now);
            assert!((plain * 4 / 5..=plain * 6 / 5 + 100).contains(&wait), "{wait} for {plain}");
            assert_eq!(made, 1);
            now += wait;
        }
        told(&store, "c", true, now, EVERY, 0);
        assert!(next(&store, now).0 <= 36_100);
    }

    #[test]
    fn a_probe_that_never_tells_does_not_end_them() {
        let store = Memory::new();
        let now = T0 + next(&store, T0).0;
        assert!(next(&store, now).0 <= 36_100);
    }

    #[test]
    fn an_interval_above_the_cap_stays_as_it_is() {
        assert_eq!(longest(600_000), 600_000);
        assert_eq!(longest(1_000), 10_000);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_silence_probes() {
        let store = Memory::new();
        assert!(!due(&store, "c", T0, EVERY, 0));
        assert!(due(&store, "c", T0 - 3_600_000, EVERY, 0));
    }

    #[test]
    fn garbage_is_no_plan() {
        let store = Memory::new();
        store.write("health/p/c", b"garbage", None);
        assert!(!due(&store, "c", T0, EVERY, 0));
        assert!(due(&store, "c", T0, EVERY, 0));
        assert!(Plan::decode(&[VERSION; 9]).is_none() && Plan::decode(&[2; 10]).is_none());
    }
}
