//! Reads JSON from its beginning to its end without building anything, and passes over what nobody
//! asked for at the speed of a search for quotation marks.
//!
//! Of a value that is passed over, only strings and brackets are looked at: enough to see a line that
//! was cut off, and no proof that it is JSON.

use std::borrow::Cow;

/// Deepest nesting of a value that is passed over. A record has 3 levels; prompts have as many as a
/// client likes, and are refused beyond 64 by the gateway.
pub const MAX_DEPTH: u32 = 128;

/// The bytes of a string, as they stand between its quotation marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

/// A value, read as far as a record's fields need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// The characters of a number.
    Number(&'a [u8]),
    String(Text<'a>),
    /// The text of an object or of an array, brackets included.
    Nested(&'a [u8]),
}

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    /// What the string says. A half of a surrogate pair, or an escape that is none, becomes U+FFFD.
    pub fn bytes(self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut out = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let (before, after) = rest.split_at(at);
            out.extend_from_slice(before);
            rest = unescape(after, &mut out);
        }
        out.extend_from_slice(rest);
        Cow::Owned(out)
    }

    /// A text that is what it says.
    pub const fn plain(raw: &'a [u8]) -> Self {
        Self { raw, escaped: false }
    }

    /// The bytes between the quotation marks, escapes as they stand.
    pub const fn raw(self) -> &'a [u8] {
        self.raw
    }

    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    pub fn is(self, text: &str) -> bool {
        if self.escaped { *self.bytes() == *text.as_bytes() } else { self.raw == text.as_bytes() }
    }
}

/// Writes what the escape at the beginning of `text` stands for, and gives what comes after it.
fn unescape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let plain = match text.get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(mark @ (b'"' | b'\\' | b'/')) => {
            out.push(*mark);
            return text.get(2..).unwrap_or_default();
        }
        Some(b'u') => {
            let first = unit(text);
            let second = text.get(6..).and_then(unit);
            let (character, length) = match (first, second) {
                (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                    (char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12)
                }
                (Some(unit), _) => (char::from_u32(unit), 6),
                (None, _) => (None, 2),
            };
            push(out, character.unwrap_or(char::REPLACEMENT_CHARACTER));
            return text.get(length..).unwrap_or_default();
        }
        _ => char::REPLACEMENT_CHARACTER,
    };
    push(out, plain);
    text.get(2..).unwrap_or_default()
}

