//! Time zones, for budgets by day and month.
//!
//! | written | what it is |
//! |---|---|
//! | `UTC` | universal time |
//! | `+02:00`, `-03:30` | ahead of it or behind |
//! | `Europe/Berlin` | a name of the time zone database |
//! | `CET-1CEST,M3.5.0,M10.5.0/3` | a rule as POSIX writes it |
//!
//! There is no database in the module: `zone/names.txt` holds for each name the rule that holds from
//! now on, which `zone/names.py` makes of the data of a system. A zone that changes its law needs a new
//! release, or its rule in the configuration.
//!
//! # Not supported
//! Zones whose summer time follows the moon: `Africa/Casablanca`, `Africa/El_Aaiun`, `Asia/Gaza` and
//! `Asia/Hebron` are taken by the rule behind their lists, an hour off for some weeks of a year.

use super::calendar::{DAY, civil, days};

/// Zones by their rules: a line is `rule region:name,name region:name`.
const NAMES: &str = include_str!("zone/names.txt");

/// A time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Standard time: seconds ahead of universal time.
    standard: i32,
    summer: Option<Summer>,
}

/// Summer time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summer {
    /// Seconds ahead of universal time.
    offset: i32,
    /// By standard time.
    begins: Change,
    /// By summer time.
    ends: Change,
}

/// When clocks are set, each year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Since midnight; may be days before or behind it.
    secs: i32,
}

/// A day of each year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// The n-th such weekday of a month, the fifth being the last; 0 is Sunday.
    Week { month: u32, week: i64, weekday: i64 },
    /// From 1, not counting the 29th of February.
    Julian(i64),
    /// From 0.
    OfYear(i64),
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self { standard: 0, summer: None };

    /// The zone that is written so; nothing when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rule) = rule_of(text) {
            return posix(rule);
        }
        match text.as_bytes() {
            [b'+' | b'-', ..] => offset(text),
            _ => posix(text),
        }
    }

    /// By how many seconds its clocks are ahead of universal time at that second since 1970.
    #[must_use]
    pub fn offset(&self, secs: i64) -> i32 {
        let Some(summer) = &self.summer else { return self.standard };
        let (year, ..) = civil((secs + i64::from(self.standard)).div_euclid(DAY));
        let begins = summer.begins.in_year(year) - i64::from(self.standard);
        let ends = summer.ends.in_year(year) - i64::from(summer.offset);
        let is_summer = if begins < ends {
            (begins..ends).contains(&secs)
        } else {
            !(ends..begins).contains(&secs)
        };
        if is_summer { summer.offset } else { self.standard }
    }

    /// The least and the most of all offsets.
    #[must_use]
    pub fn offsets(&self) -> (i32, i32) {
        let summer = self.summer.map_or(self.standard, |summer| summer.offset);
        (self.standard.min(summer), self.standard.max(summer))
    }
}

impl Change {
    /// Seconds since 1970 by the clock that is set.
    fn in_year(&self, year: i64) -> i64 {
        let day = match self.day {
            Day::Week { month, week, weekday } => {
                let first = days(year, month, 1);
                // 1970 began on a Thursday.
                let ahead = (weekday - first - 4).rem_euclid(7) + (week - 1) * 7;
                let next =
                    if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
                if first + ahead < next { first + ahead } else { first + ahead - 7 }
            }
            Day::Julian(day) => {
                let leap = days(year, 3, 1) - days(year, 2, 28) == 2;
                days(year, 1, 1) + day - i64::from(!(leap && day > 59))
            }
            Day::OfYear(day) => days(year, 1, 1) + day,
        };
        day * DAY + i64::from(self.secs)
    }
}

/// The rule of a name of the database.
fn rule_of(name: &str) -> Option<&'static str> {
    let (region, name) = name.split_once('/').unwrap_or(("", name));
    let has = |group: &str| {
        let (found, names) = group.split_once(':').unwrap_or_default();
        found == region && names.split(',').any(|found| found == name)
    };
    NAMES.lines().find_map(|line| {
        let (rule, groups) = line.split_once(' ')?;
        groups.split(' ').any(has).then_some(rule)
    })
}

/// `+02:00`
fn offset(text: &str) -> Option<Zone> {
    let [sign, a, b, b':', c, d] = text.as_bytes() else { return None };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
    let hours = digit(a)? * 10 + digit(b)?;
    let minutes = digit(c)? * 10 + digit(d)?;
    let secs = hours * 3600 + minutes * 60;
    let standard = if *sign == b'-' { -secs } else { secs };
    (hours < 24 && minutes < 60).then_some(Zone { standard, summer: None })
}

/// `CET-1CEST,M3.5.0,M10.5.0/3`
fn posix(text: &str) -> Option<Zone> {
    let mut rest = Rest(text.as_bytes());
    rest.name()?;
    // West of Greenwich is positive here.
    let standard = -rest.time(24)?;
    if rest.0.is_empty() {
        return Some(Zone { standard, summer: None });
    }
    rest.name()?;
    let offset = if rest.0.first() == Some(&b',') { standard + 3600 } else { -rest.time(24)? };
    let (begins, ends) = (rest.change()?, rest.change()?);
    let summer = Some(Summer { offset, begins, ends });
    rest.0.is_empty().then_some(Zone { standard, summer })
}

