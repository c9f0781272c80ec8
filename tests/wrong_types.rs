//! Values of the wrong type, in every place of a request that Waypost reads: whoever sent one is
//! told in the words of JSON, never in those of the program.
#![cfg(not(target_arch = "wasm32"))]

use serde_json::{Map, Value, json};
use waypost::config::provider::read_alone;
use waypost::openai::{Chat, Class, Error};
use waypost::providers::catalogue::{Catalogue, Facts};
use waypost::providers::{Policy, Target, registry};

/// Words of the program and of its parser.
const INSIDE: &[&str] = &[
    "struct ",
    "enum ",
    "variant",
    "tuple",
    "newtype",
    "RawValue",
    "`Option",
    "unit",
    "sequence",
    "map",
    "u64",
    "u32",
    "f64",
    "integer",
    "floating",
    "length 0",
    " at line ",
];

/// A request with every field that is read somewhere.
const REQUEST: &str = r#"{
    "model": "m",
    "messages": [
        {"role": "developer", "content": "x", "name": "n"},
        {"role": "system", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "5m"}}]},
        {"role": "user", "content": [
            {"type": "text", "text": "x", "prompt_cache_breakpoint": {"ttl": "1h"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "file_id": "f", "filename": "f.pdf"}}
        ], "cache_control": {"type": "ephemeral"}},
        {"role": "assistant", "content": [{"type": "text", "text": "x"}, {"type": "refusal", "refusal": "x"},
            {"type": "thinking", "thinking": "x", "signature": "x"}, {"type": "redacted_thinking", "data": "x"}],
         "refusal": "x", "reasoning_content": "x", "reasoning": "x", "audio": {"id": "a"},
         "thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": "x"}, {"type": "redacted_thinking", "data": "x"}],
         "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {}}]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
        {"role": "user", "content": "x"}
    ],
    "stream": true,
    "stream_options": {"include_usage": true, "include_obfuscation": false},
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "x", "strict": true,
            "parameters": {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}, "required": ["a"]}},
         "cache_control": {"type": "ephemeral"}},
        {"type": "custom", "custom": {"name": "c"}}
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": true,
    "max_tokens": 9, "max_completion_tokens": 9,
    "temperature": 1, "top_p": 1, "top_k": 1, "n": 1, "stop": ["x"],
    "presence_penalty": 0, "frequency_penalty": 0, "seed": 1, "logit_bias": {"1": 1},
    "response_format": {"type": "text"},
    "reasoning_effort": "low",
    "logprobs": true, "top_logprobs": 1,
    "modalities": ["text"], "audio": {"voice": "v", "format": "wav"},
    "functions": [{"name": "f"}], "function_call": "auto",
    "metadata": {"a": "b"}, "store": false, "user": "u", "safety_identifier": "u",
    "service_tier": "auto", "prediction": {"type": "content", "content": "x"},
    "cache_control": {"type": "ephemeral"},
    "web_search_options": {"search_context_size": "low", "user_location":
        {"type": "approximate", "approximate": {"city": "x", "country": "DE", "region": "x", "timezone": "x"}}}
}"#;

/// The request, and those with another form of a field; with the place to look below.
fn requests() -> Vec<(Value, &'static str)> {
    let request: Value = serde_json::from_str(REQUEST).unwrap_or_default();
    let mut all = vec![(request.clone(), "")];
    for (place, value) in [
        ("/tool_choice", json!({"type": "function", "function": {"name": "f"}})),
        ("/tool_choice", json!({"type": "custom", "custom": {"name": "c"}})),
        (
            "/tool_choice",
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto",
                "tools": [{"type": "function", "function": {"name": "f"}}]}}),
        ),
        (
            "/response_format",
            json!({"type": "json_schema", "json_schema": {"name": "n", "description": "x",
                "strict": true, "schema": {"type": "object", "properties": {}}}}),
        ),
    ] {
        let mut request = request.clone();
        if let Some(old) = request.pointer_mut(place) {
            *old = value;
        }
        all.push((request, place));
    }
    all
}

