//! The check of streams finds each breach, and a stream is folded into what it tells: otherwise the
//! goldens could not fail.
#![cfg(not(target_arch = "wasm32"))]

#[path = "support/fold.rs"]
mod fold;
#[path = "support/rules.rs"]
mod rules;

use serde_json::{Value, json};

/// A stream of these chunks: a choice and its finish reason each, or the usage.
fn stream(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect::<String>() + "data: [DONE]\n\n"
}

fn chunk(delta: &Value, finish: &Value) -> Value {
    json!({"id": "i", "object": "chat.completion.chunk", "created": 7, "model": "m", "usage": null,
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]})
}

fn delta(delta: &Value) -> Value {
    chunk(delta, &Value::Null)
}

fn call_start(index: u64) -> Value {
    delta(&json!({"tool_calls": [{"index": index, "id": "c", "type": "function",
        "function": {"name": "f", "arguments": ""}}]}))
}

fn call_piece(index: u64, text: &str) -> Value {
    delta(&json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}))
}

fn usage() -> Value {
    json!({"id": "i", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
}

/// A stream with everything in it.
fn sound() -> Vec<Value> {
    vec![
        delta(&json!({"role": "assistant", "content": ""})),
        delta(&json!({"reasoning_content": "hm"})),
        delta(&json!({"content": "he"})),
        delta(&json!({"content": "llo"})),
        call_start(0),
        call_piece(0, "{\"a\""),
        call_start(1),
        call_piece(0, ": 1}"),
        call_piece(1, "{}"),
        chunk(&json!({}), &json!("tool_calls")),
        usage(),
    ]
}

fn broken(change: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut chunks = sound();
    change(&mut chunks);
    rules::check(stream(&chunks).as_bytes(), true).err().unwrap_or_default()
}

#[test]
fn a_sound_stream_passes() {
    rules::check(stream(&sound()).as_bytes(), true).unwrap();
}

#[test]
fn each_breach_is_found() {
    let first_call = 4;
    for (found, said) in [
        (broken(|s| drop(s.remove(0))), "does not begin with its role"),
        (broken(|s| s.insert(2, s[0].clone())), "a second role chunk"),
        (broken(|s| s[3]["id"] = json!("j")), "another id, time or model"),
        (broken(|s| s[3]["created"] = json!(8)), "another id, time or model"),
        (broken(|s| s[3]["model"] = json!("n")), "another id, time or model"),
        (broken(|s| s[0]["id"] = json!("")), "id, object, created or model is missing"),
        (broken(|s| s[0]["created"] = json!("7")), "id, object, created or model is missing"),
        (broken(|s| s[2]["choices"][0]["delta"]["content"] = json!(7)), "delta.content is no text"),
        (broken(|s| drop(s.remove(first_call))), "without /id"),
        (
            broken(|s| s[first_call]["choices"][0]["delta"]["tool_calls"][0]["index"] = json!(2)),
            "call 2 after 0 calls",
        ),
        (
            broken(|s| s[first_call]["choices"][0]["delta"]["tool_calls"][0]["type"] = Value::Null),
            "no function",
        ),
        (broken(|s| s[5] = s[first_call].clone()), "a later delta of a call with /id"),
        (
            broken(|s| s[5]["choices"][0]["delta"]["tool_calls"][0]["function"] = json!({})),
            "without arguments",
        ),
        (broken(|s| drop(s.remove(9))), "usage before the finish chunk"),
        (broken(|s| s.insert(9, s[9].clone())), "a chunk after the finish chunk"),
        (
            broken(|s| s[9]["choices"][0]["finish_reason"] = json!("end_turn")),
            "finish_reason \"end_turn\"",
        ),
        (broken(|s| drop(s.pop())), "no usage chunk"),
        (broken(|s| s.push(usage())), "after the usage chunk"),
        (broken(|s| s[10]["usage"]["total_tokens"] = json!(6)), "the total is not the sum"),
        (broken(|s| s[9]["usage"] = s[10]["usage"].clone()), "usage in a chunk with choices"),
        (broken(|s| s[10]["usage"] = Value::Null), "no choices, no usage"),
        (broken(|s| s.truncate(9)), "without a finish chunk for each choice"),
        (broken(|s| s.push(json!({"error": {"message": "x"}}))), "the error has no type"),
        (
            broken(|s| {
                s.insert(
                    3,
                    json!({"error": {"message": "x", "type": "y", "param": null, "code": null}}),
                )
            }),
            "after the error",
        ),
        (
            rules::check(stream(&sound()).as_bytes(), false).unwrap_err(),
            "usage for a client that did not ask",
        ),
        (rules::check(b"data: [DONE]\n\ndata: {}\n\n", false).unwrap_err(), "after [DONE]"),
        (rules::check(b"data: {}\n", false).unwrap_err(), "not ended by an empty line"),
        (rules::check(b"event: x\ndata: {}\n\n", false).unwrap_err(), "not one line of data"),
        (rules::check(b"data: {\n\n", false).unwrap_err(), "not a JSON object"),
    ] {
        assert!(found.contains(said), "{said:?} is not in {found:?}");
    }
    let cut = stream(&sound()).replace("data: [DONE]\n\n", "");
    assert!(
        rules::check(cut.as_bytes(), true).unwrap_err().contains("neither [DONE] nor an error")
    );
}

#[test]
fn an_error_may_end_a_stream_at_any_place() {
    let error = r#"{"error":{"message":"x","type":"y","param":null,"code":"z"}}"#;
    for length in 0..sound().len() {
        let chunks = stream(&sound()[..length]).replace("[DONE]", error);
        rules::check(chunks.as_bytes(), true).unwrap();
        assert!(fold::fold(chunks.as_bytes()).is_err());
    }
}

#[test]
fn a_stream_folds_into_the_answer_that_it_tells() {
    let function = |arguments: &str| json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
    let mut answer = json!({"model": "m", "usage": usage()["usage"], "choices": [{"index": 0, "finish_reason": "tool_calls",
        "logprobs": null, "message": {"role": "assistant", "content": "hello", "reasoning_content": "hm", "refusal": null,
            "tool_calls": [function("{\"a\":1}"), function("{}")]}}]});
    let folded = fold::fold(stream(&sound()).as_bytes()).unwrap();
    assert_eq!(folded, fold::whole(&answer));
    answer["choices"][0]["message"]["content"] = json!("hello ");
    assert_ne!(folded, fold::whole(&answer));
}
