//! Counts over sliding windows: rings of time buckets.
//!
//! The newest bucket of a ring is the one that `now` falls into, so a window sees its length less up
//! to one bucket. Counts saturate.
//!
//! Clocks of workers differ a little, and one may have been read before another wrote: what comes
//! up to [`BEHIND`] late is counted in the newest bucket. What is further behind is of a clock that
//! was set back: the rings begin anew, and what they knew is lost.

use super::{Counts, Window};
use crate::openai::Class;
use crate::store::Millis;
use crate::store::bytes::{Reader, Writer};

/// How far a clock may be behind another, in milliseconds.
pub const BEHIND: Millis = 10_000;

/// A ring: so many buckets of so many milliseconds, at this place in an array of several rings.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// The place of its first bucket.
    pub first: usize,
    /// How many buckets.
    pub len: usize,
    /// How long a bucket is.
    pub width: Millis,
}

impl Ring {
    fn of(window: Window) -> Self {
        let [ten_seconds, minute, five_minutes] = RINGS;
        match window {
            Window::TenSeconds => ten_seconds,
            Window::Minute => minute,
            Window::FiveMinutes => five_minutes,
        }
    }

    fn place(self, bucket: u64) -> usize {
        self.first + (bucket % self.len as u64) as usize
    }

    /// The buckets that a clock leaves behind which moves on as `step` says.
    pub fn stale(self, step: Step) -> impl Iterator<Item = usize> {
        let (from, to) = (step.from / self.width, step.to / self.width);
        let stale = if step.anew { self.len as u64 } else { (to - from).min(self.len as u64) };
        (0..stale).map(move |ahead| self.place(from + 1 + ahead))
    }

    /// The bucket that `now` falls into.
    #[must_use]
    pub fn newest(self, now: Millis) -> usize {
        self.place(now / self.width)
    }

    /// The newest `count` buckets that `now` sees, newest first, when `last` was written last. One
    /// that time has not written is none.
    pub fn seen(
        self,
        last: Millis,
        now: Millis,
        count: usize,
    ) -> impl Iterator<Item = Option<usize>> {
        let last_bucket = last / self.width;
        let bucket = now.max(last) / self.width;
        let back = last.saturating_sub(now) > BEHIND;
        (0..count.min(self.len) as u64).map(move |age| {
            let at = bucket.checked_sub(age).filter(|at| !back && *at <= last_bucket)?;
            Some(self.place(at))
        })
    }
}

/// How a clock moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    from: Millis,
    to: Millis,
    anew: bool,
}

/// Moves the time of the last write on to `now`.
pub fn advance(last: &mut Millis, now: Millis) -> Step {
    let anew = last.saturating_sub(now) > BEHIND;
    let from = if anew { now } else { *last };
    *last = now.max(from);
    Step { from, to: *last, anew }
}

/// The rings of counts: for ten seconds, a minute, five minutes.
const RINGS: [Ring; 3] = [
    Ring { first: 0, len: 10, width: 1_000 },
    Ring { first: 10, len: 12, width: 5_000 },
    Ring { first: 22, len: LONG, width: 30_000 },
];
const BUCKETS: usize = 32;
const LONG: usize = 10;
const CLASSES: usize = Class::ALL.len();

/// Requests and failures over [`Window::ALL`], and errors by class over five minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    last: Millis,
    counts: [Counts; BUCKETS],
    classes: [[u16; CLASSES]; LONG],
}

impl Windows {
    /// Bytes when written.
    pub const BYTES: usize = 8 + BUCKETS * 8 + LONG * CLASSES * 2;

    /// Counts at `now`. What is `late` says nothing of the present: the shortest window, by which
    /// breakers open, leaves it out.
    pub fn add(&mut self, counts: Counts, late: bool, now: Millis) {
        self.advance(now);
        for ring in RINGS.iter().skip(usize::from(late)) {
            if let Some(bucket) = self.counts.get_mut(ring.newest(self.last)) {
                bucket.requests = bucket.requests.saturating_add(counts.requests);
                bucket.failures = bucket.failures.saturating_add(counts.failures);
            }
        }
    }

