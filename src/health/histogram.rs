//! How long things take: histograms with buckets of a logarithmic scale, in a ring of time buckets,
//! as one value of the store that is changed in place.
//!
//! Below 8 ms each millisecond has its bucket, above that each doubling has four. A bucket says its
//! middle, so a percentile is wrong by at most 12.5 % (1/8). What takes longer than [`LONGEST`] is
//! counted as that. Counts are u16 and saturate: more than 2,000 answers a second of one target that
//! all take as long as each other look like 2,000.
//!
//! ```text
//!  version u8 │ last u64 │ first token: 22 histograms, total: 22 histograms
//!  22 = 12 of five seconds, then 10 of thirty; a histogram is 80 × u16
//! ```
//! Always [`BYTES`] long, little-endian. The window of ten seconds is the newest two of five.

use super::window::{self, Ring};
use super::{Percentiles, Window};
use crate::store::Millis;
use crate::store::bytes::Reader;

/// The longest time that is told apart from longer ones, in milliseconds: 20 minutes.
pub const LONGEST: u32 = 20 * 60 * 1000;

/// Bytes of a value.
pub const BYTES: usize = HEAD + KINDS * TIMES * BUCKETS * 2;

/// What took so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first content of a stream.
    FirstToken,
    /// A whole answer that was not streamed.
    Total,
}

/// Samples that are not written yet: how many of which kind in which bucket. One entry for each, so
/// there are never more than 160.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples(Vec<(u8, u16)>);

