#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::*;
use crate::openai::Chat;
use crate::providers::catalogue::Facts;
use crate::providers::{Base, Policy, Settings, Target};

fn answered(body: &str) -> Result<(Answer, Value), Error> {
    let facts = Facts::unknown();
    let base = Base::parse("https://h").unwrap();
    let chat = Chat::default();
    let settings = Settings::default();
    let target = Target {
        base: &base,
        settings: &settings,
        model: "m",
        facts: &facts,
        policy: Policy::default(),
    };
    let answer = read(&Call { chat: &chat, target, id: "i", created: 7 }, body.as_bytes())?;
    let json = serde_json::from_slice(&answer.body.apply(body.as_bytes())).unwrap();
    Ok((answer, json))
}

const HEAD: &str = r#""id":"a","object":"chat.completion","created":1,"model":"x""#;

#[test]
fn a_canonical_answer_is_passed_on_as_it_came() {
    let body = format!(
        r#" {{{HEAD},"choices":[{{"index":0,"message":{{"role":"assistant","content":"1.0"}},"finish_reason":"stop","x":1.0}}],"usage":{{"prompt_tokens":3,"completion_tokens":2}},"y":[]}}"#
    );
    let (answer, _) = answered(&body).unwrap();
    assert_eq!(answer.body, Payload::Same);
    let usage = answer.usage.unwrap();
    assert_eq!((usage.prompt(), usage.output), (3, 2));
}

#[test]
fn what_is_missing_at_the_top_is_filled_in() {
    let (_, json) =
        answered(r#"{"id":null,"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#)
            .unwrap();
    assert_eq!(json["id"], "chatcmpl-i");
    assert_eq!(json["object"], "chat.completion");
    assert_eq!((&json["created"], &json["model"]), (&json!(7), &json!("m")));
}

#[test]
fn what_has_the_wrong_type_at_the_top_is_replaced() {
    let (_, json) = answered(
        r#"{"id":5,"object":"","created":1.5,"model":{},"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#,
    )
    .unwrap();
    assert_eq!((&json["id"], &json["object"]), (&json!("chatcmpl-i"), &json!("chat.completion")));
    assert_eq!((&json["created"], &json["model"]), (&json!(7), &json!("m")));
}

#[test]
fn what_a_choice_lacks_is_filled_in() {
    let body = format!(
        r#"{{{HEAD},"choices":[{{"message":{{}}}},{{"index":null,"message":{{"role":null,"tool_calls":[{{"id":"c"}}]}},"finish_reason":"length"}},{{"message":{{"content":"x","tool_calls":[{{"id":"c"}}]}}}}]}}"#
    );
    let (_, json) = answered(&body).unwrap();
    for (at, reason) in [(0, "stop"), (1, "length"), (2, "tool_calls")] {
        let choice = &json["choices"][at];
        assert_eq!(choice["index"], at, "{choice}");
        assert_eq!(choice["finish_reason"], reason, "{choice}");
        assert_eq!(choice["message"]["role"], "assistant", "{choice}");
    }
    assert_eq!(json["choices"][2]["message"]["content"], "x");
}

#[test]
fn another_finish_reason_becomes_one_of_openais() {
    for (reason, calls, expected) in [
        ("\"length\"", false, "length"),
        ("\"function_call\"", false, "function_call"),
        ("\"model_length\"", false, "length"),
        ("\"eos\"", false, "stop"),
        ("\"\"", true, "tool_calls"),
        ("null", false, "stop"),
        ("\"end\"", true, "tool_calls"),
        ("\"stop\"", false, "stop"),
        ("\"stop\"", true, "tool_calls"),
        ("\"sensitive\"", false, "content_filter"),
    ] {
        let calls = if calls { r#","tool_calls":[{"id":"c"}]"# } else { r#","tool_calls":[ ]"# };
        let body = format!(
            r#"{{{HEAD},"choices":[{{"message":{{"content":null{calls}}},"finish_reason":{reason}}}]}}"#
        );
        let (_, json) = answered(&body).unwrap();
        assert_eq!(json["choices"][0]["finish_reason"], expected, "{reason}");
    }
}

#[test]
fn an_error_with_a_good_status_is_an_error() {
    for (body, class) in [
        (r#"{"error":{"message":"m","code":429}}"#.to_owned(), Class::RateLimit),
        (r#"{"error":"m"}"#.to_owned(), Class::Server),
        (r#"[{"error":{"message":"m","code":503}}]"#.to_owned(), Class::Overloaded),
        (r#"{"message":"m","type":"overloaded_error"}"#.to_owned(), Class::Overloaded),
        (
            format!(
                r#"{{{HEAD},"choices":[{{"message":{{}},"finish_reason":"error","error":{{"code":502,"message":"m"}}}}]}}"#
            ),
            Class::Server,
        ),
        (
            format!(r#"{{{HEAD},"choices":[{{"message":{{}},"finish_reason":"error"}}]}}"#),
            Class::Server,
        ),
    ] {
        let error = answered(&body).unwrap_err();
        assert_eq!(error.class, class, "{body}");
        assert!(error.message == "m" || error.message.contains("failed"), "{}", error.message);
    }
    let null =
        format!(r#"{{"error":null,{HEAD},"choices":[{{"message":{{}},"finish_reason":"stop"}}]}}"#);
    assert!(answered(&null).is_ok());
}

#[test]
fn what_is_no_answer_is_the_providers_fault() {
    for body in [
        "",
        " \n",
        "null",
        "7",
        "OK",
        "{",
        "{}",
        "[]",
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"message":null}]}"#,
        r#"{"choices":[{"message":{"content":"x"},"finish_re"#,
        r#"{"choices":7}"#,
        r#"{"choices":[[0,{"role":"assistant","content":"x"},"stop"]]}"#,
        r#"[null,"a","chat.completion",1,"x",[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],null]"#,
    ] {
        let error = answered(body).unwrap_err();
        assert_eq!((error.class, error.status), (Class::Server, 502), "{body}");
    }
    let many = format!(
        r#"{{"choices":[{}{{"message":{{}}}}]}}"#,
        r#"{"message":{}},"#.repeat(MAX_CHOICES)
    );
    assert_eq!(answered(&many).unwrap_err().class, Class::Server);
}
