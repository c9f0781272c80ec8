//! Azure OpenAI: OpenAI's API at a customer's own address, by deployment.
//!
//! | `api_version` | path | model in the body |
//! |---|---|---|
//! | a date, such as `2024-10-21` | `/openai/deployments/{deployment}/chat/completions?api-version=…` | as the client wrote it; Azure ignores it |
//! | `v1`, `latest` or none | `/openai/v1/chat/completions` | the deployment |
//! | `preview` | the same with `?api-version=preview` | the deployment |
//!
//! Without an `api_version` the path is the newer one: it needs no version, and every date would be
//! out of date some day. An endpoint may be the whole address of a deployment, as the portal shows
//! it: then it tells the deployment and the version, where the settings do not. What Azure adds to answers for its content filter is passed on, except
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

/// The address in the setting `endpoint`, with or without `https://`, a slash at its end and the
/// version in its query.
///
/// # Errors
/// The setting is missing.
pub fn base_url(settings: &Settings) -> Result<String, &'static str> {
    let endpoint = settings.value("endpoint").ok_or("endpoint")?.trim();
    let address = match endpoint.split_once('?') {
        Some((address, query)) if version_in(query).is_some() => address,
        _ => endpoint,
    };
    let (scheme, rest) = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = address.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some((scheme, rest))
        })
        // Another scheme stays, and makes it no URL.
        .unwrap_or_else(|| (if address.contains("://") { "" } else { "https://" }, address));
    Ok(format!("{scheme}{}", rest.trim_end_matches('/')))
}

/// The version in the query of an address.
fn version_in(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("api-version=")).filter(|it| !it.is_empty())
}

/// Which deployment is asked where, and in which version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Site<'t> {
    /// What stands before `/openai` in the path.
    path: &'t str,
    deployment: &'t str,
    version: &'t str,
}

impl<'t> Site<'t> {
    fn of(target: &Target<'t>) -> Self {
        let settings = target.settings;
        let path = &*target.base.path;
        let inner = || path.strip_suffix("/openai").map(str::len);
        let (path, rest) = match path.find("/openai/").or_else(inner) {
            Some(at) => path.split_at_checked(at).unwrap_or((path, "")),
            None => (path, ""),
        };
        let named =
            rest.strip_prefix("/openai/deployments/").and_then(|rest| rest.split('/').next());
        let query = settings.value("endpoint").and_then(|endpoint| endpoint.split_once('?'));
        let told = query.and_then(|(_, query)| version_in(query.trim()));
        Self {
            path,
            deployment: settings.value("deployment").or(named).unwrap_or(target.model),
            version: settings.value("api_version").map(str::trim).or(told).unwrap_or("v1"),
        }
    }

    /// The day of a dated version; nothing for the versions that follow none.
    fn day(self) -> Option<&'t str> {
        let dateless = ["v1", "latest", "preview"];
        let is_dateless = dateless.iter().any(|word| self.version.eq_ignore_ascii_case(word));
        (!is_dateless).then_some(self.version)
    }

    /// The path of `operation`.
    fn path_of(self, operation: &str) -> String {
        let Self { path, deployment, version } = self;
        match self.day() {
            Some(version) => format!(
                "{path}/openai/deployments/{}/{operation}?api-version={}",
                encoded(deployment),
                encoded(version)
            ),
            None if version.eq_ignore_ascii_case("preview") => {
                format!("{path}/openai/v1/{operation}?api-version=preview")
            }
            None => format!("{path}/openai/v1/{operation}"),
        }
    }

    /// The path of the list of models: of the whole resource, whatever is deployed.
    fn list(self) -> String {
        match self.day() {
            Some(version) => {
                format!("{}/openai/models?api-version={}", self.path, encoded(version))
            }
            None => self.path_of("models"),
        }
    }
}

