//! A client's request: refused with a 4xx that blames a field, or translated for every API into JSON.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use waypost::cli::translate::{self, Provider};
use waypost::openai::Chat;

static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(waypost_fuzz::providers);

/// None, and some whose parameters differ.
const MODELS: [Option<&str>; 5] =
    [None, Some("gpt-4o"), Some("gpt-5"), Some("claude-sonnet-4-5"), Some("claude-3-haiku")];

fuzz_target!(|data: &[u8]| {
    let valid = Chat::parse(data).and_then(|chat| chat.validate()).is_ok();
    for provider in PROVIDERS.iter() {
        for model in MODELS {
            let printed = translate::request(provider, model, data);
            let Ok(json) = serde_json::from_slice::<Value>(&printed.bytes) else {
                // A number that no float holds is passed on as it is written.
                serde_json::from_slice::<&RawValue>(&printed.bytes).expect("JSON is printed");
                continue;
            };
            if printed.exit == 0 {
                assert!(valid, "a request that is not valid was translated: {json}");
                assert!(json.get("body").is_some_and(Value::is_object), "{json}");
            } else {
                let status = json.get("status").and_then(Value::as_u64);
                assert_eq!(status, Some(400), "{json}");
                let param = json.pointer("/error/param");
                assert!(!valid || param.is_some_and(Value::is_string), "no param: {json}");
            }
        }
    }
});
