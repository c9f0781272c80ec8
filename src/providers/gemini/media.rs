//! Pictures, sound, video and documents.

use std::borrow::Cow;

use super::surface::{Generation, Surface};
use crate::openai::json::{Append, RawStr};
use crate::openai::message::{File, InputAudio};
use crate::providers::media::{DataUrl, has_scheme, quote};

/// Why it cannot be sent: for a message that begins with the name of the field.
pub(super) type Refusal = &'static str;

/// Where media come from.
#[derive(Debug)]
pub(super) enum Media<'a> {
    /// `inlineData`: base64.
    Inline { media_type: Cow<'static, str>, data: Cow<'a, str> },
    /// `fileData`: what the provider fetches, or has in its own store.
    File { media_type: Option<&'static str>, uri: Cow<'a, str> },
}

/// Who fetches a URL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetches {
    pub(super) surface: Surface,
    pub(super) generation: Generation,
}

/// Endings of paths and what stands behind them.
const TYPES: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/plain"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("json", "application/json"),
    ("xml", "text/xml"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("aiff", "audio/aiff"),
    ("m4a", "audio/m4a"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("mov", "video/mov"),
    ("avi", "video/avi"),
    ("webm", "video/webm"),
    ("wmv", "video/wmv"),
    ("flv", "video/x-flv"),
    ("3gp", "video/3gpp"),
];

const URL_FORMS: Refusal = "must be a https: or gs: URL, or a data: URL with base64";

impl<'a> Media<'a> {
    /// From the URL of an `image_url` part. What no ending tells is taken for a JPEG.
    pub(super) fn from_url(url: RawStr<'a>, fetches: Fetches) -> Result<Self, Refusal> {
        let url = url.decode();
        if has_scheme(&url, "data:") {
            return Self::from_data_url(&url);
        }
        let media_type = if is_youtube(&url) {
            Some("video/mp4")
        } else {
            by_ending(&url).or_else(|| (!is_stored(&url)).then_some("image/jpeg"))
        };
        Self::fetched(url, media_type, fetches)
    }

    /// From the fields of a `file` part.
    pub(super) fn from_file(file: &File<'a>, fetches: Fetches) -> Result<Self, Refusal> {
        let name = file.filename.map(RawStr::decode).unwrap_or_default();
        if let Some(data) = file.file_data {
            let data = data.decode();
            if has_scheme(&data, "data:") {
                return Self::from_data_url(&data);
            }
            if is_url(&data) {
                let media_type = by_ending(&data).or_else(|| by_ending(&name));
                return Self::fetched(data, media_type, fetches);
            }
            // `%PDF-` in base64.
            let media_type = if data.starts_with("JVBERi") {
                "application/pdf"
            } else {
                by_ending(&name).ok_or(
                    "must be a data: URL, a PDF in base64, or have a filename that tells its type",
                )?
            };
            return Ok(Self::Inline { media_type: media_type.into(), data });
        }
        let id = file.file_id.map(RawStr::decode).unwrap_or_default();
        let media_type = by_ending(&id).or_else(|| by_ending(&name));
        if is_url(&id) {
            return Self::fetched(id, media_type, fetches);
        }
        if id.starts_with("files/") && fetches.surface == Surface::AiStudio {
            let uri = Cow::Owned(format!("{STORE}{id}"));
            return Ok(Self::File { media_type, uri });
        }
        Err(match fetches.surface {
            Surface::AiStudio => {
                "is no id of Gemini's file store: these begin with \"files/\" or are its URLs"
            }
            Surface::Vertex => "is no file that Vertex AI has: give a gs: or https: URL",
        })
    }

    /// From an `input_audio` part.
    pub(super) fn from_audio(audio: &InputAudio<'a>) -> Result<Self, Refusal> {
        let data = audio.data.decode();
        // Some clients write a URL here as they do for pictures.
        if has_scheme(&data, "data:") {
            return Self::from_data_url(&data);
        }
        let media_type = match &*audio.format.decode() {
            "wav" => "audio/wav",
            "mp3" => "audio/mp3",
            "aac" => "audio/aac",
            "flac" => "audio/flac",
            "ogg" | "opus" => "audio/ogg",
            "aiff" => "audio/aiff",
            _ => return Err("must be one of wav, mp3, aac, flac, ogg, aiff"),
        };
        Ok(Self::Inline { media_type: media_type.into(), data })
    }

    fn from_data_url(url: &Cow<'a, str>) -> Result<Self, Refusal> {
        let DataUrl { media_type, data } = DataUrl::parse(url).ok_or(URL_FORMS)?;
        if !media_type.contains('/') {
            return Err("must name the media type, such as data:image/png;base64,…");
        }
        let media_type = match &*media_type {
            "image/jpg" => Cow::Borrowed("image/jpeg"),
            "audio/mpeg" => Cow::Borrowed("audio/mp3"),
            "audio/x-wav" | "audio/wave" => Cow::Borrowed("audio/wav"),
            _ => Cow::Owned(media_type),
        };
        Ok(Self::Inline { media_type, data })
    }

    /// What the provider has to fetch, where it does.
    fn fetched(
        uri: Cow<'a, str>,
        media_type: Option<&'static str>,
        fetches: Fetches,
    ) -> Result<Self, Refusal> {
        let stored = is_stored(&uri) || is_youtube(&uri);
        match fetches.surface {
            Surface::AiStudio if stored => {}
            Surface::AiStudio if has_scheme(&uri, "gs://") => {
                return Err("is in Cloud Storage, which Gemini does not read; \
                            give the bytes as a data: URL");
            }
            Surface::AiStudio if has_scheme(&uri, "http://") => {
                return Err("is not fetched by Gemini; give a https: URL, or the bytes as data:");
            }
            Surface::AiStudio
                if fetches.generation == Generation::Old && has_scheme(&uri, "https://") =>
            {
                return Err("is not fetched by this model; give the bytes as a data: URL");
            }
            _ if is_url(&uri) => {}
            _ => return Err(URL_FORMS),
        }
        // Only the store knows by itself what it holds.
        if media_type.is_none() && !stored {
            return Err("does not tell its media type: it needs an ending such as .pdf");
        }
        Ok(Self::File { media_type, uri })
    }

    /// Whether it is a picture or video, whose resolution can be chosen.
    pub(super) fn is_visual(&self) -> bool {
        let media_type = match self {
            Self::Inline { media_type, .. } => Some(&**media_type),
            Self::File { media_type, .. } => *media_type,
        };
        media_type.is_none_or(|it| it.starts_with("image/") || it.starts_with("video/"))
    }

    /// Appends `"inlineData":{…}` or `"fileData":{…}`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Inline { media_type, data } => {
                out.put(br#""inlineData":{"mimeType":"#);
                quote_word(out, media_type);
                out.put(b",\"data\":");
                quote(out, data);
            }
            Self::File { media_type, uri } => {
                out.put(br#""fileData":{"#);
                if let Some(media_type) = media_type {
                    out.put(b"\"mimeType\":");
                    quote_word(out, media_type);
                    out.mark(b',');
                }
                out.put(b"\"fileUri\":");
                quote(out, uri);
            }
        }
        out.mark(b'}');
    }
}

