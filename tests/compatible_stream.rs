//! What is passed on without being read means what it would have meant: for every provider of the
//! compatible family, whatever its events look like.
#![cfg(not(target_arch = "wasm32"))]

#[expect(dead_code, reason = "answers that come whole are the business of the goldens")]
#[path = "support/fold.rs"]
mod fold;
#[path = "support/rules.rs"]
mod rules;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use waypost::cli::translate::{self, Asked, Provider};

const APIS: [&str; 8] =
    ["deepseek", "groq", "qwen", "xai", "openrouter", "together", "ollama", "vllm"];

/// Members of a delta, some of which say something in another form.
fn delta() -> impl Strategy<Value = String> {
    let content = select(vec![
        r#""content":"x""#,
        r#""content":"\"role\":\"reasoning\"""#,
        r#""content":null"#,
        r#""content":"""#,
        r#""content": [{"type":"text","text":"x"}]"#,
        "",
    ]);
    let other = select(vec![
        r#""role":"assistant""#,
        r#""reasoning":"r""#,
        r#""reasoning_content":"r""#,
        r#""reasoning_content":null"#,
        r#""tool_calls":null"#,
        r#""tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]"#,
        r#""tool_calls":[{"function":{"name":"g","arguments":{"a":1}}}]"#,
        r#""tool_calls":[{"index":0,"function":{"arguments":"}"}}]"#,
        r#""refusal":null"#,
        "",
    ]);
    (content, other).prop_map(|members| {
        let members = [members.0, members.1];
        members.into_iter().filter(|member| !member.is_empty()).collect::<Vec<_>>().join(",")
    })
}

/// One event: its top stands before or behind the choices, and may be another one.
fn event() -> impl Strategy<Value = String> {
    let head = select(vec![
        r#""id":"a","object":"chat.completion.chunk","created":1,"model":"x""#,
        r#""id":"a","object":"chat.completion.chunk","created":1,"model":"x""#,
        r#""id":"b","object":"chat.completion.chunk","created":2,"model":"x""#,
        r#""id":"","object":"","created":0,"model":"""#,
    ]);
    let reason = select(vec!["null", "null", "null", "\"\"", "\"eos\"", "\"stop\""]);
    let usage = select(vec![
        "",
        "",
        r#","usage":null"#,
        r#","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#,
        r#","x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#,
    ]);
    (head, delta(), reason, usage, any::<bool>()).prop_map(
        |(head, delta, reason, usage, before)| {
            let choice = format!(r#"{{"index":0,"delta":{{{delta}}},"finish_reason":{reason}}}"#);
            match before {
                true => format!("{{{head},\"choices\":[{choice}]{usage}}}"),
                false => format!("{{\"choices\":[{choice}],{head}{usage}}}"),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mix_of_forms_becomes_a_canonical_stream(events in vec(event(), 1..8), asks in any::<bool>()) {
        let request = format!(r#"{{"model":"m","stream":true,"stream_options":{{"include_usage":{asks}}}}}"#);
        let asked = Asked::parse(request.as_bytes()).unwrap();
        let sent: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let counts = r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        let sent = format!("{sent}{counts}\n\ndata: [DONE]\n\n");
        // With a space behind each brace no event is like the first: all are read.
        let mut at = 0;
        let apart = sent.replace("data: {", "data:{");
        let apart: String = apart.split("data:{").enumerate().map(|(piece, text)| {
            at += 1;
            if piece == 0 { text.to_owned() } else { format!("data: {{{}{text}", " ".repeat(at)) }
        }).collect();
        for api in APIS {
            let provider = Provider::new(api, None).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let out = translate::stream(&provider, &asked, [sent.as_bytes()]).bytes;
            let shown = String::from_utf8_lossy(&out);
            rules::check(&out, asks).map_err(|broken| TestCaseError::fail(format!("{api}: {broken}:\n{sent}\n{shown}")))?;
            let read = translate::stream(&provider, &asked, [apart.as_bytes()]).bytes;
            prop_assert_eq!(fold::fold(&out), fold::fold(&read), "{}:\n{}", api, shown);
        }
    }
}
