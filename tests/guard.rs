//! What is looked for in texts is found wherever it stands, and no text takes long.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "what is cut and unwrapped is made here"
)]

use proptest::prelude::*;
use waypost::guard::{Finder, Shape, redact, redact::MARGIN};

/// What stands around a value and belongs to none.
const AROUND: [&str; 12] = ["", " ", "\n", "(", "\"", ": ", "=", ", ", " é ", " 号 ", "\t", ";"];

fn digits(count: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..10_u8, count)
}

fn shown(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

/// A number of 16 digits with a check digit that is right, in groups of four.
fn card() -> impl Strategy<Value = String> {
    let separator = prop::sample::select(vec!["", " ", "-"]);
    (digits(14), separator).prop_map(|(mut rest, separator)| {
        rest.insert(0, 4);
        let sum: u32 = rest
            .iter()
            .rev()
            .enumerate()
            .map(|(place, digit)| {
                let doubled = u32::from(*digit) * if place % 2 == 0 { 2 } else { 1 };
                doubled / 10 + doubled % 10
            })
            .sum();
        rest.push(((10 - sum % 10) % 10) as u8);
        let text = shown(&rest);
        [&text[..4], &text[4..8], &text[8..12], &text[12..]].join(separator)
    })
}

/// An account of one of five countries with check digits that are right, in either case, together or in
/// groups of four.
fn iban() -> impl Strategy<Value = String> {
    let account = prop_oneof![
        "DE[0-9]{18}",
        "GB[A-Z]{4}[0-9]{14}",
        "FR[0-9]{10}[0-9A-Z]{11}[0-9]{2}",
        "NO[0-9]{11}",
        "MT[A-Z]{4}[0-9]{5}[0-9A-Z]{10}[0-9]{8}",
    ];
    let separator = prop::sample::select(vec!["", " ", "-"]);
    (account, separator, any::<bool>()).prop_map(|(account, separator, small)| {
        let (country, account) = account.split_at(2);
        let rest = format!("{account}{country}00").chars().fold(0, |rest, c| {
            let value = c.to_digit(36).unwrap();
            (rest * if value < 10 { 10 } else { 100 } + value) % 97
        });
        let whole = format!("{country}{:02}{account}", 98 - rest);
        let groups: Vec<&str> =
            whole.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect();
        let whole = groups.join(separator);
        if small { whole.to_lowercase() } else { whole }
    })
}

/// A telephone number of one of some countries, as it is written there.
fn phone() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\+[1-9][0-9]{1,2} [1-9][0-9]{2,3} [0-9]{5,6}",
        "\\([2-9][0-9]{2}\\) [2-9][0-9]{2}-[0-9]{4}",
        "\\+49 \\(0\\)[1-9][0-9]{1,3} / [0-9]{5,6}",
        "\\+33 [1-9]( [0-9]{2}){4}",
        "\\+44[127][0-9]{9}",
        "00(44|49|86|971)[ -][1-9][0-9] [0-9]{3}[ -][0-9]{4}",
        "\\+1[.-][2-9][0-9]{2}[.-][2-9][0-9]{2}[.-][0-9]{4}",
        "\\+86 1[3-9][0-9] [0-9]{4} [0-9]{4}",
    ]
}

/// An address of version 6 in each of its forms.
fn sixth() -> impl Strategy<Value = String> {
    prop_oneof![
        "2001:db8:[1-9a-f]{1,4}::[1-9a-f]{1,4}",
        "2001:(0db8|DB8):([1-9a-f][0-9a-f]{0,3}:){5}[1-9A-F][0-9A-F]{0,3}",
        "fe80::[1-9a-f]{1,4}:[1-9a-f]{1,4}(:[1-9a-f]{1,4}){0,2}",
        "2[0-9a-f]{3}:[1-9a-f]{1,4}:[1-9a-f]{1,4}::",
        "(::ffff|64:ff9b:):[1-9]\\.[1-9][0-9]\\.[1-9]\\.[1-9]",
    ]
}

/// A text with something else in the place of each of its characters that is no letter or digit.
fn escaped(text: &str, escape: fn(u32) -> String) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { escape(c as u32) };
    text.chars().map(one).collect()
}

/// The same value in one of the ways in which it can be written.
fn written(text: &str, way: usize) -> String {
    match way {
        0 => escaped(text, |code| format!("%{code:02X}")),
        1 => escaped(text, |code| format!("%25{code:02x}")),
        2 => escaped(text, |code| format!("&#{code};")),
        3 => escaped(text, |code| format!("&amp;#x{code:x};")),
        4 => escaped(text, |code| format!("\\u{code:04x}")),
        5 => escaped(text, |code| format!("\\\\x{code:02x}")),
        6 => text
            .chars()
            .map(|c| if c == ' ' { '\u{a0}' } else { char::from_u32(c as u32 + 0xfee0).unwrap() })
            .collect(),
        // Every character, each in another way.
        8 | 9 => {
            let one = |(at, c): (usize, char)| match (at * way) % 7 {
                0 => format!("%{:02X}", c as u32),
                1 => format!("&#{};", c as u32),
                2 => format!("\\u{:04x}", c as u32),
                3 => format!("\\u{{{:x}}}", c as u32),
                4 => format!("&#x{:X};", c as u32),
                5 => format!("{c}\u{2060}"),
                _ => c.to_string(),
            };
            text.chars().enumerate().map(one).collect()
        }
        7 => text.chars().map(String::from).collect::<Vec<_>>().join("\u{200b}"),
        _ => text.to_owned(),
    }
}

