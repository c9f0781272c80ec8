//! The words of OpenTelemetry's conventions for generative AI, which dashboards and traces share.

use crate::providers::registry::Api;

/// `gen_ai.provider.name`: whose API it is. An API that the conventions have no word for keeps its own.
///
/// Source: open-telemetry/semantic-conventions-genai, the registry's `gen_ai.provider.name`.
#[must_use]
pub const fn provider_name(api: &Api) -> &'static str {
    match api.name.as_bytes() {
        b"azure" => "azure.ai.openai",
        b"bedrock" => "aws.bedrock",
        b"gemini" => "gcp.gemini",
        b"mistral" => "mistral_ai",
        b"vertex" => "gcp.vertex_ai",
        b"xai" => "x_ai",
        _ => api.name,
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::providers::registry::APIS;

    #[test]
    fn every_api_has_the_conventions_word_or_its_own() {
        let words: Vec<&str> = APIS.iter().map(provider_name).collect();
        assert_eq!(
            words,
            [
                "openai",
                "azure.ai.openai",
                "anthropic",
                "gcp.gemini",
                "gcp.vertex_ai",
                "mistral_ai",
                "cohere",
                "aws.bedrock",
                "deepseek",
                "groq",
                "qwen",
                "x_ai",
                "openrouter",
                "together",
                "ollama",
                "vllm",
            ]
        );
    }
}
