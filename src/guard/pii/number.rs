//! Telephones, cards and social security numbers.

use super::{ends, is_glued};
use crate::guard::{begins, byte, run};

/// Most digits of a telephone number: ITU-T E.164. With fewer than eight it could be any number.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// Most separators in a row within one, as in `+49 (0) 30 / 901820`.
const MAX_SEPARATORS: usize = 3;

fn digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// Where a telephone number that begins at `at` ends.
pub fn phone(text: &[u8], at: usize) -> Option<usize> {
    if !begins(text, at) {
        return None;
    }
    if byte(text, at) == b'+' {
        let country = byte(text, at + 1);
        return matches!(country, b'1'..=b'9').then(|| groups(text, at + 1, 0))?.0;
    }
    if is_glued(text, at) {
        return None;
    }
    if text.get(at..at + 2) == Some(b"00") && matches!(byte(text, at + 2), b'1'..=b'9') {
        // Without separators it could be any number with zeros before it.
        let (end, separators) = groups(text, at, 2);
        return end.filter(|_| separators > 0);
    }
    american(text, at)
}

/// Where the last group of digits ends with which a number is as long as a telephone's; and how many
/// separators there were. `extra` digits do not count.
fn groups(text: &[u8], start: usize, extra: usize) -> (Option<usize>, usize) {
    let (mut at, mut digits, mut separators) = (start, 0, 0);
    let mut last = None;
    loop {
        let end = run(text, at, 20, digit);
        digits += end - at;
        if end == at || digits > PHONE_DIGITS.end() + extra {
            break;
        }
        if PHONE_DIGITS.contains(&(digits - extra.min(digits))) && ends(text, end) {
            last = Some((end, separators));
        }
        at = run(text, end, MAX_SEPARATORS, |byte| {
            // A form writes its spaces as +.
            matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'/' | b'+')
        });
        if at == end {
            break;
        }
        separators += 1;
    }
    (last.map(|(end, _)| end), last.map_or(0, |(_, separators)| separators))
}

/// `(415) 555-2671`, `415-555-2671`, `415.555.2671`, with or without a 1 before it.
fn american(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    if byte(text, at) == b'1' && matches!(byte(text, at + 1), b'-' | b'.' | b' ') {
        at += 2;
    }
    let (mut rest, separator) = if byte(text, at) == b'(' {
        let area = three(text, at + 1)?;
        if byte(text, area) != b')' {
            return None;
        }
        (run(text, area + 1, 1, |byte| byte == b' '), b'-')
    } else {
        let area = three(text, at)?;
        let separator = byte(text, area);
        if !matches!(separator, b'-' | b'.') {
            return None;
        }
        (area + 1, separator)
    };
    rest = three(text, rest)?;
    if byte(text, rest) != separator {
        return None;
    }
    let end = run(text, rest + 1, 5, digit);
    (end - rest == 5 && ends(text, end)).then_some(end)
}

/// The end of an area or exchange: three digits, of which the first is neither 0 nor 1.
fn three(text: &[u8], at: usize) -> Option<usize> {
    let is_one = matches!(byte(text, at), b'2'..=b'9') && run(text, at, 4, digit) == at + 3;
    is_one.then_some(at + 3)
}

/// Where the number of a card that begins at `at` ends: by its first digits, its length, how it is
/// parted, and its check digit (ISO/IEC 7812).
pub fn card(text: &[u8], at: usize) -> Option<usize> {
    const PARTED: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    const SINGLE: [usize; 19] = [1; 19];
    let whole = run(text, at, 20, digit) - at;
    if is_glued(text, at) || !matches!(whole, 1 | 4 | 13..=19) {
        return None;
    }
    let right = |end: &usize| {
        let digits = text.get(at..*end).unwrap_or_default().iter().filter(|byte| digit(**byte));
        is_card(&digits.map(|byte| byte - b'0').collect::<Vec<u8>>())
    };
    if whole == 1 {
        let parts = SINGLE.get(..singles(text, at)?)?;
        return parted(text, at, parts).filter(right);
    }
    let ways = PARTED.iter().copied().chain([std::slice::from_ref(&whole)]);
    ways.filter_map(|parts| parted(text, at, parts)).find(right)
}

/// How many digits stand there one by one, as they are spoken; nothing within a list of them.
fn singles(text: &[u8], at: usize) -> Option<usize> {
    let within = at.checked_sub(2).is_some_and(|two| digit(byte(text, two)));
    let pairs = text.get(at + 1..).unwrap_or_default().chunks_exact(2);
    let more = pairs.take(19).take_while(|pair| matches!(pair, [b' ' | b'-' | b'.', b'0'..=b'9']));
    let count = 1 + more.count();
    (!within && (13..=19).contains(&count)).then_some(count)
}

/// The end of digits in parts of these lengths, with the same separator between all of them.
fn parted(text: &[u8], start: usize, parts: &[usize]) -> Option<usize> {
    let (mut at, mut separator) = (start, None);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            let here = byte(text, at);
            if !matches!(here, b' ' | b'-' | b'.' | b'+') || *separator.get_or_insert(here) != here
            {
                return None;
            }
            at += 1;
        }
        if run(text, at, part + 1, digit) != at + part {
            return None;
        }
        at += part;
    }
    ends(text, at).then_some(at)
}

fn is_card(digits: &[u8]) -> bool {
    let issuer = match digits {
        [4, ..] => matches!(digits.len(), 13 | 16 | 19),
        [5, 1..=5, ..] | [2, 2..=7, ..] | [3, 5, ..] => digits.len() == 16,
        [3, 4 | 7, ..] => digits.len() == 15,
        [3, 0 | 6 | 8, ..] => digits.len() == 14,
        [6, ..] => (16..=19).contains(&digits.len()),
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit) * 2) {
            (0, double) => double / 2,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    issuer && sum.is_multiple_of(10)
}

/// Where a social security number that begins at `at` ends: `123-45-6789`, of those that are given out.
pub fn ssn(text: &[u8], at: usize) -> Option<usize> {
    if is_glued(text, at) {
        return None;
    }
    let end = parted(text, at, &[3, 2, 4])?;
    let number = text.get(at..end)?;
    let (area, group, serial) = (number.get(..3)?, number.get(4..6)?, number.get(7..)?);
    let given = area != b"000" && area != b"666" && area.first() != Some(&b'9');
    let hyphens = number.get(3) == Some(&b'-');
    (given && hyphens && group != b"00" && serial != b"0000").then_some(end)
}
