//! Pieces of JSON text that are passed on as they were written.
//!
//! A translator that decodes a string only to encode it again pays twice and may change it: a
//! lone surrogate, a large integer, `1.0`. So strings and numbers stay slices of the body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON string as written, quotes and escapes included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawStr<'a>(&'a str);

impl<'a> RawStr<'a> {
    /// An empty string.
    pub const EMPTY: RawStr<'static> = RawStr(r#""""#);

    /// An empty object in a string: the arguments of a call that has none.
    pub const NO_ARGUMENTS: RawStr<'static> = RawStr(r#""{}""#);

    /// The string if `raw` is one.
    #[must_use]
    pub fn from_raw(raw: &'a RawValue) -> Option<Self> {
        raw.get().starts_with('"').then(|| Self(raw.get()))
    }

    /// With quotes and escapes, as it stood in the body.
    #[must_use]
    pub const fn as_written(self) -> &'a str {
        self.0
    }

    /// Between the quotes, escapes included: to be put between two other quotes.
    #[must_use]
    pub fn inner(self) -> &'a str {
        self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or_default()
    }

    /// Whether there is nothing between the quotes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.len() <= 2
    }

    /// Whether it is empty or only white space, written plainly or as `\n`, `\t`, `\r`.
    #[must_use]
    pub fn is_blank(self) -> bool {
        let mut rest = self.inner().as_bytes();
        loop {
            rest = match rest {
                [] => return true,
                [b' ', rest @ ..] | [b'\\', b'n' | b't' | b'r', rest @ ..] => rest,
                _ => return false,
            };
        }
    }

    /// The characters. Borrows where nothing was escaped. A lone surrogate becomes U+FFFD.
    #[must_use]
    pub fn decode(self) -> Cow<'a, str> {
        if memchr::memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(self.inner());
        }
        match serde_json::from_str::<String>(self.0) {
            Ok(text) => Cow::Owned(text),
            Err(_) => Cow::Owned(decode_lossy(self.0)),
        }
    }

    /// The beginning, at most `most` bytes, and whether that is all; looks at no more than may be
    /// written for them.
    #[must_use]
    pub fn decode_start(self, most: usize) -> (Cow<'a, str>, bool) {
        /// Escapes beyond the text, of which the last may be cut.
        const SPARE: usize = 4;
        let inner = self.inner();
        let seen = inner.floor_char_boundary(most.saturating_add(SPARE).saturating_mul(MAX_ESCAPE));
        let mut text = if seen >= inner.len() {
            self.decode()
        } else {
            let seen = inner.get(..seen).unwrap_or_default();
            // An escape that is cut, or a half of two, means something else or nothing.
            let tail = seen.len().saturating_sub(2 * MAX_ESCAPE);
            let back = seen.as_bytes().get(tail..).and_then(|tail| memchr::memchr(b'\\', tail));
            let whole = match back {
                Some(back) => {
                    let at = tail + back;
                    let before = seen.as_bytes().get(..at).unwrap_or_default();
                    at - before.iter().rev().take_while(|byte| **byte == b'\\').count()
                }
                None => seen.len(),
            };
            let quoted = format!("\"{}\"", seen.get(..whole).unwrap_or_default());
            Cow::Owned(RawStr(&quoted).decode().into_owned())
        };
        let fits = text.floor_char_boundary(most);
        let whole = seen >= inner.len() && fits == text.len();
        match &mut text {
            Cow::Borrowed(text) => *text = text.get(..fits).unwrap_or_default(),
            Cow::Owned(text) => text.truncate(fits),
        }
        (text, whole)
    }
}

/// The longest escape in a JSON string, `\u0000`, in bytes.
const MAX_ESCAPE: usize = 6;

/// Decodes a string with lone surrogates, which `serde_json` takes only as bytes.
fn decode_lossy(written: &str) -> String {
    struct Bytes(String);
    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Bytes;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a string")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                    Ok(Bytes(String::from_utf8_lossy(bytes).into_owned()))
                }
            }
            deserializer.deserialize_bytes(Visitor)
        }
    }
    serde_json::from_str::<Bytes>(written).map(|bytes| bytes.0).unwrap_or_default()
}

impl fmt::Debug for RawStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A JSON number as written, with its value for comparisons.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Num<'a> {
    /// As it stood in the body.
    pub written: &'a str,
    /// Its value; infinite when it is out of range.
    pub value: f64,
}

/// Whether the raw value is `null`.
#[must_use]
pub fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Whether the raw value is an object.
#[must_use]
pub fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// Appends `text` as a JSON string.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    // Writing to a Vec cannot fail, and a str always has a JSON form.
    let _ = serde_json::to_writer(out, text);
}

