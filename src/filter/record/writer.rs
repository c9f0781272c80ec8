//! A record in the making: JSON that stays one line and within its length, whatever it is given.

use std::io::Write as _;

use crate::openai::json::separate;
use crate::providers::catalogue::NanoUsd;

/// Longest record, in bytes, without prompt and answer. Container runtimes split lines of 16 KiB.
/// Entries of lists that do not fit are left out and counted.
pub const MAX_RECORD_BYTES: usize = 15 << 10;

/// Longest text in it, in bytes as written, where nothing else is said.
pub const MAX_TEXT_BYTES: usize = 256;

/// Room for what stands behind the last list.
const END: usize = 640;

/// An object without its closing brace.
#[derive(Debug)]
pub struct Writer {
    json: Vec<u8>,
    /// The names of fields whose texts were cut.
    cut: Vec<&'static str>,
    /// How many entries of lists did not fit.
    left_out: u64,
}

impl Writer {
    /// An object without members.
    #[must_use]
    pub fn begin() -> Self {
        let mut json = Vec::with_capacity(1536);
        json.push(b'{');
        Self { json, cut: Vec::new(), left_out: 0 }
    }

    fn name(&mut self, name: &str) {
        separate(&mut self.json);
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
    }

    /// A text of at most [`MAX_TEXT_BYTES`].
    pub fn text(&mut self, name: &'static str, text: &str) {
        self.text_within(name, text, MAX_TEXT_BYTES);
    }

    /// A text of at most `most` bytes as written; what is longer is cut, and `cut` names it.
    pub fn text_within(&mut self, name: &'static str, text: &str, most: usize) {
        self.name(name);
        if !quote(&mut self.json, text, most) {
            self.note_cut(name);
        }
    }

    /// A text, unless it is empty.
    pub fn some(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    /// A text, if there is one.
    pub fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A text, or `null`.
    pub fn maybe_or_null(&mut self, name: &'static str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.null(name),
        }
    }

    /// A number.
    pub fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        self.json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A number, if there is one.
    pub fn maybe_number(&mut self, name: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    /// A truth value.
    pub fn flag(&mut self, name: &'static str, flag: bool) {
        self.name(name);
        self.json.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// `null`.
    pub fn null(&mut self, name: &'static str) {
        self.name(name);
        self.json.extend_from_slice(b"null");
    }

    /// An amount in US dollars with nine decimals; `null` for one that is not known.
    pub fn money(&mut self, name: &'static str, amount: Option<NanoUsd>) {
        match amount {
            Some(amount) => {
                self.name(name);
                // Writing to a Vec cannot fail.
                let _ = write!(self.json, "{amount}");
            }
            None => self.null(name),
        }
    }

    /// A text without a name, in a list.
    pub fn item(&mut self, list: &'static str, text: &str, most: usize) {
        separate(&mut self.json);
        if !quote(&mut self.json, text, most) {
            self.note_cut(list);
        }
    }

    /// Opens an object or a list under a name; without one, in a list.
    pub fn open(&mut self, name: &'static str, bracket: u8) {
        if name.is_empty() {
            separate(&mut self.json);
        } else {
            self.name(name);
        }
        self.json.push(bracket);
    }

    /// Closes an object or a list.
    pub fn close(&mut self, bracket: u8) {
        self.json.push(bracket);
    }

    /// A list of entries that were written before. They do not count against its length.
    pub fn raw<'a>(&mut self, name: &'static str, entries: impl Iterator<Item = &'a Vec<u8>>) {
        self.open(name, b'[');
        for entry in entries {
            separate(&mut self.json);
            self.json.extend_from_slice(entry);
        }
        self.close(b']');
    }

    /// Notes that a field is not whole.
    pub fn note_cut(&mut self, name: &'static str) {
        if !self.cut.contains(&name) {
            self.cut.push(name);
        }
    }

    /// Writes an entry of a list, or leaves it out if it would not leave `room` bytes for what follows.
    pub fn entry(&mut self, room: usize, write: &mut dyn FnMut(&mut Self)) {
        let (before, cut) = (self.json.len(), self.cut.len());
        write(self);
        if self.json.len() + room + END > MAX_RECORD_BYTES {
            self.json.truncate(before);
            self.cut.truncate(cut);
            self.left_out += 1;
        }
    }

    /// The whole line.
    #[must_use]
    pub fn end(mut self) -> String {
        if self.left_out > 0 {
            self.number("left_out", self.left_out);
        }
        if !self.cut.is_empty() {
            let cut = std::mem::take(&mut self.cut);
            self.open("cut", b'[');
            for name in cut {
                self.item("cut", name, MAX_TEXT_BYTES);
            }
            self.close(b']');
        }
        self.close(b'}');
        // Names are ASCII and texts are texts.
        String::from_utf8(self.json).unwrap_or_default()
    }
}

/// Appends a JSON string whose inside is at most `most` bytes long; whether all of `text` went in.
///
/// What some reader of lines takes for the end of one is escaped, beyond what JSON asks for: the
/// next line, the line separator and the paragraph separator.
pub fn quote(out: &mut Vec<u8>, text: &str, most: usize) -> bool {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let end = out.len().saturating_add(most);
    // Nearly always that is all of it.
    let plain = text.bytes().take(most).take_while(|byte| is_plain(*byte)).count();
    let (plain, rest) = text.split_at_checked(plain).unwrap_or_default();
    out.extend_from_slice(plain.as_bytes());
    let mut whole = true;
    for c in rest.chars() {
        let mut bytes = [0; 6];
        let length = match c {
            '"' | '\\' => {
                bytes[0] = b'\\';
                bytes[1] = c as u8;
                2
            }
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let nibble = |by: u32| HEX.get((c as usize >> by) & 15).copied().unwrap_or(b'0');
                bytes = [b'\\', b'u', nibble(12), nibble(8), nibble(4), nibble(0)];
                6
            }
            _ => c.encode_utf8(&mut bytes).len(),
        };
        let Some(written) = bytes.get(..length) else { continue };
        if out.len() + length > end {
            whole = false;
            break;
        }
        out.extend_from_slice(written);
    }
    out.push(b'"');
    whole
}

