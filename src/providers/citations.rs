//! Where what an answer says was found, as OpenAI's annotations.

use crate::openai::json::{Append, RawStr};

/// Most bytes of citations of one answer that are passed on. Further ones are left out.
pub(crate) const MAX_CITATION_BYTES: usize = 256 << 10;

/// The citations of an answer. Only what has a URL can be one.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    /// A JSON list without its end.
    json: Vec<u8>,
}

impl Annotations {
    /// A source of the characters from `start` to `end` of the content.
    pub(crate) fn add(&mut self, start: usize, end: usize, title: RawStr<'_>, url: RawStr<'_>) {
        let (title, url) = (title.as_written(), url.as_written());
        if self.json.len() + title.len() + url.len() > MAX_CITATION_BYTES {
            return;
        }
        let begin = if self.json.is_empty() { '[' } else { ',' };
        self.json.put(
            format!(
                r#"{begin}{{"type":"url_citation","url_citation":{{"start_index":{start},"end_index":{end},"title":{title},"url":{url}}}}}"#
            )
            .as_bytes(),
        );
    }

    /// The list, if there are any. Nothing is left.
    pub(crate) fn list(&mut self) -> Option<String> {
        let mut json = std::mem::take(&mut self.json);
        if json.is_empty() {
            return None;
        }
        json.mark(b']');
        String::from_utf8(json).ok()
    }
}

/// How many characters the escaped text stands for.
pub(crate) fn characters(escaped: &str) -> usize {
    let mut count = 0;
    let mut rest = escaped.as_bytes();
    loop {
        rest = match rest {
            [] => return count,
            // The second half of a pair: counted with the first.
            [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', _, _, rest @ ..] => rest,
            [b'\\', b'u', _, _, _, _, rest @ ..] | [b'\\', _, rest @ ..] => {
                count += 1;
                rest
            }
            // The further bytes of a character.
            [0x80..=0xBF, rest @ ..] => rest,
            [_, rest @ ..] => {
                count += 1;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::openai::json::escape;

    #[test]
    fn characters_are_counted_through_their_escapes() {
        for text in ["", "abc", "é😀x", "a\"b\\c\n", "\u{1}"] {
            assert_eq!(characters(&escape(text)), text.chars().count(), "{text}");
        }
        assert_eq!(characters(r"\ud83d\ude00\u00e9"), 2);
        assert_eq!(characters(r"\"), 1);
    }

    #[test]
    fn annotations_have_a_bound_and_leave_out_what_goes_beyond() {
        let mut annotations = Annotations::default();
        assert_eq!(annotations.list(), None);
        let long = format!("\"https://x.test/{}\"", "a".repeat(MAX_CITATION_BYTES / 2));
        let url: RawStr<'_> = crate::openai::place::from_str(&long).unwrap();
        for end in 0..3 {
            annotations.add(0, end, RawStr::EMPTY, url);
        }
        let list: serde_json::Value = serde_json::from_str(&annotations.list().unwrap()).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(annotations.list(), None);
    }
}
