//! What is charged, against bills that were worked by hand.
//!
//! `tests/invoices/<api>.json` is a list of bills. Each has the `usage` as the provider tells it, what
//! tokens that is (`split`, without zeros; null where nobody counted), and what it costs in nano-dollars
//! (null without a price), with the `arithmetic` from the list prices: US dollars per million tokens times
//! tokens are micro-dollars. `entry` is what a configuration says of the model. Each usage is told in a
//! whole answer and in a stream. Bills of vectors have the whole `body` instead, with its `headers`. What a
//! stream tells more than once stands in `told`, in order: the last time beside the end of the last choice.
//!
//! The numbers are claims about what providers charge. They are never written from what is computed.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bill that is none must fail"
)]

#[path = "support/frames.rs"]
mod frames;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
use waypost::config::provider::{self, Provider};
use waypost::openai::{Chat, Embeddings, Usage};
use waypost::providers::catalogue::Catalogue;
use waypost::providers::registry::{self, APIS};
use waypost::providers::stream::{Phase, Stream};
use waypost::providers::{Call, Headers};

/// The bills by API, compiled in: V8 has no files.
const FILES: [(&str, &str); 16] = [
    ("anthropic", include_str!("invoices/anthropic.json")),
    ("azure", include_str!("invoices/azure.json")),
    ("bedrock", include_str!("invoices/bedrock.json")),
    ("cohere", include_str!("invoices/cohere.json")),
    ("deepseek", include_str!("invoices/deepseek.json")),
    ("gemini", include_str!("invoices/gemini.json")),
    ("groq", include_str!("invoices/groq.json")),
    ("mistral", include_str!("invoices/mistral.json")),
    ("ollama", include_str!("invoices/ollama.json")),
    ("openai", include_str!("invoices/openai.json")),
    ("openrouter", include_str!("invoices/openrouter.json")),
    ("qwen", include_str!("invoices/qwen.json")),
    ("together", include_str!("invoices/together.json")),
    ("vertex", include_str!("invoices/vertex.json")),
    ("vllm", include_str!("invoices/vllm.json")),
    ("xai", include_str!("invoices/xai.json")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bill<'a> {
    why: String,
    model: String,
    entry: Option<Value>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    told: Option<Vec<&'a RawValue>>,
    request: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    split: Option<BTreeMap<String, u64>>,
    nano_usd: Option<u64>,
    arithmetic: String,
}

#[test]
fn every_bill_is_what_was_worked_out_by_hand() {
    let mut count = 0;
    for (api, bills) in FILES {
        let bills: Vec<Bill<'_>> =
            serde_json::from_str(bills).unwrap_or_else(|error| panic!("{api}: {error}"));
        for bill in &bills {
            let name = format!("{api}: {} ({})", bill.why, bill.model);
            let provider = provider_of(api, bill);
            let told = match (&bill.body, &bill.told) {
                (Some(body), _) => vec![("vectors", vectors(&provider, bill, body))],
                (None, Some(told)) => vec![("stream", retold(api, &provider, bill, told))],
                (None, None) => {
                    vec![
                        ("whole", whole(api, &provider, bill)),
                        ("stream", stream(api, &provider, bill)),
                    ]
                }
            };
            for (how, usage) in told {
                let usage = usage.filter(|usage| usage.total() > 0);
                assert_eq!(usage.map(|usage| split(&usage)), bill.split, "{name}, {how}");
                let price = provider.models[0].facts.price.as_ref();
                let cost = usage.zip(price).map(|(usage, price)| price.cost(&(&usage).into()).0);
                assert_eq!(cost, bill.nano_usd, "{name}, {how}: {}", bill.arithmetic);
            }
            count += 1;
        }
    }
    assert!(count > 85, "{count}");
}

/// A bill says in words what it says in numbers: `a x b + c x d = … nano-dollars`.
#[test]
fn the_arithmetic_adds_up() {
    for (api, bills) in FILES {
        let bills: Vec<Bill<'_>> = serde_json::from_str(bills).unwrap();
        for bill in bills {
            let Some(nano) = bill.nano_usd else { continue };
            let (sum, _) = bill.arithmetic.split_once(" = ").unwrap();
            let parts = sum.split(" + ").map(|part| {
                let (tokens, rate) = part.split_once(" x ").unwrap();
                tokens.parse::<f64>().unwrap() * rate.parse::<f64>().unwrap()
            });
            let micro: f64 = parts.sum();
            assert!((micro * 1000.0 - nano as f64).abs() <= 0.501, "{api}: {}", bill.why);
        }
    }
}

#[test]
fn every_api_has_bills() {
    for api in APIS {
        assert!(FILES.iter().any(|(name, _)| *name == api.name), "{}", api.name);
    }
}

fn provider_of(api: &str, bill: &Bill<'_>) -> Provider {
    let mut entry =
        json!({"models": {&*bill.model: bill.entry.clone().unwrap_or_else(|| json!({}))}});
    match api {
        "azure" => entry["base_url"] = json!("https://mine.openai.azure.com"),
        "vertex" => {
            entry["project"] = json!("p");
            entry["location"] = json!("us-central1");
        }
        "bedrock" => entry["region"] = json!("us-east-1"),
        "vllm" | "ollama" => entry["base_url"] = json!("http://self.example/v1"),
        _ => {}
    }
    let api = registry::find(api).expect("an API");
    provider::read_alone(&entry, api, &Catalogue::builtin()).expect("an entry")
}

fn split(usage: &Usage) -> BTreeMap<String, u64> {
    [
        ("uncached_input", usage.uncached_input),
        ("cache_read", usage.cache_read),
        ("cache_write", usage.cache_write),
        ("cache_write_1h", usage.cache_write_1h),
        ("cache_write_12h", usage.cache_write_12h),
        ("output", usage.output),
        ("reasoning", usage.reasoning),
        ("input_audio", usage.input_audio),
        ("output_audio", usage.output_audio),
        ("unbilled_input", usage.unbilled_input),
        ("unbilled_output", usage.unbilled_output),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}

/// The form in which a provider tells of a model.
fn form<'a>(api: &'a str, model: &str) -> &'a str {
    match api {
        "vertex" if model.starts_with("claude") => "anthropic",
        "vertex" => "gemini",
        "anthropic" | "bedrock" | "cohere" | "gemini" => api,
        _ => "openai",
    }
}

