//! Days and months of a time zone.

use super::zone::Zone;
use crate::store::Millis;

/// For how long a budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// A day of the calendar.
    Day,
    /// A month of it.
    Month,
}

impl Span {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// A day or a month: from its first millisecond up to the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Which: days since 1970-01-01, or months since January of the year 0. The next one is one more.
    pub id: u32,
    /// When it begins.
    pub begins: Millis,
    /// When the next one does.
    pub ends: Millis,
}

/// The day and the month that `now` is in.
#[must_use]
pub fn of(zone: &Zone, now: Millis) -> (Period, Period) {
    let secs = (now / 1000) as i64;
    let mut day = (secs + i64::from(zone.offset(secs))).div_euclid(DAY);
    // Where clocks are set back over midnight, a day that has begun goes on.
    if secs >= begin(zone, day + 1) {
        day += 1;
    }
    let (year, month, _) = civil(day);
    let months = year * 12 + i64::from(month) - 1;
    let first = |months: i64| days(months.div_euclid(12), months.rem_euclid(12) as u32 + 1, 1);
    let period = |id: i64, from: i64, to: i64| Period {
        id: id.clamp(0, i64::from(u32::MAX)) as u32,
        begins: millis(begin(zone, from)),
        ends: millis(begin(zone, to)),
    };
    (period(day, day, day + 1), period(months, first(months), first(months + 1)))
}

/// The first second of a day: the first that is not before its midnight.
fn begin(zone: &Zone, day: i64) -> i64 {
    let midnight = day * DAY;
    let (least, most) = zone.offsets();
    let (mut early, mut late) = (midnight - i64::from(most), midnight - i64::from(least));
    // Where no clock is set in between, one of both ends is it; else the moment when it is.
    while early < late {
        let middle = early + (late - early) / 2;
        if middle + i64::from(zone.offset(middle)) >= midnight {
            late = middle;
        } else {
            early = middle + 1;
        }
    }
    early
}

fn millis(secs: i64) -> Millis {
    secs.max(0) as Millis * 1000
}

/// Seconds of a day without a change of the clock.
pub(super) const DAY: i64 = 86_400;

/// The days from 1970-01-01 to a date of the Gregorian calendar.
#[must_use]
pub const fn days(year: i64, month: u32, day: u32) -> i64 {
    // Years begin in March here, so that the day that leap years have more is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = (month as i64 + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day as i64 - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day of a number of days since 1970-01-01.
#[must_use]
pub const fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + (month <= 2) as i64;
    (year, month as u32, day as u32)
}
