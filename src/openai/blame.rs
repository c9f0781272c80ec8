//! Which field of a JSON text an error is about.
//!
//! The parser says only how far it had read. What stands there is found by reading the text once
//! more, without its types: one small reader for every type, where a path that is kept while
//! parsing would double the parser of each.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::fault::MARK;

/// What an error says, and the path of the value in `text` that it is about: empty for the whole.
pub(super) fn read(text: &str, error: &serde_json::Error) -> (String, String) {
    let full = error.to_string();
    let said = full.rsplit_once(" at line ").map_or(&*full, |(said, _)| said);
    let (said, mark) = said.rsplit_once(MARK).map_or((said, None), |(said, at)| (said, Some(at)));
    let address = mark.and_then(|address| usize::from_str_radix(address, 16).ok());
    let kept = address.and_then(|address| address.checked_sub(text.as_ptr() as usize));
    let path = match kept.filter(|at| *at < text.len()) {
        Some(start) => Reader::new(text).path(&|value_start, _| value_start == start),
        None => {
            let read = offset(text, error);
            Reader::new(text).path(&|start, end| match end {
                // Of a list or an object that is not wanted the parser reads nothing.
                None => start == read,
                Some(end) => end >= read,
            })
        }
    };
    (said.to_owned(), path)
}

/// How many bytes had been read.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// Deepest list or object whose place is kept. Nothing that is read with its type lies deeper, since
/// the parser stops there; what is kept as text may be as deep as the body is long.
const MAX_DEPTH: usize = 128;

/// A list or an object that is open, and where in it the reader stands.
enum Open<'a> {
    List(usize),
    /// The key as it is written, quotes included.
    Object(&'a str),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    open: Vec<Open<'a>>,
    /// How many are open below [`MAX_DEPTH`].
    deeper: usize,
}