fn call<T>(provider: &Provider, chat: &str, then: impl FnOnce(&Call<'_>) -> T) -> T {
    let chat = Chat::parse(chat.as_bytes()).unwrap();
    let target = provider.target(&provider.models[0]);
    then(&Call { chat: &chat, target, id: "id", created: 0 })
}

/// The usage of a whole answer that tells nothing else of interest.
fn whole(api: &str, provider: &Provider, bill: &Bill<'_>) -> Option<Usage> {
    let usage = bill.usage.map_or("null", RawValue::get);
    let body = match form(api, &bill.model) {
        "anthropic" => format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"hi"}}],"stop_reason":"end_turn","usage":{usage}}}"#
        ),
        "bedrock" => format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":[{{"text":"hi"}}]}}}},"stopReason":"end_turn","usage":{usage}}}"#
        ),
        "cohere" => format!(
            r#"{{"id":"c","finish_reason":"COMPLETE","message":{{"role":"assistant","content":[{{"type":"text","text":"hi"}}]}},"usage":{usage}}}"#
        ),
        "gemini" => format!(
            r#"{{"candidates":[{{"index":0,"content":{{"role":"model","parts":[{{"text":"hi"}}]}},"finishReason":"STOP"}}],"usageMetadata":{usage}}}"#
        ),
        _ => format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
        ),
    };
    let answer = call(provider, r#"{"messages":[]}"#, |call| {
        provider.api.dialect.answer(call, &Headers::default(), body.as_bytes())
    });
    answer.unwrap_or_else(|error| panic!("{api}: {}: {}", bill.why, error.message)).usage
}

