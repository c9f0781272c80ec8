//! Token buckets, exact in integers.
//!
//! A level is what is used, in units × milliseconds of the window: one unit in a bucket of a second
//! weighs 1000. It drains by `limit` each millisecond, so nothing is ever rounded, and a limit that a
//! new configuration changes finds what was used under the old one.

use crate::store::Millis;

/// Over which a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// 24 hours.
    Day,
}

impl Window {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Day];

    /// How long it is.
    #[must_use]
    pub const fn millis(self) -> Millis {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Day => 86_400_000,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Day => "day",
        }
    }
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Of which window.
    pub window: Window,
    /// The limit.
    pub limit: u64,
    /// How many may still come now.
    pub remaining: u64,
    /// When the bucket would be full again if nobody asked any more, in milliseconds from now.
    pub reset: Millis,
}

/// How full a bucket is of what was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket(pub u64);

impl Bucket {
    /// So much time has passed.
    pub const fn drain(&mut self, limit: u64, elapsed: Millis) {
        self.0 = self.0.saturating_sub(limit.saturating_mul(elapsed));
    }

    /// So many were used.
    pub const fn add(&mut self, units: u64, window: Window) {
        self.0 = self.0.saturating_add(units.saturating_mul(window.millis()));
    }

    /// So many were not used after all.
    pub const fn give_back(&mut self, units: u64, window: Window) {
        self.0 = self.0.saturating_sub(units.saturating_mul(window.millis()));
    }

    /// How long so many have to wait; 0 when they fit now. Nothing when they never do, as they are
    /// more than the limit itself.
    #[must_use]
    pub const fn wait(self, units: u64, limit: u64, window: Window) -> Option<Millis> {
        let all = self.0.saturating_add(units.saturating_mul(window.millis()));
        let over = all.saturating_sub(limit.saturating_mul(window.millis()));
        if over == 0 {
            return Some(0);
        }
        if units > limit || limit == 0 {
            return None;
        }
        Some(over.div_ceil(limit))
    }

    /// How many fit now.
    #[must_use]
    pub const fn room(self, limit: u64, window: Window) -> u64 {
        let room = limit.saturating_mul(window.millis()).saturating_sub(self.0);
        // By numbers that the compiler knows, as a division takes long.
        match window {
            Window::Second => room / Window::Second.millis(),
            Window::Minute => room / Window::Minute.millis(),
            Window::Day => room / Window::Day.millis(),
        }
    }

    /// What is left.
    #[must_use]
    pub const fn left(self, limit: u64, window: Window) -> Left {
        let reset = if limit == 0 { 0 } else { self.0.div_ceil(limit) };
        Left { window, limit, remaining: self.room(limit, window), reset }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::tenancy::settings::MAX_LIMIT;

    #[test]
    fn a_full_bucket_waits_for_exactly_what_is_missing() {
        let mut bucket = Bucket::default();
        bucket.add(3, Window::Second);
        assert_eq!(bucket.wait(1, 3, Window::Second), Some(334));
        bucket.drain(3, 333);
        assert_eq!(bucket.wait(1, 3, Window::Second), Some(1));
        bucket.drain(3, 1);
        assert_eq!(bucket.wait(1, 3, Window::Second), Some(0));
    }

    #[test]
    fn nothing_is_lost_by_draining_often() {
        let (mut often, mut once) = (Bucket::default(), Bucket::default());
        for bucket in [&mut often, &mut once] {
            bucket.add(1_000, Window::Day);
        }
        (0..1_000_000).for_each(|_| often.drain(7, 1));
        once.drain(7, 1_000_000);
        assert_eq!(often, once);
    }

    #[test]
    fn the_greatest_limit_of_the_longest_window_is_exact() {
        let mut bucket = Bucket::default();
        bucket.add(MAX_LIMIT - 1, Window::Day);
        assert_eq!(bucket.wait(1, MAX_LIMIT, Window::Day), Some(0));
        bucket.add(1, Window::Day);
        assert_eq!(bucket.wait(1, MAX_LIMIT, Window::Day), Some(1));
        assert_eq!(bucket.left(MAX_LIMIT, Window::Day).reset, Window::Day.millis());
        bucket.drain(MAX_LIMIT, Window::Day.millis());
        assert_eq!(bucket, Bucket::default());
    }

    #[test]
    fn what_is_more_than_the_limit_never_fits_and_a_limit_of_none_lets_nobody() {
        assert_eq!(Bucket::default().wait(11, 10, Window::Minute), None);
        assert_eq!(Bucket::default().wait(1, 0, Window::Minute), None);
        assert_eq!(Bucket::default().wait(0, 0, Window::Minute), Some(0));
        let left = Bucket(5).left(0, Window::Minute);
        assert_eq!((left.remaining, left.reset), (0, 0));
    }

    #[test]
    fn a_debt_is_paid_before_anything_fits() {
        let mut bucket = Bucket::default();
        bucket.add(25, Window::Second);
        assert_eq!(bucket.left(10, Window::Second).remaining, 0);
        assert_eq!(bucket.wait(0, 10, Window::Second), Some(1_500));
        assert_eq!(bucket.wait(1, 10, Window::Second), Some(1_600));
        assert_eq!(bucket.left(10, Window::Second).reset, 2_500);
    }

    #[test]
    fn a_bucket_holds_however_much_is_told() {
        let mut bucket = Bucket::default();
        bucket.add(u64::MAX, Window::Day);
        bucket.add(u64::MAX, Window::Second);
        assert!(bucket.wait(1, 1, Window::Day).is_some());
        bucket.drain(u64::MAX, u64::MAX);
        assert_eq!(bucket, Bucket::default());
        bucket.give_back(u64::MAX, Window::Day);
        assert_eq!(bucket, Bucket::default());
    }
}