fn push(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The four digits of the `\u` that `text` begins with.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

impl<'a> Cursor<'a> {
    pub const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// Whether nothing but space is left.
    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The next byte that is not space; it is not consumed.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest.split_first() {
                Some((b' ' | b'\t' | b'\r' | b'\n', rest)) => self.rest = rest,
                Some((byte, _)) => return Some(*byte),
                None => return None,
            }
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.rest = self.rest.get(1..)?;
        Some(())
    }

    /// Reads an object: `field` gets each key with the cursor at its value, which it must consume.
    pub fn object(
        &mut self,
        mut field: impl FnMut(Text<'a>, &mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            field(key, self)?;
            match self.peek()? {
                b',' => self.take(b',')?,
                _ => return self.take(b'}'),
            }
        }
    }

    /// Reads an array: `item` gets the cursor at each value, which it must consume.
    pub fn array(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            item(self)?;
            match self.peek()? {
                b',' => self.take(b',')?,
                _ => return self.take(b']'),
            }
        }
    }

    /// Reads a string.
    pub fn string(&mut self) -> Option<Text<'a>> {
        self.take(b'"')?;
        let start = self.rest;
        let (mut end, mut escaped) = (0, false);
        loop {
            let found = end + memchr::memchr2(b'"', b'\\', start.get(end..)?)?;
            if start.get(found) == Some(&b'"') {
                self.rest = start.get(found + 1..)?;
                return Some(Text { raw: start.get(..found)?, escaped });
            }
            (end, escaped) = (found + 2, true);
        }
    }

    /// Reads any value.
    pub fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Value::String),
            b'{' | b'[' => self.nested().map(Value::Nested),
            b'n' => self.word(b"null").map(|()| Value::Null),
            b't' => self.word(b"true").map(|()| Value::Bool(true)),
            b'f' => self.word(b"false").map(|()| Value::Bool(false)),
            b'-' | b'0'..=b'9' => {
                let number = |byte: &u8| {
                    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
                };
                let length = self.rest.iter().take_while(|byte| number(byte)).count();
                let (digits, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Some(Value::Number(digits))
            }
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    /// Passes over an object or an array. Which of the two each open bracket is of is a bit.
    fn nested(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let (mut depth, mut objects) = (0_u32, 0_u128);
        loop {
            let (byte, rest) = self.rest.split_first()?;
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => {
                    depth += 1;
                    objects = objects << 1 | u128::from(*byte == b'{');
                    if depth > MAX_DEPTH {
                        return None;
                    }
                }
                b'}' | b']' => {
                    if (objects & 1 == 1) != (*byte == b'}') {
                        return None;
                    }
                    depth -= 1;
                    objects >>= 1;
                }
                _ => {}
            }
            self.rest = rest;
            if depth == 0 {
                return start.get(..start.len() - rest.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn value(text: &str) -> Option<Value<'_>> {
        let mut cursor = Cursor::new(text.as_bytes());
        let value = cursor.value()?;
        cursor.at_end().then_some(value)
    }

    fn text(json: &str) -> String {
        let Some(Value::String(text)) = value(json) else { panic!("{json}") };
        String::from_utf8(text.bytes().into_owned()).unwrap()
    }

    #[test]
    fn strings_are_what_they_say() {
        assert_eq!(text(r#""plain""#), "plain");
        assert_eq!(text(r#""""#), "");
        assert_eq!(text(r#""a\"b\\c\/d\n\t\r\b\f""#), "a\"b\\c/d\n\t\r\u{8}\u{c}");
        assert_eq!(text(r#""\u00e9\uD83D\ude00!""#), "é😀!");
        assert_eq!(text(r#""\ud83d \udc00 \ud83dx""#), "\u{fffd} \u{fffd} \u{fffd}x");
        assert_eq!(text(r#""\uzzzz \x""#), "\u{fffd}zzzz \u{fffd}");
        assert_eq!(text(r#""\ud83d\u0041""#), "\u{fffd}A");
    }

    #[test]
    fn what_is_cut_off_is_no_value() {
        for whole in
            [r#"{"a":[1,{"b":"c\"d\\"}],"e":null}"#, r#""a\"b""#, "[true,false]", r#"[["]"]]"#]
        {
            assert!(value(whole).is_some(), "{whole}");
            for end in 0..whole.len() {
                assert_eq!(value(whole.split_at(end).0), None, "{whole} to {end}");
            }
        }
        for wrong in ["[}", "{]", "[[}]", "tru", "nul", "x", "", "\"\\\"", "1 2", "[] []"] {
            assert_eq!(value(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let most = MAX_DEPTH as usize;
        assert!(value(&nested(most)).is_some());
        assert_eq!(value(&nested(most + 1)), None);
        assert_eq!(value(&"[".repeat(1_000_000)), None);
    }

    #[test]
    fn fields_and_items_are_handed_out_in_order() {
        let mut seen = Vec::new();
        let json = br#" { "a" : 1 , "b":[ 2,[3] , {}],"c":{} } "#;
        let mut cursor = Cursor::new(json);
        let read = cursor.object(|key, value| {
            match key.is("b") {
                true => value.array(|item| {
                    seen.push(item.value()?);
                    Some(())
                })?,
                false => seen.push(value.value()?),
            }
            Some(())
        });
        assert_eq!(read, Some(()));
        assert!(cursor.at_end());
        let expected = [
            Value::Number(b"1"),
            Value::Number(b"2"),
            Value::Nested(b"[3]"),
            Value::Nested(b"{}"),
            Value::Nested(b"{}"),
        ];
        assert_eq!(seen, expected);
        for wrong in ["{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":1", "{,}", "[]"] {
            let read = Cursor::new(wrong.as_bytes()).object(|_, value| value.value().map(|_| ()));
            assert_eq!(read, None, "{wrong}");
        }
    }
}
