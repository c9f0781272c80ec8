//! Pieces of JSON text that are passed on as they were written.
//!
//! A translator that decodes a string only to encode it again pays twice and may change it: a
//! lone surrogate, a large integer, `1.0`. So strings and numbers stay slices of the body.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::blame::misfit;
use super::place::{Entries, Fault, Own, Place, Slot};

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
}

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

impl<'a> Place<'a> for RawStr<'a> {
    fn blank() -> Self {
        RawStr::EMPTY
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Own(self)
    }
    fn optional(place: &mut Option<Self>) -> Slot<'_, 'a> {
        Slot::Str(place)
    }
}

impl<'a> Own<'a> for RawStr<'a> {
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
        *self = Self::from_raw(raw).ok_or_else(|| misfit(raw, "a string"))?;
        Ok(())
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

impl<'a> Place<'a> for Num<'a> {
    fn blank() -> Self {
        Self { written: "0", value: 0.0 }
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Own(self)
    }
}

impl<'a> Own<'a> for Num<'a> {
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
        let written = raw.get();
        match written.bytes().next() {
            Some(b'-' | b'0'..=b'9') => {
                let value = written.parse().unwrap_or(f64::INFINITY);
                *self = Self { written, value };
                Ok(())
            }
            _ => Err(misfit(raw, "a number")),
        }
    }
}

/// The members of any object, in order.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The member of that name; the first, where there are several.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The member of that name, if it is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        string(self.find(name)).map(RawStr::decode)
    }
}

impl<'a> Place<'a> for Members<'a> {
    fn blank() -> Self {
        Self::default()
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Entries(self)
    }
}

impl<'a> Entries<'a> for Members<'a> {
    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault> {
        self.0.push((name, value));
        Ok(())
    }
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

/// An object whose members are read by their names: taken apart once, when the first is asked for.
#[derive(Debug, Default)]
pub struct Tags<'a> {
    object: Option<&'a RawValue>,
    all: OnceCell<Vec<super::outer::Field<'a>>>,
}

impl<'a> Tags<'a> {
    /// The members of `object`.
    #[must_use]
    pub const fn of(object: Option<&'a RawValue>) -> Self {
        Self { object, all: OnceCell::new() }
    }

    /// The text of a member. A number and a truth value are their own text; an object or a list has
    /// none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let object = self.object?;
        let all = self.all.get_or_init(|| super::outer::members(object));
        let found = all.iter().find(|member| member.name == name)?;
        match found.value.get().bytes().next()? {
            b'"' => RawStr::from_raw(found.value).map(RawStr::decode),
            b'{' | b'[' | b'n' => None,
            _ => Some(Cow::Borrowed(found.value.get())),
        }
    }
}

/// The texts of `strings`, each once. One by one: a set that is collected is sorted first, by 6 KB of
/// code.
#[must_use]
pub fn texts<'a>(strings: &mut dyn Iterator<Item = RawStr<'a>>) -> BTreeSet<Cow<'a, str>> {
    let mut texts = BTreeSet::new();
    for string in strings {
        texts.insert(string.decode());
    }
    texts
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
    use crate::openai::place::from_str;

    fn raw(json: &str) -> RawStr<'_> {
        from_str(json).unwrap()
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
    fn a_number_keeps_its_digits() {
        let num: Num<'_> = from_str("1.0e0").unwrap();
        assert_eq!((num.written, num.value), ("1.0e0", 1.0));
        assert!(from_str::<Num<'_>>("\"1\"").is_err());
    }

    #[test]
    fn a_member_is_found_by_its_name_and_read_as_text() {
        let object = Tags::of(
            serde_json::from_str(r#"{"a":"x\u0062","b":7,"c":null,"d":[1],"e":true}"#).unwrap(),
        );
        assert_eq!(object.text("a").as_deref(), Some("xb"));
        assert_eq!(object.text("b").as_deref(), Some("7"));
        assert_eq!(object.text("e").as_deref(), Some("true"));
        for none in ["c", "d", "f"] {
            assert_eq!(object.text(none), None, "{none}");
        }
        assert_eq!(Tags::of(serde_json::from_str("[1]").unwrap()).text("a"), None);
        assert_eq!(Tags::of(None).text("a"), None);
    }

    #[test]
    fn compact_keeps_white_space_within_strings() {
        let mut out = Vec::new();
        write_compact(&mut out, "{ \"a b\\\" \" : [ 1 ,\n2 ] }");
        assert_eq!(out, br#"{"a b\" ":[1,2]}"#);
    }
}
