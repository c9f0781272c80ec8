//! Pictures, documents and sound. Bedrock fetches nothing but what lies in S3.

use std::borrow::Cow;

use crate::openai::json::{RawStr, Texts, write_str};
use crate::openai::message::{File, InputAudio};
use crate::providers::media::{DataUrl, has_scheme, quote};

/// A picture, document or sound, as a block of the API.
#[derive(Debug)]
pub(super) struct Media<'a> {
    kind: Kind,
    format: &'static str,
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Audio,
    Document,
    Image,
}

#[derive(Debug)]
enum Source<'a> {
    /// Base64.
    Bytes(Cow<'a, str>),
    /// `s3://bucket/key`.
    S3(Cow<'a, str>),
}

/// Why it cannot be sent: for a message that begins with the name of the field.
type Refusal = &'static str;

const URL_FORMS: Refusal = "must be a data: URL with base64, or a s3:// URI whose name ends in its type, such as .png: Bedrock fetches no other URL";
const MEDIA_TYPES: Refusal = "must be a picture (image/jpeg, image/png, image/gif, image/webp) or a document (pdf, csv, doc, docx, xls, xlsx, html, txt, md)";
const AUDIO_FORMATS: Refusal = "is no sound that Bedrock takes";

/// Media types and endings of names, with the word of the API for each.
const FORMATS: &[(&str, &str, Kind, &str)] = &[
    ("image/jpeg", ".jpg", Kind::Image, "jpeg"),
    ("image/jpg", ".jpeg", Kind::Image, "jpeg"),
    ("image/png", ".png", Kind::Image, "png"),
    ("image/gif", ".gif", Kind::Image, "gif"),
    ("image/webp", ".webp", Kind::Image, "webp"),
    ("application/pdf", ".pdf", Kind::Document, "pdf"),
    ("text/csv", ".csv", Kind::Document, "csv"),
    ("application/msword", ".doc", Kind::Document, "doc"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ".docx",
        Kind::Document,
        "docx",
    ),
    ("application/vnd.ms-excel", ".xls", Kind::Document, "xls"),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ".xlsx",
        Kind::Document,
        "xlsx",
    ),
    ("text/html", ".html", Kind::Document, "html"),
    ("text/plain", ".txt", Kind::Document, "txt"),
    ("text/markdown", ".md", Kind::Document, "md"),
];

/// Forms of sound.
const SOUNDS: &[&str] = &[
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "m4a", "mpeg", "mpga", "pcm",
    "webm",
];

impl<'a> Media<'a> {
    /// From the URL of an `image_url` part.
    pub(super) fn from_url(url: RawStr<'a>) -> Result<Self, Refusal> {
        let url = url.decode();
        if has_scheme(&url, "s3://") { Self::from_s3(url) } else { Self::from_data_url(&url) }
    }

    /// From the fields of a `file` part.
    pub(super) fn from_file(file: &File<'a>) -> Result<Self, Refusal> {
        let Some(data) = file.file_data else {
            let id = file.file_id.map(RawStr::decode).unwrap_or_default();
            if has_scheme(&id, "s3://") {
                return Self::from_s3(id);
            }
            return Err("is no s3:// URI: Bedrock has no other store of files");
        };
        let data = data.decode();
        if has_scheme(&data, "data:") {
            return Self::from_data_url(&data);
        }
        // Base64 without a media type: the first bytes or the name must say what it is.
        let name = file.filename.map(RawStr::decode).unwrap_or_default();
        let (kind, format) = match by_ending(&name) {
            Some(known) => known,
            // `%PDF-` in base64.
            None if data.starts_with("JVBERi") => (Kind::Document, "pdf"),
            None => {
                return Err(
                    "must be a data: URL, a PDF in base64, or have a filename that ends in its type, such as .docx",
                );
            }
        };
        Ok(Self { kind, format, source: Source::Bytes(data) })
    }

    /// From an `input_audio` part.
    pub(super) fn from_audio(audio: &InputAudio<'a>) -> Result<Self, Refusal> {
        let wanted = audio.format.decode();
        let format = SOUNDS.iter().find(|known| **known == wanted).ok_or(AUDIO_FORMATS)?;
        let source = Source::Bytes(audio.data.decode());
        Ok(Self { kind: Kind::Audio, format, source })
    }

    fn from_s3(uri: Cow<'a, str>) -> Result<Self, Refusal> {
        let (kind, format) = by_ending(&uri).ok_or(URL_FORMS)?;
        Ok(Self { kind, format, source: Source::S3(uri) })
    }

    fn from_data_url(url: &Cow<'a, str>) -> Result<Self, Refusal> {
        let DataUrl { media_type, data } = DataUrl::parse(url).ok_or(URL_FORMS)?;
        let (_, _, kind, format) =
            FORMATS.iter().find(|(known, ..)| *known == media_type).ok_or(MEDIA_TYPES)?;
        Ok(Self { kind: *kind, format, source: Source::Bytes(data) })
    }

