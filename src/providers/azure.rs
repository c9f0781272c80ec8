//! Azure OpenAI: OpenAI's API at a customer's own address, by deployment.
//!
//! | `api_version` | path | model in the body |
//! |---|---|---|
//! | a date, such as `2024-10-21` | `/openai/deployments/{deployment}/chat/completions?api-version=…` | as the client wrote it; Azure ignores it |
//! | `v1`, `latest` or none | `/openai/v1/chat/completions` | the deployment |
//! | `preview` | the same with `?api-version=preview` | the deployment |
//!
//! Without an `api_version` the path is the newer one: it needs no version, and every date would be
//! out of date some day. What Azure adds to answers for its content filter is passed on, except
//! events that hold nothing else, which clients cannot read.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::openai::quirks::AZURE;
use super::openai::{answer, request, stream};
use super::settings::Setting;
use super::stream::Sse;
use super::{
    Answer, Call, Chat, Dialect, Embeddings, Error, Headers, Outbound, Settings, Target,
    Translator, embeddings,
};

/// The settings of an entry: where it is, which deployment, which version, and what the secret is.
pub static SETTINGS: &[Setting] = &[
    Setting::text("endpoint"),
    Setting::text("deployment"),
    Setting::text("api_version"),
    Setting::word("auth", &["key", "entra"]),
];

/// Fields and the day of the first version that knows them (Azure's list of changes between
/// versions). Older ones refuse what they do not know.
const SINCE: &[(&str, &str)] = &[
    ("stream_options", "2024-09-01"),
    ("parallel_tool_calls", "2024-09-01"),
    ("store", "2024-10-01"),
    ("metadata", "2024-10-01"),
    ("reasoning_effort", "2024-12-01"),
    ("prediction", "2025-01-01"),
];

/// The day of the first version that knows `max_completion_tokens`.
const NEW_LIMIT: &str = "2024-09-01";

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Azure;

/// The address in the setting `endpoint`, with or without `https://` and a slash at its end.
///
/// # Errors
/// The setting is missing.
pub fn base_url(settings: &Settings) -> Result<String, &'static str> {
    let endpoint = settings.value("endpoint").ok_or("endpoint")?.trim().trim_end_matches('/');
    let has_scheme = endpoint.starts_with("https://") || endpoint.starts_with("http://");
    Ok(if has_scheme { endpoint.to_owned() } else { format!("https://{endpoint}") })
}

impl Dialect for Azure {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let deployment = target.settings.value("deployment").unwrap_or(target.model);
        let version = target.settings.value("api_version").unwrap_or("v1");
        let dated = dated(version);
        let too_new: Vec<&'static str> = SINCE
            .iter()
            .filter(|(_, since)| dated.is_some_and(|day| day < *since))
            .map(|(name, _)| *name)
            .collect();
        let place = request::Place {
            model: if dated.is_some() { &chat.model } else { deployment },
            too_new: &too_new,
            old_limit: dated.is_some_and(|day| day < NEW_LIMIT),
        };
        let mut warnings = Vec::new();
        let body = request::body(chat, body, target, &AZURE, place, &mut warnings)?;
        let path = path(&target.base.path, deployment, version, "chat/completions");
        let headers = AZURE.headers(target.settings);
        Ok(Outbound { method: "POST", path, headers, body, warnings })
    }

    fn answer(&self, call: &Call<'_>, _: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        answer::read(call, body)
    }

    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator> {
        Box::new(Sse::new(stream::Chunks::new(call, &AZURE)))
    }

    fn embed(
        &self,
        asked: &Embeddings<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let deployment = target.settings.value("deployment").unwrap_or(target.model);
        let version = target.settings.value("api_version").unwrap_or("v1");
        let model = if dated(version).is_some() { &*asked.model } else { deployment };
        let path = path(&target.base.path, deployment, version, "embeddings");
        let body = embeddings::openai::body(asked, body, &Target { model, ..*target });
        let headers = AZURE.headers(target.settings);
        Ok(Outbound { method: "POST", path, headers, body, warnings: Vec::new() })
    }

    fn embedded(
        &self,
        asked: &Embeddings<'_>,
        target: &Target<'_>,
        _: &Headers<'_>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        embeddings::openai::answer(asked, target, body)
    }

    fn credential(&self, secret: &str, settings: &Settings) -> (&'static str, String) {
        match settings.value("auth") {
            Some("entra") => ("authorization", format!("Bearer {secret}")),
            _ => ("api-key", secret.to_owned()),
        }
    }
}

/// The day of a dated version; nothing for the versions that follow none.
fn dated(version: &str) -> Option<&str> {
    (!matches!(version, "v1" | "latest" | "preview")).then_some(version)
}

/// The path of `operation`. An endpoint may be given with the start of the path, as the portal shows
/// it.
fn path(base: &str, deployment: &str, version: &str, operation: &str) -> String {
    let base = base.strip_suffix("/v1").unwrap_or(base);
    let base = base.strip_suffix("/openai").unwrap_or(base);
    match dated(version) {
        Some(version) => format!(
            "{base}/openai/deployments/{}/{operation}?api-version={}",
            encoded(deployment),
            encoded(version)
        ),
        None if version == "preview" => {
            format!("{base}/openai/v1/{operation}?api-version=preview")
        }
        None => format!("{base}/openai/v1/{operation}"),
    }
}

/// With everything escaped that could end the segment of a path or a value of the query.
fn encoded(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn settings(values: &[(&'static str, &str)]) -> Settings {
        Settings(values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    #[test]
    fn an_endpoint_is_taken_as_people_write_it() {
        for endpoint in
            ["https://x.openai.azure.com", "x.openai.azure.com/", " x.openai.azure.com// "]
        {
            let url = base_url(&settings(&[("endpoint", endpoint)]));
            assert_eq!(url, Ok("https://x.openai.azure.com".to_owned()));
        }
        assert_eq!(
            base_url(&settings(&[("endpoint", "http://h:1/a/")])),
            Ok("http://h:1/a".into())
        );
        assert_eq!(base_url(&settings(&[])), Err("endpoint"));
    }

    #[test]
    fn the_version_decides_about_the_path() {
        let v1 = "/openai/v1/chat/completions";
        for version in ["v1", "latest"] {
            assert_eq!(path("", "d", version, "chat/completions"), v1);
        }
        for base in ["/openai/v1", "/openai"] {
            assert_eq!(path(base, "d", "v1", "chat/completions"), v1);
        }
        assert_eq!(
            path("/p", "d", "preview", "chat/completions"),
            format!("/p{v1}?api-version=preview")
        );
        assert_eq!(
            path("", "a b/ü?", "2024-10-21&x", "embeddings"),
            "/openai/deployments/a%20b%2F%C3%BC%3F/embeddings?api-version=2024-10-21%26x"
        );
    }

    #[test]
    fn the_secret_is_a_key_or_a_token() {
        let key = Azure.credential("s", &settings(&[]));
        assert_eq!(key, ("api-key", "s".to_owned()));
        let key = Azure.credential("s", &settings(&[("auth", "key")]));
        assert_eq!(key, ("api-key", "s".to_owned()));
        let token = Azure.credential("s", &settings(&[("auth", "entra")]));
        assert_eq!(token, ("authorization", "Bearer s".to_owned()));
    }
}
