//! What the answer's text rests on: pages that a search found, and works that it repeats.
//!
//! The provider counts bytes, OpenAI's annotations count characters, so the text is kept until the
//! end of the answer, where both are told.

use serde_json::value::RawValue;

use crate::openai::json::{RawStr, is_object, string};
use crate::openai::place::{from_str, members};
use crate::providers::citations::Annotations;

/// Most bytes of text kept to count its characters. Of a longer answer the client gets no
/// annotations.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;

/// Most bytes of each of the provider's two lists that are kept until the end of the answer.
pub(super) const MAX_SOURCE_BYTES: usize = 512 << 10;

/// The text of one answer, and what the provider says that it rests on.
#[derive(Debug, Default)]
pub(super) struct Grounds {
    text: String,
    /// More was said than is kept.
    over: bool,
    grounding: Option<String>,
    citations: Option<String>,
}

impl Grounds {
    /// More text.
    pub(super) fn text(&mut self, text: RawStr<'_>) {
        if self.over || self.text.len() + text.inner().len() > MAX_TEXT_BYTES {
            self.over = true;
            self.text = String::new();
        } else {
            self.text.push_str(&text.decode());
        }
    }

    /// `groundingMetadata` and `citationMetadata`. Later ones are whole, and replace earlier ones.
    pub(super) fn sources(&mut self, grounding: Option<&RawValue>, citations: Option<&RawValue>) {
        for (kept, new) in [(&mut self.grounding, grounding), (&mut self.citations, citations)] {
            let fits = |raw: &&RawValue| is_object(raw) && raw.get().len() <= MAX_SOURCE_BYTES;
            // An empty one says nothing new.
            if let Some(new) = new.filter(fits).filter(|raw| raw.get() != "{}") {
                *kept = Some(new.get().to_owned());
            }
        }
    }

    /// The list of annotations, if there are any.
    pub(super) fn annotations(&self) -> Option<String> {
        if self.over {
            return None;
        }
        let mut list = List { found: Annotations::default(), starts: self.starts() };
        if let Some(grounding) = &self.grounding {
            list.grounding(grounding);
        }
        if let Some(citations) = &self.citations {
            list.citations(citations);
        }
        list.found.list()
    }

    /// Where each character begins, and where the last one ends.
    fn starts(&self) -> Vec<usize> {
        let ends = std::iter::once(self.text.len());
        self.text.char_indices().map(|(at, _)| at).chain(ends).collect()
    }
}

/// Annotations that are being written.
struct List {
    found: Annotations,
    starts: Vec<usize>,
}

struct Grounding<'a> {
    grounding_chunks: Option<Vec<Chunk<'a>>>,
    grounding_supports: Option<Vec<Support<'a>>>,
}

members!(Grounding<'a> {
    grounding_chunks "groundingChunks",
    grounding_supports "groundingSupports",
});

struct Chunk<'a> {
    web: Option<Source<'a>>,
    retrieved_context: Option<Source<'a>>,
}

members!(Chunk<'a> { web, retrieved_context "retrievedContext" });

struct Support<'a> {
    segment: Option<Segment<'a>>,
    grounding_chunk_indices: Option<Vec<u32>>,
}

members!(Support<'a> { segment, grounding_chunk_indices "groundingChunkIndices" });

#[derive(Clone, Copy)]
struct Segment<'a> {
    start_index: Option<&'a RawValue>,
    end_index: Option<&'a RawValue>,
}

members!(Segment<'a> { start_index "startIndex", end_index "endIndex" });

struct Source<'a> {
    uri: Option<&'a RawValue>,
    title: Option<&'a RawValue>,
    start_index: Option<&'a RawValue>,
    end_index: Option<&'a RawValue>,
}

members!(Source<'a> { uri, title, start_index "startIndex", end_index "endIndex" });

struct Citations<'a> {
    /// AI Studio's name.
    citation_sources: Option<Vec<Source<'a>>>,
    /// Vertex's.
    citations: Option<Vec<Source<'a>>>,
}