    /// Counts `count` errors of a class at `now`.
    pub fn add_class(&mut self, class: usize, count: u16, now: Millis) {
        self.advance(now);
        let [.., ring] = RINGS;
        let bucket = self.classes.get_mut(ring.newest(self.last) - ring.first);
        if let Some(known) = bucket.and_then(|bucket| bucket.get_mut(class)) {
            *known = known.saturating_add(count);
        }
    }

    /// What a window sees at `now`.
    #[must_use]
    pub fn counts(&self, window: Window, now: Millis) -> Counts {
        let ring = Ring::of(window);
        self.sum(ring, ring.len, now)
    }

    /// What a window sees at `now` of the whole buckets after that of `since`.
    #[must_use]
    pub fn counts_since(&self, window: Window, since: Millis, now: Millis) -> Counts {
        let ring = Ring::of(window);
        let buckets = (now.max(self.last) / ring.width).saturating_sub(since / ring.width);
        self.sum(ring, buckets.min(ring.len as u64) as usize, now)
    }

    /// Errors of five minutes by class; those with a count only.
    #[must_use]
    pub fn classes(&self, now: Millis) -> Vec<(Class, u32)> {
        let [.., ring] = RINGS;
        let of = |(at, class): (usize, Class)| {
            let buckets = ring.seen(self.last, now, ring.len).flatten();
            let count = |bucket: usize| {
                self.classes.get(bucket - ring.first).and_then(|bucket| bucket.get(at))
            };
            (class, buckets.filter_map(count).map(|count| u32::from(*count)).sum::<u32>())
        };
        Class::ALL.into_iter().enumerate().map(of).filter(|(_, count)| *count > 0).collect()
    }

    fn sum(&self, ring: Ring, newest: usize, now: Millis) -> Counts {
        let mut sum = Counts::default();
        for bucket in ring.seen(self.last, now, newest).flatten() {
            if let Some(bucket) = self.counts.get(bucket) {
                sum.requests = sum.requests.saturating_add(bucket.requests);
                sum.failures = sum.failures.saturating_add(bucket.failures);
            }
        }
        sum
    }

