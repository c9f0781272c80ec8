//! What of a provider's error a client is told.

use crate::openai::{Class, Error};

/// A refusal of the gateway's own credential is not the client's business: its own key is fine.
#[must_use]
pub fn for_client(error: &Error, provider: &str) -> Error {
    match error.class {
        Class::Auth | Class::Permission => Error {
            retry_after_ms: error.retry_after_ms,
            ..Error::new(
                Class::Server,
                format!("The provider \"{provider}\" refused the gateway's own credential."),
            )
            .with_code("provider_auth_failed")
        },
        _ => error.clone(),
    }
}

/// Shortest secret that is looked for in what a provider says; a shorter one could be any word.
pub const MIN_SECRET_BYTES: usize = 8;

/// The error without the keys that the provider was sent, should it repeat them. What looks like
/// some key is taken out by the dialects already; these are known, whatever they look like.
#[must_use]
pub fn without_secrets(error: &Error, secrets: &[String]) -> Error {
    Error {
        kind: hide(&error.kind, secrets).into(),
        message: hide(&error.message, secrets),
        param: error.param.as_deref().map(|param| hide(param, secrets)),
        code: error.code.as_deref().map(|code| hide(code, secrets).into()),
        ..error.clone()
    }
}

/// Shortest beginning of a secret that is looked for where a text was cut.
const MIN_CUT_BYTES: usize = 4;

/// The mark behind what was cut.
const CUT: char = '…';

/// The text with each secret replaced by `***`, and the beginning of one where it was cut.
#[must_use]
pub fn hide(text: &str, secrets: &[String]) -> String {
    let known = secrets.iter().filter(|secret| secret.len() >= MIN_SECRET_BYTES);
    known.fold(text.to_owned(), |text, secret| {
        let text = text.replace(secret.as_str(), "***");
        if text.contains(CUT) { without_beginning(&text, secret) } else { text }
    })
}

fn without_beginning(text: &str, secret: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(CUT) {
        let cut = piece.strip_suffix(CUT);
        let begun = |end: &usize| {
            let start = secret.get(..*end);
            start.zip(cut).is_some_and(|(start, cut)| cut.ends_with(start))
        };
        match (MIN_CUT_BYTES..secret.len()).rev().find(begun) {
            Some(end) => {
                let length = piece.len() - CUT.len_utf8() - end;
                out.push_str(piece.get(..length).unwrap_or_default());
                out.push_str("***");
                out.push(CUT);
            }
            None => out.push_str(piece),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::openai::error::MAX_MESSAGE_BYTES;

    #[test]
    fn a_message_that_is_cut_within_a_key_does_not_hold_its_beginning() {
        let secret = "0a1B-2c3D-é-4e5F-6071".to_owned();
        let begun = secret.get(..MIN_CUT_BYTES).unwrap();
        for before in MAX_MESSAGE_BYTES - 40..MAX_MESSAGE_BYTES + 4 {
            let message = format!("{}{secret} was sent", "x".repeat(before));
            let error = Error::new(Class::Server, message);
            let seen = without_secrets(&error, std::slice::from_ref(&secret));
            let streamed =
                hide(&format!("data: {:?}", error.message), std::slice::from_ref(&secret));
            for text in [seen.message, streamed] {
                assert!(!text.contains(begun), "{before}: {text}");
            }
        }
        // Nothing else that ends with such a mark is changed.
        assert_eq!(hide("0a1 … 0a1B-x… and 0a", &[secret]), "0a1 … 0a1B-x… and 0a");
    }
}
