#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::super::message::{
    Content, MAX_ITEMS, MAX_MESSAGES, MAX_UNKNOWN_FIELDS, MAX_UNKNOWN_FIELDS_IN_ALL, Role,
};
use super::super::outer::MAX_FIELDS;
use super::*;

fn parse(json: &str) -> Chat<'_> {
    Chat::parse(json.as_bytes()).unwrap()
}

fn error(json: &str) -> Error {
    Chat::parse(json.as_bytes()).unwrap_err()
}

#[test]
fn a_request_borrows_from_its_body() {
    let chat = parse(
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"h\u0069"}],"stream":true,"stream_options":{"include_usage":true},"x":1}"#,
    );
    assert_eq!(chat.model, "gpt-4o");
    assert!(matches!(chat.model, Cow::Borrowed(_)));
    assert!(chat.stream && chat.include_usage);
    assert_eq!(chat.messages_at, 1);
    assert_eq!(chat.field("x").map(RawValue::get), Some("1"));
    let message = chat.messages.first().unwrap();
    assert_eq!(message.role, Role::User);
    assert!(matches!(message.content, Content::Text(text) if text.decode() == "hi"));
}

#[test]
fn broken_json_is_answered_with_line_and_column() {
    let error = error("{\"model\": \"x\",\n  \"messages\": [}");
    assert_eq!(error.status, 400);
    assert!(error.message.contains("line 2 column 16"), "{}", error.message);
}

#[test]
fn an_empty_body_and_a_body_that_is_no_object_say_so() {
    assert!(error(" ").message.contains("empty"));
    assert!(error("[1]").message.contains("expected a JSON object"), "{}", error("[1]").message);
    assert!(Chat::parse(b"\n\xff").unwrap_err().message.contains("line 2 column 1"));
}