/// The string in a field, if it is one.
#[must_use]
pub fn string(raw: Option<&RawValue>) -> Option<RawStr<'_>> {
    raw.and_then(RawStr::from_raw)
}

/// Reads a token count: an integer, a float such as `12.0`, a number in a string, or null.
/// Anything else, and what is negative, is zero: a strange count must not cost the client its
/// answer.
#[must_use]
pub fn count(raw: &RawValue) -> u64 {
    let digits = raw.get().trim_matches('"');
    // The cast saturates, and makes zero of NaN and of what is negative.
    digits.parse().unwrap_or_else(|_| digits.parse::<f64>().unwrap_or(0.0) as u64)
}

/// Texts, each once, and a number for each. There may be any number of them, from anywhere.
///
/// The only such collection of the translators: each other type of key or value would be some
/// kilobytes of the module more.
#[derive(Debug, Default)]
pub struct Texts(HashMap<String, u32>);

impl Texts {
    /// The texts of `strings`, all with the number 0.
    #[must_use]
    pub fn of(strings: &mut dyn Iterator<Item = RawStr<'_>>) -> Self {
        let mut texts = Self::default();
        for string in strings {
            texts.insert(&string.decode());
        }
        texts
    }

    /// Takes the text in, with the number 0. Says whether it is new.
    pub fn insert(&mut self, text: &str) -> bool {
        self.set(text, 0).is_none()
    }

    /// Takes the text in, with this number. Returns the number that it had.
    #[inline(never)]
    pub fn set(&mut self, text: &str, number: u32) -> Option<u32> {
        if let Some(known) = self.0.get_mut(text) {
            return Some(std::mem::replace(known, number));
        }
        self.0.insert(text.to_owned(), number)
    }

    /// The number of the text, if it is in.
    #[inline(never)]
    #[must_use]
    pub fn number(&self, text: &str) -> Option<u32> {
        self.0.get(text).copied()
    }

    /// Whether the text is in.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.number(text).is_some()
    }
}

/// The place of the next entry of `list` as a number of [`Texts`]. No list of one request is longer
/// than that can say: a body of 32 MiB has fewer bytes.
#[must_use]
pub fn next_place<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

/// `text` as it stands between the quotes of a JSON string.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    write_str(&mut quoted, text);
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(inner).into_owned()
}

/// Appends a comma unless the list or object is still empty.
pub fn separate(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'[' | b'{')) {
        out.push(b',');
    }
}

/// Appends the raw value without the white space between its tokens.
pub fn write_compact(out: &mut Vec<u8>, json: &str) {
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn raw(json: &str) -> RawStr<'_> {
        RawStr::from_raw(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn a_string_is_kept_as_it_was_written() {
        assert_eq!(raw(r#""a\u0062\n""#).as_written(), r#""a\u0062\n""#);
        assert_eq!(raw(r#""a\u0062\n""#).decode(), "ab\n");
        assert!(matches!(raw(r#""plain""#).decode(), Cow::Borrowed("plain")));
    }

    #[test]
    fn a_lone_surrogate_is_replaced_and_the_rest_is_kept() {
        assert_eq!(raw(r#""a\ud800b""#).decode().chars().next(), Some('a'));
        assert!(raw(r#""a\ud800b""#).decode().ends_with('b'));
    }

    #[test]
    fn blank_is_empty_or_white_space_in_either_writing() {
        assert!(raw(r#""""#).is_blank() && raw(r#"" \n\t ""#).is_blank());
        assert!(!raw(r#"" x""#).is_blank() && !raw(r#""\\n""#).is_blank());
    }

    #[test]
    fn a_text_is_in_once_and_has_the_last_number() {
        let mut texts = Texts::of(&mut [raw(r#""a""#), raw(r#""\u0061""#)].into_iter());
        assert!(texts.contains("a") && !texts.contains("b"));
        assert!(!texts.insert("a") && texts.insert("b"));
        assert_eq!(
            (texts.set("b", 2), texts.set("b", 3), texts.set("c", 4)),
            (Some(0), Some(2), None)
        );
        assert_eq!(
            ["a", "b", "c", "d"].map(|it| texts.number(it)),
            [Some(0), Some(3), Some(4), None]
        );
    }

    #[test]
    fn compact_keeps_white_space_within_strings() {
        let mut out = Vec::new();
        write_compact(&mut out, "{ \"a b\\\" \" : [ 1 ,\n2 ] }");
        assert_eq!(out, br#"{"a b\" ":[1,2]}"#);
    }
}
