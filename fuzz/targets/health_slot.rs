//! Values of the shared store: bytes of another version or length are none, what is read is written
//! as it was, and whatever it says, a fleet over it goes on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waypost::health::histogram::Latencies;
use waypost::store::memory::Memory;
use waypost::health::slot::Record;
use waypost::health::{Breaker, Event, Fleet, Slot, Traffic, Watched};
use waypost::store::{Store};
use waypost::openai::Class;

const NOW: u64 = 1_800_000_000_000;

/// The key of each kind of value, by the first byte of the input.
const KEYS: [&str; 8] = [
    "health/e/c",
    "health/t/c/m",
    "health/l/c/m",
    "health/epoch",
    "health/lanes",
    "health/in/c",
    "health/p/c",
    "traffic/r",
];

/// The bytes, repeated or cut to the length that the kind has, so that more than the length is tried.
fn fitted(bytes: &[u8], len: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { len }).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    let len = match kind / 8 % 4 {
        0 => Record::BYTES,
        1 => waypost::health::histogram::BYTES,
        2 => 257,
        _ => bytes.len(),
    };
    let value = fitted(bytes, len);
    if let Some(record) = Record::decode(&value) {
        let again = record.encode();
        assert_eq!(again.len(), Record::BYTES);
        assert_eq!(Record::decode(&again), Some(record));
    }
    if let Some(latencies) = Latencies::decode(value.clone()) {
        assert_eq!(latencies.history(NOW).len(), 10);
    }
    let store = Memory::new();
    store.write(KEYS[usize::from(kind % 8)], &value, None);
    let watched = vec![Watched {
        provider: "p".to_owned(),
        cluster: "c".to_owned(),
        models: vec!["m".to_owned()],
        breaker: Breaker::default(),
        max_concurrency: Some(2),
    }];
    let slot = Slot::default();
    let mut traffic = Traffic::new(vec!["r".to_owned()], &watched);
    let mut fleet = Fleet::new(watched);
    for now in [NOW, NOW + 1, NOW + 3_600_000, NOW - 3_600_000, 0] {
        fleet.refresh(&store, now);
        let standing = fleet.standing(slot, now);
        for class in [None, Some(Class::Server), Some(Class::RateLimit)] {
            let event = match class {
                None => Event::Answered { total: 5, stream: false },
                Some(class) => Event::Failed { class, retry_after: Some(9) },
            };
            if let Ok(pass) = fleet.insist(slot, &store, now) {
                fleet.first_token(slot, 7);
                fleet.settle(pass, event, &store, now, standing.in_flight.into());
            }
        }
        traffic.count(0, slot);
        traffic.flush(&store, now);
        fleet.flush(&store, now);
        let _ = (fleet.report(&store, now), traffic.report(&store, now));
        let every = std::time::Duration::from_secs(1);
        let _ = waypost::health::probe::due(&store, "c", now, every, now);
        waypost::health::probe::told(&store, "c", false, now, every, now);
    }
});
