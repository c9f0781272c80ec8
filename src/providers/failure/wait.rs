//! How long a provider wants us to wait.

use crate::providers::Headers;

/// Longest wait that is passed on: a day. What is said to take longer is not a matter of waiting.
pub const MAX_WAIT_MS: u64 = 24 * 60 * 60 * 1000;

/// From `retry-after-ms`, else `retry-after` in seconds, which may be a fraction, or as a date. A
/// date is measured against the answer's own `date`, and ignored without one.
#[must_use]
pub fn from_headers(headers: &Headers<'_>) -> Option<u64> {
    let number = |name| headers.text(name).and_then(|text| text.trim().parse::<f64>().ok());
    if let Some(ms) = number("retry-after-ms").and_then(millis) {
        return Some(ms);
    }
    if let Some(ms) = number("retry-after").and_then(|seconds| millis(seconds * 1000.0)) {
        return Some(ms);
    }
    let until = headers.text("retry-after").and_then(http_date)?;
    let now = headers.text("date").and_then(http_date)?;
    Some(until.saturating_sub(now).saturating_mul(1000).min(MAX_WAIT_MS))
}

/// From words such as "retry after 8 seconds" and "try again in 1m2.5s".
#[must_use]
pub fn from_message(message: &str) -> Option<u64> {
    let message = message.to_ascii_lowercase();
    let after = ["retry after ", "retry in ", "try again in "]
        .into_iter()
        .find_map(|phrase| message.split_once(phrase).map(|(_, after)| after))?;
    let mut words = after.split(' ');
    let first = words.next()?.trim_end_matches(['.', ',', ';', ')']);
    if let Ok(count) = first.parse::<f64>() {
        let unit = words.next()?;
        let factor = match unit.trim_end_matches(['.', ',', ';', ')']) {
            "ms" | "milliseconds" => 1.0,
            "s" | "second" | "seconds" => 1000.0,
            "minute" | "minutes" => 60_000.0,
            _ => return None,
        };
        return millis(count * factor);
    }
    duration(first)
}

/// A duration such as `46s`, `1.5s`, `6m0s`, `120ms`.
#[must_use]
pub fn duration(text: &str) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit) = rest.split_at_checked(
            rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?,
        )?;
        let (name, after) = unit
            .split_at_checked(unit.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(unit.len()))?;
        let factor = match name {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    if text.is_empty() { None } else { millis(total) }
}

fn millis(ms: f64) -> Option<u64> {
    // The cast saturates; what is not a number fails the comparison.
    (ms >= 0.0).then(|| (ms.ceil() as u64).min(MAX_WAIT_MS))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that senders may use.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, text) = text.trim().split_once(", ")?;
    let mut words = text.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = 1 + MONTHS.iter().position(|month| *month == name)? as u64;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    if words.next() != Some("GMT") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days of the proleptic Gregorian calendar, in years that begin with March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        from_headers(&pairs.iter().copied().collect())
    }

    #[test]
    fn milliseconds_win_over_seconds_and_seconds_may_be_a_fraction() {
        assert_eq!(headers(&[("retry-after", "7"), ("retry-after-ms", "1250")]), Some(1250));
        assert_eq!(headers(&[("retry-after", "1.5")]), Some(1500));
        assert_eq!(headers(&[("retry-after", "0")]), Some(0));
        assert_eq!(headers(&[("retry-after-ms", "x"), ("retry-after", "2")]), Some(2000));
    }

    #[test]
    fn a_date_counts_from_the_answers_own_date() {
        let until = ("retry-after", "Sun, 01 Mar 2026 00:00:30 GMT");
        assert_eq!(headers(&[until, ("date", "Sat, 28 Feb 2026 23:59:00 GMT")]), Some(90_000));
        assert_eq!(headers(&[until, ("date", "Mon, 02 Mar 2026 00:00:00 GMT")]), Some(0));
        assert_eq!(headers(&[until]), None);
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    }

    #[test]
    fn nonsense_is_no_wait_and_a_wait_has_a_bound() {
        for text in ["", "-1", "NaN", "soon", "Sun, 99 Foo 2026 00:00:00 GMT", "Sun, 06 Nov 1994"] {
            assert_eq!(headers(&[("retry-after", text), ("date", text)]), None, "{text}");
        }
        assert_eq!(headers(&[("retry-after", "1e99")]), Some(MAX_WAIT_MS));
        assert_eq!(headers(&[("retry-after", "inf")]), Some(MAX_WAIT_MS));
    }

    #[test]
    fn messages_tell_the_wait_in_words() {
        for (message, ms) in [
            ("Please retry after 26 seconds.", Some(26_000)),
            ("Retry after 1 second", Some(1000)),
            ("Please try again in 1m2.5s. Visit", Some(62_500)),
            ("Please try again in 120ms.", Some(120)),
            ("Please retry in 46.1s", Some(46_100)),
            ("retry after lunch", None),
            ("retry after 3 lunches", None),
            ("retry after ", None),
            ("try again in 5x", None),
            ("try again in 5sé", None),
        ] {
            assert_eq!(from_message(message), ms, "{message}");
        }
    }
}
