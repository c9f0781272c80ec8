//! Ids and names that other providers made.
//!
//! The API takes only letters, digits, `_` and `-`. What fits stays as it is; the rest is written
//! in them so that no two ids become one, and the same id becomes the same in every request.

use std::borrow::Cow;

/// Stands in front of what was rewritten. An id that begins so by itself is rewritten too.
const PREFIX: &str = "waypost_";

/// The id in letters that the API takes.
pub(super) fn fit(id: &str) -> Cow<'_, str> {
    if fits(id) && !id.starts_with(PREFIX) { Cow::Borrowed(id) } else { Cow::Owned(rewrite(id)) }
}

/// The name of a function that was called, in letters that the API takes. Those of the functions
/// that can be called fit already, and a call has to name one as it is.
pub(super) fn fit_name(name: &str) -> Cow<'_, str> {
    if fits(name) { Cow::Borrowed(name) } else { Cow::Owned(rewrite(name)) }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn fits(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| is_plain(byte) || byte == b'_')
}

fn rewrite(id: &str) -> String {
    let mut safe = String::with_capacity(PREFIX.len() + 3 * id.len());
    safe.push_str(PREFIX);
    for byte in id.bytes() {
        if is_plain(byte) {
            safe.push(char::from(byte));
        } else if byte == b'_' {
            safe.push_str("__");
        } else {
            safe.push('_');
            for half in [byte >> 4, byte & 0xF] {
                let digit = char::from_digit(half.into(), 16).unwrap_or('0');
                safe.push(digit.to_ascii_uppercase());
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_id_that_fits_stays() {
        for id in ["toolu_01A", "call-9", "functions_1", "x"] {
            assert!(matches!(fit(id), Cow::Borrowed(kept) if kept == id));
        }
    }

    #[test]
    fn rewritten_ids_fit_and_never_meet() {
        let ids = [
            "",
            "a.b",
            "a:b",
            "a_2Eb",
            "a_.b",
            "a__b.",
            "é",
            "waypost_a_2Eb",
            "waypost_",
            "a b",
            "functions.f:0",
            "waypost_a.b",
        ];
        let mut seen = std::collections::BTreeSet::new();
        for id in ids {
            let safe = fit(id).into_owned();
            assert!(safe.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            assert!(!safe.is_empty() && seen.insert(safe), "{id}");
        }
    }

    #[test]
    fn a_name_that_fits_stays_whatever_it_begins_with() {
        assert_eq!(fit_name("waypost_x"), "waypost_x");
        assert_eq!(fit_name("a.b"), "waypost_a_2Eb");
    }

    #[test]
    fn a_long_id_is_not_cut() {
        assert_eq!(fit(&".".repeat(300)).len(), PREFIX.len() + 900);
    }
}
