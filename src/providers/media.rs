//! Pictures, sound and documents as clients send them: `data:` URLs and base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::openai::json::{Append, write_str};

/// A `data:` URL with base64.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DataUrl<'a> {
    /// In lower case, without parameters, such as `image/png`.
    pub media_type: String,
    /// The base64, not decoded.
    pub data: Cow<'a, str>,
}

impl<'a> DataUrl<'a> {
    /// Takes `data:image/png;charset=x;base64,…` apart; nothing when it is not of that form.
    pub(crate) fn parse(url: &Cow<'a, str>) -> Option<Self> {
        let comma = url.find(',').filter(|_| has_scheme(url, "data:"))?;
        let (declared, encoding) = url.get("data:".len()..comma)?.rsplit_once(';')?;
        if !encoding.trim().eq_ignore_ascii_case("base64") {
            return None;
        }
        let media_type = declared.split(';').next().unwrap_or_default().trim();
        let data = match url {
            Cow::Borrowed(url) => Cow::Borrowed(url.get(comma + 1..).unwrap_or_default()),
            Cow::Owned(url) => Cow::Owned(url.get(comma + 1..).unwrap_or_default().to_owned()),
        };
        Some(Self { media_type: media_type.to_ascii_lowercase(), data })
    }
}

/// Whether the URL begins with `scheme`, such as `https://`, in any case of letters.
pub(crate) fn has_scheme(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Appends a JSON string. What is still borrowed stood in a JSON string without escapes, so it needs none now.
#[expect(clippy::ptr_arg, reason = "whether it is borrowed is what counts")]
pub(crate) fn quote(out: &mut Vec<u8>, text: &Cow<'_, str>) {
    match text {
        Cow::Borrowed(plain) => {
            out.mark(b'"');
            out.put(plain.as_bytes());
            out.mark(b'"');
        }
        Cow::Owned(text) => write_str(out, text),
    }
}

/// Takes what is not padded, and what follows the last whole byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 with the letters of either alphabet, with or without padding, in lines or in one.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let digits: Vec<u8> = digits
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            _ => byte,
        })
        .collect();
    BASE64.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn base64_is_decoded_in_both_alphabets() {
        assert_eq!(decode_base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(decode_base64("aGVsbG8").unwrap(), b"hello");
        assert_eq!(decode_base64("-_-_").unwrap(), [0xFB, 0xFF, 0xBF]);
        assert_eq!(decode_base64("aGVs\r\nbG8=").unwrap(), b"hello");
        assert_eq!(decode_base64("aGVsbG9").unwrap(), b"hello");
        assert_eq!(decode_base64("a"), None);
        assert_eq!(decode_base64("a!"), None);
    }

    #[test]
    fn a_data_url_is_taken_apart_and_what_is_none_is_nothing() {
        let parse = |url: &'static str| DataUrl::parse(&Cow::Borrowed(url));
        let found = parse("DATA:image/PNG;charset=x;base64,AA,A").unwrap();
        assert_eq!((&*found.media_type, &*found.data), ("image/png", "AA,A"));
        for url in
            ["data:image/png,AAAA", "data:image/png;base64", "https://x;base64,A", "data:", ""]
        {
            assert_eq!(parse(url), None, "{url}");
        }
    }
}
