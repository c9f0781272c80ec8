//! Names of functions, in letters that the API takes: letters, digits and `_`, no digit first.
//!
//! OpenAI's may hold `-` and begin with a digit. Such a name is written anew, and read back from the
//! calls in an answer.

use crate::openai::json::Append;
use std::borrow::Cow;

/// Stands before every name that was written anew, and before no other.
const MARK: &str = "waypost_";

/// The name as the API takes it. No two names become one.
pub(super) fn fit(name: &str) -> Cow<'_, str> {
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.starts_with(MARK);
    if fits && !name.is_empty() {
        return Cow::Borrowed(name);
    }
    let mut written = String::from(MARK);
    for byte in name.bytes() {
        match byte {
            b'_' => written.push_str("__"),
            _ if byte.is_ascii_alphanumeric() => written.push(char::from(byte)),
            _ => written.push_str(&format!("_{byte:02X}")),
        }
    }
    Cow::Owned(written)
}

/// The name that [`fit`] wrote anew, or the name itself.
pub(super) fn original(name: Cow<'_, str>) -> String {
    match name.strip_prefix(MARK).and_then(read) {
        Some(original) => original,
        None => name.into_owned(),
    }
}

fn read(written: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    loop {
        rest = match rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'_', b'_', rest @ ..] => {
                bytes.mark(b'_');
                rest
            }
            [b'_', high, low, rest @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest
            }
            [b'_', ..] => return None,
            [byte, rest @ ..] => {
                bytes.push(*byte);
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

    #[test]
    fn every_name_fits_and_comes_back() {
        let mut seen = std::collections::BTreeSet::new();
        for name in [
            "f",
            "get-weather",
            "get_weather",
            "1st",
            "",
            "waypost_",
            "waypost_a_2Db",
            "a-b",
            "é.b",
        ] {
            let written = fit(name).into_owned();
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            assert!(written.bytes().all(fits) && !written.is_empty(), "{name}: {written}");
            assert_eq!(original(Cow::Borrowed(&written)), name);
            assert!(seen.insert(written), "{name}");
        }
        assert_eq!(fit("get-weather"), "waypost_get_2Dweather");
        assert_eq!(fit("get_weather"), "get_weather");
    }

    #[test]
    fn what_only_looks_like_ours_stays() {
        for name in ["waypost_a_", "waypost__G", "waypost_a_zz", "waypost_a_FF"] {
            assert_eq!(original(Cow::Borrowed(name)), name);
        }
    }
}