members!(Citations<'a> { citation_sources "citationSources", citations });

impl List {
    fn grounding(&mut self, json: &str) {
        let Ok(grounding) = from_str::<Grounding<'_>>(json) else { return };
        let chunks = grounding.grounding_chunks.unwrap_or_default();
        let source =
            |chunk: &'_ Chunk<'_>| chunk.web.is_some() || chunk.retrieved_context.is_some();
        match grounding.grounding_supports.filter(|supports| !supports.is_empty()) {
            Some(supports) => {
                for support in supports {
                    let Some(segment) = support.segment else { continue };
                    for at in support.grounding_chunk_indices.unwrap_or_default() {
                        if let Some(chunk) = chunks.get(at as usize) {
                            self.add(chunk.source(), segment);
                        }
                    }
                }
            }
            // It rests on them as a whole.
            None => {
                let all = Segment { start_index: None, end_index: None };
                for chunk in chunks.iter().filter(|chunk| source(chunk)) {
                    self.add(chunk.source(), all);
                }
            }
        }
    }

    fn citations(&mut self, json: &str) {
        let Ok(found) = from_str::<Citations<'_>>(json) else { return };
        for source in found.citation_sources.into_iter().chain(found.citations).flatten() {
            let Source { start_index, end_index, .. } = source;
            self.add(Some(&source), Segment { start_index, end_index });
        }
    }

    /// Only what has a URL can be an annotation.
    fn add(&mut self, source: Option<&Source<'_>>, segment: Segment<'_>) {
        let Some((source, uri)) = source.and_then(|it| Some((it, string(it.uri)?))) else { return };
        let title = string(source.title).unwrap_or(RawStr::EMPTY);
        let end = self.starts.len().saturating_sub(1);
        let start = segment.start_index.map_or(0, |raw| self.character(raw));
        let end = segment.end_index.map_or(end, |raw| self.character(raw)).max(start);
        self.found.add(start, end, title, uri);
    }

    /// The character at a place that is counted in bytes.
    fn character(&self, raw: &RawValue) -> usize {
        let byte: usize = raw.get().trim_matches('"').parse().unwrap_or(0);
        let before = self.starts.partition_point(|start| *start < byte);
        before.min(self.starts.len().saturating_sub(1))
    }
}

impl Chunk<'_> {
    const fn source(&self) -> Option<&Source<'_>> {
        match &self.web {
            Some(web) => Some(web),
            None => self.retrieved_context.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::providers::citations::MAX_CITATION_BYTES;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    fn grounds(text: &str, grounding: &str) -> Grounds {
        let json = serde_json::to_string(text).unwrap();
        let mut grounds = Grounds::default();
        grounds.text(from_str(&json).unwrap());
        grounds.sources(Some(&raw(grounding)), None);
        grounds
    }

    const CHUNK: &str = r#""groundingChunks":[{"web":{"uri":"https://x.test","title":"X"}}]"#;

    #[test]
    fn bytes_become_characters() {
        let found = grounds(
            "é😀x",
            &format!(
                r#"{{{CHUNK},"groundingSupports":[{{"segment":{{"startIndex":2,"endIndex":6}},"groundingChunkIndices":[0,7]}}]}}"#
            ),
        );
        assert_eq!(
            found.annotations().unwrap(),
            r#"[{"type":"url_citation","url_citation":{"start_index":1,"end_index":2,"title":"X","url":"https://x.test"}}]"#
        );
    }

    #[test]
    fn pages_without_a_place_stand_for_the_whole_text() {
        let found = grounds("éx", &format!("{{{CHUNK}}}")).annotations().unwrap();
        assert!(found.contains(r#""start_index":0,"end_index":2"#), "{found}");
    }

    #[test]
    fn works_that_are_repeated_are_told_too() {
        let mut grounds = Grounds::default();
        grounds.text(from_str("\"abc\"").unwrap());
        grounds.sources(
            None,
            Some(&raw(r#"{"citationSources":[{"startIndex":1,"endIndex":99,"uri":"u"},{}]}"#)),
        );
        let found = grounds.annotations().unwrap();
        assert!(found.contains(r#""start_index":1,"end_index":3,"title":"","url":"u""#), "{found}");
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let mut long = grounds(&"x".repeat(MAX_TEXT_BYTES), &format!("{{{CHUNK}}}"));
        assert!(long.annotations().is_some());
        long.text(from_str("\"y\"").unwrap());
        assert_eq!(long.annotations(), None);
        let title = "t".repeat(MAX_SOURCE_BYTES);
        let large = format!(r#"{{"groundingChunks":[{{"web":{{"uri":"u","title":"{title}"}}}}]}}"#);
        assert_eq!(grounds("x", &large).annotations(), None);
        let title = "t".repeat(MAX_CITATION_BYTES / 2);
        let chunk = format!(r#"{{"web":{{"uri":"u","title":"{title}"}}}}"#);
        let two = format!(r#"{{"groundingChunks":[{chunk},{chunk}]}}"#);
        let found = grounds("x", &two).annotations();
        assert_eq!(found.map(|found| found.matches("url_citation\":").count()), Some(1));
    }
}