impl Dialect for Azure {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let site = Site::of(target);
        let dated = site.day();
        let too_new: Vec<&'static str> = SINCE
            .iter()
            .filter(|(_, since)| dated.is_some_and(|day| day < *since))
            .map(|(name, _)| *name)
            .collect();
        let place = request::Place {
            model: if dated.is_some() { &chat.model } else { site.deployment },
            too_new: &too_new,
            old_limit: dated.is_some_and(|day| day < NEW_LIMIT),
        };
        let mut warnings = Vec::new();
        let body = request::body(chat, body, target, &AZURE, place, &mut warnings)?;
        let path = site.path_of("chat/completions");
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
        let site = Site::of(target);
        let model = if site.day().is_some() { &*asked.model } else { site.deployment };
        let path = site.path_of("embeddings");
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

    fn models(&self, target: &Target<'_>) -> Option<Outbound> {
        Some(Outbound::get(Site::of(target).list(), AZURE.headers(target.settings)))
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
    use crate::providers::catalogue::Facts;
    use crate::providers::{Base, Policy};

    fn settings(values: &[(&'static str, &str)]) -> Settings {
        Settings(values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    #[test]
    fn an_endpoint_is_taken_as_people_write_it() {
        for endpoint in [
            "https://x.openai.azure.com",
            "x.openai.azure.com/",
            " x.openai.azure.com// ",
            "HTTPS://x.openai.azure.com",
            "https://x.openai.azure.com/?api-version=2024-10-21",
        ] {
            let url = base_url(&settings(&[("endpoint", endpoint)]));
            assert_eq!(url, Ok("https://x.openai.azure.com".to_owned()));
        }
        assert_eq!(
            base_url(&settings(&[("endpoint", "http://h:1/a/")])),
            Ok("http://h:1/a".into())
        );
        assert_eq!(base_url(&settings(&[])), Err("endpoint"));
        for endpoint in ["https://", "ftp://x", "https://x?y=1", "https://u:p@x", ":", "é/?", "?"]
        {
            let url = base_url(&settings(&[("endpoint", endpoint)])).unwrap();
            assert!(Base::parse(&url).is_none_or(|_| [":", "é/?"].contains(&endpoint)), "{url}");
        }
    }

    fn path(values: &[(&'static str, &str)], model: &str) -> (String, String) {
        let settings = settings(values);
        let base = Base::parse(&base_url(&settings).unwrap()).unwrap();
        let facts = Facts::unknown();
        let policy = Policy::default();
        let target = Target { base: &base, settings: &settings, model, facts: &facts, policy };
        let site = Site::of(&target);
        (site.path_of("embeddings"), site.deployment.to_owned())
    }

    #[test]
    fn the_version_decides_about_the_path() {
        let v1 = "/openai/v1/embeddings";
        for version in ["v1", "latest", "V1"] {
            assert_eq!(path(&[("endpoint", "x"), ("api_version", version)], "m").0, v1);
        }
        for endpoint in ["x", "x/openai", "x/openai/", "x/openai/v1", "x/openai/v1/embeddings"] {
            assert_eq!(path(&[("endpoint", endpoint)], "m"), (v1.to_owned(), "m".to_owned()));
        }
        assert_eq!(
            path(&[("endpoint", "x/p/openai/v1"), ("api_version", "preview")], "m").0,
            format!("/p{v1}?api-version=preview")
        );
        let deployed = [("deployment", "a b/ü?"), ("api_version", " 2024-10-21&x ")];
        assert_eq!(
            path(&[deployed.as_slice(), &[("endpoint", "x/openaix")]].concat(), "m").0,
            "/openaix/openai/deployments/a%20b%2F%C3%BC%3F/embeddings?api-version=2024-10-21%26x"
        );
    }

    #[test]
    fn an_endpoint_may_tell_the_deployment_and_the_version() {
        let whole = "https://x/openai/deployments/d/chat/completions?api-version=2024-10-21";
        let (there, deployment) = path(&[("endpoint", whole)], "m");
        assert_eq!(there, "/openai/deployments/d/embeddings?api-version=2024-10-21");
        assert_eq!(deployment, "d");
        let settings = [("endpoint", whole), ("deployment", "e"), ("api_version", "v1")];
        assert_eq!(path(&settings, "m"), ("/openai/v1/embeddings".to_owned(), "e".to_owned()));
        let newer = path(&[("endpoint", "x/openai/deployments/d/")], "m");
        assert_eq!(newer, ("/openai/v1/embeddings".to_owned(), "d".to_owned()));
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
