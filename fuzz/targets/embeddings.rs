//! A request for vectors, a zero byte, and an answer to it: each is refused in OpenAI's words, or is
//! what was asked for, in the encoding that was asked for.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use waypost::cli::translate::embeddings::{self, Asked};
use waypost::cli::translate::{Provider, Received};
use waypost::openai::Embeddings;
use waypost::openai::embeddings::Encoding;

static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(waypost_fuzz::providers);

/// None, and those whose form differs at one provider.
const MODELS: [Option<&str>; 5] = [
    None,
    Some("gemini-embedding-2"),
    Some("text-embedding-005"),
    Some("amazon.titan-embed-text-v2:0"),
    Some("cohere.embed-v4:0"),
];

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (request, answer) = data.split_at(at);
    let answer = answer.get(1..).unwrap_or_default();
    let valid = Embeddings::parse(request).and_then(|asked| asked.validate()).is_ok();
    for provider in PROVIDERS.iter() {
        for model in MODELS {
            sent(provider, model, request, valid);
        }
        received(provider, request, answer);
    }
});

fn sent(provider: &Provider, model: Option<&str>, request: &[u8], valid: bool) {
    let printed = embeddings::request(provider, model, request);
    let json: Value = serde_json::from_slice(&printed.bytes).expect("JSON is printed");
    if printed.exit == 0 {
        assert!(valid, "a request that is not valid was translated: {json}");
        assert!(json.get("body").is_some_and(Value::is_object), "{json}");
    } else {
        assert_eq!(json.get("status").and_then(Value::as_u64), Some(400), "{json}");
        let param = json.pointer("/error/param");
        assert!(!valid || param.is_some_and(Value::is_string), "no param: {json}");
    }
}

fn received(provider: &Provider, request: &[u8], answer: &[u8]) {
    let Ok(asked) = Asked::parse(request) else { return };
    let Ok(wanted) = Embeddings::parse(request) else { return };
    let received = Received { status: 200, headers: Vec::new(), body: answer.to_vec() };
    let printed = embeddings::response(provider, &asked, &received);
    // Numbers out of range and lone surrogates are passed on, and this reader takes neither.
    let Ok(json) = serde_json::from_slice::<Value>(&printed.bytes) else { return };
    if json.get("class").is_some() {
        assert!(json.pointer("/body/error/message").is_some_and(Value::is_string), "{json}");
        return;
    }
    let vectors = json.pointer("/body/data").and_then(Value::as_array).expect("vectors");
    let count = wanted.input.count();
    assert!(!vectors.is_empty() && (count == 0 || count == vectors.len()), "{json}");
    for (at, vector) in vectors.iter().enumerate() {
        assert_eq!(vector.get("index").and_then(Value::as_u64), Some(at as u64), "{json}");
        let vector = vector.get("embedding").expect("a vector");
        match wanted.encoding {
            Encoding::Float => {
                let numbers = vector.as_array().expect("a list");
                assert!(numbers.iter().all(Value::is_number), "{json}");
                let length = numbers.len() as u64;
                assert!(wanted.dimensions.is_none_or(|wanted| wanted == length), "{json}");
            }
            Encoding::Base64 => assert!(vector.is_string(), "{json}"),
        }
    }
}
