//! Days and months of a time zone.

use super::calendar::{DAY, civil, days};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    let begun = |secs: i64| secs + i64::from(zone.offset(secs)) >= midnight;
    // Unless it begins at the first that it could, clocks are set forward in between or not at all.
    if begun(early) {
        return early;
    }
    while early < late {
        let middle = early + (late - early) / 2;
        if begun(middle) {
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

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const HOUR: Millis = 3_600_000;

    fn zone(name: &str) -> Zone {
        Zone::parse(name).unwrap()
    }

    /// Milliseconds at a second that is written as a date and an hour of universal time.
    fn at(year: i64, month: u32, day: u32, hour: i64) -> Millis {
        millis(days(year, month, day) * DAY + hour * 3600)
    }

    #[test]
    fn dates_count_leap_years() {
        assert_eq!((days(1970, 1, 1), days(2000, 2, 29), days(2026, 11, 21)), (0, 11_016, 20_778));
        for day in -800_000..800_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn a_day_is_of_its_zone() {
        let now = at(2026, 11, 21, 23);
        let (day, month) = of(&Zone::UTC, now);
        assert_eq!((day.begins, day.ends), (at(2026, 11, 21, 0), at(2026, 11, 22, 0)));
        assert_eq!((month.begins, month.ends), (at(2026, 11, 1, 0), at(2026, 12, 1, 0)));
        let (there, _) = of(&zone("Europe/Berlin"), now);
        assert_eq!((there.begins, there.ends), (at(2026, 11, 21, 23), at(2026, 11, 22, 23)));
        assert_eq!(there.id, day.id + 1);
    }

    #[test]
    fn a_day_on_which_clocks_are_set_has_23_or_25_hours() {
        let berlin = zone("Europe/Berlin");
        let hours = |now| {
            let (day, _) = of(&berlin, now);
            (day.ends - day.begins) / HOUR
        };
        assert_eq!(hours(at(2026, 3, 29, 12)), 23);
        assert_eq!(hours(at(2026, 10, 25, 12)), 25);
        assert_eq!(hours(at(2026, 10, 26, 12)), 24);
    }

    #[test]
    fn a_day_without_a_midnight_begins_when_clocks_are_set() {
        // 2026-04-24 in Cairo begins at 01:00, as clocks are set at the midnight before.
        let (day, _) = of(&zone("Africa/Cairo"), at(2026, 4, 24, 12));
        assert_eq!((day.begins, day.ends), (at(2026, 4, 23, 22), at(2026, 4, 24, 21)));
    }

    #[test]
    fn a_day_does_not_begin_twice() {
        // Clocks are set from 00:30 back to 23:30.
        let back = zone("AAA0BBB,M3.5.0/2,M10.5.0/0:30");
        let sunday = at(2026, 10, 24, 23);
        let (day, _) = of(&back, sunday);
        assert_eq!(day.begins, sunday);
        for minute in 1..120 {
            let (again, _) = of(&back, sunday + minute * 60_000);
            assert_eq!(again, day, "{minute}");
        }
    }

    #[test]
    fn days_and_months_follow_one_another() {
        for name in [
            "UTC",
            "Europe/Berlin",
            "America/Santiago",
            "Asia/Beirut",
            "Australia/Lord_Howe",
            "America/Scoresbysund",
            "+14:00",
            "-12:00",
        ] {
            let zone = zone(name);
            let mut now = at(2026, 1, 1, 12);
            let (mut day, mut month) = of(&zone, now);
            while now < at(2028, 4, 1, 0) {
                assert_eq!(of(&zone, day.begins), (day, month), "{name}");
                assert_eq!(of(&zone, day.ends - 1), (day, month), "{name}");
                now = day.ends;
                let (next_day, next_month) = of(&zone, now);
                assert_eq!((next_day.id, next_day.begins), (day.id + 1, day.ends), "{name}");
                if next_month != month {
                    assert_eq!((next_month.id, next_month.begins), (month.id + 1, month.ends));
                    assert_eq!(next_month.begins, next_day.begins);
                }
                (day, month) = (next_day, next_month);
            }
        }
    }

    #[test]
    fn a_clock_at_the_beginning_of_time_is_in_a_period() {
        for name in ["UTC", "Pacific/Honolulu", "+14:00"] {
            let (day, month) = of(&zone(name), 0);
            assert!(day.begins == 0 && day.ends > 0 && month.ends > 0, "{name}");
        }
    }
}