fn quote_word(out: &mut Vec<u8>, word: &str) {
    crate::openai::json::write_str(out, word);
}

/// Where the files of AI Studio are.
const STORE: &str = "https://generativelanguage.googleapis.com/v1beta/";

fn is_stored(url: &str) -> bool {
    has_scheme(url, "https://generativelanguage.googleapis.com/")
}

fn is_youtube(url: &str) -> bool {
    ["https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"]
        .iter()
        .any(|start| has_scheme(url, start))
}

fn is_url(text: &str) -> bool {
    ["https://", "http://", "gs://"].iter().any(|scheme| has_scheme(text, scheme))
}

fn by_ending(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    let known = |known: &&(&str, &str)| known.0.eq_ignore_ascii_case(ending);
    TYPES.iter().find(known).map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const STUDIO: Fetches = Fetches { surface: Surface::AiStudio, generation: Generation::Third };
    const VERTEX: Fetches = Fetches { surface: Surface::Vertex, generation: Generation::Third };

    fn part(url: &str, fetches: Fetches) -> Result<String, Refusal> {
        let json = serde_json::to_string(url).unwrap();
        let mut out = Vec::new();
        Media::from_url(crate::openai::place::from_str(&json).unwrap(), fetches)?.write(&mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_ending_of_a_path_tells_the_media_type() {
        assert_eq!(by_ending("https://h/a.PDF?x=.png#y"), Some("application/pdf"));
        assert_eq!(by_ending("https://h.png/a"), None);
        assert_eq!(by_ending("clip.mov"), Some("video/mov"));
        assert_eq!(
            part("https://h/a", STUDIO).unwrap(),
            r#""fileData":{"mimeType":"image/jpeg","fileUri":"https://h/a"}"#
        );
    }

    #[test]
    fn ai_studio_reads_no_buckets_and_old_models_fetch_nothing() {
        assert!(part("gs://b/a.png", STUDIO).is_err());
        assert!(part("http://h/a.png", STUDIO).is_err());
        let old = Fetches { generation: Generation::Old, ..STUDIO };
        assert!(part("https://h/a.png", old).is_err());
        assert!(part("https://youtu.be/x", old).unwrap().contains("video/mp4"));
        let own = "https://generativelanguage.googleapis.com/v1beta/files/abc";
        assert_eq!(part(own, old).unwrap(), format!(r#""fileData":{{"fileUri":"{own}"}}"#));
        assert!(part("gs://b/a.png", VERTEX).unwrap().contains("image/png"));
        assert!(part("http://h/a.png", VERTEX).is_ok());
        assert!(part("ftp://h/a.png", VERTEX).is_err());
    }

    #[test]
    fn a_data_url_needs_a_media_type() {
        assert_eq!(
            part("data:image/JPG;base64,AAAA", STUDIO).unwrap(),
            r#""inlineData":{"mimeType":"image/jpeg","data":"AAAA"}"#
        );
        for url in ["data:;base64,AAAA", "data:image/png,AAAA", ""] {
            assert!(part(url, STUDIO).is_err(), "{url}");
        }
    }
}
