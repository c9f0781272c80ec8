//! The edit of a request's text means the same as the edit of its parsed form, whatever the order
//! of members, the white space and the escapes.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "helpers of a test, which may fail like one")]

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use waypost::openai::Chat;
use waypost::providers::catalogue::{Catalogue, Facts};
use waypost::providers::{Base, Dialect as _, Payload, Policy, Settings, Target, openai::OpenAi};

/// A member of the request: its name as written, its value as written.
type Member = (String, String);

fn member(
    name: &'static str,
    values: impl Into<Vec<&'static str>>,
) -> impl Strategy<Value = Option<Member>> {
    let value = prop::sample::select(values.into());
    proptest::option::weighted(
        0.6,
        (value, any::<bool>()).prop_map(move |(value, escaped)| {
            let name = match (escaped, name.chars().next()) {
                (true, Some(first)) => {
                    format!("\\u{:04x}{}", u32::from(first), name.get(1..).unwrap_or_default())
                }
                _ => name.to_owned(),
            };
            (name, value.to_owned())
        }),
    )
}

fn blanks() -> impl Strategy<Value = String> {
    prop::string::string_regex("[ \\t\\n\\r]{0,2}").unwrap()
}

const MESSAGES: &[&str] = &[
    r#"[]"#,
    r#"[{"role":"user","content":"he said \"model\": [\u00e9 1.0"}]"#,
    r#"[ {"role":"user","content":[{"type":"text","text":"cache_control"}]} , {"role":"assistant","content":null,"refusal":null} ]"#,
    r#"[{"role":"assistant","content":"a","reasoning_content":"b","x":1.50},{"role":"user","content":"c"}]"#,
    r#"[{"role":"user","content":[{"type":"text","text":"t","cache_control":{"type":"ephemeral"}}],"y":[ ]}]"#,
    r#"[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"},"extra_content":{}}]}]"#,
    r#"[{"role":"assistant","content":[{"type":"thinking","thinking":"t"}],"thinking_blocks":[],"reasoning":null}]"#,
];

fn requests() -> impl Strategy<Value = String> {
    let members = (
        member("model", ["\"gpt-4o\"", "\"o\\u0033\"", "\"é \\\" }\"", "\"o3\"", "null"]),
        member("messages", MESSAGES),
        member("stream", ["true", "false", "null"]),
        member(
            "stream_options",
            ["null", "{}", r#"{ "include_usage" : false, "z":1.0 }"#, r#"{"include_usage":true}"#],
        ),
        member("max_tokens", ["7", "null"]),
        member("max_completion_tokens", ["8", "null"]),
        member("temperature", ["1", "0.50", "null"]),
        member("reasoning_effort", ["\"low\"", "\"max\"", "\"none\"", "\"odd\""]),
        member(
            "x_unknown",
            ["{\"a\" : [1,  2.0, \"}\"]}", "12345678901234567890", "\"\\ud83d\\ude00\""],
        ),
        member(
            "tools",
            [
                r#"[{"type":"function","function":{"name":"f"},"cache_control":{}}]"#,
                r#"[{"type":"function","function":{"name":"f","parameters":{"cache_control":1}}}]"#,
            ],
        ),
    );
    let shuffled = members.prop_map(|m| {
        [m.0, m.1, m.2, m.3, m.4, m.5, m.6, m.7, m.8, m.9].into_iter().flatten().collect::<Vec<_>>()
    });
    (shuffled.prop_shuffle(), vec(blanks(), 48)).prop_map(|(members, blanks)| {
        let mut blanks = blanks.into_iter().cycle();
        let mut blank = || blanks.next().unwrap_or_default();
        let mut text = format!("{}{{", blank());
        for (at, (name, value)) in members.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            text +=
                &format!("{comma}{}\"{name}\"{}:{}{value}{}", blank(), blank(), blank(), blank());
        }
        text + &blank() + "}" + &blank()
    })
}

const FOREIGN: [&str; 6] = [
    "cache_control",
    "extra_content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
];

fn without_foreign(object: &mut Map<String, Value>) {
    object.retain(|name, _| !FOREIGN.contains(&&**name));
}

/// What the request must mean for `model`, by the rules and not by the code.
fn expected(request: &str, model: &str, reasons: bool) -> Value {
    let mut value: Value = serde_json::from_str(request).unwrap();
    let object = value.as_object_mut().unwrap();
    object.insert("model".to_owned(), json!(model));
    if object.get("stream") == Some(&json!(true)) {
        let options = object.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = json!(true);
    }
    if reasons {
        let is_set = |object: &Map<String, Value>, name: &str| {
            object.get(name).is_some_and(|v| !v.is_null())
        };
        if is_set(object, "max_tokens") {
            let old = object.remove("max_tokens").unwrap();
            if !is_set(object, "max_completion_tokens") {
                object.insert("max_completion_tokens".to_owned(), old);
            }
        }
        if object.get("temperature").and_then(Value::as_f64).is_some_and(|t| t != 1.0) {
            object.remove("temperature");
        }
        match object.get("reasoning_effort").and_then(Value::as_str) {
            Some("max") => drop(object.insert("reasoning_effort".to_owned(), json!("high"))),
            Some("none") => drop(object.insert("reasoning_effort".to_owned(), json!("low"))),
            _ => {}
        }
    } else if model == "gpt-4o" {
        object.remove("reasoning_effort");
    }
    for tool in object.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        without_foreign(tool.as_object_mut().unwrap());
    }
    for message in object.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
        let message = message.as_object_mut().unwrap();
        without_foreign(message);
        for list in ["content", "tool_calls"] {
            if let Some(Value::Array(entries)) = message.get_mut(list) {
                entries.retain(|entry| entry["type"] != "thinking");
                entries
                    .iter_mut()
                    .for_each(|entry| without_foreign(entry.as_object_mut().unwrap()));
                if entries.is_empty() {
                    message.insert(list.to_owned(), json!(""));
                }
            }
        }
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edited_text_means_the_edited_request(
        request in requests(),
        model in prop::sample::select(vec!["gpt-4o", "o3", "some \"model\""]),
    ) {
        let catalogue = Catalogue::builtin();
        let unknown = Facts::unknown();
        let facts = catalogue.find("openai", model).unwrap_or(&unknown);
        let base = Base::parse("https://h").unwrap();
        let settings = Settings::default();
        let target = Target { base: &base, settings: &settings, model, facts, policy: Policy::default() };
        let chat = Chat::parse(request.as_bytes()).unwrap();
        let outbound = OpenAi.request(&chat, request.as_bytes(), &target).unwrap();
        let body = outbound.body.apply(request.as_bytes());
        prop_assert_eq!(outbound.body.len(request.len()), body.len());
        let sent: Value = serde_json::from_slice(&body)
            .map_err(|error| TestCaseError::fail(format!("{error}: {}", String::from_utf8_lossy(&body))))?;
        prop_assert_eq!(&sent, &expected(&request, model, model == "o3"));
        // No member twice: a parsed value would hide it.
        let again = Chat::parse(&body).map_err(|error| TestCaseError::fail(error.message))?;
        prop_assert!(again.model == model);
        // Again is the same: a retry sends what the first attempt sent.
        let twice = OpenAi.request(&again, &body, &target).unwrap();
        prop_assert_eq!(twice.body, Payload::Same);
    }
}
