//! Times of records, and the hours, days and months they fall into.

use std::fmt;

use crate::store::Millis;
use crate::tenancy::Zone;
use crate::tenancy::calendar::{civil, days};
use crate::tenancy::period::{self, Period};

const DAY_SECONDS: u64 = 86_400;

/// A date in the calendar, from 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Days since 1 January 1970.
    days: u32,
}

impl Date {
    /// The date that is so many days after 1 January 1970.
    pub(super) const fn of(days: u32) -> Self {
        Self { days }
    }

    /// Days since 1 January 1970.
    pub(super) const fn days(self) -> u32 {
        self.days
    }

    /// Milliseconds since 1970 when the day is over in UTC.
    #[must_use]
    pub fn end(self) -> u64 {
        (u64::from(self.days) + 1) * DAY_SECONDS * 1_000
    }

    /// Reads `2026-11-21`.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
        let year = i64::from(number(&[y1, y2, y3, y4])?);
        let (month, day) = (number(&[m1, m2])?, number(&[d1, d2])?);
        if !(1..=12).contains(&month) {
            return None;
        }
        // Whatever is no date comes back as another one.
        let count = days(year, month, day);
        let days = u32::try_from(count).ok()?;
        (civil(count) == (year, month, day)).then_some(Self { days })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.days.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let digit = |digit: &u8| char::from(*digit).to_digit(10);
    digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
}

/// Milliseconds since 1970 of a time as records have it: `2026-11-21T18:11:46.123Z`. What is finer is
/// cut off.
pub fn millis(text: &[u8]) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[b'T', h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    let fraction = rest.strip_suffix(b"Z")?;
    let fraction = match fraction.split_first() {
        None => 0,
        Some((b'.', digits)) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            (0..3).fold(0, |fraction, at| {
                fraction * 10 + digits.get(at).map_or(0, |digit| u32::from(digit - b'0'))
            })
        }
        Some(_) => return None,
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // A leap second is the last second of its minute.
    let clock = hour * 3_600 + minute * 60 + second.min(59);
    let seconds = u64::from(Date::read(date)?.days) * DAY_SECONDS + u64::from(clock);
    Some(seconds * 1_000 + u64::from(fraction))
}

/// A second since 1970 as `2026-11-21T18:11:46Z`.
#[must_use]
pub fn utc(seconds: u64) -> String {
    let day = Date::of(u32::try_from(seconds / DAY_SECONDS).unwrap_or(u32::MAX));
    let clock = seconds % DAY_SECONDS;
    format!("{day}T{:02}:{:02}:{:02}Z", clock / 3_600, clock / 60 % 60, clock % 60)
}

/// A moment in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub seconds: u64,
    /// Days since 1 January 1970.
    pub day: u32,
    /// Months since January of the year 0.
    pub month: u32,
}

/// The days and months of a zone: those by which budgets count.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    zone: Zone,
    /// The day and the month asked for last: most lines of a log are of the same.
    last: Option<(Period, Period)>,
}

impl Calendar {
    pub const fn of(zone: Zone) -> Self {
        Self { zone, last: None }
    }

    pub fn at(&mut self, now: Millis) -> Local {
        let (day, month) = match self.last {
            Some(last) if (last.0.begins..last.0.ends).contains(&now) => last,
            _ => *self.last.insert(period::of(&self.zone, now)),
        };
        Local { seconds: now / 1_000, day: day.id, month: month.id }
    }
}

/// What clocks there show: the hour.
pub fn hour(zone: &Zone, seconds: u64) -> u32 {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let local = seconds.saturating_add(zone.offset(seconds).into());
    u32::try_from(local.rem_euclid(86_400) / 3_600).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn only_dates_of_the_calendar_are_read() {
        let read = |text: &str| Date::read(text.as_bytes()).map(|date| date.to_string());
        for date in ["2026-11-21", "2024-02-29", "2000-02-29", "1970-01-01", "9999-12-31"] {
            assert_eq!(read(date).as_deref(), Some(date));
        }
        for wrong in [
            "2026-02-29",
            "2100-02-29",
            "2026-00-01",
            "2026-13-01",
            "2026-01-00",
            "2026-04-31",
            "1969-12-31",
            "2026-1-1",
            "26-01-01",
            "2026/01/01",
            "2026-01-01T",
            "",
            "yyyy-mm-dd",
            "2026-99-99",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        let read = |text: &str| millis(text.as_bytes());
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2026-11-21T18:11:46.123Z"), Some(1_795_284_706_123));
        assert_eq!(read("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(read("1970-01-01T00:00:01.0019999Z"), Some(1_001));
        assert_eq!(utc(1_795_284_706), "2026-11-21T18:11:46Z");
        assert_eq!(read("2016-12-31T23:59:60Z"), read("2016-12-31T23:59:59Z"));
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21T18:11:46",
            "2026-11-21T18:11:46+00:00",
            "2026-11-21 18:11:46Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T18:60:00Z",
            "2026-11-21T18:11:61Z",
            "2026-11-21T18:11:46.Z",
            "2026-11-21T18:11:46.1x3Z",
            "2026-02-30T18:11:46Z",
            "1969-12-31T23:59:59Z",
            "2026-11-21T18:11:46ZZ",
            "é026-11-21T18:11:46Z",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_begins_where_the_zone_says() {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let mut calendar = Calendar::of(zone);
        let mut at = |text: &str| {
            let local = calendar.at(millis(text.as_bytes()).unwrap());
            (Date::of(local.day).to_string(), hour(&zone, local.seconds))
        };
        for (time, day, hour) in [
            ("2026-11-20T22:59:59Z", "2026-11-20", 23),
            ("2026-11-20T23:00:00Z", "2026-11-21", 0),
            ("2026-11-21T22:59:59Z", "2026-11-21", 23),
            ("2026-07-01T21:59:59Z", "2026-07-01", 23),
            ("2026-07-01T22:00:00Z", "2026-07-02", 0),
            ("2026-11-20T22:59:59Z", "2026-11-20", 23),
        ] {
            assert_eq!(at(time), (day.to_owned(), hour), "{time}");
        }
    }
}
