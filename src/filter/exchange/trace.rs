//! What Envoy's spans have been told: the words, and the last of each.

use crate::filter::refusal::Refusal;

/// Filter state for the spans: each is `wasm.` + name. What each says stands in docs/traces.md.
pub const WORDS: [&str; 20] = [
    NAME,
    OPERATION,
    "waypost_span_provider",
    "waypost_span_asked",
    "waypost_span_stream",
    "waypost_span_model",
    "waypost_span_first",
    "waypost_span_input",
    "waypost_span_output",
    "waypost_span_cache_read",
    "waypost_span_cache_write",
    "waypost_span_reasoning",
    "waypost_span_attempts",
    "waypost_span_cost",
    "waypost_span_estimated",
    ERROR,
    RULE,
    TENANT,
    "waypost_span_entry",
    "waypost_span_outcome",
];

const NAME: &str = "waypost_span";
const OPERATION: &str = "waypost_span_operation";
pub(super) const ERROR: &str = "waypost_span_error";
const RULE: &str = "waypost_span_rule";
const TENANT: &str = "waypost_span_tenant";

/// What its spans say, in the order of [`WORDS`]. One without a value is empty: Envoy leaves out its
/// attribute.
pub(super) type Said = Vec<String>;

/// The trace of an exchange.
#[derive(Debug, Default)]
pub struct Trace {
    /// What Envoy has been told last.
    told: Said,
    /// The class of the error that the client got, where it is not that of the last attempt.
    pub error: Option<&'static str>,
    /// The `traceparent` of the last attempt, for its provider: Envoy's own where it traces, else the
    /// client's.
    parent: Option<String>,
}

impl Trace {
    /// Notes the `traceparent` of an attempt, if it is one: `00-TRACE-PARENT-FLAGS` in hexadecimal digits.
    pub fn follow(&mut self, mut parent: Vec<u8>) -> Option<&str> {
        parent.make_ascii_lowercase();
        let hex = |part: &[u8], size| part.len() == size && part.iter().all(u8::is_ascii_hexdigit);
        let mut parts = parent.split(|b| *b == b'-');
        let sizes = [2, 32, 16, 2];
        let all = sizes.iter().all(|size| parts.next().is_some_and(|part| hex(part, *size)));
        let well = all && parts.next().is_none();
        self.parent = String::from_utf8(parent).ok().filter(|_| well);
        self.parent.as_deref()
    }

    /// The W3C trace id: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.parent.as_deref()?.split('-').nth(1)
    }

    /// What Envoy has to be told for its spans to say `said`.
    pub(super) fn news(&mut self, said: Said) -> Vec<(&'static str, String)> {
        self.told.resize(WORDS.len(), String::new());
        let mut news = Vec::new();
        for ((name, told), said) in WORDS.iter().zip(&mut self.told).zip(said) {
            if *told != said {
                told.clone_from(&said);
                news.push((*name, said));
            }
        }
        news
    }
}

/// What has to be told for the span of a request that was refused before anyone was asked.
#[must_use]
pub fn span_of_refusal(
    refusal: &Refusal,
    operation: Option<&str>,
    tenant: &str,
) -> Vec<(&'static str, String)> {
    vec![
        (NAME, operation.unwrap_or("refused").to_owned()),
        (OPERATION, operation.unwrap_or_default().to_owned()),
        (ERROR, refusal.error.class.word().to_owned()),
        (RULE, refusal.rule.clone()),
        (TENANT, tenant.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn only_a_well_formed_parent_is_followed() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut trace = Trace::default();
        assert_eq!(trace.follow(good.into()), Some(good));
        assert_eq!(trace.id(), Some("0af7651916cd43dd8448eb211c80319c"));
        // Collectors and records write ids in small letters only, whatever a client writes.
        assert_eq!(trace.follow(good.to_ascii_uppercase().into()), Some(good));
        for bad in [
            "",
            "00",
            good.trim_start_matches('0'),
            &format!("{good}-01"),
            &good.replace('a', "é"),
            &good.replace('a', "\n"),
        ] {
            assert_eq!(trace.follow(bad.as_bytes().to_vec()), None, "{bad}");
            assert_eq!(trace.id(), None);
        }
    }

    #[test]
    fn the_reference_configuration_reads_every_word() {
        let yaml = include_str!("../../../envoy/envoy.yaml");
        for word in WORDS {
            assert!(yaml.contains(&format!("wasm.{word}:PLAIN")), "{word}");
        }
        assert_eq!(
            yaml.matches("wasm.waypost_span").count(),
            WORDS.len() + 1,
            "the name stands there twice"
        );
    }
}
