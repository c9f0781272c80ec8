//! The streams of all that speak like OpenAI: cuts change nothing, and the client is never left
//! without an end.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waypost::cli::translate::Provider;

const APIS: [&str; 9] =
    ["azure", "deepseek", "groq", "qwen", "xai", "openrouter", "together", "ollama", "vllm"];

static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    APIS.iter().map(|api| Provider::new(api, None).expect("the defaults are valid")).collect()
});

fuzz_target!(|data: &[u8]| {
    for provider in PROVIDERS.iter() {
        waypost_fuzz::stream(provider, data);
    }
});
