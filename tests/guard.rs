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

/// A German account with check digits that are right.
fn iban() -> impl Strategy<Value = String> {
    (digits(18), any::<bool>()).prop_map(|(account, spaces)| {
        let account = shown(&account);
        // D is 13 and E is 14.
        let rest = format!("{account}131400")
            .bytes()
            .fold(0_u32, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
        let whole = format!("DE{:02}{account}", 98 - rest);
        if !spaces {
            return whole;
        }
        let groups: Vec<&str> =
            whole.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect();
        groups.join(" ")
    })
}

/// A value, and what stands in its place.
fn value() -> impl Strategy<Value = (String, &'static str)> {
    prop_oneof![
        card().prop_map(|text| (text, "[card]")),
        iban().prop_map(|text| (text, "[iban]")),
        "[a-z][a-z0-9._+-]{0,20}@[a-z0-9]{2,10}\\.(com|de|co\\.uk|museum)"
            .prop_map(|text| (text, "[email]")),
        "\\+[1-9][0-9]{1,2} [1-9][0-9]{2,3} [0-9]{5,6}".prop_map(|text| (text, "[phone]")),
        "\\([2-9][0-9]{2}\\) [2-9][0-9]{2}-[0-9]{4}".prop_map(|text| (text, "[phone]")),
        "[1-5][1-9]{2}-[1-9]{2}-[1-9]{4}".prop_map(|text| (text, "[ssn]")),
        (1..120_u8, any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(a, b, c, d)| (format!("{a}.{b}.{c}.{d}"), "[ip]")),
        "2001:db8:[1-9a-f]{1,4}::[1-9a-f]{1,4}".prop_map(|text| (text, "[ip]")),
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
        let text = format!("{} {value} {}", "x".repeat(at), "y".repeat(3 * MARGIN));
        let (kept, whole) = redact(&text, &Finder::everything(), most);
        prop_assert!(!whole && kept.len() <= most);
        let rest = kept.trim_start_matches('x').trim_start();
        prop_assert!(rest.is_empty() || name.starts_with(rest) || rest.starts_with(name), "{}", kept);
    }

    #[test]
    fn places_are_in_order_and_of_whole_characters(text in "[ -~éß例\n@+:.-]{0,300}") {
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
