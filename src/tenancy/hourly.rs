//! What an account spends in an hour, and what it usually does.

use super::news::{Anomaly, News};
use crate::providers::catalogue::NanoUsd;

/// Hours with a spend that must be known before one is unusual.
pub const WARM_UP: u64 = 8;

/// The hour's spend is told to be unusual.
const TOLD: u64 = 1;

/// Hours without a spend that are looked at one by one: after these little is left of what was usual.
const MOST_HOURS: u64 = 24 * 31;

/// Money spent in an hour, and what usually is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hourly {
    /// Which hour, since 1970.
    pub hour: u64,
    /// In nano-dollars.
    pub spent: u64,
    /// In nano-dollars.
    pub usual: u64,
    /// How many hours with a spend `usual` is made of.
    pub hours: u64,
    /// What was told.
    pub flags: u64,
}

/// What is usually spent in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usual {
    /// That.
    pub spent: NanoUsd,
    /// How many hours with a spend show it.
    pub hours: u64,
}

impl Hourly {
    /// What usually is, by the hours that have ended.
    #[must_use]
    pub const fn usual(&self) -> Usual {
        Usual { spent: NanoUsd(self.usual), hours: self.hours }
    }

    /// The same before the hour `now`, by hours since 1970 and what was spent in each, in their order.
    pub fn of(spent: impl IntoIterator<Item = (u64, u64)>, now: u64) -> Usual {
        let mut hourly = Self::default();
        for (hour, spent) in spent {
            hourly.roll(hour);
            hourly.spent = spent;
        }
        hourly.roll(now);
        hourly.usual()
    }

    /// Takes hours that have ended into what is usual: it rises by a quarter of what an hour was above
    /// it, and falls by a 128th of what one was below, by half in about four days. So nights and
    /// weekends do not make it forget what a busy hour is.
    pub fn roll(&mut self, hour: u64) {
        if hour == self.hour {
            return;
        }
        // Behind by one: a clock that is a moment behind another.
        if hour.wrapping_add(1) == self.hour {
            return;
        }
        let passed = hour.saturating_sub(self.hour);
        if self.spent > 0 {
            self.hours = self.hours.saturating_add(1);
        }
        let mut spent = self.spent;
        for _ in 0..passed.min(MOST_HOURS) {
            if spent == 0 && self.usual == 0 {
                break;
            }
            if spent > self.usual {
                self.usual += (spent - self.usual) / 4;
            } else {
                self.usual -= (self.usual - spent) / 128;
            }
            spent = 0;
        }
        (self.hour, self.spent, self.flags) = (hour, 0, 0);
    }

    /// Whether the hour is unusual and nobody was told.
    pub fn unusual(&mut self, anomaly: Anomaly) -> Option<News> {
        let above = (self.usual / 100).saturating_mul(anomaly.percent.into());
        let unusual = self.flags & TOLD == 0
            && self.hours >= WARM_UP
            && self.spent >= above.max(anomaly.at_least.0);
        if !unusual {
            return None;
        }
        self.flags |= TOLD;
        Some(News::Unusual { spent: NanoUsd(self.spent), usual: NanoUsd(self.usual) })
    }
}