#[test]
fn a_wrong_type_names_the_field_as_a_path() {
    for (json, param) in [
        (r#"{"messages":[{"role":"user","content":5}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user"},{"role":7}]}"#, "messages[1].role"),
        (r#"{"messages":[{"role":"bot"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":{"role":"user"}}"#, "messages"),
        (r#"{"messages":["x"]}"#, "messages[0]"),
        (r#"{"model":5}"#, "model"),
        (r#"{"stream":"yes"}"#, "stream"),
        (r#"{"temperature":"hot"}"#, "temperature"),
        (r#"{"max_tokens":-1}"#, "max_tokens"),
        (r#"{"max_completion_tokens":1.5}"#, "max_completion_tokens"),
        (r#"{"stop":[1]}"#, "stop[0]"),
        (r#"{"stream_options":{"include_usage":1}}"#, "stream_options.include_usage"),
        (r#"{"tools":[{"type":"function","function":{"name":5}}]}"#, "tools[0].function.name"),
        (r#"{"tools":[{"type":"function","function":{}}]}"#, "tools[0].function.name"),
        (r#"{"tool_choice":"maybe"}"#, "tool_choice"),
        (r#"{"tool_choice":{"type":"function"}}"#, "tool_choice.function"),
        (r#"{"response_format":{"type":"json_schema"}}"#, "response_format.json_schema"),
        (r#"{"response_format":{"type":"xml"}}"#, "response_format.type"),
        (r#"{"model":"a","model":"b"}"#, "model"),
        (r#"{"tools":[["function",{"name":"f"}]]}"#, "tools[0]"),
        (r#"{"tools":[{"type":"function","function":["f"]}]}"#, "tools[0].function"),
        (r#"{"tool_choice":["function",{"name":"f"}]}"#, "tool_choice"),
        (r#"{"response_format":["text"]}"#, "response_format"),
        (r#"{"stream_options":[true]}"#, "stream_options"),
    ] {
        assert_eq!(error(json).param.as_deref(), Some(param), "{json}: {}", error(json).message);
    }
}

#[test]
fn a_wrong_type_is_told_in_the_fields_own_words() {
    let error = error(r#"{"messages":[{"role":"user","content":5}]}"#);
    assert_eq!(
        error.message,
        "Invalid type for 'messages[0].content': expected a string or a list of parts, but got a number instead."
    );
    assert_eq!(error.code.as_deref(), Some("invalid_type"));
}

#[test]
fn null_counts_as_absent() {
    let chat = parse(
        r#"{"model":null,"messages":null,"tools":null,"tool_choice":null,"temperature":null,"stop":null,"stream":null}"#,
    );
    assert!(chat.model.is_empty() && chat.messages.is_empty() && chat.tools.is_empty());
    assert!(chat.tool_choice.is_none() && chat.temperature.is_none() && !chat.stream);
}

#[test]
fn the_newer_name_of_the_token_limit_wins() {
    assert_eq!(parse(r#"{"max_completion_tokens":5,"max_tokens":9}"#).max_tokens, Some(5));
    assert_eq!(parse(r#"{"max_tokens":9}"#).max_tokens, Some(9));
}

#[test]
fn deep_nesting_is_carried_without_recursion() {
    let levels = 500_000;
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(parse(&deep).field("x").unwrap().get().len(), 2 * levels + 1);
}

#[test]
fn more_messages_than_the_cap_are_refused() {
    let many = format!(
        r#"{{"messages":[{}{{"role":"user"}}]}}"#,
        r#"{"role":"user"},"#.repeat(MAX_MESSAGES)
    );
    assert!(error(&many).message.contains("more than 65536 entries"), "{}", error(&many).message);
}

#[test]
fn more_fields_than_the_cap_are_refused() {
    let many: Vec<String> = (0..=MAX_FIELDS).map(|i| format!("\"f{i}\":0")).collect();
    assert!(error(&format!("{{{}}}", many.join(","))).message.contains("more than 256 fields"));
    let many: Vec<String> = (0..=MAX_UNKNOWN_FIELDS).map(|i| format!("\"f{i}\":0")).collect();
    let message = format!(r#"{{"messages":[{{"role":"user",{}}}]}}"#, many.join(","));
    assert!(error(&message).message.contains("more than 128 unknown fields"));
    let field = r#""a":0"#;
    let message = format!(r#"{{"role":"user",{}}}"#, vec![field; MAX_UNKNOWN_FIELDS].join(","));
    let many = vec![message.as_str(); 1 + MAX_UNKNOWN_FIELDS_IN_ALL / MAX_UNKNOWN_FIELDS];
    let all = error(&format!(r#"{{"messages":[{}]}}"#, many.join(",")));
    assert!(all.message.contains("more than 65536 unknown fields in all"), "{}", all.message);
    let stops = format!(r#"{{"stop":[{}"x"]}}"#, "\"x\",".repeat(MAX_ITEMS));
    assert!(error(&stops).message.contains("more than 8192 entries"));
}

#[test]
fn a_parsed_request_keeps_its_body() {
    let body = br#"{"model":"m","messages":[]}"#.to_vec();
    let parsed = ParsedChat::parse(body.clone()).unwrap();
    assert_eq!(parsed.body(), body);
    assert_eq!(parsed.chat().model, "m");
}

#[test]
fn a_bound_on_the_output_stands_in_the_body_once_and_first_or_in_the_place_of_a_null() {
    for (body, bounded) in [
        (r#"{"model":"m"}"#, r#"{"max_completion_tokens":7,"model":"m"}"#),
        (" {\n \"model\":\"m\"}", " {\"max_completion_tokens\":7,\n \"model\":\"m\"}"),
        (
            r#"{"model":"m","max_completion_tokens": null,"x":null}"#,
            r#"{"model":"m","max_completion_tokens": 7,"x":null}"#,
        ),
        (
            r#"{"max_tokens":null,"model":"m"}"#,
            r#"{"max_completion_tokens":7,"max_tokens":null,"model":"m"}"#,
        ),
    ] {
        let parsed = ParsedChat::parse(body.as_bytes().to_vec()).unwrap();
        assert!(!parsed.chat().altered);
        let parsed = parsed.with_max_tokens(7).unwrap();
        assert_eq!(std::str::from_utf8(parsed.body()).unwrap(), bounded);
        assert_eq!((parsed.chat().max_tokens, &*parsed.chat().model), (Some(7), "m"));
        assert!(parsed.chat().altered);
    }
}