/// A value however it is written, and what stands in its place.
fn value() -> impl Strategy<Value = (String, &'static str)> {
    (plain(), 0..16_usize).prop_map(|((text, name), way)| (written(&text, way), name))
}

/// A value, and what stands in its place.
fn plain() -> impl Strategy<Value = (String, &'static str)> {
    prop_oneof![
        card().prop_map(|text| (text, "[card]")),
        iban().prop_map(|text| (text, "[iban]")),
        "[a-z]([a-z0-9._+'-]{0,20}[a-z0-9])?@[a-z0-9]{2,10}\\.(com|de|co\\.uk|museum)"
            .prop_map(|text| (text, "[email]")),
        phone().prop_map(|text| (text, "[phone]")),
        "[1-5][1-9]{2}-[1-9]{2}-[1-9]{4}".prop_map(|text| (text, "[ssn]")),
        (1..120_u8, any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(a, b, c, d)| (format!("{a}.{b}.{c}.{d}"), "[ip]")),
        sixth().prop_map(|text| (text, "[ip]")),
        "sk-[a-z]{8}[0-9]{4}[A-Za-z0-9_-]{12,90}".prop_map(|text| (text, "[key]")),
        "wp-[A-Z]{8}[0-9]{4}[A-Za-z0-9]{28}".prop_map(|text| (text, "[key]")),
        "eyJ[A-Za-z0-9_-]{10,99}\\.[A-Za-z0-9_-]{10,99}\\.[A-Za-z0-9_-]{10,99}"
            .prop_map(|text| (text, "[key]")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_is_found_whatever_stands_around_it(
        values in prop::collection::vec((value(), prop::sample::select(AROUND.to_vec())), 1..5),
        before in prop::sample::select(AROUND.to_vec())
    ) {
        let (mut text, mut becomes) = (before.to_owned(), before.to_owned());
        for ((value, name), around) in &values {
            text.push_str(value);
            becomes.push_str(name);
            text.push_str(around);
            becomes.push_str(around);
            text.push_str(" and ");
            becomes.push_str(" and ");
        }
        prop_assert_eq!(redact(&text, &Finder::everything(), usize::MAX / 2).0, becomes);
    }

    #[test]
    fn no_part_of_a_value_is_kept_where_a_text_is_cut((value, name) in value(), most in 0..200_usize, at in 0..200_usize) {
        // What is longer than that as written may be kept in part.
        if value.len() + 24 > MARGIN {
            return Ok(());
        }
        let text = format!("{} {value} {}", "x".repeat(at), "y".repeat(3 * MARGIN));
        let (kept, whole) = redact(&text, &Finder::everything(), most);
        prop_assert!(!whole && kept.len() <= most);
        let rest = kept.trim_start_matches('x').trim_start();
        prop_assert!(rest.is_empty() || name.starts_with(rest) || rest.starts_with(name), "{}", kept);
    }

    #[test]
    fn places_are_in_order_and_of_whole_characters(
        pieces in prop::collection::vec(prop_oneof!["[ -~éß例。１\n@+:.-]{0,60}", "(%[0-9A-F]{2}|&#[0-9]{2};|\\\\u00[0-9]{2}|&amp;|%25|\u{200b}){1,9}", value().prop_map(|(text, _)| text)], 0..9)
    ) {
        let text = pieces.concat();
        let finder = Finder { shapes: vec![("it".to_owned(), Shape::parse("@*:#").unwrap())], ..Finder::everything() };
        let mut end = 0;
        for span in finder.find(&text) {
            prop_assert!(end <= span.start && span.start < span.end);
            prop_assert!(text.get(span.start..span.end).is_some());
            end = span.end;
        }
    }
}

/// Were any of these searched through anew from each place, it would take hours.
#[test]
fn no_text_takes_longer_than_its_length() {
    const LENGTH: usize = 256 << 10;
    let units = [
        "@",
        "a@",
        "a.",
        "a@a.",
        "1",
        "1 ",
        "1-",
        "+1",
        "+1 ",
        "00 1",
        "4111 ",
        "4111-",
        "(415) ",
        "415-",
        "123-45-",
        "DE89",
        "DE89 ",
        "1.",
        "1.1.1.",
        "fe80:",
        "a:",
        ":",
        "::",
        "sk-",
        "-sk-",
        " sk-a1",
        "eyJ",
        "eyJa-",
        "eyJa.",
        " eyJaaaaaaaa.",
        "AKIA",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY----- -----END ",
        "EMP-",
        "EMP-1",
        "é",
        "é@",
        "'",
        "a'",
        "\"@",
        "\"a@",
        "%40",
        "a%40",
        "%25",
        "%2",
        "%F0%9F",
        "&#64;",
        "a&#64",
        "&#",
        "&#0000",
        "&amp;",
        "&",
        "\\",
        "\\u0040",
        "\\u00",
        "\\u{",
        "\\u{0",
        "\u{200b}",
        "\u{200b}@",
        "４",
        "4 ",
        "4 1",
        "de89",
        "de89 ",
        "d-",
        "\\n1",
        "_",
        " ",
    ];
    let shapes = vec![("it".to_owned(), Shape::parse("EMP-*:#").unwrap())];
    let finder = Finder { shapes, ..Finder::everything() };
    #[expect(clippy::disallowed_methods, reason = "the time that it takes is what is tested")]
    let begun = std::time::Instant::now();
    let mut found = 0;
    for unit in units {
        found += finder.find(&unit.repeat(LENGTH / unit.len())).len();
    }
    let took = begun.elapsed().as_secs();
    assert!(found > 0 && took < 60, "{took} s for {} texts", units.len());
}
