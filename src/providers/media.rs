//! Pictures, sound and documents as clients send them: `data:` URLs and base64.

use std::borrow::Cow;

use crate::openai::json::write_str;

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
            out.push(b'"');
            out.extend_from_slice(plain.as_bytes());
            out.push(b'"');
        }
        Cow::Owned(text) => write_str(out, text),
    }
}

/// Decodes base64 with the letters of either alphabet, with or without padding.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\r' | b'\n' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xFF) as u8);
        }
    }
    // Six bits alone are no byte.
    (held < 6).then_some(bytes)
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