/// The usage of a stream that tells nothing else of interest.
fn stream(api: &str, provider: &Provider, bill: &Bill<'_>) -> Option<Usage> {
    let usage = bill.usage.map_or("null", RawValue::get);
    let bytes = match form(api, &bill.model) {
        "anthropic" => {
            // The input is told at the start, the output grows.
            let mut start: Value = serde_json::from_str(usage).unwrap();
            let mut end = json!({});
            if let Some(start) = start.as_object_mut() {
                for name in ["output_tokens", "output_tokens_details"] {
                    end[name] = start.remove(name).unwrap_or_default();
                }
                start.insert("output_tokens".to_owned(), json!(1));
            }
            let end = if start.is_null() { start.clone() } else { end };
            [
                json!({"type":"message_start","message":{"id":"msg_1","model":"m","usage":start}}),
                json!({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"hi"}}),
                json!({"type":"content_block_stop","index":0}),
                json!({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":end}),
                json!({"type":"message_stop"}),
            ]
            .map(|event| format!("data: {event}\n\n"))
            .concat()
            .into_bytes()
        }
        "bedrock" => {
            let lines = [
                r#"{"event":"messageStart","payload":{"role":"assistant"}}"#.to_owned(),
                r#"{"event":"contentBlockDelta","payload":{"contentBlockIndex":0,"delta":{"text":"hi"}}}"#.to_owned(),
                r#"{"event":"messageStop","payload":{"stopReason":"end_turn"}}"#.to_owned(),
                format!(r#"{{"event":"metadata","payload":{{"usage":{usage}}}}}"#),
            ];
            frames::encode(&bill.why, lines.join("\n").as_bytes())
        }
        "cohere" => format!(
            "data: {{\"type\":\"message-start\",\"id\":\"c\",\"delta\":{{\"message\":{{\"role\":\"assistant\"}}}}}}\n\ndata: {{\"type\":\"content-start\",\"index\":0,\"delta\":{{\"message\":{{\"content\":{{\"type\":\"text\",\"text\":\"hi\"}}}}}}}}\n\ndata: {{\"type\":\"content-end\",\"index\":0}}\n\ndata: {{\"type\":\"message-end\",\"delta\":{{\"finish_reason\":\"COMPLETE\",\"usage\":{usage}}}}}\n\n"
        )
        .into_bytes(),
        "gemini" => format!(
            "data: {{\"candidates\":[{{\"index\":0,\"content\":{{\"role\":\"model\",\"parts\":[{{\"text\":\"h\"}}]}}}}],\"usageMetadata\":{{\"promptTokenCount\":0}}}}\r\n\r\ndata: {{\"candidates\":[{{\"index\":0,\"content\":{{\"role\":\"model\",\"parts\":[{{\"text\":\"i\"}}]}},\"finishReason\":\"STOP\"}}],\"usageMetadata\":{usage}}}\r\n\r\n"
        )
        .into_bytes(),
        _ => {
            let chunk = |choices: &str, usage: &str| {
                format!(
                    "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":{choices},\"usage\":{usage}}}\n\n"
                )
            };
            [
                chunk(r#"[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]"#, "null"),
                chunk(r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#, "null"),
                chunk("[]", usage),
                "data: [DONE]\n\n".to_owned(),
            ]
            .concat()
            .into_bytes()
        }
    };
    heard(api, provider, bill, &bytes)
}

/// The usage of a stream that tells it again and again.
fn retold(api: &str, provider: &Provider, bill: &Bill<'_>, told: &[&RawValue]) -> Option<Usage> {
    let (last, before) = told.split_last().unwrap();
    let events: Vec<String> = match form(api, &bill.model) {
        "anthropic" => {
            let deltas = told[1..].iter().map(|usage| {
                format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{usage}}}"#)
            });
            let start = format!(
                r#"{{"type":"message_start","message":{{"id":"msg_1","model":"m","usage":{}}}}}"#,
                told[0]
            );
            let text = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"hi"}}"#;
            let stop = r#"{"type":"content_block_stop","index":0}"#;
            let end = r#"{"type":"message_stop"}"#.to_owned();
            [start, text.to_owned(), stop.to_owned()]
                .into_iter()
                .chain(deltas)
                .chain([end])
                .collect()
        }
        "gemini" => {
            let chunk = |usage: &RawValue, end: &str| {
                format!(
                    r#"{{"candidates":[{{"index":0,"content":{{"role":"model","parts":[{{"text":"h"}}]}}{end}}}],"usageMetadata":{usage}}}"#
                )
            };
            let before = before.iter().map(|usage| chunk(usage, ""));
            before.chain([chunk(last, r#","finishReason":"STOP""#)]).collect()
        }
        "openai" => {
            let chunk = |delta: &str, end: &str, usage: &RawValue| {
                let usage = match api {
                    "groq" => format!(r#""x_groq":{{"usage":{usage}}}"#),
                    _ => format!(r#""usage":{usage}"#),
                };
                format!(
                    r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{{delta}}},"finish_reason":{end}}}],{usage}}}"#
                )
            };
            let before = before
                .iter()
                .map(|usage| chunk(r#""role":"assistant","content":"h""#, "null", usage));
            let end = chunk(r#""content":"i""#, r#""stop""#, last);
            before.chain([end, "[DONE]".to_owned()]).collect()
        }
        other => panic!("{other} tells its usage once"),
    };
    let bytes = events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>();
    heard(api, provider, bill, bytes.as_bytes())
}

fn heard(api: &str, provider: &Provider, bill: &Bill<'_>, bytes: &[u8]) -> Option<Usage> {
    let mut stream = call(provider, r#"{"stream":true,"messages":[]}"#, |call| {
        Stream::new(provider.api.dialect.stream(call))
    });
    let mut out = Vec::new();
    stream.push(bytes, &mut out);
    let phase = stream.finish(&mut out);
    assert_eq!(phase, Phase::Ended, "{api}: {}: {:?}", bill.why, stream.error());
    stream.usage()
}

fn vectors(provider: &Provider, bill: &Bill<'_>, body: &Value) -> Option<Usage> {
    let request = bill.request.as_ref().expect("a request for vectors").to_string();
    let asked = Embeddings::parse(request.as_bytes()).unwrap();
    let target = provider.target(&provider.models[0]);
    let headers: Headers<'_> =
        bill.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let body = body.to_string();
    let answer = provider.api.dialect.embedded(&asked, &target, &headers, body.as_bytes());
    answer.unwrap_or_else(|error| panic!("{}: {}", bill.why, error.message)).usage
}
