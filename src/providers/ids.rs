//! Ids and names that other providers made.
//!
//! Every API but OpenAI's takes only some letters, and some only so many. What fits stays as it is;
//! the rest is written anew so that no two ids become one, and the same id becomes the same in every
//! request.

use std::borrow::Cow;

use crate::openai::json::{Texts, next_place};

/// The name of a function that was called, in letters that every API takes: letters, digits, `_` and
/// `-`. Those of the functions that can be called fit already, and a call has to name one as it is.
pub(crate) fn fit_name(name: &str) -> Cow<'_, str> {
    if is_plain(name) { Cow::Borrowed(name) } else { Cow::Owned(rewrite(name)) }
}

/// Whether it is not empty and holds only letters, digits, `_` and `-`.
pub(crate) fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !id.is_empty() && id.bytes().all(plain)
}

/// Each byte that is no letter, digit or `-` becomes `_` and what it is, so that no two names
/// become one.
fn rewrite(name: &str) -> String {
    let mut safe = String::from("waypost_");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            safe.push(char::from(byte));
        } else if byte == b'_' {
            safe.push_str("__");
        } else {
            safe.push('_');
            for half in [byte >> 4, byte & 0xF] {
                let digit = char::from_digit(half.into(), 16).unwrap_or('0');
                safe.push(digit.to_ascii_uppercase());
            }
        }
    }
    safe
}

/// What stands between a call's id and the signature of the thought that led to it, where a provider
/// wants both back. It travels in the id, since every client returns that, and many nothing else.
const SIGNED: &str = "__thought__";

/// The id that carries `signature`, which holds base64 of either alphabet.
#[must_use]
pub(crate) fn sign(id: &str, signature: &str) -> String {
    let mut signed = String::with_capacity(id.len() + SIGNED.len() + signature.len());
    signed.push_str(id);
    signed.push_str(SIGNED);
    for letter in signature.chars().filter(|letter| *letter != '=') {
        signed.push(match letter {
            '+' => '-',
            '/' => '_',
            letter => letter,
        });
    }
    signed
}

/// The id without the signature it carries, and the signature as [`sign`] wrote it: base64 with
/// `-` and `_`, and without `=`.
#[must_use]
pub(crate) fn unsign(id: &str) -> (&str, Option<&str>) {
    match id.split_once(SIGNED) {
        Some((id, signature)) if !id.is_empty() && !signature.is_empty() => (id, Some(signature)),
        _ => (id, None),
    }
}

/// Which ids an API takes, and how others are written for it.
#[derive(Debug)]
pub(crate) struct Form {
    /// Whether the API takes the id as it is.
    pub fits: fn(&str) -> bool,
    /// What begins an id that is written anew. It must fit.
    pub prefix: &'static str,
    /// How many letters of `0-9A-Za-z` follow, at most [`MAX_LETTERS`].
    pub letters: usize,
}

/// As many letters as a 64-bit number can tell apart.
pub(crate) const MAX_LETTERS: usize = 10;

/// The ids of one request, for an API that takes only short ones.
///
/// The same id is always written the same, in the next request of a conversation too: a new one
/// comes from a hash. Where two would become one, the later one is hashed again.
#[derive(Debug)]
pub(crate) struct Ids {
    form: &'static Form,
    /// Places in `written`.
    places: Texts,
    written: Vec<String>,
    taken: Texts,
}

impl Ids {
    /// No ids yet.
    pub(crate) fn new(form: &'static Form) -> Self {
        Self { form, places: Texts::default(), written: Vec::new(), taken: Texts::default() }
    }

    /// The id as the API takes it.
    pub(crate) fn fit(&mut self, id: &str) -> &str {
        let place = self.places.number(id).unwrap_or_else(|| {
            let stays = (self.form.fits)(id) && !self.taken.contains(id);
            let written = if stays { id.to_owned() } else { self.hashed(id) };
            self.taken.insert(&written);
            let place = next_place(&self.written);
            self.places.set(id, place);
            self.written.push(written);
            place
        });
        self.written.get(place as usize).map_or("", String::as_str)
    }

    fn hashed(&self, id: &str) -> String {
        let mut salt = 0;
        loop {
            let written = self.form.letters_of(hash(id, salt));
            // There are more ids than a request can hold, so one is free.
            if !self.taken.contains(&written) {
                return written;
            }
            salt += 1;
        }
    }
}

impl Form {
    fn letters_of(&self, mut number: u64) -> String {
        const LETTERS: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut written = String::with_capacity(self.prefix.len() + self.letters);
        written.push_str(self.prefix);
        for _ in 0..self.letters {
            let letter = LETTERS.get((number % 62) as usize).copied().unwrap_or(b'0');
            written.push(char::from(letter));
            number /= 62;
        }
        written
    }
}

/// FNV-1a, with its bits mixed once more: the same in every build and on every worker.
fn hash(text: &str, salt: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ salt;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_that_fits_stays_and_others_never_meet() {
        assert_eq!(fit_name("waypost_x"), "waypost_x");
        assert_eq!(fit_name("a.b"), "waypost_a_2Eb");
        let mut seen = BTreeSet::new();
        for name in ["", "a.b", "a:b", "a_2Eb.", "a_.b", "a__b.", "é", "a b", "f:0"] {
            let safe = fit_name(name).into_owned();
            assert!(is_plain(&safe) && seen.insert(safe), "{name}");
        }
    }

    const NINE: Form = Form {
        fits: |id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        prefix: "",
        letters: 9,
    };

    #[test]
    fn short_ids_are_stable_and_what_fits_stays() {
        let mut ids = Ids::new(&NINE);
        let first = ids.fit("toolu_01A").to_owned();
        assert!((NINE.fits)(&first), "{first}");
        assert_eq!(ids.fit("abc123XYZ"), "abc123XYZ");
        assert_eq!(ids.fit("toolu_01A"), first);
        assert_eq!(Ids::new(&NINE).fit("toolu_01A"), first);
    }

    #[test]
    fn short_ids_never_meet_even_where_one_is_anothers_hash() {
        let mut ids = Ids::new(&NINE);
        let hashed = ids.fit("toolu_01A").to_owned();
        assert_ne!(ids.fit(&hashed), hashed);
        let mut seen = BTreeSet::new();
        for at in 0..10_000 {
            assert!(seen.insert(ids.fit(&format!("call_{at}")).to_owned()));
        }
    }

    #[test]
    fn a_signature_travels_in_an_id_and_comes_back() {
        let signed = sign("call_1", "CiQB+/8=");
        assert_eq!(signed, "call_1__thought__CiQB-_8");
        assert_eq!(unsign(&signed), ("call_1", Some("CiQB-_8")));
        for plain in ["call_1", "", "__thought__x", "x__thought__"] {
            assert_eq!(unsign(plain), (plain, None));
        }
    }
}
