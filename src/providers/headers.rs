//! Headers as the host gives them: bytes, names in lower case.

/// The headers of one message, borrowed.
#[derive(Clone, Debug, Default)]
pub struct Headers<'a>(Vec<(&'a [u8], &'a [u8])>);

/// Where providers say by which id they know an answer. Azure's support asks for the second of the
/// two that it sends, so the common one comes after it.
const REQUEST_IDS: [&str; 10] = [
    "request-id",             // Anthropic
    "apim-request-id",        // Azure
    "x-amzn-requestid",       // Bedrock
    "x-request-id",           // OpenAI and most that speak like it
    "mistral-correlation-id", // Mistral
    "x-kong-request-id",      // Mistral's front
    "x-goog-request-id",      // Google
    "x-debug-trace-id",       // Cohere
    "x-generation-id",        // OpenRouter
    "x-ms-request-id",        // Azure, behind some of its fronts
];

/// Where providers say how long they took, in milliseconds.
const PROCESSING: [&str; 3] = [
    "openai-processing-ms",              // OpenAI and Azure
    "x-amzn-bedrock-invocation-latency", // Bedrock, but for its Converse API, which says it in the body
    "x-envoy-upstream-service-time",     // those behind an Envoy: Mistral, Cohere
];

/// Longest id of a provider that is kept, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 128;

impl<'a> Headers<'a> {
    /// The provider's own id of its answer, for a question to its support. It is for our logs, and
    /// none of the client's business.
    #[must_use]
    pub fn provider_request_id(&self) -> Option<String> {
        REQUEST_IDS
            .iter()
            .filter_map(|name| self.text(name))
            .find(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()))
            .map(|id| id.get(..MAX_REQUEST_ID_BYTES).unwrap_or(id).to_owned())
    }

    /// How long the provider says that it took, in milliseconds.
    #[must_use]
    pub fn processing_millis(&self) -> Option<u64> {
        PROCESSING.iter().find_map(|name| self.text(name)?.parse().ok())
    }

    /// From pairs with names in lower case.
    #[must_use]
    pub const fn new(pairs: Vec<(&'a [u8], &'a [u8])>) -> Self {
        Self(pairs)
    }

    /// The first value of `name`, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values of `name`.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(known, _)| *known == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The first value of `name`.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| *value)
    }

    /// All pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + '_ {
        self.0.iter().copied()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_providers_id_is_found_under_any_of_its_names() {
        for name in REQUEST_IDS {
            let headers: Headers<'_> = [("date", "x"), (name, "req_1")].into_iter().collect();
            assert_eq!(headers.provider_request_id().as_deref(), Some("req_1"), "{name}");
        }
        let none: Headers<'_> = [("cf-ray", "1"), ("id", "2")].into_iter().collect();
        assert_eq!(none.provider_request_id(), None);
    }

    #[test]
    fn the_providers_own_time_is_found_and_has_to_be_a_number() {
        for name in PROCESSING {
            let headers: Headers<'_> = [("date", "x"), (name, "417")].into_iter().collect();
            assert_eq!(headers.processing_millis(), Some(417), "{name}");
        }
        let none: Headers<'_> = [("openai-processing-ms", "4e2")].into_iter().collect();
        assert_eq!(none.processing_millis(), None);
    }

    #[test]
    fn an_id_that_is_none_is_not_kept_and_a_long_one_is_cut() {
        let long = "r".repeat(9 * MAX_REQUEST_ID_BYTES);
        let headers: Headers<'_> = [
            ("x-request-id", ""),
            ("request-id", "two words"),
            ("apim-request-id", "caf\u{e9}"),
            ("x-amzn-requestid", &long),
        ]
        .into_iter()
        .collect();
        assert_eq!(headers.provider_request_id().map(|id| id.len()), Some(MAX_REQUEST_ID_BYTES));
    }
}
