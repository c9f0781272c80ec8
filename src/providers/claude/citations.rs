//! Where an answer was found.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::openai::json::{Append, RawStr, string};
use crate::openai::place::{from_str, members};
use crate::providers::citations::{MAX_CITATION_BYTES, characters};

/// The citations of an answer, as OpenAI's annotations, and the place in the content where the
/// next ones will stand.
#[derive(Debug, Default)]
pub(crate) struct Citations {
    /// A JSON list without its end.
    json: Vec<u8>,
    /// Characters of content before the current block.
    start: usize,
    /// Characters of content so far.
    end: usize,
    /// Of the current block, not yet written: their end is not known before that of the block.
    open: Vec<u8>,
}

impl Citations {
    /// A text block begins.
    pub(crate) const fn begin(&mut self) {
        self.start = self.end;
    }

    /// More content; `escaped` as it stands between quotes.
    pub(crate) fn text(&mut self, escaped: &str) {
        self.end += characters(escaped);
    }

    /// A citation of the current block. Only what has a URL can be an annotation.
    pub(crate) fn cite(&mut self, raw: &RawValue) {
        struct Citation<'a> {
            kind: Cow<'a, str>,
            url: Option<&'a RawValue>,
            title: Option<&'a RawValue>,
        }
        members!(Citation<'a> { kind "type" (required), url, title });
        let Ok(citation) = from_str::<Citation<'_>>(raw.get()) else { return };
        let Some(url) = string(citation.url) else { return };
        if citation.kind != "web_search_result_location" {
            return;
        }
        self.add(string(citation.title).unwrap_or(RawStr::EMPTY), url);
    }

    /// A citation of the current block by title and URL. Left out where there are too many.
    pub(crate) fn add(&mut self, title: RawStr<'_>, url: RawStr<'_>) {
        let (title, url) = (title.as_written(), url.as_written());
        if self.json.len() + self.open.len() + title.len() + url.len() > MAX_CITATION_BYTES {
            return;
        }
        self.open.put(format!(r#""title":{title},"url":{url}}}}}"#).as_bytes());
        self.open.mark(b'\n');
    }

    /// The citations of a list.
    pub(crate) fn cite_all(&mut self, list: Option<&RawValue>) {
        let list = list.and_then(|raw| from_str::<Vec<&RawValue>>(raw.get()).ok());
        for citation in list.unwrap_or_default() {
            self.cite(citation);
        }
    }

    /// The current block ends.
    pub(crate) fn end(&mut self) {
        let open = std::mem::take(&mut self.open);
        // A JSON string holds no line break as such.
        for rest in open.split(|byte| *byte == b'\n').filter(|rest| !rest.is_empty()) {
            let head = format!(
                r#"{}{{"type":"url_citation","url_citation":{{"start_index":{},"end_index":{},"#,
                if self.json.is_empty() { '[' } else { ',' },
                self.start,
                self.end
            );
            self.json.put(head.as_bytes());
            self.json.put(rest);
        }
    }

    /// The list, if there are any.
    pub(crate) fn list(self) -> Option<String> {
        if self.json.is_empty() {
            return None;
        }
        let mut json = self.json;
        json.mark(b']');
        String::from_utf8(json).ok()
    }
}
