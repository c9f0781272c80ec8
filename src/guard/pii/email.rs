//! Addresses of electronic mail.

use crate::guard::{before, byte, run};

/// Longest part before the @, in bytes: RFC 5321.
const MAX_LOCAL: usize = 64;

/// Longest domain, in bytes.
const MAX_DOMAIN: usize = 253;

/// Last parts of domains that are no name of a method, so that `jane@example.com[1]` is an address.
const TOPS: [&[u8]; 12] =
    [b"com", b"org", b"net", b"edu", b"gov", b"de", b"uk", b"fr", b"eu", b"cn", b"jp", b"io"];

/// What ends the name of a picture, that may be of several sizes: `logo@2x.png`.
const PICTURES: [&[u8]; 11] =
    [b"png", b"jpg", b"jpeg", b"gif", b"webp", b"avif", b"svg", b"heic", b"bmp", b"ico", b"tiff"];

/// The address around the @ at `at`. One without a domain of two parts is none, so that names of
/// packages, decorators and pictures of twice the size stay.
pub fn around(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let plain = match before(text, at) {
        b'"' => quoted(text, at - 1)?,
        _ => back(text, at, is_local),
    };
    // Names may be of any alphabet; but where no spaces are written, the sentence is not a name.
    let start = match before(text, plain) {
        0x80.. => {
            let wide = back(text, plain, |byte| is_local(byte) || byte >= 0x80);
            if at - wide <= MAX_LOCAL { wide } else { plain }
        }
        _ => plain,
    };
    let quotes = text.get(start..at)?.iter().take_while(|byte| **byte == b'\'').count();
    let start = start + quotes;
    let local = text.get(start..at)?.trim_ascii_start();
    if local.is_empty() || local.len() > MAX_LOCAL || local == b"git" {
        return None;
    }
    let domain = at + 1;
    let end = domain_end(text, domain)?;
    let name = text.get(domain..end)?;
    let point = name.iter().rposition(|byte| *byte == b'.')?;
    let top = name.get(point + 1..)?;
    let is_top = top.len() >= 2
        && (top.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
            || top.starts_with(b"xn--"));
    let is_size = name.first().is_some_and(u8::is_ascii_digit)
        && name.get(1..3) == Some(b"x.")
        && PICTURES.iter().any(|picture| top.eq_ignore_ascii_case(picture));
    // A product of matrices: `w@x.reshape(3, 4)`.
    let is_code = matches!(byte(text, end), b'(' | b'[')
        && byte(text, end + 1).is_ascii_alphanumeric()
        && !TOPS.iter().any(|known| top.eq_ignore_ascii_case(known));
    (is_top && !is_size && !is_code).then_some((start, end))
}

/// Where a name in quotes begins that end at `at`: `"john doe"@example.com`.
fn quoted(text: &[u8], at: usize) -> Option<usize> {
    let begin = back(text, at, |byte| byte != b'"' && byte != b'\n');
    let name = text.get(begin..at)?;
    let name = name.strip_suffix(b"\\").unwrap_or(name);
    let [first, .., last] = name else { return None };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    (before(text, begin) == b'"' && is_name(first) && is_name(last)).then(|| begin - 1)
}

/// Where a run that ends at `at` begins; no further back than a name may be long.
fn back(text: &[u8], at: usize, of: fn(u8) -> bool) -> usize {
    let from = at.saturating_sub(MAX_LOCAL + 1);
    let name = text.get(from..at).unwrap_or_default();
    at - name.iter().rev().take_while(|byte| of(**byte)).count()
}

/// Where a domain ends: before what is no label.
fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let label = run(text, at, MAX_DOMAIN, |byte| {
            byte.is_ascii_alphanumeric() || byte == b'-' || byte >= 0x80
        });
        if label == at {
            return None;
        }
        if label - start >= MAX_DOMAIN {
            return sentence(text, start, at);
        }
        let follows = byte(text, label + 1);
        at = label + 1;
        if byte(text, label) != b'.' || !(follows.is_ascii_alphanumeric() || follows >= 0x80) {
            let hyphens = text.get(start..label)?.iter().rev().take_while(|byte| **byte == b'-');
            return Some(label - hyphens.count());
        }
    }
}

/// Where a domain ends whose last label is too long to be one: a sentence goes on there without a space.
fn sentence(text: &[u8], start: usize, at: usize) -> Option<usize> {
    let plain = run(text, at, MAX_DOMAIN, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain > at {
        let ends = plain - start < MAX_DOMAIN && byte(text, plain) >= 0x80;
        return ends.then_some(plain);
    }
    let most = start + MAX_DOMAIN;
    let whole = |end: &usize| !matches!(byte(text, *end), 0x80..=0xbf);
    (at + 1..=most).rev().find(whole)
}

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'')
}
