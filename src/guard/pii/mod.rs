//! Addresses, numbers and keys, each by its own rules: check digits, prefixes and lengths rather than
//! shapes alone, so that ids, times and numbers in code stay what they are.
//!
//! | file | what it is |
//! |---|---|
//! | `email` | addresses of electronic mail |
//! | `number` | telephones, cards and social security numbers |
//! | `iban` | bank accounts |
//! | `ip` | addresses of the Internet |
//! | `key` | keys and tokens |

mod email;
mod iban;
mod ip;
mod key;
mod number;

use super::{Kind, begins, byte, goes_on, is_word};

/// What is found by the byte at `at`: its kind, beginning and end. Only an address of electronic mail
/// begins before `at`.
pub(super) fn found_at(text: &[u8], at: usize, wanted: &[Kind]) -> Option<(Kind, usize, usize)> {
    let first = byte(text, at);
    // Most bytes stand within a word, where nothing begins.
    if is_word(first) && !begins(text, at) {
        return None;
    }
    let kinds: &[Kind] = match first {
        b'@' => {
            let (start, end) = email::around(text, at).filter(|_| wanted.contains(&Kind::Email))?;
            return Some((Kind::Email, start, end));
        }
        b'0'..=b'9' => &[Kind::Ip, Kind::Card, Kind::Ssn, Kind::Phone],
        b'A'..=b'Z' | b'a'..=b'z' => &[Kind::Key, Kind::Iban, Kind::Ip],
        b'+' | b'(' => &[Kind::Phone],
        b':' => &[Kind::Ip],
        b'-' => &[Kind::Key],
        _ => return None,
    };
    let mut kinds = kinds.iter().filter(|kind| wanted.contains(kind));
    kinds.find_map(|kind| Some((*kind, at, end(*kind, text, at)?)))
}

/// Where something of a kind that begins at `at` ends.
fn end(kind: Kind, text: &[u8], at: usize) -> Option<usize> {
    match kind {
        Kind::Email => None,
        Kind::Phone => number::phone(text, at),
        Kind::Card => number::card(text, at),
        Kind::Iban => iban::end(text, at),
        Kind::Ssn => number::ssn(text, at),
        Kind::Ip => ip::end(text, at),
        Kind::Key => key::end(text, at),
    }
}

/// Whether a number goes on before `at`, or belongs to an id: a point or hyphen between it and a word.
fn is_glued(text: &[u8], at: usize) -> bool {
    let two = at.checked_sub(2).map(|at| byte(text, at));
    matches!(super::before(text, at), b'.' | b'-')
        && two.is_some_and(|two| two.is_ascii_alphanumeric())
}

/// Whether a number ends at `end`: no word, fraction or id goes on there.
fn ends(text: &[u8], end: usize) -> bool {
    let (next, second) = (byte(text, end), byte(text, end + 1));
    !goes_on(text, end)
        && !(matches!(next, b'.' | b'-')
            && second.is_ascii_alphanumeric()
            && !(next == b'.' && second.is_ascii_alphabetic()))
}