    /// Whether a text must stand beside it.
    pub(super) fn is_document(&self) -> bool {
        self.kind == Kind::Document
    }

    /// Appends the block. A document needs a name that no other document of the request has.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        filename: Option<RawStr<'_>>,
        documents: &mut Names,
    ) {
        let kind = match self.kind {
            Kind::Audio => "audio",
            Kind::Document => "document",
            Kind::Image => "image",
        };
        out.extend_from_slice(format!(r#"{{"{kind}":{{"format":"{}""#, self.format).as_bytes());
        if self.is_document() {
            out.extend_from_slice(b",\"name\":");
            write_str(out, &documents.name(&filename.map(RawStr::decode).unwrap_or_default()));
        }
        let (before, value): (&[u8], _) = match &self.source {
            Source::Bytes(data) => (br#","source":{"bytes":"#, data),
            Source::S3(uri) => (br#","source":{"s3Location":{"uri":"#, uri),
        };
        out.extend_from_slice(before);
        quote(out, value);
        out.extend_from_slice(match self.source {
            Source::Bytes(_) => b"}}}",
            Source::S3(_) => b"}}}}",
        });
    }
}

fn by_ending(name: &str) -> Option<(Kind, &'static str)> {
    let (_, _, kind, format) = FORMATS.iter().find(|(_, ending, ..)| ends_with(name, ending))?;
    Some((*kind, format))
}

fn ends_with(name: &str, ending: &str) -> bool {
    let start = name.len().saturating_sub(ending.len());
    name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

/// Names of the documents of one request. The same files have the same names in the next request, or
/// the prompt cache would not know them.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names in use, with the number that the next of that name gets.
    taken: Texts,
}

/// Longest start of a document's name that is kept, in characters. The API takes 200, and a number
/// must fit behind it.
const MAX_NAME: usize = 180;

impl Names {
    /// A name for a document: letters, digits, single blanks, `-`, `(`, `)`, `[` and `]`.
    fn name(&mut self, filename: &str) -> String {
        let stem = filename.rsplit_once('.').map_or(filename, |(stem, _)| stem);
        let mut name = String::new();
        for letter in stem.chars().take(MAX_NAME) {
            match letter {
                'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => {
                    name.push(letter);
                }
                _ if letter.is_whitespace() => {
                    if !name.is_empty() && !name.ends_with(' ') {
                        name.push(' ');
                    }
                }
                _ => name.push('-'),
            }
        }
        name.truncate(name.trim_end().len());
        if name.is_empty() {
            name.push_str("document");
        }
        let mut unique = name.clone();
        while self.taken.contains(&unique) {
            let number = self.taken.number(&name).unwrap_or(1).saturating_add(1);
            self.taken.set(&name, number);
            unique = format!("{name} {number}");
        }
        self.taken.set(&unique, 1);
        unique
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn block(url: &str) -> Result<String, Refusal> {
        let mut out = Vec::new();
        let json = serde_json::to_string(url).unwrap();
        Media::from_url(crate::openai::place::from_str(&json).unwrap())?.write(
            &mut out,
            None,
            &mut Names::default(),
        );
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_data_url_becomes_bytes_with_their_format() {
        assert_eq!(
            block("data:image/JPG;base64,AAAA").unwrap(),
            r#"{"image":{"format":"jpeg","source":{"bytes":"AAAA"}}}"#
        );
        assert_eq!(
            block("data:text/markdown;base64,AAAA").unwrap(),
            r#"{"document":{"format":"md","name":"document","source":{"bytes":"AAAA"}}}"#
        );
    }

    #[test]
    fn a_place_in_s3_stays_one() {
        assert_eq!(
            block("s3://b/a.PNG").unwrap(),
            r#"{"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/a.PNG"}}}}"#
        );
        assert!(block("s3://b/a").is_err());
    }

    #[test]
    fn what_would_have_to_be_fetched_or_is_of_another_type_is_refused() {
        for url in ["https://x.test/a.png", "data:image/png,A", "data:image/tiff;base64,A", "", "é"]
        {
            assert!(block(url).is_err(), "{url}");
        }
    }

    #[test]
    fn names_of_documents_are_plain_and_none_comes_twice() {
        let mut names = Names::default();
        let given =
            ["a_b.pdf", "a.b.pdf", "", " x \t y .txt", "a-b.csv", "a-b 2.csv", "a_b.doc", "é"];
        let got = given.map(|name| names.name(name));
        let expected = ["a-b", "a-b 2", "document", "x y", "a-b 3", "a-b 2 2", "a-b 4", "-"];
        assert_eq!(got, expected);
        let long = names.name(&"x".repeat(500));
        assert_eq!(long.len(), MAX_NAME);
        assert!(names.name(&"x".repeat(500)).len() <= 200);
    }

    #[test]
    fn many_documents_of_one_name_are_named_quickly() {
        let mut names = Names::default();
        for _ in 0..20_000 {
            names.name("a.pdf");
        }
        assert_eq!(names.name("a.pdf"), "a 20001");
    }
}