/// What is not read yet of a rule.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.0.split_first().filter(|(first, _)| **first == wanted);
        if let Some((_, rest)) = found {
            self.0 = rest;
        }
        found.is_some()
    }

    /// The name of standard or summer time: three letters or more, or anything in angle brackets.
    fn name(&mut self) -> Option<()> {
        let quoted = self.eat(b'<');
        let end = |byte: &u8| if quoted { *byte == b'>' } else { !byte.is_ascii_alphabetic() };
        let length = self.0.iter().position(end).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        (name.len() >= 3 && (!quoted || self.eat(b'>'))).then_some(())
    }

    fn number(&mut self, most: i32) -> Option<i32> {
        let mut number: Option<i32> = None;
        while let Some((digit, rest)) = self.0.split_first()
            && digit.is_ascii_digit()
        {
            self.0 = rest;
            number = Some(number.unwrap_or(0) * 10 + i32::from(digit - b'0'));
            number = number.filter(|number| *number <= most);
            number?;
        }
        number
    }

    /// `[+-]hours[:minutes[:seconds]]`, in seconds.
    fn time(&mut self, most: i32) -> Option<i32> {
        let negative = self.eat(b'-');
        if !negative {
            self.eat(b'+');
        }
        let mut secs = self.number(most)? * 3600;
        for unit in [60, 1] {
            if !self.eat(b':') {
                break;
            }
            secs += self.number(59)? * unit;
        }
        Some(if negative { -secs } else { secs })
    }

    /// `,M3.5.0/2`
    fn change(&mut self) -> Option<Change> {
        if !self.eat(b',') {
            return None;
        }
        let day = if self.eat(b'M') {
            let month = self.number(12).filter(|month| *month > 0)?.unsigned_abs();
            let week = self.eat(b'.').then(|| self.number(5))?.filter(|week| *week > 0)?.into();
            let weekday = self.eat(b'.').then(|| self.number(6))??.into();
            Day::Week { month, week, weekday }
        } else if self.eat(b'J') {
            Day::Julian(self.number(365).filter(|day| *day > 0)?.into())
        } else {
            Day::OfYear(self.number(365)?.into())
        };
        let secs = if self.eat(b'/') { self.time(167)? } else { 2 * 3600 };
        Some(Change { day, secs })
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// A zone, a second, and the offset that Python's zoneinfo gives: around each change of clocks of
    /// twelve years, for each rule there is. Written by `zone/names.py`.
    const INSTANTS: &str = include_str!("../../tests/zones/instants.txt");

    #[test]
    fn clocks_are_set_when_the_time_zone_database_says_so() {
        let mut seen = 0;
        for line in INSTANTS.lines() {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap();
            let (name, secs, wanted) = (word(), word().parse().unwrap(), word());
            let zone = Zone::parse(name).unwrap();
            assert_eq!(zone.offset(secs).to_string(), wanted, "{line}");
            seen += 1;
        }
        assert!(seen > 2_000, "{seen}");
    }

    #[test]
    fn zones_are_written_in_four_ways() {
        assert_eq!(Zone::parse("UTC"), Some(Zone::UTC));
        assert_eq!(Zone::parse("Etc/UTC"), Some(Zone::UTC));
        assert_eq!(Zone::parse("+00:00"), Some(Zone::UTC));
        assert_eq!(Zone::parse("-03:30").unwrap().offset(0), -12_600);
        assert_eq!(Zone::parse("<+0530>-5:30"), Zone::parse("Asia/Kolkata"));
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        assert_eq!(Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3"), Some(berlin));
        assert_eq!(Zone::parse("CET-1CEST-2,M3.5.0/02:00:00,M10.5.0/+3"), Some(berlin));
        assert_eq!(berlin.offsets(), (3600, 7200));
        assert!(Zone::parse("America/Argentina/Buenos_Aires").is_some());
    }

    #[test]
    fn days_of_a_year_count_the_29th_of_february_or_do_not() {
        // Noon of the 28th and 29th of February and of the 1st of March 2028.
        let [before, leap, after] =
            [28, 29, 30].map(|day| days(2028, 2, 1) * DAY + (day * 2 - 1) * 43_200);
        let julian = Zone::parse("AAA0BBB,J59/0,J60/1").unwrap();
        assert_eq!([before, leap, after].map(|secs| julian.offset(secs)), [3600, 3600, 0]);
        let plain = Zone::parse("AAA0BBB,58/0,59/1").unwrap();
        assert_eq!([before, leap, after].map(|secs| plain.offset(secs)), [3600, 0, 0]);
    }

    #[test]
    fn what_is_no_zone_is_none() {
        for text in [
            "",
            "Berlin",
            "Europe/Berln",
            "Europe/",
            "/Berlin",
            "europe/berlin",
            "+2",
            "+02:60",
            "+24:00",
            "+0a:00",
            "CES",
            "CE-1",
            "CET-1CEST",
            "CET-25",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M3.5.0,M10.5.0/3,",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,M3.5.7,M10.5.0",
            "CET-1CEST,J0,J9",
            "CET-1CEST,M3.5.0/168,M10.5.0",
            "<CET-1",
            "CET-99999999999999999999",
            "Europe:Berlin",
            "Africa:Algiers,Bangui",
        ] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }
}
