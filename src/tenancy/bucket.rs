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

    /// What is left.
    #[must_use]
    pub const fn left(self, limit: u64, window: Window) -> Left {
        let room = limit.saturating_mul(window.millis()).saturating_sub(self.0);
        let reset = if limit == 0 { 0 } else { self.0.div_ceil(limit) };
        Left { window, limit, remaining: room / window.millis(), reset }
    }
}
