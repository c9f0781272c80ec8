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

/// The text with each secret replaced by `***`.
#[must_use]
pub fn hide(text: &str, secrets: &[String]) -> String {
    let known = secrets.iter().filter(|secret| secret.len() >= MIN_SECRET_BYTES);
    known.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}