impl Samples {
    /// Adds one.
    pub fn add(&mut self, kind: Kind, millis: u32) {
        let at = (kind as usize * BUCKETS + bucket(millis)) as u8;
        match self.0.iter_mut().find(|known| known.0 == at) {
            Some(known) => known.1 = known.1.saturating_add(1),
            None => self.0.push((at, 1)),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Histograms of both kinds over [`Window::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies(Vec<u8>);

impl Default for Latencies {
    fn default() -> Self {
        let mut value = vec![0; BYTES];
        if let Some(version) = value.first_mut() {
            *version = VERSION;
        }
        Self(value)
    }
}

impl Latencies {
    /// Takes a value of the store. Another version or length is none.
    #[must_use]
    pub fn decode(value: Vec<u8>) -> Option<Self> {
        (value.len() == BYTES && value.first() == Some(&VERSION)).then_some(Self(value))
    }

    /// The value.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds samples at `now`.
    pub fn add(&mut self, samples: &Samples, now: Millis) {
        let mut last = self.last();
        let step = window::advance(&mut last, now);
        if let Some(known) = self.0.get_mut(1..HEAD) {
            known.copy_from_slice(&last.to_le_bytes());
        }
        for ring in RINGS {
            for time in ring.stale(step) {
                for kind in 0..KINDS {
                    if let Some(histogram) = self.histogram_mut(kind, time) {
                        histogram.fill(0);
                    }
                }
            }
            for (at, count) in &samples.0 {
                let (kind, bucket) = (usize::from(*at) / BUCKETS, usize::from(*at) % BUCKETS);
                let histogram = self.histogram_mut(kind, ring.newest(last));
                let known = histogram.and_then(|all| all.get_mut(bucket * 2..)?.first_chunk_mut());
                if let Some(known) = known {
                    *known = u16::from_le_bytes(*known).saturating_add(*count).to_le_bytes();
                }
            }
        }
    }

    /// The percentiles of a window at `now`.
    #[must_use]
    pub fn percentiles(&self, kind: Kind, window: Window, now: Millis) -> Percentiles {
        let [short, long] = RINGS;
        let (ring, newest) = match window {
            Window::TenSeconds => (short, 2),
            Window::Minute => (short, short.len),
            Window::FiveMinutes => (long, long.len),
        };
        let mut sum = [0; BUCKETS];
        for time in ring.seen(self.last(), now, newest).flatten() {
            self.collect(kind, time, &mut sum);
        }
        percentiles(&sum)
    }

    /// The percentiles of each thirty seconds of five minutes, oldest first: of first content, or of
    /// the whole where no stream was seen.
    #[must_use]
    pub fn history(&self, now: Millis) -> Vec<Percentiles> {
        let [_, ring] = RINGS;
        let of = |time: Option<usize>| {
            let Some(time) = time else { return Percentiles::default() };
            let one = |kind| {
                let mut sum = [0; BUCKETS];
                self.collect(kind, time, &mut sum);
                percentiles(&sum)
            };
            let first_token = one(Kind::FirstToken);
            if first_token.samples > 0 { first_token } else { one(Kind::Total) }
        };
        let mut history: Vec<Percentiles> = ring.seen(self.last(), now, ring.len).map(of).collect();
        history.reverse();
        history
    }

    fn collect(&self, kind: Kind, time: usize, sum: &mut [u32; BUCKETS]) {
        let from = place(kind as usize, time);
        let Some(histogram) = self.0.get(from..from + BUCKETS * 2) else { return };
        for (sum, count) in sum.iter_mut().zip(histogram.as_chunks().0) {
            *sum += u32::from(u16::from_le_bytes(*count));
        }
    }

    fn last(&self) -> Millis {
        self.0.get(1..).and_then(|rest| Reader(rest).u64()).unwrap_or(0)
    }

    fn histogram_mut(&mut self, kind: usize, time: usize) -> Option<&mut [u8]> {
        let from = place(kind, time);
        self.0.get_mut(from..from + BUCKETS * 2)
    }
}

const VERSION: u8 = 1;
const HEAD: usize = 1 + 8;
const KINDS: usize = 2;
const BUCKETS: usize = 80;
const TIMES: usize = 22;
const RINGS: [Ring; 2] =
    [Ring { first: 0, len: 12, width: 5_000 }, Ring { first: 12, len: 10, width: 30_000 }];

const fn place(kind: usize, time: usize) -> usize {
    HEAD + (kind * TIMES + time) * BUCKETS * 2
}

/// The bucket of a time.
fn bucket(millis: u32) -> usize {
    let millis = millis.min(LONGEST);
    if millis < 4 {
        return millis as usize;
    }
    let doubling = millis.ilog2();
    (4 * (doubling - 1) + (millis >> (doubling - 2) & 3)) as usize
}

/// The middle of a bucket, in milliseconds.
const fn middle(bucket: usize) -> u32 {
    let bucket = bucket as u32;
    if bucket < 8 {
        return bucket;
    }
    let quarter = 1 << (bucket / 4 - 1);
    (4 + bucket % 4) * quarter + quarter / 2
}

fn percentiles(counts: &[u32; BUCKETS]) -> Percentiles {
    let samples: u32 = counts.iter().sum();
    let at = |percent: u64| {
        let rank = (u64::from(samples) * percent).div_ceil(100);
        let mut below = 0;
        let reached = counts.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        });
        if samples == 0 { 0 } else { reached.map_or(0, middle) }
    };
    Percentiles { samples, p50: at(50), p95: at(95), p99: at(99) }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const T0: Millis = 1_800_000_000_000;

    fn of(times: &[u32]) -> Samples {
        let mut samples = Samples::default();
        for time in times {
            samples.add(Kind::Total, *time);
        }
        samples
    }

    #[test]
    fn a_bucket_is_wrong_by_an_eighth_at_most() {
        for millis in (0..20_000).chain((20_000..=LONGEST).step_by(97)) {
            let told = middle(bucket(millis));
            assert!(told.abs_diff(millis) * 8 <= millis, "{millis} is told as {told}");
        }
        assert_eq!(bucket(u32::MAX), bucket(LONGEST));
        assert!(bucket(LONGEST) < BUCKETS);
    }

    #[test]
    fn buckets_never_go_down() {
        for bucket in 1..BUCKETS {
            assert!(middle(bucket) > middle(bucket - 1), "{bucket}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_samples() {
        let times: Vec<u32> = (1..=1000).collect();
        let mut latencies = Latencies::default();
        latencies.add(&of(&times), T0);
        let found = latencies.percentiles(Kind::Total, Window::FiveMinutes, T0);
        assert_eq!(found.samples, 1000);
        for (told, true_one) in [(found.p50, 500), (found.p95, 950), (found.p99, 990_u32)] {
            assert!(told.abs_diff(true_one) * 8 <= true_one, "{told} for {true_one}");
        }
        let none = latencies.percentiles(Kind::FirstToken, Window::FiveMinutes, T0);
        assert_eq!(none, Percentiles::default());
    }

    #[test]
    fn one_sample_is_every_percentile() {
        let mut latencies = Latencies::default();
        latencies.add(&of(&[7]), T0);
        let found = latencies.percentiles(Kind::Total, Window::TenSeconds, T0);
        assert_eq!(found, Percentiles { samples: 1, p50: 7, p95: 7, p99: 7 });
    }

    #[test]
    fn windows_let_go_of_samples() {
        let mut latencies = Latencies::default();
        latencies.add(&of(&[100]), T0);
        latencies.add(&of(&[100]), T0 + 5_000);
        let samples =
            |now| Window::ALL.map(|window| latencies.percentiles(Kind::Total, window, now).samples);
        assert_eq!(samples(T0 + 5_000), [2, 2, 2]);
        assert_eq!(samples(T0 + 10_000), [1, 2, 2]);
        assert_eq!(samples(T0 + 62_000), [0, 1, 2]);
        assert_eq!(samples(T0 + 300_000), [0, 0, 0]);
        assert_eq!(samples(T0 - 3_600_000), [0, 0, 0]);
    }

    #[test]
    fn old_samples_do_not_come_back_when_the_ring_comes_around() {
        let mut latencies = Latencies::default();
        latencies.add(&of(&[100]), T0);
        latencies.add(&of(&[200]), T0 + 60_000);
        let found = latencies.percentiles(Kind::Total, Window::Minute, T0 + 60_000);
        assert_eq!(found.samples, 1);
    }

    #[test]
    fn history_is_oldest_first_and_prefers_streams() {
        let mut latencies = Latencies::default();
        latencies.add(&of(&[6]), T0);
        let mut stream = of(&[1]);
        stream.add(Kind::FirstToken, 5);
        latencies.add(&stream, T0 + 60_000);
        let history: Vec<u32> =
            latencies.history(T0 + 60_000).iter().map(|found| found.p95).collect();
        assert_eq!(history, [0, 0, 0, 0, 0, 0, 0, 6, 0, 5]);
    }

    #[test]
    fn counts_saturate() {
        let mut latencies = Latencies::default();
        for _ in 0..3 {
            latencies.add(&Samples(vec![(80 + 7, u16::MAX)]), T0);
        }
        let found = latencies.percentiles(Kind::Total, Window::TenSeconds, T0);
        assert_eq!(found.samples, u32::from(u16::MAX));
    }

    #[test]
    fn samples_that_wait_are_bounded() {
        let mut samples = Samples::default();
        for millis in (0..100).chain((100..2_000_000).step_by(11)) {
            samples.add(Kind::Total, millis);
            samples.add(Kind::FirstToken, millis);
        }
        assert!(samples.0.len() <= 160);
    }

    #[test]
    fn a_value_of_another_version_or_length_is_none() {
        let value = Latencies::default().0;
        assert!(Latencies::decode(value.clone()).is_some());
        for len in 0..value.len() {
            assert!(Latencies::decode(value[..len].to_vec()).is_none());
        }
        let mut other = value.clone();
        other[0] = 2;
        assert!(Latencies::decode(other).is_none());
        assert!(Latencies::decode([value, vec![0]].concat()).is_none());
    }
}