impl<'a> Reader<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, at: 0, open: Vec::new(), deeper: 0 }
    }

    /// The path of the first value that is to blame, by its start and its end; the end of a list or
    /// an object is asked about when it is reached. Where no value is, the path of what the reader
    /// stood in.
    fn path(&mut self, is_to_blame: &dyn Fn(usize, Option<usize>) -> bool) -> String {
        // A key has been read, so that the next string is a value.
        let mut keyed = false;
        while let Some(byte) = self.byte() {
            let start = self.at;
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                b':' => {
                    keyed = true;
                    self.at += 1;
                }
                b',' => {
                    keyed = false;
                    if let (0, Some(Open::List(index))) = (self.deeper, self.open.last_mut()) {
                        *index += 1;
                    }
                    self.at += 1;
                }
                b'[' | b'{' => {
                    if is_to_blame(start, None) {
                        return self.show();
                    }
                    if self.open.len() == MAX_DEPTH {
                        self.deeper += 1;
                    } else {
                        let list = byte == b'[';
                        self.open.push(if list { Open::List(0) } else { Open::Object("\"\"") });
                    }
                    keyed = false;
                    self.at += 1;
                }
                b']' | b'}' => {
                    self.at += 1;
                    match self.deeper.checked_sub(1) {
                        Some(left) => self.deeper = left,
                        None => drop(self.open.pop()),
                    }
                    if is_to_blame(usize::MAX, Some(self.at)) {
                        return self.show();
                    }
                }
                _ => {
                    self.skip(byte);
                    let written = self.text.get(start..self.at).unwrap_or_default();
                    match self.open.last_mut() {
                        // What is deeper is not told apart.
                        _ if self.deeper > 0 => {}
                        Some(Open::Object(key)) if !keyed => *key = written,
                        _ if is_to_blame(start, Some(self.at)) => return self.show(),
                        _ => {}
                    }
                }
            }
        }
        String::new()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes behind a string, a number or a word.
    fn skip(&mut self, first: u8) {
        self.at += 1;
        if first == b'"' {
            while let Some(byte) = self.byte() {
                self.at += if byte == b'\\' { 2 } else { 1 };
                if byte == b'"' {
                    return;
                }
            }
        } else {
            while self.byte().is_some_and(|byte| !b" \n\r\t,:]}[{\"".contains(&byte)) {
                self.at += 1;
            }
        }
    }

    fn show(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::List(index) => {
                    // Writing to a String cannot fail.
                    let _ = write!(path, "[{index}]");
                }
                Open::Object(key) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    let key: Cow<'_, str> = serde_json::from_str(key)
                        .map_or_else(|_| Cow::Borrowed(*key), |key: String| Cow::Owned(key));
                    path.push_str(&key);
                }
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::openai::json::{Num, RawStr};
    use crate::openai::place::{from_str, members};

    #[derive(Debug)]
    struct Outer<'a> {
        name: RawStr<'a>,
        items: Vec<Item<'a>>,
    }

    members!(Outer<'a> { name (required), items });

    #[derive(Debug)]
    struct Item<'a> {
        count: Option<u64>,
        size: Option<Num<'a>>,
        flag: Option<bool>,
    }

    members!(Item<'a> { count, size, flag });

    fn blamed(text: &str) -> String {
        let error = from_str::<Outer<'_>>(text).unwrap_err();
        read(text, &error).1
    }

    #[test]
    fn the_value_that_does_not_fit_is_named() {
        for (text, path) in [
            (r#"{"name":7}"#, "name"),
            (r#"{"name":{"a":[1,"]"]}  }"#, "name"),
            (r#"{"name":"n","items":[{},{"count":"x"}]}"#, "items[1].count"),
            (r#"{"name":"n","items":[{"count":-1,"flag":true}]}"#, "items[0].count"),
            (r#"{"name":"n","items":[{"count":1.5}]}"#, "items[0].count"),
            (r#"{"name":"n","items":[{"count":[1]}]}"#, "items[0].count"),
            ("{\"name\":\"n\",\n \"items\": [\n{\"count\":\n{\"a\":1}}]}", "items[0].count"),
            (r#"{"name":"n","items":[{"flag":null,"size":"x"}]}"#, "items[0].size"),
            (r#"{"name":"n","items":[{"size":true},{}]}"#, "items[0].size"),
            (r#"{"name":"a\"]}","items":[{"flag":0}]}"#, "items[0].flag"),
            (r#"{"name":"n","items":7}"#, "items"),
            (r#"{"name":"n","items":"long"}"#, "items"),
            (r#"{"name":"n","items":[7]}"#, "items[0]"),
            (r#"{"items":[]}"#, ""),
            (r#""text""#, ""),
            ("7", ""),
        ] {
            assert_eq!(blamed(text), path, "{text}");
        }
    }

    #[test]
    fn what_is_nested_deeply_is_passed_over_and_takes_no_memory() {
        let deep = 10 * MAX_DEPTH;
        for (open, close) in [("[", "]"), ("{\"k\":[0,", "]}")] {
            let nested = format!("{}1{}", open.repeat(deep), close.repeat(deep));
            let text = format!(r#"{{"x":{nested},"name":"n","items":[{{}},{{"count":true}}]}}"#);
            let at = text.find("true").unwrap();
            assert_eq!(Reader::new(&text).path(&|start, _| start == at), "items[1].count");
            let opened = open.repeat(deep);
            let mut reader = Reader::new(&opened);
            reader.path(&|_, _| false);
            let all = opened.matches(['[', '{']).count();
            assert_eq!((reader.open.len(), reader.deeper), (MAX_DEPTH, all - MAX_DEPTH));
        }
    }

    #[test]
    fn what_the_error_says_has_no_mark_and_no_place() {
        let text = r#"{"name":7}"#;
        let error = from_str::<Outer<'_>>(text).unwrap_err();
        assert_eq!(read(text, &error).0, "invalid type: a number, expected a string");
    }
}
