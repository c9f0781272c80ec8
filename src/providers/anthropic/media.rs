//! Pictures and documents.

use std::borrow::Cow;

use super::Host;
use crate::openai::json::{Append, RawStr, write_str};
use crate::openai::message::File;
use crate::providers::media::{DataUrl, decode_base64, has_scheme, quote};

/// Where a picture or document comes from, as a `source` of the API.
#[derive(Debug)]
pub(super) enum Media<'a> {
    /// A picture in base64.
    Image { media_type: &'static str, data: Cow<'a, str> },
    /// A picture that the provider fetches.
    ImageUrl(Cow<'a, str>),
    /// A PDF in base64.
    Pdf(Cow<'a, str>),
    /// A PDF that the provider fetches.
    PdfUrl(Cow<'a, str>),
    /// Plain text.
    Text(String),
    /// A file in the provider's own store.
    File(Cow<'a, str>),
}

/// Why it cannot be sent: for a message that begins with the name of the field.
type Refusal = &'static str;

const URL_FORMS: Refusal = "must be a https: or http: URL, or a data: URL with base64";
const MEDIA_TYPES: Refusal =
    "must be image/jpeg, image/png, image/gif, image/webp, application/pdf or text/plain";

impl<'a> Media<'a> {
    /// From the URL of an `image_url` part.
    pub(super) fn from_url(url: RawStr<'a>) -> Result<Self, Refusal> {
        let url = url.decode();
        if has_scheme(&url, "data:") {
            return Self::from_data_url(&url);
        }
        if !has_scheme(&url, "https://") && !has_scheme(&url, "http://") {
            return Err(URL_FORMS);
        }
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let pdf = path.len() >= 4
            && path.get(path.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".pdf"));
        Ok(if pdf { Self::PdfUrl(url) } else { Self::ImageUrl(url) })
    }

    /// From the fields of a `file` part.
    pub(super) fn from_file(file: &File<'a>) -> Result<Self, Refusal> {
        if let Some(data) = file.file_data {
            let data = data.decode();
            return if has_scheme(&data, "data:") {
                Self::from_data_url(&data)
            } else {
                let name = file.filename.map(RawStr::decode).unwrap_or_default();
                Self::from_bare(data, &name.to_ascii_lowercase())
            };
        }
        let id = file.file_id.map(RawStr::decode).unwrap_or_default();
        if id.starts_with("file_") {
            Ok(Self::File(id))
        } else {
            Err("is no id of Anthropic's file store: these begin with \"file_\"")
        }
    }

    /// The same, where `host` can have it.
    pub(super) fn at(self, host: Host) -> Result<Self, Refusal> {
        match (host, &self) {
            (Host::Vertex, Self::ImageUrl(_) | Self::PdfUrl(_)) => {
                Err("is not fetched by Vertex AI; give the bytes as a data: URL")
            }
            (Host::Vertex, Self::File(_)) => {
                Err("is no file that Vertex AI has; give the bytes as file_data")
            }
            _ => Ok(self),
        }
    }

    /// `data:image/png;base64,…`
    fn from_data_url(url: &Cow<'a, str>) -> Result<Self, Refusal> {
        let DataUrl { media_type, data } = DataUrl::parse(url).ok_or(URL_FORMS)?;
        Ok(match &*media_type {
            "image/jpeg" | "image/jpg" => Self::Image { media_type: "image/jpeg", data },
            "image/png" => Self::Image { media_type: "image/png", data },
            "image/gif" => Self::Image { media_type: "image/gif", data },
            "image/webp" => Self::Image { media_type: "image/webp", data },
            "application/pdf" => Self::Pdf(data),
            "text/plain" => Self::Text(text(&data)?),
            _ => return Err(MEDIA_TYPES),
        })
    }

    /// Base64 without a media type: the first bytes or the name must say what it is.
    fn from_bare(data: Cow<'a, str>, name: &str) -> Result<Self, Refusal> {
        // `%PDF-` in base64.
        if data.starts_with("JVBERi") || name.ends_with(".pdf") {
            Ok(Self::Pdf(data))
        } else if name.ends_with(".txt") {
            Ok(Self::Text(text(&data)?))
        } else {
            Err(
                "must be a data: URL, a PDF in base64, or have a filename that ends in .pdf or .txt",
            )
        }
    }

    /// Appends a block without its closing brace, so that a mark can follow.
    pub(super) fn write(&self, out: &mut Vec<u8>, title: Option<RawStr<'_>>) {
        let kind: &[u8] = match self {
            Self::Image { .. } | Self::ImageUrl(_) => br#"{"type":"image","source":{"type":""#,
            _ => br#"{"type":"document","source":{"type":""#,
        };
        out.put(kind);
        match self {
            Self::Image { media_type, data } => {
                out.put(br#"base64","media_type":""#);
                out.put(media_type.as_bytes());
                out.put(br#"","data":"#);
                quote(out, data);
            }
            Self::Pdf(data) => {
                out.put(br#"base64","media_type":"application/pdf","data":"#);
                quote(out, data);
            }
            Self::ImageUrl(url) | Self::PdfUrl(url) => {
                out.put(br#"url","url":"#);
                quote(out, url);
            }
            Self::Text(text) => {
                out.put(br#"text","media_type":"text/plain","data":"#);
                write_str(out, text);
            }
            Self::File(id) => {
                out.put(br#"file","file_id":"#);
                quote(out, id);
            }
        }
        out.mark(b'}');
        if let (Self::Pdf(_) | Self::PdfUrl(_) | Self::Text(_) | Self::File(_), Some(title)) =
            (self, title)
            && !title.is_blank()
        {
            out.put(b",\"title\":");
            out.put(title.as_written().as_bytes());
        }
    }
}

/// What is full of control characters is no text, and each of them would take six bytes of JSON.
fn text(base64: &str) -> Result<String, Refusal> {
    let is_text =
        |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n' | 0x0C | b'\r');
    decode_base64(base64)
        .filter(|bytes| bytes.iter().all(is_text))
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or("must hold UTF-8 text in base64")
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn block(url: &str) -> Result<String, Refusal> {
        let mut out = Vec::new();
        let json = serde_json::to_string(url).unwrap();
        Media::from_url(crate::openai::place::from_str(&json).unwrap())?.write(&mut out, None);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_data_url_becomes_base64_with_its_media_type() {
        assert_eq!(
            block("data:image/PNG;charset=x;base64,AAAA").unwrap(),
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}"#
        );
        assert!(block("data:image/jpg;base64,A").unwrap().contains("image/jpeg"));
        assert!(
            block("data:application/pdf;base64,A").unwrap().starts_with(r#"{"type":"document""#)
        );
    }

    #[test]
    fn escaped_slashes_in_a_url_are_understood() {
        let url: RawStr<'_> =
            crate::openai::place::from_str(r#""data:image\/gif;base64,A\/A""#).unwrap();
        let mut out = Vec::new();
        Media::from_url(url).unwrap().write(&mut out, None);
        assert!(out.ends_with(br#""media_type":"image/gif","data":"A/A"}"#));
    }

    #[test]
    fn a_url_is_fetched_by_the_provider_and_a_pdf_is_a_document() {
        assert_eq!(
            block("https://x.test/a?b=.pdf").unwrap(),
            r#"{"type":"image","source":{"type":"url","url":"https://x.test/a?b=.pdf"}"#
        );
        assert!(block("https://x.test/a.PDF?b").unwrap().starts_with(r#"{"type":"document""#));
    }

    #[test]
    fn other_media_and_schemes_are_refused() {
        for url in [
            "data:image/tiff;base64,A",
            "data:image/png,A",
            "data:image/png;base64",
            "gs://b/o",
            "",
        ] {
            assert!(block(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_text_document_holds_text() {
        let text = |data: &str| block(&format!("data:text/plain;base64,{data}"));
        assert!(text("YQkKDA0=").unwrap().contains(r#""data":"a\t\n\f\r""#));
        for data in ["YQBi", "AQ==", "Cw==", "/w==", "fw=="] {
            assert_eq!(text(data).unwrap_err(), "must hold UTF-8 text in base64", "{data}");
        }
    }
}
