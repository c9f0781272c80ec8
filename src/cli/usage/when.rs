//! Times of records, and the hours, days and months they fall into.

use std::fmt;

/// Days of 400 years, after which the calendar begins anew.
const DAYS_OF_400_YEARS: i64 = 146_097;

const DAY_SECONDS: i64 = 86_400;

/// A date in the calendar. Only those of four-digit years are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year.
    pub year: i64,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// The date that is so many days after 1 January 1970.
    pub fn of_days(days: i64) -> Self {
        // Years begin in March, so that the day of a leap year is the last of its year.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day_of_month = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let small = |number| u8::try_from(number).unwrap_or_default();
        Self {
            year: year + era * 400 + i64::from(month <= 2),
            month: small(month),
            day: small(day_of_month),
        }
    }

    /// Days since 1 January 1970.
    pub fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let month = (i64::from(self.month) + 9) % 12;
        let day = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        era * DAYS_OF_400_YEARS + year * 365 + year / 4 - year / 100 + day - 719_468
    }

    /// Reads `2026-11-21`.
    pub fn read(text: &[u8]) -> Option<Self> {
        let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
        let year = number(&[y1, y2, y3, y4])?;
        let (month, day) = (number(&[m1, m2])?, number(&[d1, d2])?);
        let date = Self { year, month: u8::try_from(month).ok()?, day: u8::try_from(day).ok()? };
        // Whatever is no date comes back as another one.
        ((1..=12).contains(&month) && Self::of_days(date.days()) == date).then_some(date)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        Some(number * 10 + i64::from(char::from(*digit).to_digit(10)?))
    })
}

/// Seconds since 1970 of a time as records have it: `2026-11-21T18:11:46.123Z`.
pub fn seconds(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[b'T', h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    let fraction = rest.strip_suffix(b"Z")?;
    let fraction_is_one = match fraction.split_first() {
        None => true,
        Some((b'.', digits)) => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    // A leap second is the last second of its minute.
    if hour > 23 || minute > 59 || second > 60 || !fraction_is_one {
        return None;
    }
    let day = Date::read(date)?.days();
    Some(day * DAY_SECONDS + hour * 3_600 + minute * 60 + second.min(59))
}

/// A second since 1970 as `2026-11-21T18:11:46Z`.
pub fn rfc3339(seconds: i64) -> String {
    let day = Date::of_days(seconds.div_euclid(DAY_SECONDS));
    let clock = seconds.rem_euclid(DAY_SECONDS);
    format!("{day}T{:02}:{:02}:{:02}Z", clock / 3_600, clock / 60 % 60, clock % 60)
}

/// A time of day in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Days since 1 January 1970.
    pub day: i64,
    pub hour: u8,
}

impl Local {
    /// The time where clocks are ahead of UTC by `offset` seconds.
    pub fn of(seconds: i64, offset: i64) -> Self {
        let local = seconds.saturating_add(offset);
        let hour = local.rem_euclid(DAY_SECONDS) / 3_600;
        Self { day: local.div_euclid(DAY_SECONDS), hour: u8::try_from(hour).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn dates_and_days_are_each_others_inverse() {
        let mut before = Date::of_days(-800_000);
        for days in -799_999..800_000 {
            let date = Date::of_days(days);
            assert_eq!(date.days(), days);
            assert!(before < date, "{before} {date}");
            before = date;
        }
        assert_eq!(Date::of_days(0).to_string(), "1970-01-01");
        assert_eq!(Date::of_days(20_778).to_string(), "2026-11-21");
        assert_eq!(Date::of_days(19_782).to_string(), "2024-02-29");
    }

    #[test]
    fn only_dates_of_the_calendar_are_read() {
        let read = |text: &str| Date::read(text.as_bytes()).map(|date| date.to_string());
        for date in ["2026-11-21", "2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31"] {
            assert_eq!(read(date).as_deref(), Some(date));
        }
        for wrong in [
            "2026-02-29",
            "1900-02-29",
            "2026-00-01",
            "2026-13-01",
            "2026-01-00",
            "2026-04-31",
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
    fn times_are_read_to_the_second() {
        let read = |text: &str| seconds(text.as_bytes());
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2026-11-21T18:11:46.123Z"), Some(1_795_284_706));
        assert_eq!(rfc3339(1_795_284_706), "2026-11-21T18:11:46Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(read("1969-12-31T23:59:59.999Z"), Some(-1));
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
            "2026-11-21T18:11:46ZZ",
            "é026-11-21T18:11:46Z",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_begins_where_the_zone_says() {
        let at = |text: &str, offset| Local::of(seconds(text.as_bytes()).unwrap(), offset);
        let day = Date { year: 2026, month: 11, day: 21 }.days();
        assert_eq!(at("2026-11-21T00:00:00Z", 0), Local { day, hour: 0 });
        assert_eq!(at("2026-11-21T23:00:00Z", 3_600), Local { day: day + 1, hour: 0 });
        assert_eq!(at("2026-11-21T00:30:00Z", -3_600), Local { day: day - 1, hour: 23 });
        assert_eq!(at("1969-12-31T23:59:59Z", 0), Local { day: -1, hour: 23 });
    }
}
