//! An entry of `keys`, and dates.

use std::rc::Rc;

use crate::config::reader::{Node, Problems};
use crate::tenancy::Key;
use crate::tenancy::calendar::{civil, days};
use crate::tenancy::key::Hash;

/// A day in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Reads an entry of the `keys` of the tenant at `tenant`.
pub(super) fn read(node: &Node<'_>, tenant: usize, problems: &mut Problems) -> Option<Key> {
    let mut fields = node.fields(problems);
    let hash = fields.need("hash", problems).and_then(|node| {
        let hash = node.value.as_str().and_then(Hash::parse);
        if hash.is_none() {
            // It may be the key itself, which must not stand in a log.
            problems.add(&node.path, "must be what waypost key hash prints, wp1.<handle>.<salt>.<digest>, and never the key itself");
        }
        hash
    });
    let mut text = |name| {
        let node = fields.take(name)?;
        node.text(problems).map(Rc::from)
    };
    let (name, user, application) = (text("name"), text("user"), text("application"));
    let not_before = fields.take("not_before").and_then(|node| read_moment(&node, 0, problems));
    let expires = fields.take("expires").and_then(|node| read_moment(&node, DAY, problems));
    let revoked = fields.take("revoked").and_then(|node| node.flag(problems)).unwrap_or(false);
    fields.finish(problems);
    if let (Some(start), Some(end)) = (not_before, expires)
        && start >= end
    {
        problems.add(&node.path, "expires before not_before, so it could never be used");
    }
    let hash = hash?;
    let id = name.unwrap_or_else(|| hash.handle().to_string().into());
    Some(Key { hash, tenant, id, user, application, not_before, expires, revoked })
}

/// Reads a moment; of a date without a time, `rest` after its midnight.
fn read_moment(node: &Node<'_>, rest: u64, problems: &mut Problems) -> Option<u64> {
    let text = node.text(problems)?;
    let moment = moment(text, rest);
    if moment.is_none() {
        problems.say(&node.path, format_args!("must be a date or a time in UTC, such as \"2027-01-31\" or \"2027-01-31T12:00:00Z\", but is \"{text}\""));
    }
    moment
}

/// Milliseconds since 1970 of `2027-01-31` or `2027-01-31T12:00:00Z`.
fn moment(text: &str, rest: u64) -> Option<u64> {
    let digits = |text: &str, length: usize| -> Option<u64> {
        let plain = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time.strip_suffix('Z')?)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = i64::try_from(digits(parts.next()?, 4)?).ok()?;
    let month = u32::try_from(digits(parts.next()?, 2)?).ok()?;
    let day = u32::try_from(digits(parts.next()?, 2)?).ok()?;
    let days = days(year, month, day);
    // A day that there is not is another one, by whose name it is not called.
    if parts.next().is_some() || civil(days) != (year, month, day) {
        return None;
    }
    let midnight = u64::try_from(days).ok()? * DAY;
    let Some(time) = time else { return Some(midnight + rest) };
    let mut parts = time.split(':');
    let mut part = |most: u64| digits(parts.next()?, 2).filter(|part| *part <= most);
    let (hour, minute, second) = (part(23)?, part(59)?, part(59)?);
    parts.next().is_none().then_some(midnight + ((hour * 60 + minute) * 60 + second) * 1000)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_date_is_its_midnight_or_its_end_and_a_time_is_itself() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2024-02-29", 1_709_164_800),
            ("2024-02-29T12:00:00Z", 1_709_208_000),
            ("2027-01-31", 1_801_353_600),
            ("2027-01-31T23:59:59Z", 1_801_439_999),
        ] {
            assert_eq!(moment(text, 0), Some(seconds * 1000), "{text}");
        }
        assert_eq!(moment("2027-01-31", DAY), moment("2027-02-01T00:00:00Z", DAY));
    }

    #[test]
    fn a_day_that_there_is_not_is_no_date() {
        for text in [
            "",
            "2027",
            "2027-1-1",
            "2023-02-29",
            "2100-02-29",
            "2027-13-01",
            "2027-00-10",
            "2027-04-31",
            "2027-01-00",
            "1969-12-31",
            "2027-01-31T24:00:00Z",
            "2027-01-31T12:00:00",
            "2027-01-31T12:00Z",
            "2027-01-31T12:00:00+01:00",
            "2027-01-31-",
            "+027-01-31",
            "99999-01-01",
            "2027-01-31 12:00:00Z",
        ] {
            assert_eq!(moment(text, 0), None, "{text}");
        }
    }
}