/// Whether a byte is a character that stands for itself.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn quoted(text: &str, most: usize) -> (String, bool) {
        let mut out = Vec::new();
        let whole = quote(&mut out, text, most);
        (String::from_utf8(out).unwrap(), whole)
    }

    #[test]
    fn a_text_is_one_line_of_json_and_reads_back_as_it_was() {
        let all: String = (0..0x3000).filter_map(char::from_u32).chain(['😀']).collect();
        let (written, whole) = quoted(&all, usize::MAX / 2);
        assert!(whole);
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), all);
        let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
        assert!(!written.contains(ends));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        assert_eq!(quoted("abc", 3), ("\"abc\"".to_owned(), true));
        assert_eq!(quoted("abcd", 3), ("\"abc\"".to_owned(), false));
        assert_eq!(quoted("abc", 0), ("\"\"".to_owned(), false));
        assert_eq!(quoted("", 0), ("\"\"".to_owned(), true));
        assert_eq!(quoted("aé", 2), ("\"a\"".to_owned(), false));
        assert_eq!(quoted("aéb", 3), ("\"aé\"".to_owned(), false));
        assert_eq!(quoted("a\n", 6), ("\"a\"".to_owned(), false));
        assert_eq!(quoted("\"\"", 3), ("\"\\\"\"".to_owned(), false));
    }

    #[test]
    fn an_entry_that_does_not_fit_is_left_out_and_counted() {
        let mut writer = Writer::begin();
        writer.open("entries", b'[');
        for _ in 0..200 {
            writer.entry(0, &mut |writer| writer.item("entries", &"x".repeat(MAX_TEXT_BYTES), 999));
        }
        writer.close(b']');
        let line = writer.end();
        assert!(line.len() <= MAX_RECORD_BYTES && line.len() > MAX_RECORD_BYTES - 1_000);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let entries = read["entries"].as_array().unwrap().len() as u64;
        assert_eq!(read["left_out"].as_u64().unwrap() + entries, 200);
    }

    #[test]
    fn what_is_cut_is_named_once() {
        let mut writer = Writer::begin();
        writer.text("a", &"x".repeat(MAX_TEXT_BYTES));
        writer.text("b", &"x".repeat(MAX_TEXT_BYTES + 1));
        writer.text_within("b", "long", 3);
        let line = writer.end();
        assert!(line.ends_with(r#","cut":["b"]}"#), "{line}");
    }
}
