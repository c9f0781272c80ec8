//! Several workers judge a provider as one would: in virtual time, over one store.
#![cfg(not(target_arch = "wasm32"))]

use waypost::health::{Breaker, Event, Fleet, Gate, Pass, Slot, Watched};
use waypost::openai::Class;
use waypost::store::Millis;
use waypost::store::memory::Memory;

const T0: Millis = 1_800_000_000_000;
const SLOT: Slot = Slot { endpoint: 0, target: 0 };
/// How many lives of a provider are looked at.
const LIVES: u64 = 60;

fn fleet(breaker: Breaker) -> Fleet {
    Fleet::new(vec![Watched {
        provider: "p".to_owned(),
        cluster: "c".to_owned(),
        models: vec!["m".to_owned()],
        breaker,
        max_concurrency: None,
    }])
}

/// splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A load on a provider that fails a share of all requests.
#[derive(Clone, Copy)]
struct Load {
    workers: usize,
    per_second: u64,
    /// Requests that fail, of a thousand.
    failing: u64,
    for_millis: Millis,
    breaker: Breaker,
}

impl Load {
    /// Whether a breaker opens.
    fn opens(&self, seed: u64) -> bool {
        let mut state = seed;
        let store = Memory::new();
        let mut workers: Vec<Fleet> = (0..self.workers).map(|_| fleet(self.breaker)).collect();
        let mut under_way: Vec<(Millis, usize, Pass)> = Vec::new();
        let mut owed = 0;
        for now in T0..T0 + self.for_millis {
            // Ticks of workers do not come together.
            for (at, worker) in workers.iter_mut().enumerate() {
                if (now + at as u64 * 37).is_multiple_of(500) {
                    worker.flush(&store, now);
                }
            }
            let ended = under_way.extract_if(.., |(end, ..)| *end <= now);
            for (_, at, pass) in ended {
                let Some(worker) = workers.get_mut(at) else { continue };
                let drawn = random(&mut state);
                let event = if drawn % 1000 < self.failing {
                    Event::Failed { class: Class::Server, retry_after: None }
                } else {
                    // An answer that leaves no time to keep, which would be dear here.
                    Event::Failed { class: Class::Client, retry_after: None }
                };
                if worker.settle(pass, event, &store, now, drawn).is_some() {
                    return true;
                }
            }
            owed += self.per_second;
            while owed >= 1000 {
                owed -= 1000;
                let at = random(&mut state) as usize % self.workers;
                let end = now + 20 + random(&mut state) % 160;
                let Some(worker) = workers.get_mut(at) else { continue };
                worker.refresh(&store, now);
                if worker.standing(SLOT, now).gate != Gate::Closed {
                    return true;
                }
                under_way.extend(worker.admit(SLOT, &store, now).ok().map(|pass| (end, at, pass)));
            }
        }
        false
    }

    /// Of a thousand lives, in how many it opens.
    fn opened(&self) -> u64 {
        (0..LIVES).filter(|life| self.opens(life << 32)).count() as u64 * 1000 / LIVES
    }
}

/// The rate alone decides.
fn by_rate() -> Breaker {
    Breaker { consecutive_failures: 1_000_000, ..Breaker::default() }
}

// With each success told on the next tick only, it would be 870 of 1000 instead of 220.
#[test]
fn many_workers_open_a_breaker_by_rate_hardly_earlier_than_one() {
    let load =
        Load { workers: 1, per_second: 500, failing: 300, for_millis: 1_500, breaker: by_rate() };
    let [one, many] = [1, 16].map(|workers| Load { workers, ..load }.opened());
    assert!(many <= one + 200, "{one} {many}");
}

#[test]
fn many_workers_do_not_take_failures_for_consecutive_that_are_not() {
    let load = Load {
        workers: 1,
        per_second: 1_000,
        failing: 50,
        for_millis: 2_000,
        breaker: Breaker::default(),
    };
    let [one, many] = [1, 16].map(|workers| Load { workers, ..load }.opened());
    assert!(many <= one + 30, "{one} {many}");
}