    fn advance(&mut self, now: Millis) {
        let step = advance(&mut self.last, now);
        for ring in RINGS {
            for stale in ring.stale(step) {
                if let Some(bucket) = self.counts.get_mut(stale) {
                    *bucket = Counts::default();
                }
            }
        }
        let [.., ring] = RINGS;
        for stale in ring.stale(step) {
            if let Some(bucket) = self.classes.get_mut(stale - ring.first) {
                *bucket = [0; CLASSES];
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut windows = Self { last: reader.u64()?, ..Self::default() };
        for bucket in &mut windows.counts {
            *bucket = Counts { requests: reader.u32()?, failures: reader.u32()? };
        }
        for count in windows.classes.iter_mut().flatten() {
            *count = reader.u16()?;
        }
        Some(windows)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u64(self.last);
        for bucket in &self.counts {
            writer.u32(bucket.requests);
            writer.u32(bucket.failures);
        }
        for count in self.classes.iter().flatten() {
            writer.u16(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const T0: Millis = 1_800_000_000_000;

    fn one(failures: u32) -> Counts {
        Counts { requests: 1, failures }
    }

    fn requests(windows: &Windows, now: Millis) -> [u32; 3] {
        Window::ALL.map(|window| windows.counts(window, now).requests)
    }

    #[test]
    fn each_window_lets_go_after_its_own_length() {
        let mut windows = Windows::default();
        windows.add(one(1), false, T0);
        assert_eq!(windows.counts(Window::TenSeconds, T0), one(1));
        assert_eq!(requests(&windows, T0 + 9_000), [1, 1, 1]);
        assert_eq!(requests(&windows, T0 + 10_000), [0, 1, 1]);
        assert_eq!(requests(&windows, T0 + 59_999), [0, 1, 1]);
        assert_eq!(requests(&windows, T0 + 60_000), [0, 0, 1]);
        assert_eq!(requests(&windows, T0 + 299_999), [0, 0, 1]);
        assert_eq!(requests(&windows, T0 + 300_000), [0, 0, 0]);
    }

    #[test]
    fn a_window_slides_bucket_by_bucket() {
        let mut windows = Windows::default();
        for second in 0..20 {
            windows.add(one(0), false, T0 + second * 1_000);
        }
        assert_eq!(requests(&windows, T0 + 19_500), [10, 20, 20]);
        assert_eq!(requests(&windows, T0 + 24_500), [5, 20, 20]);
    }

    #[test]
    fn time_that_stands_still_or_is_a_little_behind_counts_in_the_newest_bucket() {
        let mut windows = Windows::default();
        windows.add(one(0), false, T0);
        windows.add(one(0), false, T0);
        windows.add(one(0), false, T0 - BEHIND);
        assert_eq!(requests(&windows, T0), [3, 3, 3]);
        assert_eq!(requests(&windows, T0 - 1), [3, 3, 3]);
    }

    #[test]
    fn a_clock_that_was_set_back_begins_anew() {
        let mut windows = Windows::default();
        for second in 0..300 {
            windows.add(one(0), false, T0 + second * 1_000);
        }
        let back = T0 - 3_600_000;
        assert_eq!(requests(&windows, back), [0, 0, 0]);
        windows.add(one(1), false, back);
        assert_eq!(requests(&windows, back), [1, 1, 1]);
        assert_eq!(requests(&windows, back + 9_000), [1, 1, 1]);
    }

    #[test]
    fn a_jump_far_ahead_leaves_everything_behind() {
        let mut windows = Windows::default();
        windows.add(one(0), false, 0);
        windows.add(one(0), false, u64::MAX);
        assert_eq!(requests(&windows, u64::MAX), [1, 1, 1]);
    }

    #[test]
    fn what_is_late_is_not_seen_by_the_shortest_window() {
        let mut windows = Windows::default();
        windows.add(one(1), true, T0);
        assert_eq!(requests(&windows, T0), [0, 1, 1]);
    }

    #[test]
    fn counts_since_a_moment_begin_with_the_next_second() {
        let mut windows = Windows::default();
        windows.add(one(1), false, T0 + 100);
        windows.add(one(1), false, T0 + 1_000);
        assert_eq!(windows.counts_since(Window::TenSeconds, T0, T0 + 1_500).failures, 1);
        assert_eq!(windows.counts_since(Window::TenSeconds, T0 + 1_200, T0 + 1_500).failures, 0);
        assert_eq!(windows.counts_since(Window::TenSeconds, 0, T0 + 1_500).failures, 2);
        assert_eq!(windows.counts_since(Window::TenSeconds, T0 + 99_000, T0).failures, 0);
    }

    #[test]
    fn classes_are_counted_for_five_minutes() {
        let mut windows = Windows::default();
        windows.add_class(CLASSES, 1, T0);
        windows.add_class(Class::Timeout as usize, 2, T0);
        windows.add_class(Class::Timeout as usize, u16::MAX, T0);
        windows.add_class(Class::Auth as usize, 1, T0 + 60_000);
        assert_eq!(windows.classes(T0 + 60_000), [(Class::Auth, 1), (Class::Timeout, 65_535)]);
        assert_eq!(windows.classes(T0 + 300_000), [(Class::Auth, 1)]);
    }

    #[test]
    fn counts_saturate() {
        let mut windows = Windows::default();
        let many = Counts { requests: u32::MAX, failures: u32::MAX };
        windows.add(many, false, T0);
        windows.add(many, false, T0 + 1_000);
        assert_eq!(windows.counts(Window::TenSeconds, T0 + 1_000), many);
    }
}