/// Where every value inside `value` stands, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// What every API says of the request. An API that is never reached says what the parser says.
fn refusals(body: &str, catalogue: &Catalogue) -> Vec<Error> {
    let chat = match Chat::parse(body.as_bytes()) {
        Ok(chat) => chat,
        Err(error) => return vec![error],
    };
    let mut errors: Vec<Error> = chat.validate().err().into_iter().collect();
    let unknown = Facts::unknown();
    let policy = Policy { drop_unsupported: true, ..Policy::default() };
    for api in registry::APIS {
        let entry = match read_alone(&Value::Object(Map::new()), api, catalogue) {
            Ok(entry) => entry,
            Err(problems) => return vec![Error::new(Class::Server, format!("{problems:?}"))],
        };
        let (base, settings) = (&entry.base, &entry.settings);
        for model in ["m", "gpt-5", "claude-sonnet-4-5"] {
            let facts = catalogue.find(api.family, model).unwrap_or(&unknown);
            let target = Target { base, settings, model, facts, policy };
            errors.extend(api.dialect.request(&chat, body.as_bytes(), &target).err());
        }
    }
    errors
}

#[test]
fn a_wrong_type_is_told_in_the_words_of_json() {
    let catalogue = Catalogue::builtin();
    let mut blamed: Vec<String> = Vec::new();
    for (request, below) in requests() {
        let said: Vec<String> = refusals(&request.to_string(), &catalogue)
            .into_iter()
            .map(|error| error.message)
            .collect();
        assert_eq!(said, [""; 0], "the request itself is refused");
        let mut all = Vec::new();
        places(request.pointer(below).unwrap_or(&Value::Null), below, &mut all);
        for place in all {
            for wrong in [
                "true",
                "7",
                "-1",
                "1.5",
                "1e99",
                "\"\"",
                "\"what\"",
                "[]",
                "[7]",
                "[[]]",
                "[{}]",
                "{}",
                "{\"a\":1}",
            ] {
                let mut request = request.clone();
                if let (Some(place), Ok(wrong)) =
                    (request.pointer_mut(&place), serde_json::from_str(wrong))
                {
                    *place = wrong;
                }
                for error in refusals(&request.to_string(), &catalogue) {
                    for word in INSIDE {
                        assert!(
                            !error.message.contains(word),
                            "{wrong} at {place}: {word:?} in {}",
                            error.message
                        );
                    }
                    assert!((400..500).contains(&error.status), "{wrong} at {place}");
                    blamed.extend(error.param);
                }
            }
        }
    }
    blamed.sort_unstable();
    blamed.dedup();
    for field in [
        "messages[0].role",
        "messages[2].content[1].image_url.url",
        "messages[3].tool_calls[0].function.name",
        "response_format.json_schema.name",
        "stream_options",
        "tool_choice.allowed_tools.tools[0].function",
        "tools[0].function.strict",
        "web_search_options.user_location.approximate.city",
    ] {
        assert!(blamed.iter().any(|known| known == field), "{field} is never blamed: {blamed:#?}");
    }
}

#[test]
fn what_was_wanted_and_what_was_there_are_both_told() {
    let catalogue = Catalogue::builtin();
    for (field, said) in [
        (
            r#""web_search_options":7"#,
            "Invalid type for 'web_search_options': expected an object, but got 7 instead.",
        ),
        (
            r#""web_search_options":[]"#,
            "Invalid type for 'web_search_options': expected an object, but got a list instead.",
        ),
        (r#""n":-1"#, "Invalid value for 'n': expected a whole number, but got -1 instead."),
        (
            r#""n":", expected u64""#,
            "Invalid type for 'n': expected a whole number, but got a string instead.",
        ),
        (
            r#""stream":"yes at line 7""#,
            "Invalid type for 'stream': expected a boolean, but got a string instead.",
        ),
        (
            r#""tools":{"a":1}"#,
            "Invalid type for 'tools': expected a list, but got an object instead.",
        ),
    ] {
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{field}}}"#);
        let errors = refusals(&body, &catalogue);
        assert_eq!(errors.first().map(|error| &*error.message), Some(said), "{field}");
    }
    let errors = refusals("[]", &catalogue);
    let said = "The request is invalid: expected a JSON object, but got a list instead.";
    assert_eq!(errors.first().map(|error| &*error.message), Some(said));
}
