//! Addresses of the Internet.

use super::{ends, is_glued};
use crate::guard::{before, byte, run};

/// Longest address of version 6, in bytes.
const MAX_LENGTH: usize = 45;

/// Where an address that begins at `at` ends.
pub fn end(text: &[u8], at: usize) -> Option<usize> {
    if is_glued(text, at) {
        return None;
    }
    fourth(text, at).or_else(|| sixth(text, at))
}

/// An address of version 4, but for those that say nothing of anybody: the own host's, none, and masks.
fn fourth(text: &[u8], at: usize) -> Option<usize> {
    let (end, [first, second, ..]) = octets(text, at)?;
    let own = matches!(first, 0 | 127) || (first, second) == (255, 255);
    (!own && ends(text, end) && !is_version(text, at)).then_some(end)
}

fn octets(text: &[u8], at: usize) -> Option<(usize, [u16; 4])> {
    let (mut at, mut octets) = (at, [0; 4]);
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            if byte(text, at) != b'.' {
                return None;
            }
            at += 1;
        }
        let end = run(text, at, 4, |byte| byte.is_ascii_digit());
        let digits = text.get(at..end)?;
        *octet = digits.iter().fold(0, |all, digit| all * 10 + u16::from(digit - b'0'));
        let padded = digits.len() > 1 && digits.first() == Some(&b'0');
        if digits.is_empty() || digits.len() > 3 || padded || *octet > 255 {
            return None;
        }
        at = end;
    }
    Some((at, octets))
}

/// Whether what stands before it makes it the version of something: `Chrome/120.0.6099.1`, `version 1.2.3.4`.
fn is_version(text: &[u8], at: usize) -> bool {
    if before(text, at) == b'/' {
        return at.checked_sub(2).is_some_and(|at| byte(text, at).is_ascii_alphanumeric());
    }
    let words = text.get(at.saturating_sub(10)..at).unwrap_or_default().trim_ascii_end();
    let words = words.to_ascii_lowercase();
    [&b"version"[..], b"release", b"build"].iter().any(|word| words.ends_with(word))
}

/// An address of version 6. Eight groups, or some of them left out; then it has to look like no path of
/// names and like no time: with a digit, and a first group of three or more or three groups, or with an
/// address of version 4 at its end.
fn sixth(text: &[u8], at: usize) -> Option<usize> {
    if before(text, at) == b':' {
        return None;
    }
    let mut end = run(text, at, MAX_LENGTH + 1, |byte| {
        byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
    });
    let address = text.get(at..end)?;
    if address.iter().filter(|byte| **byte == b':').count() < 2 {
        return None;
    }
    let ended = address.iter().rev().take_while(|byte| matches!(byte, b'.' | b':')).count();
    // What ends a sentence or begins a list may stand behind groups that are left out.
    let left_out = address.get(address.len() - ended..)?.starts_with(b"::");
    end -= if left_out { ended - 2 } else { ended };
    let address = std::str::from_utf8(text.get(at..end)?).ok()?;
    let groups = address.parse::<core::net::Ipv6Addr>().ok()?.segments();
    let given = address.split(':').filter(|group| !group.is_empty()).count();
    let first = address.split(':').next().map_or(0, str::len);
    // `f64::{self}` is no network: those that are given out begin with 2 or 3, or with fc and more.
    let is_type = given == 1
        && address.ends_with("::")
        && !matches!(groups.first(), Some(0x2000..=0x3fff | 0xfc00..));
    let plain = groups.iter().take(7).all(|group| *group == 0);
    let telling = given == 8
        || address.contains('.')
        || (address.bytes().any(|byte| byte.is_ascii_digit()) && (first >= 3 || given >= 3));
    (telling && !plain && !is_type && ends(text, end)).then_some(end)
}
