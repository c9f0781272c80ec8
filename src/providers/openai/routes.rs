//! Fields by which a client would choose who answers at a provider, and those for which the provider
//! charges beside its tokens. Names and kinds of plugins are those of OpenRouter's API reference.

use serde_json::value::RawValue;

use super::quirks::{PLUGINS, Quirks, TIER};
use crate::openai::json::RawStr;
use crate::openai::message::Items;
use crate::openai::object::Members;
use crate::openai::place::from_str;

/// Plugins that leave the model as it is, and whether each has its price. All others may ask models of
/// their own: a router's, a panel's.
const NEUTRAL: [(&str, bool); 6] = [
    ("context-compression", false),
    ("file-parser", true),
    ("moderation", false),
    ("response-healing", false),
    ("web", true),
    ("web-fetch", true),
];

/// Tiers that cost what is listed.
const LISTED: [&str; 5] = ["auto", "default", "on_demand", "standard", "standard_only"];

/// Whether a field that can choose who answers does so.
pub(crate) fn chooses(name: &str, value: &RawValue) -> bool {
    match name {
        PLUGINS => plugins(value, |_| false, true),
        _ => !matches!(value.get(), "\"\"" | "{}" | "[]"),
    }
}

/// Whether a field that can cost something does so.
pub(crate) fn charges(name: &str, value: &RawValue) -> bool {
    match name {
        PLUGINS => plugins(value, |costs| costs, false),
        TIER => is_dearer(value),
        _ => value.get() != "false",
    }
}

/// Whether this `service_tier` is one that costs other than what is listed.
pub(crate) fn is_dearer(value: &RawValue) -> bool {
    RawStr::from_raw(value).is_none_or(|tier| !LISTED.contains(&&*tier.decode()))
}

/// What a client is told of a field by which it would choose.
pub(crate) fn message(name: &str, quirks: &Quirks) -> String {
    format!("'{name}' would choose models at {}, which is for the gateway's rules.", quirks.name)
}

/// Whether any plugin is so: by `known` one of those above, by `other` any else, or one that names none.
fn plugins(value: &RawValue, known: impl Fn(bool) -> bool, other: bool) -> bool {
    let Ok(all) = from_str::<Items<Members<'_>>>(value.get()) else { return other };
    all.0.iter().any(|plugin| {
        // Who reads the last of two names is told the same as who reads the first.
        let mut ids = plugin.0.iter().filter(|(name, _)| name == "id").peekable();
        ids.peek().is_none() && other
            || ids.any(|(_, id)| {
                let id = RawStr::from_raw(id).map(RawStr::decode).unwrap_or_default();
                let found = NEUTRAL.iter().find(|(name, _)| *name == id);
                found.map_or(other, |(_, costs)| known(*costs))
            })
    })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn of(json: &str, asks: impl Fn(&RawValue) -> bool) -> bool {
        asks(from_str(json).unwrap())
    }

    #[test]
    fn only_plugins_that_leave_the_model_choose_nothing() {
        let chooses = |json: &str| of(json, |value| chooses(PLUGINS, value));
        for neutral in ["[]", r#"[{"id":"web"}]"#, r#"[{"id":"file-parser","pdf":{"engine":"x"}}]"#]
        {
            assert!(!chooses(neutral), "{neutral}");
        }
        for other in [
            r#"[{"id":"auto-router"}]"#,
            r#"[{"id":"web"},{"id":"fusion","analysis_models":["x"]}]"#,
            r#"[{"id":"web","id":"fusion"}]"#,
            r#"[{"id":"fusion","id":"web"}]"#,
            r#"[{"i\u0064":"fusion"}]"#,
            r#"[{"id":7}]"#,
            "[{}]",
            r#"["fusion"]"#,
            r#"{"id":"fusion"}"#,
        ] {
            assert!(chooses(other), "{other}");
        }
    }

    #[test]
    fn what_costs_no_more_than_listed_is_not_named() {
        let charges = |name: &str, json: &str| of(json, |value| charges(name, value));
        assert!(charges(PLUGINS, r#"[{"id":"response-healing"},{"id":"web"}]"#));
        assert!(!charges(PLUGINS, r#"[{"id":"response-healing"}]"#));
        assert!(charges(TIER, "\"flex\"") && charges(TIER, "7"));
        assert!(!charges(TIER, "\"auto\"") && !charges(TIER, "\"defa\\u0075lt\""));
        assert!(charges("enable_search", "true") && !charges("enable_search", "false"));
    }

    #[test]
    fn a_field_that_says_nothing_chooses_nothing() {
        for (json, asks) in [("\"\"", false), ("{}", false), ("\"x\"", true), (r#"{"a":1}"#, true)]
        {
            assert_eq!(of(json, |value| chooses("preset", value)), asks, "{json}");
        }
    }
}
