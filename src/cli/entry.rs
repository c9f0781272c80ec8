//! A provider's entry as it stands in the configuration, alone in a file.

use serde_json::Value;

use super::BadUsage;
use crate::providers::registry::{Api, Setting};
use crate::providers::{Base, Policy, Settings};

/// Keys of every provider's entry, besides the settings of its dialect. Those that say nothing of
/// the translation may stand there, so that an entry can be copied from a configuration.
const KEYS: &[&str] = &[
    "api",
    "base_url",
    "credentials",
    "drop_unsupported",
    "endpoints",
    "models",
    "reject_out_of_range",
];

/// How alike two words must be, from 0 to 1, for one to be offered in place of the other.
const ALIKE: f64 = 0.75;

/// What of an entry matters to a translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From `base_url`, or the API's own.
    pub base: Base,
    /// The settings of the dialect.
    pub settings: Settings,
    /// From `drop_unsupported` and `reject_out_of_range`.
    pub policy: Policy,
}

/// Reads a provider's entry.
///
/// # Errors
/// The first key or value that does not belong there, with the nearest one that does.
pub fn provider_entry(entry: &Value, api: &Api) -> Result<Entry, BadUsage> {
    let Some(entry) = entry.as_object() else {
        return Err(BadUsage("a provider's entry must be an object".into()));
    };
    let mut base_url = api.base_url;
    let mut settings = Settings::default();
    let mut policy = Policy::default();
    for (key, value) in entry {
        match key.as_str() {
            "api" if text(key, value)? != api.name => {
                let message = format!("api: the entry says {value}, but --api says {:?}", api.name);
                return Err(BadUsage(message));
            }
            "api" | "credentials" | "endpoints" => {}
            "base_url" => base_url = text(key, value)?,
            "drop_unsupported" => policy.drop_unsupported = flag(key, value)?,
            "models" if !value.is_object() => return Err(wrong(key, "an object", value)),
            "models" => {}
            "reject_out_of_range" => policy.reject_out_of_range = flag(key, value)?,
            _ => match api.settings.iter().find(|setting| setting.name == key) {
                Some(setting) => settings.0.push((setting.name, setting_value(setting, value)?)),
                None => return Err(unknown_key(key, api)),
            },
        }
    }
    let base = Base::parse(base_url).ok_or_else(|| {
        BadUsage(format!("base_url: {base_url:?} is not of the form https://host[:port][/path]"))
    })?;
    Ok(Entry { base, settings, policy })
}

/// The word of `words` that is most like `word`, if one is like it at all.
pub fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    words
        .into_iter()
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// `what` is unknown: which is meant perhaps, and which there are.
#[must_use]
pub fn unknown(what: &str, word: &str, words: &[&str]) -> BadUsage {
    let meant = nearest(word, words.iter().copied())
        .map(|known| format!("; did you mean {known:?}?"))
        .unwrap_or_else(|| ";".into());
    BadUsage(format!("{what}: {word:?} is unknown{meant} valid: {}", words.join(", ")))
}

fn unknown_key(key: &str, api: &Api) -> BadUsage {
    let mut words: Vec<&str> = KEYS.to_vec();
    words.extend(api.settings.iter().map(|setting| setting.name));
    words.sort_unstable();
    unknown("key of the provider's entry", key, &words)
}

fn setting_value(setting: &Setting, value: &Value) -> Result<String, BadUsage> {
    let text = text(setting.name, value)?;
    if setting.values.is_empty() || setting.values.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(unknown(setting.name, text, setting.values))
    }
}

fn text<'v>(key: &str, value: &'v Value) -> Result<&'v str, BadUsage> {
    value.as_str().ok_or_else(|| wrong(key, "a text", value))
}

fn flag(key: &str, value: &Value) -> Result<bool, BadUsage> {
    value.as_bool().ok_or_else(|| wrong(key, "true or false", value))
}

fn wrong(key: &str, wanted: &str, value: &Value) -> BadUsage {
    BadUsage(format!("{key}: must be {wanted}, but is {value}"))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::providers::registry::find;

    fn read(entry: &Value) -> Result<Entry, BadUsage> {
        provider_entry(entry, find("anthropic").unwrap())
    }

    #[test]
    fn an_empty_entry_means_the_defaults_of_the_api() {
        let entry = read(&json!({})).unwrap();
        assert_eq!(entry.base.authority, "api.anthropic.com");
        assert_eq!((entry.settings, entry.policy), (Settings::default(), Policy::default()));
    }

    #[test]
    fn every_key_of_a_configuration_may_stand_there() {
        let entry = read(&json!({
            "api": "anthropic", "base_url": "http://127.0.0.1:8080/x/", "credentials": [{"env": "K"}],
            "endpoints": [{"cluster": "c"}], "models": {"m": {}}, "drop_unsupported": true,
            "reject_out_of_range": true, "anthropic_version": "2023-06-01",
        }))
        .unwrap();
        assert_eq!(entry.base, Base { authority: "127.0.0.1:8080".into(), path: "/x".into() });
        assert_eq!(entry.settings.value("anthropic_version"), Some("2023-06-01"));
        assert_eq!(entry.policy, Policy { drop_unsupported: true, reject_out_of_range: true });
    }

    #[test]
    fn what_does_not_belong_there_is_named_with_the_nearest_that_does() {
        for (entry, said) in [
            (json!({"base_ulr": "https://x"}), "did you mean \"base_url\"?"),
            (json!({"anthropic_versoin": "auto"}), "did you mean \"anthropic_version\"?"),
            (json!({"anthropic_version": "2023-06-02"}), "did you mean \"2023-06-01\"?"),
            (json!({"zzz": 1}), "\"zzz\" is unknown; valid: anthropic_beta, "),
            (json!({"organization": "o"}), "\"organization\" is unknown"),
            (json!({"api": "openai"}), "--api says \"anthropic\""),
            (json!({"base_url": "host"}), "\"host\" is not of the form"),
            (json!({"base_url": 7}), "base_url: must be a text, but is 7"),
            (json!({"models": []}), "models: must be an object, but is []"),
            (json!({"drop_unsupported": "yes"}), "must be true or false, but is \"yes\""),
            (json!([]), "must be an object"),
        ] {
            let BadUsage(message) = read(&entry).unwrap_err();
            assert!(message.contains(said), "{entry}: {message}");
        }
    }
}
